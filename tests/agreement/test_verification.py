"""A verification is planned, locked and then measured; smears are drawn with a known truth."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from bloodcell.agreement.counts import WHITE, Counts
from bloodcell.agreement.verification import Plan, load_plan, lock_plan, save_plan, verify
from bloodcell.classes import CLASS_NAMES
from bloodcell.errors import BadInput

PLAN = Plan(
    "study",
    "Does the reference count neutrophils and lymphocytes as two readers do?",
    "reference",
    ("anna", "ben"),
    smears=40,
    limits={"neutrophil": 12.0, "lymphocyte": 12.0},
    expected_deviation=4.0,
)


def smears(n: int = 40, bias: float = 0.0, cells: int = 200, seed: int = 0) -> Counts:
    """Smears counted by two readers and by a machine that takes a share `bias` of the
    neutrophils for lymphocytes."""
    rng = np.random.default_rng(seed)
    rows = []
    for i in range(n):
        true = rng.dirichlet([0.6, 1.5, 0.4, 9, 2.5, 20])
        for who in ("anna", "ben", "reference"):
            shares = dict(zip(WHITE, true, strict=True))
            if who == "reference":
                moved = bias * shares["neutrophil"]
                shares["neutrophil"] -= moved
                shares["lymphocyte"] += moved
            drawn = rng.multinomial(cells, [shares[c] for c in WHITE])
            rows.append({"smear": f"s{i}", "reader": who, **dict.fromkeys(CLASS_NAMES, 0)})
            rows[-1] |= {"other": 0, **dict(zip(WHITE, map(int, drawn), strict=True))}
    return Counts(pd.DataFrame(rows))


@pytest.fixture
def locked(tmp_path: Path) -> Plan:
    save_plan(tmp_path / "plan.json", PLAN)
    return lock_plan(tmp_path / "plan.json")


class TestPlan:
    def test_comes_back_as_it_was_written(self, tmp_path: Path):
        save_plan(tmp_path / "plan.json", PLAN)
        assert load_plan(tmp_path / "plan.json") == PLAN

    def test_can_be_changed_until_it_is_locked(self, tmp_path: Path):
        path = tmp_path / "plan.json"
        save_plan(path, PLAN)
        save_plan(path, replace(PLAN, smears=50))
        assert lock_plan(path).smears == 50
        with pytest.raises(BadInput, match="locked since"):
            save_plan(path, PLAN)
        with pytest.raises(BadInput, match="locked since"):
            lock_plan(path)

    def test_changed_behind_its_lock_it_is_refused(self, tmp_path: Path, locked: Plan):
        path = tmp_path / "plan.json"
        value = json.loads(path.read_text())
        value["limits"]["neutrophil"] = 30.0
        path.write_text(json.dumps(value))
        with pytest.raises(BadInput, match="changed after it was locked"):
            load_plan(path)

    @pytest.mark.parametrize("text", ["[]", "{}", '{"name": 3}', '{"readers": 4}', "no json"])
    def test_damaged_it_is_a_sentence(self, tmp_path: Path, text: str):
        (tmp_path / "plan.json").write_text(text)
        with pytest.raises(BadInput, match=r"plan\.json"):
            load_plan(tmp_path / "plan.json")

    @pytest.mark.parametrize(
        ("change", "match"),
        [
            ({"limits": {"blast": 2.0}}, "blast"),
            ({"limits": {"monocyte": 0.0}}, "between 0 and 100"),
            ({"smears": 2}, "no plan"),
            ({"readers": ("reference",)}, "none of the"),
        ],
    )
    def test_what_cannot_be_asked_is_a_sentence(self, change, match):
        with pytest.raises(BadInput, match=match):
            replace(PLAN, **change)

    def test_more_smears_make_it_likelier_to_succeed(self):
        few, many = (replace(PLAN, smears=n).power(10.0) for n in (20, 100))
        assert 0 < few < many < 1


class TestResult:
    def test_a_plan_that_is_not_locked_shows_nothing(self):
        with pytest.raises(BadInput, match="not locked"):
            verify(PLAN, smears())

    def test_a_machine_that_counts_as_the_readers_do_passes(self, locked: Plan):
        found = verify(locked, smears())
        assert found.passed
        assert [c.name for c in found.comparisons[:2]] == ["neutrophil", "lymphocyte"]
        assert all(c.accepted for c in found.comparisons[:2])
        # Differing by chance alone, in one of twenty smears at most.
        assert all(c.within_counting_error >= 0.9 for c in found.comparisons)

    def test_what_nobody_planned_is_called_explored_and_decides_nothing(self, locked: Plan):
        monocyte = next(c for c in verify(locked, smears()).comparisons if c.name == "monocyte")
        assert not monocyte.planned
        assert monocyte.accepted is None

    def test_a_machine_that_takes_neutrophils_for_lymphocytes_fails(self, locked: Plan):
        found = verify(locked, smears(bias=0.25))
        assert not found.passed
        neutrophil = found.comparisons[0]
        assert neutrophil.agreement.bias < -8
        assert neutrophil.passing_bablok.slope < 0.95
        assert neutrophil.within_counting_error < 0.8

    def test_fewer_smears_than_planned_do_not_pass(self, locked: Plan):
        assert not verify(locked, smears(30)).passed

    def test_smears_that_somebody_did_not_count_are_named(self, locked: Plan):
        table = smears(41).table
        gone = table[(table["smear"] == "s7") & (table["reader"] == "ben")].index
        found = verify(locked, Counts(table.drop(gone)))
        assert (found.n, found.left_out) == (40, ["s7"])

    def test_readers_who_counted_fewer_cells_are_named(self, locked: Plan):
        found = verify(locked, smears(cells=100))
        assert len(found.too_few) == 80
        assert "s0, anna: 100" in found.too_few

    def test_the_flag_is_counted_by_smear_with_exact_limits(self, locked: Plan):
        flag = verify(locked, smears()).flag
        assert flag.n == 40
        assert flag.sensitivity == flag.both / flag.needed
        low, high = flag.sensitivity_interval
        assert low < flag.sensitivity <= high

    def test_json_has_no_number_that_json_lacks(self, locked: Plan):
        text = json.dumps(verify(locked, smears()).to_json(), allow_nan=False)
        assert json.loads(text)["plan"]["seal"] == locked.seal

    def test_the_limits_hold_the_truth_of_a_biased_machine_in_95_of_100(self, locked: Plan):
        truth, hits = [], 0
        for seed in range(200):
            truth.append(verify_bias(smears(2000, 0.2, seed=1)) if not truth else truth[0])
            low, high = bias_interval(smears(20, 0.2, seed=seed + 2))
            hits += low <= truth[0] <= high
        assert 182 <= hits <= 198


def bias_interval(counts: Counts) -> tuple[float, float]:
    from bloodcell.agreement.methods import bland_altman

    reader, machine = (counts.shares(who)["neutrophil"] for who in ("anna", "reference"))
    return bland_altman(reader.to_numpy(), machine.to_numpy()).bias_interval


def verify_bias(counts: Counts) -> float:
    low, high = bias_interval(counts)
    return (low + high) / 2
