"""The most doubtful labels and the strongest outliers of an audit as one picture to look at.

python -m bloodcell audit DATASET --sheet FILE.png
"""

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from bloodcell.audit.finding import Audit, Finding
from bloodcell.classes import CLASS_NAMES, title
from bloodcell.data.store.dataset import Dataset
from bloodcell.errors import BadInput
from bloodcell.files import replacing

__all__ = ["checked_sheet", "contact_sheet", "write_sheet"]

SIDE, GAP, COLUMNS = 144, 12, 10
LINE, LINES = 15, 5
HEAD = 34
INK, FAINT, ACCENT = "#1f1a2b", "#6b6577", "#6a3fb5"
SECTIONS = (("suspect_label", "Most doubtful labels"), ("outlier", "Strongest outliers"))


def _rows(dataset: Dataset, found: Audit, kind: str, each: int) -> list[Finding]:
    """The surest findings of a kind, of copies the first."""
    seen: set[str] = set()
    rows = []
    for f in sorted((f for f in found.findings if f.kind == kind), key=lambda f: -f.score):
        if dataset.hashes[f.index] not in seen:
            seen.add(dataset.hashes[f.index])
            rows.append(f)
    return rows[:each]


def _wrapped(text: str, font: ImageFont.ImageFont, most: int) -> list[str]:
    """`text` in at most so many lines that are no wider than a picture."""
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if font.getlength(longer) <= SIDE or len(lines) == most:
            lines[-1] = longer
        else:
            lines.append(word)
    while font.getlength(lines[-1]) > SIDE:
        lines[-1] = lines[-1].rstrip("…")[:-1] + "…"
    return lines


def contact_sheet(dataset: Dataset, found: Audit, each: int = 20) -> Image.Image:
    """Draw the surest findings of two kinds with label, the class they look like, and score.

    Args:
        each: how many of a kind at most.

    Returns:
        RGB, COLUMNS tiles wide.
    """
    font, bold = ImageFont.load_default(12), ImageFont.load_default(18)
    sections = [(head, _rows(dataset, found, kind, each)) for kind, head in SECTIONS]
    step = SIDE + LINE * LINES + GAP
    heights = [HEAD + max(1, -(-len(rows) // COLUMNS)) * step for _, rows in sections]
    sheet = Image.new("RGB", (COLUMNS * (SIDE + GAP) + GAP, sum(heights) + GAP), "white")
    draw = ImageDraw.Draw(sheet)
    labels, top = dataset.labels, 0
    for (head, rows), height in zip(sections, heights, strict=True):
        of = f"{head} of {dataset.name}: {len(rows)}"
        draw.text((GAP, top + 8), of, INK, bold)
        for place, f in enumerate(rows):
            x = GAP + place % COLUMNS * (SIDE + GAP)
            y = top + HEAD + place // COLUMNS * step
            picture = Image.fromarray(np.ascontiguousarray(dataset.images[f.index]))
            sheet.paste(picture.resize((SIDE, SIDE), Image.Resampling.BICUBIC), (x, y))
            like = "" if f.looks_like is None else title(CLASS_NAMES.index(f.looks_like))
            doubt = f"looks like {like.lower()}" if f.kind == "suspect_label" else f.why
            lines = [
                (f"{place + 1}: {title(int(labels[f.index]))}", INK),
                *((line, ACCENT) for line in _wrapped(doubt, font, 2)),
                (f"{f.score:.2f}, {f.suggested}", FAINT),
                (f.name.rsplit("/", 1)[-1], FAINT),
            ]
            for k, (text, colour) in enumerate(lines):
                line = _wrapped(text, font, 1)[0]
                draw.text((x, y + SIDE + 2 + k * LINE), line, colour, font)
        top += height
    return sheet


def checked_sheet(path: Path | None) -> None:
    """Refuse a file that cannot be a contact sheet, before any work is done.

    Raises:
        BadInput: the name does not end in .png.
    """
    if path is not None and path.suffix.lower() != ".png":
        raise BadInput(f"{path} is no place for a contact sheet: expected a name ending in .png.")


def write_sheet(dataset: Dataset, found: Audit, path: Path, each: int = 20) -> None:
    """Write the contact sheet to a PNG file.

    Raises:
        BadInput: the name does not end in .png.
        NoSpace: the disk is full.
    """
    checked_sheet(path)
    with replacing(path) as temporary:
        contact_sheet(dataset, found, each).save(temporary, "PNG")
