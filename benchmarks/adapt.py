"""The k-shot table: what a few labelled cells of a laboratory are worth.

    python -m benchmarks.adapt [ENSEMBLE] --dataset NAME [--dataset NAME] [--draws 8]

Every laboratory of the datasets on its own: 1, 3, 5, 10 and 20 labelled cells a class, drawn many
times; strength and representation are chosen anew in each draw from the drawn cells alone. Judged
on the cells that were not drawn, classes of fewer than eight cells left out: balanced accuracy,
calibration error, recognised share; the share still refused of synthetic pictures made of the
laboratory's cells, and of cells that are none of the eight (of all laboratories, as one that has
them has few classes); and what home loses. The networks run once a cell, unturned.
"""

import argparse
import time
from functools import reduce

import numpy as np

from bloodcell.classes import CLASS_NAMES
from bloodcell.data.pipeline import read_images
from bloodcell.data.store.dataset import open_dataset
from bloodcell.ensemble.adapt import home_of, problem_of
from bloodcell.ensemble.adapt_worth import judged
from bloodcell.ensemble.adapted_head import laboratory_novelty, reach_of
from bloodcell.ensemble.ensemble import Ensemble, open_ensemble
from bloodcell.ensemble.fit_head import balanced_accuracy, draw
from bloodcell.ensemble.home_cells import HOME
from bloodcell.ensemble.laboratory_cells import Cells, artefacts_of, of_dataset
from bloodcell.progress import to_stderr
from bloodcell.workspace import open_workspace

PER_CLASS = (1, 3, 5, 10, 20)
FEWEST = 8


def laboratories(
    ensemble: Ensemble, names: list[str], most: int
) -> tuple[dict[str, tuple[Cells, Cells]], Cells]:
    """Laboratory → its labelled cells and artefacts; and all cells that are none of the eight."""
    workspace, found, others = open_workspace(), {}, []
    for name in names:
        dataset = open_dataset(workspace, name)
        kept = np.flatnonzero(dataset.kept & ~np.isin(dataset.hashes, ensemble.seen()))
        where = dataset.origin("laboratory")[kept].astype(str)
        for laboratory in np.unique(where):
            rows = kept[where == laboratory]
            rows = np.concatenate(
                [rows[dataset.labels[rows] == c][:most] for c in np.unique(dataset.labels[rows])]
            )
            cells = of_dataset(ensemble, dataset, rows, to_stderr(), tta=False)
            others.append(cells.rows(cells.labels < 0))
            counts = np.bincount(cells.labels[cells.labels >= 0], minlength=len(CLASS_NAMES))
            enough = (cells.labels >= 0) & (counts[cells.labels] >= FEWEST)
            if len(np.unique(cells.labels[enough])) > 1:
                images = read_images(dataset, rows[enough], ensemble.size)
                made = artefacts_of(ensemble, images, to_stderr())
                found[laboratory or name] = cells.rows(enough), made
    some = [o for o in others if len(o)]
    empty = next(iter(found.values()))[0].rows(np.arange(0))
    return found, reduce(Cells.and_also, some, empty)


def rows_of(
    ensemble: Ensemble, cells: Cells, made: Cells, others: Cells, draws: int
) -> list[list[float]]:
    """For each of PER_CLASS: accuracy, ECE, recognised, refused, home, seconds."""
    home = home_of(ensemble)
    problem = problem_of(home, cells)
    there, threshold = home.laboratory == HOME, ensemble.description.novelty.threshold
    labels = home.labels.astype(int)[there]
    at_home = balanced_accuracy(labels, home.said[there].argmax(1))
    found = []
    every = np.arange(len(cells))
    nobody = cells.rows(np.arange(0))
    for per_class in PER_CLASS:
        values = []
        for seed in range(draws):
            used = draw(cells.labels, per_class, np.random.default_rng(seed))
            rest = np.setdiff1d(every, used)
            # Neither are known here: the laboratory labelled none of them.
            result = judged(problem, ensemble, cells, nobody, None, made, [(used, rest)], 1)
            began = time.perf_counter()
            fitted = problem.fit(problem.choose(used), used)
            took = time.perf_counter() - began
            after, before = result["after"], result["before"]
            refused = _refused(cells, used, others, made, threshold)
            kept = balanced_accuracy(labels, fitted.home_scores[there].argmax(1))
            values.append(
                [
                    *(before["balanced_accuracy"], after["balanced_accuracy"], after["ece"]),
                    *(before["recognised"], after["recognised"]),
                    *(result["synthetic"]["refused_after"], refused, kept - at_home, took),
                ]
            )
        found.append([per_class, *np.mean(values, axis=0), float(np.std(np.array(values)[:, 1]))])
    return found


def _refused(cells: Cells, used: np.ndarray, others: Cells, made: Cells, threshold: float) -> float:
    if not len(others):
        return float("nan")
    near, said = cells.features[used], others.novelty / threshold
    now = laboratory_novelty(said, others.features, near, near[:0], made.features, reach_of(near))
    return float((now > 1).mean())


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("ensemble", nargs="?", default="reference")
    parser.add_argument("--dataset", action="append", required=True)
    parser.add_argument("--draws", type=int, default=8)
    parser.add_argument("--most", type=int, default=40, help="cells of a class looked at")
    given = parser.parse_args()
    ensemble = open_ensemble(open_workspace(), given.ensemble)
    found, others = laboratories(ensemble, given.dataset, given.most)
    print("laboratory   k  before  after ± sd    ECE  recognised  synthetic  others   home  fit")
    for name, (cells, made) in found.items():
        for k, before, after, ece, known, now, artefacts, refused, home, took, sd in rows_of(
            ensemble, cells, made, others, given.draws
        ):
            print(
                f"{name[:10]:10} {k:3d}  {100 * before:5.1f}  {100 * after:5.1f} ± {100 * sd:3.1f}"
                f"  {100 * ece:5.1f}  {100 * known:4.0f} → {100 * now:4.0f}  {100 * artefacts:8.0f}"
                f"  {100 * refused:6.0f}  {100 * home:+5.2f}  {1000 * took:.0f} ms",
                flush=True,
            )


if __name__ == "__main__":
    main()
