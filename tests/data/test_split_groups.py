"""A patient, slide or laboratory is never in two parts, stated as laws."""

from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bloodcell.classes import OTHER
from bloodcell.data.split import SplitRule, make_split, sample_weights
from bloodcell.data.split_groups import assign_groups
from bloodcell.errors import BadInput
from bloodcell.runs.preflight import check_startable

TRAIN, VALIDATION, TEST, OUT = 0, 1, 2, -1


class Cells(SimpleNamespace):
    """As much of a dataset as a split asks for, in memory."""

    def __init__(self, hashes, labels, kept=None, **origin):
        n = len(hashes)
        super().__init__(
            name="cells",
            hashes=np.array([f"{h:032x}" for h in hashes]),
            labels=np.array(labels),
            given_labels=np.array(labels),
            kept=np.ones(n, bool) if kept is None else np.array(kept),
            known={k: np.array(v, object) for k, v in origin.items()},
            info={"classes": [str(k) for k in range(8)]},
        )

    def __len__(self):
        return len(self.hashes)

    @property
    def origins(self):
        return tuple(k for k, v in self.known.items() if (v != "").any())

    def origin(self, column):
        return self.known.get(column, np.full(len(self.hashes), "", object))

    def take(self, rows):
        return Cells(
            [int(h, 16) for h in self.hashes[rows]],
            self.labels[rows],
            self.kept[rows],
            **{k: v[rows] for k, v in self.known.items()},
        )


@st.composite
def cells(draw, copies: bool = True) -> Cells:
    """Up to 60 cells of up to 12 patients, some of nobody known, some copies of each other."""
    n = draw(st.integers(1, 60))

    def several(values):
        return draw(st.lists(values, min_size=n, max_size=n))

    hashes = several(st.integers(0, n)) if copies else list(range(n))
    patients = several(st.sampled_from(["", *(f"p{k}" for k in range(11))]))
    patients[0] = "p0"
    return Cells(
        hashes,
        several(st.integers(OTHER, 7)),
        patient=patients,
        laboratory=several(st.sampled_from(["north", "south"])),
    )


rules = st.builds(
    SplitRule,
    seed=st.integers(0, 99),
    fold=st.sampled_from([(0, 0), (1, 3), (3, 3)]),
    by=st.sampled_from(["patient", "laboratory"]),
    hold_out=st.sampled_from(["", "laboratory=north"]),
)


def divide(data: Cells, rule: SplitRule):
    try:
        return rule.split(data)
    except BadInput:  # the laboratory held out is not there
        return SplitRule(rule.seed, rule.shares, rule.fold, rule.by).split(data)


@given(data=cells(), rule=rules)
@settings(max_examples=40)
def test_no_image_and_no_group_is_in_two_parts(data: Cells, rule: SplitRule):
    split = divide(data, rule)
    assert split.shared_images() == 0
    assert split.shared_groups() == 0
    for name in set(data.origin("patient")) - {""}:
        for place in ("north", "south"):
            rows = (data.origin("patient") == name) & (data.origin("laboratory") == place)
            assert len(set(split.parts[rows]) - {OUT}) <= 1


@given(data=cells(), rule=rules, seed=st.integers(0, 99))
@settings(max_examples=40)
def test_the_order_of_the_files_is_irrelevant(data: Cells, rule: SplitRule, seed: int):
    order = np.random.default_rng(seed).permutation(len(data.hashes))
    np.testing.assert_array_equal(
        divide(data, rule).parts[order], divide(data.take(order), rule).parts
    )


@given(data=cells(copies=False), seed=st.integers(0, 99), gone=st.sets(st.integers(0, 59)))
@settings(max_examples=40)
def test_an_exclusion_moves_nothing(data: Cells, seed: int, gone: set[int]):
    rule = SplitRule(seed=seed, by="patient")
    before = rule.split(data).parts
    data.kept = ~np.isin(np.arange(len(data.kept)), list(gone))
    after = rule.split(data).parts
    np.testing.assert_array_equal(after[data.kept], before[data.kept])
    assert (after[~data.kept] == OUT).all()


def test_the_exclusion_of_a_copy_moves_only_the_group_that_it_joined():
    # The patients 0 to 29 have ten cells each; the first two share one.
    hashes = list(range(300))
    hashes[10] = 0
    patients = [f"p{i // 10}" for i in range(300)]
    data = Cells(hashes, [i % 2 for i in range(300)], patient=patients)
    for seed in range(8):
        before = SplitRule(seed=seed, by="patient").split(data).parts
        data.kept = np.arange(300) != 10
        after = SplitRule(seed=seed, by="patient").split(data).parts
        data.kept = np.ones(300, bool)
        moved = np.unique(np.array(patients)[(before != after) & (np.arange(300) != 10)])
        assert before[0] == before[10]
        assert set(moved) <= {"p0", "p1"}


@pytest.mark.parametrize("seed", range(5))
def test_classes_are_as_even_as_groups_allow(seed: int):
    rng = np.random.default_rng(seed)
    patients = rng.integers(0, 200, 5000)
    # Each patient has mostly one kind of cell.
    labels = np.where(rng.random(5000) < 0.7, patients % 8, rng.integers(0, 8, 5000))
    parts = assign_groups(patients.astype(str).astype(object), labels, seed, (0.8, 0.1, 0.1))
    for label in range(8):
        shares = np.bincount(parts[labels == label], minlength=3) / (labels == label).sum()
        np.testing.assert_allclose(shares, (0.8, 0.1, 0.1), atol=0.03)


def test_seeds_draw_other_groups():
    names = np.repeat([f"p{i}" for i in range(40)], 5).astype(object)
    drawn = {assign_groups(names, np.zeros(200, int), s, (0.8, 0.1, 0.1)).tobytes() for s in "ab"}
    assert len(drawn) == 2


def test_no_part_is_empty_where_there_are_three_groups():
    names = np.array(["big"] * 98 + ["b", "c"], object)
    assert set(assign_groups(names, np.zeros(100, int), 0, (0.8, 0.1, 0.1))) == {0, 1, 2}


def test_a_laboratory_held_out_is_the_test_part_and_its_copies_elsewhere_are_left_out():
    place = ["north"] * 40 + ["south"] * 60
    hashes = [*range(40), 0, *range(41, 100)]
    data = Cells(hashes, [i % 2 for i in range(100)], laboratory=place)
    split = make_split(data, hold_out="laboratory=north")
    assert set(split.parts[:40]) == {TEST}
    assert split.parts[40] == OUT
    assert set(split.parts[41:]) == {TRAIN, VALIDATION}
    assert split.notes[0] == "Copies of what is held out are left out: 1."
    check_startable(data, split)


def test_what_it_costs_is_said():
    data = Cells(range(90), [0] * 30 + [1] * 30 + [OTHER] * 30,
                 laboratory=["a"] * 30 + ["b"] * 30 + ["c"] * 30)  # fmt: skip
    notes = " ".join(make_split(data, by="laboratory").notes)
    assert "instead of 80 %" in notes
    assert "which cannot be learned" in notes


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ({"by": "slide"}, "names no slide of its cells"),
        ({"by": "colour"}, "split_by is 'colour'"),
        ({"hold_out": "laboratory=west"}, "no cell of the laboratory 'west'"),
        ({"hold_out": "west"}, "split_hold_out is 'west'"),
    ],
)
def test_groups_that_are_not_known_are_refused(rule: dict, message: str):
    with pytest.raises(BadInput, match=message):
        make_split(Cells(range(4), [0, 0, 1, 1], laboratory=["n"] * 4), **rule)


def test_a_rule_is_followed_as_far_as_another_dataset_knows_its_groups():
    rule = SplitRule(by="patient", hold_out="laboratory=lmu")
    fitting = rule.fitting(Cells(range(4), [0, 0, 1, 1]))
    assert (fitting.by, fitting.hold_out) == ("image", "")


def test_weights_make_every_pair_of_class_and_laboratory_count_the_same():
    labels = [0] * 40 + [1] * 10 + [0] * 4 + [1] * 26
    place = ["north"] * 50 + ["south"] * 30
    data = Cells(range(80), labels, laboratory=place)
    train = np.arange(80)
    weights = sample_weights(data, data.labels, train, "laboratories")
    for c in (0, 1):
        for where in ("north", "south"):
            rows = (data.labels == c) & (data.origin("laboratory") == where)
            assert weights[rows].sum() == pytest.approx(20)
    balanced = sample_weights(data, data.labels, train[:50], "balanced")
    assert balanced[:40].sum() == pytest.approx(balanced[40:50].sum()) == pytest.approx(25)
    assert (balanced[50:] == 0).all()
    assert set(sample_weights(data, data.labels, train, "none")) == {1}
