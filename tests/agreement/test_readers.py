"""Readers of the same cells: kappas against scikit-learn and statsmodels, and their intervals."""

from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import cohen_kappa_score

from bloodcell.agreement.readers import (
    Readings,
    against_readers,
    cohen_kappa,
    consensus,
    costs,
    disagreements,
    fleiss_kappa,
    kappa_of,
    read_readings,
)
from bloodcell.classes import CLASS_NAMES
from bloodcell.errors import BadInput

CLASSES = (*CLASS_NAMES, "other")
PLAIN = 1 - np.eye(len(CLASSES))


def readings(n: int = 200, errors=(0.1, 0.1, 0.1), seed: int = 0) -> Readings:
    rng = np.random.default_rng(seed)
    true = rng.integers(0, 8, n)
    labels = np.stack([np.where(rng.random(n) < e, rng.integers(0, 8, n), true) for e in errors])
    names = tuple(f"cell{i}" for i in range(n))
    return Readings(names, ("anna", "ben", "machine"), labels.T)


def test_cohens_is_that_of_scikit_learn():
    found = readings()
    x, y, _ = found.pair("anna", "ben")
    assert cohen_kappa(x, y, PLAIN).value == pytest.approx(cohen_kappa_score(x, y))


def test_weighted_by_linear_costs_it_is_that_of_scikit_learn_too():
    x, y, _ = readings().pair("anna", "ben")
    linear = np.abs(np.subtract.outer(np.arange(8), np.arange(8))).astype(float)
    expected = cohen_kappa_score(x, y, weights="linear")
    assert cohen_kappa(x, y, linear).value == pytest.approx(expected)


def test_fleiss_is_that_of_statsmodels_and_so_is_each_class_alone():
    inter_rater = pytest.importorskip("statsmodels.stats.inter_rater")
    found = readings(errors=(0.1, 0.3, 0.2))
    table = inter_rater.aggregate_raters(found.labels, len(CLASSES))[0]
    assert fleiss_kappa(found).value == pytest.approx(inter_rater.fleiss_kappa(table))
    own = np.stack([table[:, 2], 3 - table[:, 2]], axis=1)
    alone = kappa_of(found, "erythroblast").value
    assert alone == pytest.approx(inter_rater.fleiss_kappa(own))


def test_a_mistaken_stage_costs_half():
    cost = costs(CLASSES)
    a, b = CLASSES.index("immature_granulocyte"), CLASSES.index("neutrophil")
    assert cost[a, b] == cost[b, a] == 0.5
    assert cost[0, 1] == 1
    assert (np.diag(cost) == 0).all()


@pytest.mark.parametrize("grouped", [False, True])
def test_intervals_cover_the_truth_in_95_of_100(grouped):
    # Kappa of the whole population of such readers, from very many cells.
    many = readings(100_000, seed=99)
    x, y, _ = many.pair("anna", "ben")
    truth = cohen_kappa_score(x, y)
    hits = 0
    for seed in range(100):
        x, y, cells = readings(150, seed=seed).pair("anna", "ben")
        groups = [str(c // 3) for c in cells] if grouped else None
        found = cohen_kappa(x, y, PLAIN, groups, seed)
        hits += found.low <= truth <= found.high
    # Two standard errors about 95.
    assert 90 <= hits <= 99


def test_patients_with_alike_cells_make_the_interval_wider():
    rng = np.random.default_rng(0)
    per_patient = rng.integers(0, 8, (30, 2))
    x, y = np.repeat(per_patient, 10, axis=0).T
    groups = np.repeat(np.arange(30), 10).astype(str)
    by_cell, by_patient = (cohen_kappa(x, y, PLAIN, g) for g in (None, groups))
    assert by_patient.high - by_patient.low > 2 * (by_cell.high - by_cell.low)


def test_a_machine_that_errs_more_than_the_readers_is_found_and_one_that_does_not_is_not():
    worse = against_readers(readings(400, (0.05, 0.05, 0.3)), "machine", PLAIN)
    assert worse["interval"][1] < 0
    alike = against_readers(readings(400, (0.05, 0.05, 0.05)), "machine", PLAIN)
    assert alike["interval"][0] <= 0 <= alike["interval"][1]


def test_disagreements_come_dearest_first():
    labels = np.array([[0, 0, 0], [3, 6, 6], [0, 1, 2], [4, 5, -1]])
    found = disagreements(Readings(("a", "b", "c", "d"), ("x", "y", "z"), labels), costs(CLASSES))
    assert list(found["cell"]) == ["c", "d", "b"]
    assert found["cost"].tolist() == pytest.approx([1, 1, 1 / 3])


def test_the_consensus_is_the_majority_unless_somebody_decided():
    labels = np.array([[0, 0, 1], [3, 6, 5], [2, 1, 1]])
    found = Readings(("a", "b", "c"), ("x", "y", "z"), labels)
    assert consensus(found, {"c": "monocyte"}) == {"a": "basophil", "c": "monocyte"}


def test_a_table_of_readers_is_read(tmp_path: Path):
    path = tmp_path / "r.csv"
    path.write_text(
        "file,reader,label,patient\na.png,anna,Neutrophils,p1\na.png,ben,other,p1\n"
        "b.png,ben,mono,p2\nb.png,anna,,p2\n"
    )
    found = read_readings(path)
    assert (found.cells, found.readers) == (("a.png", "b.png"), ("anna", "ben"))
    assert found.labels.tolist() == [[6, 8], [-1, 5]]
    assert found.patients == ("p1", "p2")


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("file,label\na,neutrophil\n", "add reader"),
        ("file,reader,label\na,anna,blast\na,ben,monocyte\n", "'blast'.*other"),
        ("file,reader,label\na,anna,monocyte\na,anna,monocyte\n", "twice"),
        ("file,reader,label\na,anna,monocyte\n", "at least two readers"),
        ("", "the columns none"),
    ],
)
def test_a_table_that_is_none_is_a_sentence(tmp_path: Path, text, match):
    path = tmp_path / "r.csv"
    path.write_text(text)
    with pytest.raises(BadInput, match=match):
        read_readings(path)
