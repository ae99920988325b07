"""The division into train, validation and test, stated as laws."""

import re
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from sklearn.utils.class_weight import compute_class_weight

from bloodcell.data.split import (
    SHARES,
    Split,
    balanced_weights,
    check_fold,
    make_split,
    split_parts,
)
from bloodcell.data.store.dataset import PARTS, new_dataset, open_dataset
from bloodcell.errors import BadInput
from bloodcell.workspace import Workspace


def names(n: int, salt: int = 0) -> np.ndarray:
    """Identities of n different images."""
    return np.array([f"{salt:08x}{i:024x}" for i in range(n)])


def divide(hashes, labels, kept=None, given_parts=None, seed=0, shares=SHARES) -> np.ndarray:
    hashes, labels = np.asarray(hashes), np.asarray(labels)
    kept = np.ones(len(hashes), bool) if kept is None else kept
    return split_parts(hashes, labels, kept, given_parts, seed, shares)


classes = st.lists(st.integers(1, 150), min_size=1, max_size=8)
seeds = st.integers(0, 2**31 - 1)


@st.composite
def with_copies(draw) -> tuple[np.ndarray, np.ndarray]:
    """Hashes and labels of images some of which are copies, also under other labels."""
    distinct = draw(st.integers(1, 40))
    rows = draw(st.lists(st.integers(0, distinct - 1), min_size=1, max_size=120))
    labels = draw(st.lists(st.integers(0, 7), min_size=len(rows), max_size=len(rows)))
    return names(distinct)[rows], np.array(labels)


@given(counts=classes, seed=seeds)
def test_eight_to_one_to_one_in_every_class_within_rounding(counts: list[int], seed: int):
    labels = np.repeat(np.arange(len(counts)), counts)
    parts = divide(names(len(labels)), labels, seed=seed)
    for label, n in enumerate(counts):
        train, validation, test = np.bincount(parts[labels == label], minlength=3)
        assert train + validation + test == n
        assert train >= 1
        if n >= 3:
            assert abs(test - n / 10) <= 0.5 or test == 1
            assert abs(validation - n / 10) <= 0.5 or validation == 1
            assert min(test, validation) >= 1


@given(data=with_copies(), seed=seeds)
def test_copies_are_never_on_two_sides(data, seed: int):
    hashes, labels = data
    parts = divide(hashes, labels, seed=seed)
    sides = {}
    for one, part in zip(hashes, parts, strict=True):
        assert sides.setdefault(one, part) == part
    assert Split(parts, hashes, seed, False).shared_images() == 0


@given(data=with_copies(), seed=seeds, shuffle=st.randoms(use_true_random=False))
def test_the_order_of_the_files_does_not_matter(data, seed: int, shuffle):
    hashes, labels = data
    order = np.array(shuffle.sample(range(len(hashes)), len(hashes)))
    straight = divide(hashes, labels, seed=seed)
    permuted = divide(hashes[order], labels[order], seed=seed)
    np.testing.assert_array_equal(permuted, straight[order])


@given(counts=classes, seed=seeds, which=st.integers(0, 10**6))
def test_excluding_an_image_moves_at_most_those_at_the_borders_of_its_class(
    counts: list[int], seed: int, which: int
):
    labels = np.repeat(np.arange(len(counts)), counts)
    gone = which % len(labels)
    kept = np.arange(len(labels)) != gone
    before = divide(names(len(labels)), labels, seed=seed)
    after = divide(names(len(labels)), labels, kept, seed=seed)
    assert after[gone] == -1
    moved = np.flatnonzero((before != after) & kept)
    assert (labels[moved] == labels[gone]).all()
    # One at the border of test and validation, up to two at that of validation and train.
    assert sum({before[i], after[i]} == {1, 2} for i in moved) <= 1
    assert sum({before[i], after[i]} == {0, 1} for i in moved) <= 2
    if counts[labels[gone]] > 4:
        assert not any({before[i], after[i]} == {0, 2} for i in moved)


def test_two_seeds_draw_two_splits_and_one_seed_one():
    labels = np.repeat(np.arange(8), 50)
    a, b, again = (divide(names(400), labels, seed=s) for s in (0, 1, 0))
    assert (a != b).sum() > 50
    np.testing.assert_array_equal(a, again)


def test_each_image_is_as_likely_to_be_tested_as_any_other():
    labels = np.zeros(30, int)
    tested = sum(divide(names(30), labels, seed=s) == 2 for s in range(400))
    # 400 draws of 0.1: five standard deviations are 30.
    assert tested.min() > 10
    assert tested.max() < 70


@given(data=with_copies(), seed=seeds, draw=st.data())
def test_parts_that_the_source_gives_are_kept_but_for_copies(data, seed: int, draw):
    hashes, labels = data
    order = ["train", "validation", "test"]
    given_parts = np.array(
        draw.draw(st.lists(st.sampled_from(order), min_size=len(hashes), max_size=len(hashes)))
    )
    assume(set(order) == set(given_parts))
    parts = divide(hashes, labels, given_parts=given_parts, seed=seed)
    for one, part in zip(hashes, parts, strict=True):
        # A copy goes where the first of train, validation, test has one: tests stay unseen.
        assert part == min(order.index(p) for p in given_parts[hashes == one])


def test_a_copy_of_a_training_image_leaves_the_given_test_part():
    hashes = names(4)[[0, 1, 2, 0]]
    parts = divide(
        hashes, [0, 0, 0, 0], given_parts=np.array(["train", "validation", "test", "test"])
    )
    assert parts.tolist() == [0, 1, 2, 0]


def test_a_part_that_the_source_lacks_is_drawn_from_train_alone():
    labels = np.arange(400) % 4
    source = np.where(np.arange(400) < 300, "train", "test")
    parts = divide(names(400), labels, given_parts=source)
    assert ((parts == 2) == (source == "test")).all()
    # An eighth of what is not test: 0.1 of 0.8 + 0.1.
    assert [int(((parts == 1) & (labels == k)).sum()) for k in range(4)] == [8] * 4
    other = divide(names(400), labels, given_parts=source, seed=1)
    assert ((other == 2) == (parts == 2)).all()
    assert (other != parts).any()


def test_where_the_source_gives_only_train_the_shares_hold():
    labels = np.arange(400) % 4
    given_parts = np.full(400, "train")
    parts = divide(names(400), labels, given_parts=given_parts)
    assert (parts == divide(names(400), labels)).all()


def test_where_the_source_gives_only_test_nothing_is_taken_from_it():
    parts = divide(names(40), np.arange(40) % 4, given_parts=np.full(40, "test"))
    assert (parts == 2).all()


def test_an_excluded_copy_says_nothing_about_the_others():
    hashes = names(3)[[0, 1, 0]]
    kept = np.array([False, True, True])
    parts = divide(hashes, [0, 0, 0], kept, np.array(["train", "train", "test"]))
    assert parts.tolist() == [-1, 0, 2]


def test_a_planted_leak_is_counted():
    hashes = names(6)[[0, 1, 2, 0, 1, 5]]
    leaky = np.array([0, 0, 1, 2, 0, 2], np.int8)
    assert Split(leaky, hashes, 0, False).shared_images() == 1
    leaky[4] = 1
    assert Split(leaky, hashes, 0, False).shared_images() == 2
    leaky[3] = leaky[4] = -1
    assert Split(leaky, hashes, 0, False).shared_images() == 0


@pytest.mark.parametrize(
    "shares",
    [(0.8, 0.1, 0.2), (0, 0.5, 0.5), (1.1, -0.1, 0.0), (float("nan"), 0.5, 0.5), (0.5, 0.5)],
)
def test_shares_that_do_not_divide_are_refused(shares):
    with pytest.raises(BadInput, match="sum to 1"):
        divide(names(20), [0] * 20, shares=shares)


@given(
    counts=classes,
    validation=st.floats(0, 0.45),
    test=st.floats(0, 0.45),
)
def test_other_shares_hold_too(counts: list[int], validation: float, test: float):
    labels = np.repeat(np.arange(len(counts)), counts)
    parts = divide(names(len(labels)), labels, shares=(1 - validation - test, validation, test))
    for label, n in enumerate(counts):
        found = np.bincount(parts[labels == label], minlength=3)
        assert found[0] >= 1
        for part, share in ((1, validation), (2, test)):
            if share == 0:
                assert found[part] == 0
            elif n >= 4:
                assert abs(found[part] - share * n) <= 1


@given(st.integers(0, 2**31 - 1), st.integers(2, 6), st.booleans())
def test_in_cross_validation_every_image_but_the_test_part_is_validated_once(
    seed: int, folds: int, given_parts: bool
):
    rng = np.random.default_rng(seed)
    images = np.array([f"{i:032x}" for i in rng.integers(0, 150, 200)])
    labels = rng.integers(0, 4, 200)
    kept = rng.random(200) < 0.95
    source = rng.choice(PARTS, 200) if given_parts else None
    plain = split_parts(images, labels, kept, source, seed)
    found = np.stack(
        [
            split_parts(images, labels, kept, source, seed, SHARES, (k, folds))
            for k in range(1, folds + 1)
        ]
    )
    assert ((found == 2) == (plain == 2)).all()
    rest = kept & (plain != 2)
    assert ((found == 1).sum(0)[rest] == 1).all()
    sizes = (found == 1).sum(1)
    # Four classes, each cut to within a group of copies.
    assert sizes.max() - sizes.min() <= 4 * 6
    for parts in found:
        assert not set(images[parts == 0]) & set(images[parts == 1])


@pytest.mark.parametrize("fold", [(0, 5), (6, 5), (1, 1), (1, 99), (1.0, 2), (1,), "12"])
def test_a_fold_that_cannot_be_is_refused(fold):
    with pytest.raises(BadInput, match=re.escape(str(fold))):
        check_fold(fold)


def test_nothing_left_is_not_an_error():
    parts = divide(names(3), [0, 1, 2], np.zeros(3, bool))
    assert parts.tolist() == [-1, -1, -1]
    assert Split(parts, names(3), 0, False).shared_images() == 0


def test_all_is_everything_but_the_excluded(demo_copy: Path):
    dataset = open_dataset(Workspace(demo_copy), "demo")
    dataset.curation.exclude([0, 8], "x")
    split = make_split(dataset)
    parts = [set(split.indices(p)) for p in ("train", "validation", "test")]
    assert sum(map(len, parts)) == len(dataset) - 2
    assert set.union(*parts) == set(split.indices("all")) == set(range(len(dataset))) - {0, 8}


def test_a_dataset_of_another_size_of_file_order_is_divided_alike(demo_home: Path, tmp_path: Path):
    demo = open_dataset(Workspace(demo_home), "demo")
    order = np.random.default_rng(0).permutation(len(demo))
    with new_dataset(Workspace(tmp_path), "other", demo.size, "a test", "none") as writer:
        for i in order:
            writer.add(demo.images[i], demo.labels[i], f"{i}")
    other = open_dataset(Workspace(tmp_path), "other")
    assert other.fingerprint == demo.fingerprint
    np.testing.assert_array_equal(make_split(other, 7).parts, make_split(demo, 7).parts[order])


def test_parts_of_the_source_count_only_if_every_image_has_one(tmp_path: Path):
    images = np.random.default_rng(0).integers(0, 256, (20, 8, 8, 3), dtype=np.uint8)
    for name, parts in {
        "all": ["train", "test", "validation", "train"] * 5,
        "some": ["train"] * 19 + [""],
    }.items():
        with new_dataset(Workspace(tmp_path), name, (8, 8), "a test", "none") as writer:
            for i, image in enumerate(images):
                writer.add(image, i % 2, str(i), parts[i])
    all_given = make_split(open_dataset(Workspace(tmp_path), "all"))
    assert all_given.given
    assert all_given.parts.tolist() == [0, 2, 1, 0] * 5
    assert not all_given.drawn
    some = make_split(open_dataset(Workspace(tmp_path), "some"))
    assert not some.given
    assert Counter(some.parts.tolist()) == {0: 16, 1: 2, 2: 2}


@given(labels=st.lists(st.integers(0, 7), min_size=1, max_size=200))
def test_balanced_weights_are_scikit_learns(labels: list[int]):
    array = np.array(labels)
    present = np.unique(array)
    weights = balanced_weights(array)
    wanted = compute_class_weight("balanced", classes=present, y=array)
    np.testing.assert_allclose(weights[present], wanted, rtol=1e-6)
    assert weights.dtype == np.float32
    assert (np.delete(weights, present) == 0).all()


@given(labels=st.lists(st.integers(0, 7), min_size=1, max_size=200))
def test_with_balanced_weights_every_class_counts_the_same_and_a_sample_one(labels: list[int]):
    array = np.array(labels)
    assume(len(np.unique(array)) > 1)
    each = balanced_weights(array)[array]
    totals = np.bincount(array, each)[np.unique(array)]
    np.testing.assert_allclose(totals, totals[0], rtol=1e-5)
    np.testing.assert_allclose(each.mean(), 1, rtol=1e-5)
