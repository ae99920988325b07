"""Made-up pictures of none of the eight: of every kind, from a seed, and never a cell as it was."""

from pathlib import Path

import numpy as np
import pytest

from bloodcell.data.store.dataset import open_dataset
from bloodcell.data.synthetic.out_of_distribution import (
    OUT_OF_DISTRIBUTION,
    make_out_of_distribution,
    photograph,
    with_outlier_exposure,
)
from bloodcell.workspace import Workspace


@pytest.fixture(scope="module")
def cells(demo_home: Path) -> np.ndarray:
    return np.ascontiguousarray(open_dataset(Workspace(demo_home), "demo").images[:160:4])


@pytest.mark.parametrize("kind", OUT_OF_DISTRIBUTION)
@pytest.mark.parametrize("size", [28, 96])
def test_each_kind_at_any_size(cells: np.ndarray, kind: str, size: int):
    from bloodcell.data.imaging.resize import resized

    made = make_out_of_distribution(kind, resized(cells, size), 5)
    assert made.shape == (5, size, size, 3)
    assert made.dtype == np.uint8
    assert len({m.tobytes() for m in made}) == 5


@pytest.mark.parametrize("kind", OUT_OF_DISTRIBUTION)
def test_same_seed_same_pictures(cells: np.ndarray, kind: str):
    first = make_out_of_distribution(kind, cells, 3, seed=4)
    np.testing.assert_array_equal(first, make_out_of_distribution(kind, cells, 3, seed=4))
    assert not np.array_equal(first, make_out_of_distribution(kind, cells, 3, seed=5))


def test_a_field_of_red_cells_has_lost_what_was_stained(cells: np.ndarray):
    def stained(images: np.ndarray) -> float:
        return float((images[..., 1] < 110).mean())

    small = [c for c in cells if 0 < (c[..., 1] < 110).mean() < 0.2]
    assert stained(make_out_of_distribution("red_cells", np.stack(small), 20)) < 0.5 * stained(
        np.stack(small)
    )


@pytest.mark.parametrize("place", [(10, 10), (10, 50), (50, 30)])
def test_where_every_stained_part_is_large_it_is_gone_all_the_same(place: tuple[int, int]):
    cells = np.full((3, 96, 96, 3), (225, 210, 215), np.uint8)
    for i, (y, x) in enumerate([(10, 10), (10, 50), place]):
        cells[i, y : y + 36, x : x + 36] = (90, 40, 130)
    made = make_out_of_distribution("red_cells", cells, 20)
    assert (made[..., 1] < 110).mean() < 0.01


def test_strangers_in_a_batch_are_of_no_class(cells: np.ndarray):
    labels = np.eye(8, dtype=np.float32)[np.arange(len(cells)) % 8]
    rng = np.random.default_rng(0)
    images, mixed = with_outlier_exposure(cells, labels, 3, rng)
    np.testing.assert_array_equal(mixed[:3], np.zeros((3, 8)))
    np.testing.assert_array_equal(mixed[3:], labels[3:])
    np.testing.assert_array_equal(images[3:], cells[3:])
    assert not any(np.array_equal(images[i], c) for i in range(3) for c in cells)


def test_no_strangers_leave_a_batch_alone(cells: np.ndarray):
    labels = np.eye(8, dtype=np.float32)[np.zeros(len(cells), int)]
    images, same = with_outlier_exposure(cells, labels, 0, np.random.default_rng(0))
    assert images is cells
    assert same is labels


def test_the_photographs_are_there():
    assert photograph("china").shape == photograph("flower").shape == (427, 640, 3)
