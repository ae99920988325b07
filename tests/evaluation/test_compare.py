"""Runs side by side: what differs, how good each is, and whether that is more than chance."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from bloodcell.errors import BadInput
from bloodcell.evaluation.compare import compare_runs, config_differences, paired_test
from bloodcell.evaluation.intervals import wilson
from bloodcell.runs.labels import write_labels
from bloodcell.runs.run import Run, list_runs
from bloodcell.workspace import Workspace

N = 200


@pytest.fixture
def two(home: Path) -> tuple[Run, Run]:
    """A finished run and a copy of it with another id."""
    (run,) = list_runs(Workspace(home))
    other = run.path.with_name("20300101-000000-tiny-0000")
    shutil.copytree(run.path, other)
    return run, Run(other)


def answer(run: Run, right: np.ndarray, *, ids: np.ndarray | None = None, shift: int = 0) -> None:
    """Give a run answers on 200 images: right where `right` says so."""
    labels = (np.arange(N) + shift) % 8
    found = np.where(right, labels, (labels + 1) % 8)
    arrays = {}
    for part in ("validation", "test"):
        arrays[f"{part}_ids"] = np.array([f"h{i:04d}" for i in range(N)]) if ids is None else ids
        arrays[f"{part}_labels"] = labels
        arrays[f"{part}_probabilities"] = np.eye(8, dtype=np.float32)[found]
    np.savez(run.predictions_path, **arrays)


def change_config(run: Run, **changes) -> None:
    record = json.loads(run.config_path.read_text())
    record["config"] |= changes
    run.config_path.write_text(json.dumps(record))


ALL = np.ones(N, bool)
FEW_WRONG = np.arange(N) >= 5
MANY_WRONG = np.arange(N) >= 40


class TestTable:
    def test_only_what_differs_is_named(self, two: tuple[Run, Run]):
        assert config_differences(two) == {}
        change_config(two[1], seed=4, learning_rate=0.1)
        assert config_differences(two) == {"learning_rate": [0.005, 0.1], "seed": [0, 4]}

    def test_a_policy_that_was_changed_under_its_name_differs(self, two: tuple[Run, Run]):
        record = json.loads(two[1].config_path.read_text())
        record["policy"]["steps"] = []
        two[1].config_path.write_text(json.dumps(record))
        assert config_differences(two) == {"policy": ["gentle (1)", "gentle (2)"]}

    def test_scores_are_those_of_the_answers_on_disk(self, two: tuple[Run, Run]):
        answer(two[0], ALL)
        answer(two[1], MANY_WRONG)
        write_labels(two[1], name="worse", tags=["x"])
        first, second = compare_runs(two)
        assert (first.scores["test"].correct, first.scores["test"].n) == (N, N)
        score = second.scores["test"]
        assert (score.accuracy, score.low, score.high) == (0.8, *wilson(160, N))
        assert score.macro_recall == pytest.approx(0.8)
        assert (second.name, second.tags, second.values) == ("worse", ("x",), {})

    def test_a_run_that_is_not_finished_has_none(self, two: tuple[Run, Run]):
        status = json.loads(two[1].status_path.read_text())
        two[1].status_path.write_text(json.dumps({**status, "state": "stopped"}))
        rows = compare_runs(two)
        assert set(rows[0].scores) == {"validation", "test"}
        assert (rows[1].state, rows[1].scores) == ("stopped", {})

    def test_a_single_run_and_none_at_all_are_tables_too(self, two: tuple[Run, Run]):
        assert compare_runs([]) == []
        assert len(compare_runs(two[:1])) == 1

    def test_damaged_answers_are_a_sentence(self, two: tuple[Run, Run]):
        two[0].predictions_path.write_bytes(b"PK nothing")
        with pytest.raises(BadInput, match=r"predictions\.npz is damaged"):
            compare_runs(two)


class TestPaired:
    def test_the_same_answers_make_no_measurable_difference(self, two: tuple[Run, Run]):
        shared = paired_test(*two)
        assert shared.difference.verdict == "no measurable difference"
        assert (shared.difference.p_value, shared.left_out) == (1.0, 0)

    def test_five_images_are_no_measurable_difference(self, two: tuple[Run, Run]):
        answer(two[0], ALL)
        answer(two[1], FEW_WRONG)
        difference = paired_test(*two).difference
        assert difference.verdict == "no measurable difference"
        # Five against none: two times one half to the fifth.
        assert difference.p_value == pytest.approx(2 / 32)

    def test_forty_are_and_the_better_one_is_named(self, two: tuple[Run, Run]):
        answer(two[0], MANY_WRONG)
        answer(two[1], ALL)
        difference = paired_test(*two).difference
        assert difference.verdict == "the second is measurably better"
        assert difference.high < 0

    def test_images_are_matched_by_their_hash_whatever_their_order(self, two: tuple[Run, Run]):
        answer(two[0], MANY_WRONG)
        with np.load(two[0].predictions_path) as file:
            arrays = {key: file[key][::-1] for key in file.files}
        np.savez(two[1].predictions_path, **arrays)
        difference = paired_test(*two).difference
        assert (difference.only_a, difference.only_b, difference.n) == (0, 0, N)

    def test_only_images_that_both_have_under_one_label_count(self, two: tuple[Run, Run]):
        answer(two[0], ALL)
        ids = np.array([f"h{i + 150:04d}" for i in range(N)])
        answer(two[1], ALL, ids=ids, shift=150)
        shared = paired_test(*two)
        assert (shared.difference.n, shared.left_out) == (50, 300)
        answer(two[1], ALL, shift=1)
        with pytest.raises(BadInput, match="no test image in common"):
            paired_test(*two)

    def test_a_copy_of_an_image_does_not_count_twice(self, two: tuple[Run, Run]):
        ids = np.array([f"h{i // 8:04d}" for i in range(N)])
        for run in two:
            answer(run, ALL, ids=ids)
        assert paired_test(*two).difference.n == N // 8

    def test_a_run_that_is_not_finished_is_named(self, two: tuple[Run, Run]):
        status = json.loads(two[1].status_path.read_text())
        two[1].status_path.write_text(json.dumps({**status, "state": "failed"}))
        with pytest.raises(BadInput, match=rf"{two[1].id} is failed"):
            paired_test(*two)
