"""What an evaluation costs beside the networks themselves.

    python -m benchmarks.evaluate ENSEMBLE --dataset NAME [--images N]

In one process and in turns: the members' raw LiteRT calls on images that lie in memory, and the
whole evaluation (reading, features, novelty, calibration, prediction sets, every metric with its
interval). Prints both and their ratio, and how long a kept evaluation takes to read.
"""

import argparse
import time

import numpy as np

from bloodcell.data.imaging.resize import resized
from bloodcell.data.pipeline import read_images
from bloodcell.data.store.dataset import open_dataset
from bloodcell.ensemble.ensemble import BATCH, Ensemble, open_ensemble
from bloodcell.evaluation.evaluate import answer, judged_images
from bloodcell.evaluation.metrics import judge
from bloodcell.evaluation.stored import evaluated, load_evaluation
from bloodcell.workspace import open_workspace


def raw(ensemble: Ensemble, images: np.ndarray) -> float:
    """Seconds of the members' own calls, in batches of the size that an ensemble uses."""
    began = time.perf_counter()
    for start in range(0, len(images), BATCH):
        for model in ensemble.models:
            model(resized(images[start : start + BATCH], model.size))
    return time.perf_counter() - began


def whole(ensemble: Ensemble, dataset, indices: np.ndarray) -> float:
    """Seconds of an evaluation of some images."""
    began = time.perf_counter()
    answers = answer(ensemble, lambda i: read_images(dataset, i, ensemble.size), indices, False)
    labels = dataset.labels[indices]
    judge(labels, answers.probabilities)
    for said in answers.members:
        judge(labels, said)
    return time.perf_counter() - began


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("ensemble", nargs="?", default="reference")
    parser.add_argument("--dataset", help="default: the one that the ensemble was trained on")
    parser.add_argument("--images", type=int, default=0, help="0: the whole test part")
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    workspace = open_workspace()
    ensemble = open_ensemble(workspace, given.ensemble)
    dataset = open_dataset(workspace, given.dataset or ensemble.description.trained_on.dataset)
    indices, _, _ = judged_images(ensemble, dataset, "test")
    indices = indices[: given.images or None]
    images = read_images(dataset, indices, ensemble.size)
    raw(ensemble, images[:BATCH])
    times = [
        (raw(ensemble, images), whole(ensemble, dataset, indices)) for _ in range(given.rounds)
    ]
    lowest = np.min(times, axis=0)
    print(f"{len(indices):,} images, {len(ensemble.models)} networks, best of {given.rounds}")
    print(f"raw LiteRT    {1e3 * lowest[0] / len(indices):6.2f} ms an image")
    print(f"evaluation    {1e3 * lowest[1] / len(indices):6.2f} ms an image")
    print(f"ratio         {lowest[1] / lowest[0]:6.2f}")
    evaluated(ensemble, dataset)
    began = time.perf_counter()
    found = load_evaluation(ensemble.description, dataset, "test")
    kept = time.perf_counter() - began
    assert found is not None
    print(f"kept one read {1e3 * kept:6.0f} ms, {kept / lowest[1]:.4f} of the evaluation")


if __name__ == "__main__":
    main()
