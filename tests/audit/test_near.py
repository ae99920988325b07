"""Near copies: the same photograph after coding, a shift, a flip or a turn; and nothing else."""

import io

import cv2
import numpy as np
import pytest
from PIL import Image

from bloodcell.audit.near import EXPLAINED, aligned, near_pairs
from bloodcell.data.synthetic.drawing.draw import draw_cell


def cell(label: int, seed: int, size: int = 64) -> np.ndarray:
    return draw_cell(label, np.random.default_rng([label, seed]), size)


def jpeg(image: np.ndarray, quality: int) -> np.ndarray:
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "JPEG", quality=quality)
    return np.asarray(Image.open(buffer))


def shifted(image: np.ndarray, y: int, x: int) -> np.ndarray:
    size = len(image)
    padded = np.pad(image, ((2, 2), (2, 2), (0, 0)), "edge")
    return padded[2 + y : 2 + y + size, 2 + x : 2 + x + size]


@pytest.mark.parametrize("label", range(8))
@pytest.mark.parametrize(
    "change",
    [
        lambda i: jpeg(i, 70),
        lambda i: shifted(i, 1, 0),
        lambda i: shifted(i, -2, 2),
        lambda i: i[:, ::-1],
        lambda i: np.rot90(i, 3),
        lambda i: jpeg(shifted(np.rot90(i[::-1]), 1, -1), 80),
        lambda i: np.clip(i.astype(int) + 15, 0, 255).astype(np.uint8),
    ],
    ids=["jpeg", "one pixel", "two pixels", "mirrored", "turned", "all of it", "brighter"],
)
def test_the_same_photograph_is_recognised(label: int, change):
    image = cell(label, 0)
    assert aligned(image, np.ascontiguousarray(change(image))) >= EXPLAINED


@pytest.mark.parametrize("label", range(8))
def test_two_cells_of_one_class_are_not_near_copies(label: int):
    shares = [aligned(cell(label, 0), cell(label, k)) for k in range(1, 8)]
    assert max(shares) < EXPLAINED


def test_a_picture_and_nothing_are_not_alike():
    blank = np.full((64, 64, 3), 200, np.uint8)
    assert aligned(cell(2, 0), blank) < 0.5
    assert aligned(blank, blank) == pytest.approx(1)


def test_it_works_for_the_smallest_images():
    image = cell(5, 1, 28)
    assert aligned(image, np.ascontiguousarray(image[::-1])) >= EXPLAINED
    assert aligned(image, cell(5, 2, 28)) < EXPLAINED


@pytest.mark.parametrize("copies", [2, 25, 60])
def test_however_many_look_alike_all_are_found(copies: int):
    pictures = [cell(k % 8, k, 48) for k in range(40)]
    for k in range(copies):
        alike = cell(2, 500, 48).copy()
        # Too little to change the small picture: all are equally near.
        alike[k // 40, k % 40, 0] ^= 1
        pictures.append(alike)
    images = np.stack(pictures)
    small = np.stack([cv2.resize(i, (16, 16), interpolation=cv2.INTER_AREA) for i in images])
    pairs = near_pairs(images, small.reshape(len(small), -1), np.arange(len(images)))
    together = {40}
    for _ in range(copies):
        together |= {i for pair in pairs if together & set(pair[:2]) for i in pair[:2]}
    assert together == set(range(40, 40 + copies))
