"""How well cells are found on photographs of a smear, and how long it takes.

    python -m benchmarks.smear FIELDS.zip LABS_NATIVE.zip [LABS96.zip] [--half 0|1]

FIELDS has whole fields with `boxes.csv` (file, kind, left, top, right, bottom, label; a kind is
white, red or platelet), LABS_NATIVE photographs of one cell each with `manifest.csv` (file,
laboratory, red_cell_pixels), LABS96 cuts of the same at 200/78 red cells: where they were cut out
says where the cell lies, as far as they were cut about it. Prints the share of white cells and
platelets found (the middle of what was found lies in the box), the share of what was found that is
one of them, of photographs whose red cell is right within 15 % (alone, and together with those of
the same size, as `count` takes them), and of cut-outs within a quarter of the cell that was found
of the published one. The published cuts of lmu are the middles of its photographs, which the cells
are not. Half 0 of the fields gave the weights in `bloodcell.smear.find`; half 1 did not.
"""

import argparse
import time
import zipfile

import cv2
import numpy as np
import pandas as pd

from bloodcell.data.imaging.decode import decode_image
from bloodcell.smear.count import agreed
from bloodcell.smear.find import Field, Found, find_cells

QUARTER = 0.25


def _named(archive: zipfile.ZipFile, end: str) -> str:
    return next(n for n in archive.namelist() if n.endswith(end))


def fields(path: str, half: int | None) -> None:
    """Measure on whole fields."""
    archive = zipfile.ZipFile(path)
    listed = _named(archive, "boxes.csv")
    boxes = pd.read_csv(archive.open(listed))
    truth: dict[str, int] = {"white": 0, "platelet": 0}
    hit = dict(truth)
    found_all = right = 0
    scales, widths, seconds, missed = [], [], [], []
    for name in sorted(boxes["file"].unique())[slice(half, None, 1 if half is None else 2)]:
        image = decode_image(archive.read(listed.replace("boxes.csv", name)), name)
        began = time.perf_counter()
        found = find_cells(image)
        seconds.append(time.perf_counter() - began)
        here = boxes[boxes["file"] == name]
        red = here[(here["kind"] == "red") & (here["left"] > 1) & (here["top"] > 1)]
        red = red[(red["right"] < found.width - 1) & (red["bottom"] < found.height - 1)]
        if len(red):
            sides = (red["right"] - red["left"]) * (red["bottom"] - red["top"])
            scales.append(found.red_cell)
            widths.append(float(np.median(np.sqrt(sides))))
        wanted = here[here["kind"] != "red"]
        inside = _inside(found, wanted)
        for kind, seen in zip(wanted["kind"], inside.any(0), strict=True):
            truth[kind] += 1
            hit[kind] += int(seen)
            if not seen:
                missed.append(f"{name} {kind}")
        found_all += len(found.cells)
        right += int(inside.any(1).sum())
    for kind, n in truth.items():
        print(f"{kind:8} found     {hit[kind]:4} of {n:4}  {100 * hit[kind] / n:5.1f} %")
    print(f"found is one       {right:4} of {found_all:4}  {100 * right / found_all:5.1f} %")
    _scales("fields", scales, widths)
    print(f"time a field       median {1e3 * np.median(seconds):.0f} ms")
    print("missed:", "; ".join(missed) or "none")


def _inside(found: Field, wanted: pd.DataFrame) -> np.ndarray:
    """Which of what was found lies in which box: bool, found × wanted."""
    middles = np.array([c.middle for c in found.cells]).reshape(-1, 2)
    low, high = wanted[["left", "top"]].to_numpy(), wanted[["right", "bottom"]].to_numpy()
    return ((middles[:, None] >= low) & (middles[:, None] <= high)).all(2)


def _scales(name: str, scales: list[float | None], truths: list[float]) -> None:
    together = agreed(scales, [[i for i, s in enumerate(scales) if s is not None]])
    for how, found in (("alone", scales), ("together", together)):
        ratios = np.array([s or 0 for s in found]) / truths
        good = np.abs(ratios - 1) < 0.15
        print(
            f"red cell right     {good.sum():4} of {good.size:4}  {100 * good.mean():5.1f} % "
            f"({name}, {how})"
        )


def laboratories(path: str, cuts: str | None) -> None:
    """Measure on photographs of one cell each."""
    archive = zipfile.ZipFile(path)
    cut_out = zipfile.ZipFile(cuts) if cuts else None
    listed = _named(archive, "manifest.csv")
    manifest = pd.read_csv(archive.open(listed))
    for laboratory, rows in manifest.groupby("laboratory"):
        scales, counts, near = [], [], []
        for row in rows.itertuples():
            image = decode_image(archive.read(listed.replace("manifest.csv", row.file)), row.file)
            found = find_cells(image)
            whites = [c for c in found.cells if c.kind == "white"]
            scales.append(found.red_cell)
            counts.append(len(whites))
            if cut_out is not None:
                data = cut_out.read(_named(cut_out, row.file))
                x, y = cut_middle(image, decode_image(data, row.file), row.red_cell_pixels)
                near.append(any(_is_near(c, x, y) for c in whites))
        _scales(str(laboratory), scales, rows["red_cell_pixels"].to_numpy())
        print(f"  photographs with 0, 1, more white cells: {np.bincount(np.minimum(counts, 2))}")
        if near:
            print(f"  cut-out at the published cut: {100 * np.mean(near):.1f} %")


def _is_near(cell: Found, x: float, y: float) -> bool:
    left, top, right, bottom = cell.box
    width = np.sqrt((right - left) * (bottom - top))
    return bool(np.hypot(cell.middle[0] - x, cell.middle[1] - y) < QUARTER * width)


def cut_middle(image: np.ndarray, cut: np.ndarray, red_cell: float) -> tuple[float, float]:
    """The middle of a cut-out of 200/78 red cells on its photograph."""
    zoom = len(cut) / (200 / 78 * red_cell)
    small = cv2.resize(image, None, fx=zoom, fy=zoom, interpolation=cv2.INTER_AREA)
    small = cv2.copyMakeBorder(small, 40, 40, 40, 40, cv2.BORDER_REFLECT_101)
    _, _, _, place = cv2.minMaxLoc(cv2.matchTemplate(small, cut, cv2.TM_CCOEFF_NORMED))
    return tuple((v + len(cut) / 2 - 40) / zoom for v in place)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("fields")
    parser.add_argument("laboratories", nargs="?")
    parser.add_argument("cuts", nargs="?")
    parser.add_argument("--half", type=int, choices=(0, 1))
    given = parser.parse_args()
    fields(given.fields, given.half)
    if given.laboratories:
        laboratories(given.laboratories, given.cuts)


if __name__ == "__main__":
    main()
