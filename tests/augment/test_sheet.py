"""Contact sheets show the very pixels, with words beside them."""

import numpy as np

from bloodcell.augment import CATALOGUE, PRESETS, Policy, step
from bloodcell.augment.sheet import Row, catalogue_sheet, draw_sheet, policy_sheet

RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 256, (8, 32, 32, 3), dtype=np.uint8)
LABELS = np.arange(8)


def holds(sheet: np.ndarray, image: np.ndarray) -> bool:
    """Whether the image is somewhere on the sheet, pixel by pixel."""
    high, wide = image.shape[:2]
    starts = np.argwhere((sheet == image[0, 0]).all(2))
    return any(np.array_equal(sheet[y : y + high, x : x + wide], image) for y, x in starts)


def test_every_picture_of_every_row_is_there_whole():
    sheet = draw_sheet([Row("a", "", IMAGES[:3]), Row("b", "note", IMAGES[3:5])], ("one", "two"))
    assert sheet.dtype == np.uint8
    assert all(holds(sheet, image) for image in IMAGES[:5])
    assert not holds(sheet, IMAGES[5])


def test_long_words_do_not_widen_the_sheet():
    short = draw_sheet([Row("a", "b", IMAGES)], ("x",) * 8)
    long = draw_sheet([Row("a" * 90, "word " * 60, IMAGES)], ("Immature granulocyte",) * 8)
    assert short.shape == long.shape


def test_a_mixed_label_is_a_bar_of_its_shares_and_a_pure_one_is_none():
    pure, mixed = np.eye(8, dtype=np.float32)[[1]], np.zeros((1, 8), np.float32)
    mixed[0, [1, 4]] = 0.75, 0.25
    image = np.zeros((1, 80, 80, 3), np.uint8)
    assert holds(draw_sheet([Row("a", "", image, pure)]), image[0])
    sheet = draw_sheet([Row("a", "", image, mixed)])
    wide = [int((sheet == colour).all(2).any(0).sum()) for colour in ((213, 94, 0), (0, 114, 178))]
    assert abs(wide[0] - 60) <= 1
    assert sum(wide) in range(20, 82)


def test_a_policy_sheet_has_each_original_and_is_repeatable():
    policy = Policy("p", (step("flip"), step("mixup", alpha=1.0)))
    first, again, other = (policy_sheet(policy, IMAGES, LABELS, 4, s) for s in (1, 1, 2))
    assert all(holds(first, image) for image in IMAGES)
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)
    assert policy_sheet(PRESETS["none"], IMAGES, LABELS, 6).shape[1] > first.shape[1]


def test_the_sheet_of_the_catalogue_has_a_row_for_each_augmentation():
    sheet = catalogue_sheet(IMAGES, LABELS)
    assert all(holds(sheet, image) for image in IMAGES)
    few = draw_sheet([Row("a", "", IMAGES)] * 2, ("x",))
    one = draw_sheet([Row("a", "", IMAGES)], ("x",))
    row = few.shape[0] - one.shape[0]
    assert sheet.shape[0] == one.shape[0] + row * len(CATALOGUE)
