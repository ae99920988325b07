"""The images of a dataset on a plane, alike ones close together, and how alone each is.

Features → principal components → t-SNE (van der Maaten and Hinton 2008, with the initialisation
and learning rate of Kobak and Berens 2019) of a stratified sample; every other image lies among
the sampled images that are most like it. Kept in ``DATASET/audit/layout-….npz``; all images are
in it, the excluded ones too.
"""

import hashlib
from contextlib import suppress
from dataclasses import dataclass

import numpy as np

from bloodcell.audit.features import Features
from bloodcell.audit.reduce import neighbour_distances, whitened
from bloodcell.data.store.dataset import Dataset
from bloodcell.files import read_arrays, replacing, unless_read_only
from bloodcell.progress import Progress, silent

__all__ = ["Layout", "lay_out"]

VERSION = 1
SAMPLE = 2000
REFERENCE = 10_000
COMPONENTS = 32
PERPLEXITY = 30.0
NEIGHBOURS = 10
NEAREST = 5
# Each stage is the least number of steps that scikit-learn takes; between them one can stop.
STAGES = 2
STEPS = 250
EXAGGERATION = 12.0
BLOCK = 4_000_000


@dataclass(frozen=True)
class Layout:
    """Where the images lie.

    Attributes:
        points: float32, N×2; a position says nothing, only nearness does.
        novelty: float32, N: distance to the 10th nearest other image, in units of the median.
        sample: int64, ascending: the images that t-SNE itself placed.
        source: where the features came from, in words.
    """

    points: np.ndarray
    novelty: np.ndarray
    sample: np.ndarray
    source: str


def _sampled(dataset: Dataset, most: int) -> np.ndarray:
    """Distinct images, of each class in proportion, spread over the dataset; ascending."""
    _, first = np.unique(dataset.hashes, return_index=True)
    if len(first) <= most:
        return np.sort(first)
    order = first[np.argsort(dataset.given_labels[first], kind="stable")]
    return np.sort(np.random.default_rng(0).permuted(order.reshape(1, -1))[0][:most])


def _tsne(values: np.ndarray, progress: Progress) -> np.ndarray:
    """float32, n×2."""
    from sklearn.manifold import TSNE
    from threadpoolctl import threadpool_limits

    n = len(values)
    if n < 5:
        return np.pad(values[:, :2], ((0, 0), (0, max(0, 2 - values.shape[1]))))
    start = np.pad(values[:, :2], ((0, 0), (0, max(0, 2 - values.shape[1])))).astype(np.float32)
    placed = start / max(float(start[:, 0].std()), 1e-9) * 1e-4
    for stage in range(STAGES):
        progress(stage, STAGES, "stages of the map")
        method = TSNE(
            perplexity=min(PERPLEXITY, (n - 1) / 3),
            early_exaggeration=EXAGGERATION if stage == 0 else 1.0,
            learning_rate=max(n / EXAGGERATION / 4, 50),
            max_iter=STEPS,
            init=placed,
            random_state=0,
        )
        # Its threads wait for each other at every step: beside a training, one is far quicker.
        with threadpool_limits(1, user_api="openmp"):
            placed = method.fit_transform(values)
    progress(STAGES, STAGES, "stages of the map")
    return placed


def _among(
    values: np.ndarray, sample: np.ndarray, placed: np.ndarray, progress: Progress
) -> np.ndarray:
    """float32, N×2: each image at the median of the sampled images nearest to it."""
    points = np.empty((len(values), 2), np.float32)
    known = values[sample]
    squares = (known**2).sum(1)
    k = min(NEAREST, len(sample))
    step = max(1, BLOCK // len(sample))
    for start in range(0, len(values), step):
        progress(start, len(values), "placing images")
        distance = squares - 2 * (values[start : start + step] @ known.T)
        near = np.argpartition(distance, k - 1, axis=1)[:, :k]
        points[start : start + step] = np.median(placed[near], axis=1)
    points[sample] = placed
    progress(len(values), len(values), "placing images")
    return points


def lay_out(dataset: Dataset, features: Features, progress: Progress = silent) -> Layout:
    """Lay out all images of a dataset by features of theirs; quick if it was done before.

    Raises:
        Stopped: by `progress`; nothing is left behind.
    """
    step = max(1, len(dataset) // 256)
    digest = hashlib.blake2b(features.source.encode(), digest_size=6)
    digest.update(np.ascontiguousarray(features.values[::step]).data)
    name = f"layout-v{VERSION}-{digest.hexdigest()}-{dataset.fingerprint[:12]}.npz"
    path = dataset.path / "audit" / name
    with suppress(OSError, ValueError, KeyError):
        file = read_arrays(path)
        found = Layout(file["points"], file["novelty"], file["sample"], features.source)
        if found.points.shape == (len(dataset), 2) and found.novelty.shape == (len(dataset),):
            return found
    progress(0, len(dataset), "principal components")
    sample = _sampled(dataset, SAMPLE)
    core = np.zeros(len(dataset), bool)
    core[sample] = True
    values = whitened(features.values, COMPONENTS, core, whiten=False)
    points = _among(values, sample, _tsne(values[sample], progress), progress)
    # Copies are near each other, not normal for it: only distinct images count as neighbours.
    far, _ = neighbour_distances(values, _sampled(dataset, REFERENCE), NEIGHBOURS, progress)
    novelty = (far / max(float(np.median(far)), 1e-9)).astype(np.float32)
    # A dataset that may only be read is laid out all the same.
    with unless_read_only(), replacing(path, dataset.path) as temporary:
        np.savez(temporary, points=points, novelty=novelty, sample=sample)
    return Layout(points, novelty, sample, features.source)
