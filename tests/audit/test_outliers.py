"""Strange pictures stand out with their reason; a dataset of sound cells is left alone."""

import cv2
import numpy as np
import pytest

from bloodcell.audit.outliers import find_outliers
from bloodcell.audit.statistics import describe, quality
from bloodcell.data.synthetic.drawing.draw import draw_cell, draw_foreign

SIZE, N = 48, 240


@pytest.fixture(scope="module")
def cells() -> list[np.ndarray]:
    return [draw_cell(i % 8, np.random.default_rng([7, i]), SIZE) for i in range(N)]


def judged(images: list[np.ndarray]):
    return find_outliers(
        np.stack([describe(i) for i in images]), np.stack([quality(i) for i in images])
    )


def test_few_sound_cells_are_listed(cells: list[np.ndarray]):
    assert len(judged(cells).listed) <= 0.02 * N


@pytest.mark.parametrize("share", [1.0, 0.5])
def test_foreign_pictures_are_listed_even_half_blended(cells: list[np.ndarray], share: float):
    rng = np.random.default_rng(0)
    blended = [
        np.rint((1 - share) * cells[i] + share * draw_foreign(rng, SIZE)).astype(np.uint8)
        for i in range(10)
    ]
    found = judged(cells + blended)
    assert np.isin(np.arange(N, N + 10), found.listed).mean() >= 0.7
    assert (found.scores[found.listed] >= 0.5).all()
    assert list(found.scores[found.listed]) == sorted(found.scores[found.listed], reverse=True)


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda i: np.full_like(i, 230), "nearly one colour"),
        (lambda i: i // 6, "darker"),
        (lambda i: cv2.GaussianBlur(i, (0, 0), 6), "blurred"),
    ],
    ids=["blank", "dark", "blurred"],
)
def test_a_spoilt_picture_is_listed_in_words(cells: list[np.ndarray], spoil, words: str):
    found = judged([*cells, spoil(cells[3])])
    assert N in found.listed
    assert words in found.why[N]


@pytest.mark.parametrize("n", [8, N])
@pytest.mark.parametrize("bits", [10, 12, 14])
def test_dark_pictures_are_listed_whatever_the_others_are(cells, n: int, bits: int):
    """10 to 14 bits read as 16: all of them are as dark."""
    found = judged([cell >> (16 - bits) for cell in cells[:n]])
    assert sorted(found.listed) == list(range(n))
    assert all("nearly black" in found.why[i] for i in range(n))
    assert not found.faulty.any()


def test_a_picture_without_a_cell_is_faulty_and_says_so(cells: list[np.ndarray]):
    empty = [np.roll(cell, SIZE // 2, axis=(0, 1)) for cell in cells[:3]]
    found = judged([*cells, *empty])
    for i in range(N, N + 3):
        assert found.faulty[i]
        assert "no stained cell" in found.why[i]
    assert not found.faulty[:N].any()


def test_a_foreign_picture_is_told_from_an_odd_cell():
    from bloodcell.audit.features import in_threads
    from bloodcell.audit.foreign import foreign_evidence

    rng = np.random.default_rng(3)
    images = [draw_cell(i % 8, np.random.default_rng([8, i]), SIZE) for i in range(400)]
    for k in range(8):
        other = draw_foreign(rng, SIZE)
        images[k] = (images[k] * 0.5 + other * 0.5).astype(np.uint8)
    values = np.stack([describe(i) for i in images])
    rows = np.arange(len(images))
    evidence = foreign_evidence(values, np.stack(images), rows, rows < 8, in_threads)
    assert np.median(evidence[:8]) > np.quantile(evidence[8:], 0.99)


def test_a_turn_or_a_flip_hardly_changes_the_description(cells: list[np.ndarray]):
    one, other = (describe(cells[k]) for k in (0, 1))
    turned = describe(np.ascontiguousarray(np.rot90(cells[0][:, ::-1])))
    assert np.abs(one - turned).mean() < 0.1 * np.abs(one - other).mean()


def test_too_few_pictures_to_compare_are_not_judged(cells: list[np.ndarray]):
    assert len(judged(cells[:10]).listed) == 0
