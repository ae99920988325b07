"""From the memory map to batches: read, resize, augment, weigh, as a ``tf.data.Dataset``.

Every batch is a pure function of (seed, epoch, batch number): two workers may build batches
in parallel, and a run that is resumed in the middle of an epoch sees exactly the images that
it would have seen.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from bloodcell.augment.apply import Augment, augmenter
from bloodcell.augment.policy import Policy
from bloodcell.classes import CLASS_NAMES
from bloodcell.data.imaging.resize import resized
from bloodcell.data.store.dataset import Dataset
from bloodcell.data.synthetic.out_of_distribution import with_outlier_exposure

__all__ = ["TrainingBatches", "read_images"]

Batch = tuple[np.ndarray, np.ndarray, np.ndarray]


def read_images(dataset: Dataset, indices: np.ndarray, size: int) -> np.ndarray:
    """Images of a dataset as uint8, n×size×size×3, resized if the dataset is of another size."""
    return resized(np.ascontiguousarray(dataset.images[indices]), size)


@dataclass(frozen=True)
class TrainingBatches:
    """The shuffled, augmented batches of a run.

    Attributes:
        dataset: where the images lie.
        indices: int64: which images are trained on.
        labels: int64, N of the dataset: their labels after curation.
        weights: float32, N of the dataset: weight of each sample.
        policy: augmentations.
        batch_size, size: images in a batch, pixels a side.
        seed: of the run.
        outlier_exposure: share of every batch that is made into pictures of none of the eight.
        others: int64: images of none of the eight that make up half of these, where there are any.
        engine: what carries the policy out, one of `bloodcell.augment.ENGINES`.
    """

    dataset: Dataset
    indices: np.ndarray
    labels: np.ndarray
    weights: np.ndarray
    policy: Policy
    batch_size: int
    size: int
    seed: int
    outlier_exposure: float = 0.0
    engine: str = "own"
    others: np.ndarray | None = None

    @cached_property
    def _augment(self) -> Augment:
        return augmenter(self.policy, self.engine)

    def __len__(self) -> int:
        return (len(self.indices) + self.batch_size - 1) // self.batch_size

    def reader(self, epoch: int) -> Callable[[int], Batch]:
        """A function batch number → (images uint8 n×S×S×3, labels float32 n×8, weights float32 n).

        Labels are one-hot, or mixed by the policy; the weight of a mixed sample is mixed alike.
        """
        order = np.random.default_rng([self.seed, epoch]).permutation(self.indices)
        augment = self._augment

        def read(batch: int) -> Batch:
            chosen = order[batch * self.batch_size : (batch + 1) * self.batch_size]
            images = read_images(self.dataset, chosen, self.size)
            one_hot = np.eye(len(CLASS_NAMES), dtype=np.float32)[self.labels[chosen]]
            # The weight is one more column, so that it is mixed as the labels are.
            rows = np.column_stack([one_hot, self.weights[chosen]]).astype(np.float32)
            count = round(self.outlier_exposure * len(images))
            made = np.random.default_rng([self.seed, epoch, batch, 2])
            real = self._real_others(count, made)
            images, rows = with_outlier_exposure(images, rows, count, made, real)
            rng = np.random.default_rng([self.seed, epoch, batch, 1])
            images, rows = augment(images, rows, rng)
            return images, np.ascontiguousarray(rows[:, :-1]), np.ascontiguousarray(rows[:, -1])

        return read

    def _real_others(self, count: int, rng: np.random.Generator) -> np.ndarray | None:
        """Half of the strangers of a batch, from what a person labelled as such."""
        if self.others is None or not len(self.others) or not count:
            return None
        chosen = rng.choice(self.others, (count + 1) // 2)
        return read_images(self.dataset, np.sort(chosen), self.size)

    def epoch(self, epoch: int, start: int = 0):
        """The batches of an epoch from number `start` on, as a ``tf.data.Dataset``."""
        import tensorflow as tf

        read = self.reader(epoch)
        kinds = (tf.uint8, tf.float32, tf.float32)

        def load(batch):
            images, labels, weights = tf.numpy_function(lambda b: read(int(b)), [batch], kinds)
            images.set_shape((None, self.size, self.size, 3))
            labels.set_shape((None, len(CLASS_NAMES)))
            weights.set_shape((None,))
            return images, labels, weights

        numbers = tf.data.Dataset.range(start, len(self))
        return numbers.map(load, num_parallel_calls=2, deterministic=True).prefetch(4)
