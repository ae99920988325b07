"""Decisions about images: kept with their reason, and reversible."""

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import numpy as np
import pytest

from bloodcell.data.store.curation import Curation
from bloodcell.data.store.dataset import open_dataset
from bloodcell.errors import BadInput
from bloodcell.workspace import Workspace


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "curation.json"


def test_a_decision_is_on_disk_at_once_with_reason_and_time(path: Path):
    Curation(path, 10).exclude([3], "blurred")
    entry = json.loads(path.read_text())["3"]
    assert entry["decision"] == "exclude"
    assert entry["reason"] == "blurred"
    assert entry["time"]
    assert Curation(path, 10).excluded() == [3]


def test_counts_say_what_changed(path: Path):
    curation = Curation(path, 10)
    assert curation.exclude([1, 2], "copy") == 2
    assert curation.exclude([2, 3], "copy") == 1
    assert curation.relabel([2, 4], 5, "looked at") == 2
    assert curation.relabel([4], 5, "looked at again") == 0
    assert curation.relabel([4], 6, "third look") == 1
    assert curation.undo([1, 2, 9]) == 2
    assert curation.excluded() == [3]
    assert curation.relabelled() == {4: 6}


def test_everything_can_be_undone(demo_copy: Path):
    dataset = open_dataset(Workspace(demo_copy), "demo")
    files = ("images.npy", "labels.npy", "items.csv", "dataset.json", "curation.json")
    before = {name: (dataset.path / name).read_bytes() for name in files}
    labels, untouched = dataset.labels, dataset.curation.fingerprint
    dataset.curation.exclude([0, 5], "x")
    dataset.curation.relabel([7], 3, "y")
    assert dataset.kept.sum() == len(dataset) - 2
    assert dataset.labels[7] == 3
    assert dataset.given_labels[7] == labels[7]
    assert dataset.curation.fingerprint != untouched
    dataset.curation.undo([0, 5, 7])
    np.testing.assert_array_equal(dataset.labels, labels)
    assert dataset.kept.all()
    assert dataset.curation.fingerprint == untouched
    assert {name: (dataset.path / name).read_bytes() for name in files} == before


def test_the_fingerprint_heeds_what_was_decided_but_not_why_or_in_which_order(tmp_path: Path):
    a, b, c = (Curation(tmp_path / f"{n}.json", 10) for n in "abc")
    a.exclude([1], "x")
    a.exclude([2], "y")
    b.exclude([2, 1], "z")
    c.exclude([1], "x")
    c.relabel([2], 3, "y")
    assert a.fingerprint == b.fingerprint
    assert len({a.fingerprint, c.fingerprint, Curation(tmp_path / "d.json", 10).fingerprint}) == 3


def test_what_another_process_decided_meanwhile_is_kept(path: Path):
    page, command_line = Curation(path, 10), Curation(path, 10)
    page.exclude([1], "on the page")
    command_line.exclude([2], "in the shell")
    page.relabel([3], 4, "on the page")
    assert sorted(Curation(path, 10).decisions) == [1, 2, 3]
    command_line.undo([1])
    assert sorted(Curation(path, 10).decisions) == [2, 3]


def test_of_decisions_taken_at_once_none_is_lost(path: Path):
    """Two people, each with the dataset open, decide about every second image."""
    n, barrier = 40, Barrier(2)

    def person(first: int) -> int:
        barrier.wait()
        done = 0
        for i in range(first, n, 2):
            done += Curation(path, n).exclude([i], "x")
            done += Curation(path, n).relabel([i], 3, "y")
        return done

    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(person, (0, 1))) == [n, n]
    curation = Curation(path, n)
    assert sorted(curation.relabelled()) == list(range(n))
    assert curation.last_batch == 2 * n


def test_another_process_waits_for_its_turn(path: Path):
    script = (
        "import sys\nfrom pathlib import Path\n"
        "from bloodcell.data.store.curation import Curation\n"
        "print('ready', flush=True)\nsys.stdin.readline()\n"
        "for i in range(1, 30, 2):\n    Curation(Path(sys.argv[1]), 30).exclude([i], 'there')\n"
    )
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen([sys.executable, "-c", script, str(path)], **pipes) as other:
        other.stdout.readline()
        other.stdin.write("\n")
        other.stdin.flush()
        for i in range(0, 30, 2):
            Curation(path, 30).exclude([i], "here")
        other.communicate()
    assert sorted(Curation(path, 30).excluded()) == list(range(30))


def test_the_last_decisions_are_taken_back_as_one_and_what_they_replaced_holds_again(path: Path):
    curation = Curation(path, 10)
    curation.relabel([1], 5, "looked at")
    curation.exclude([7], "blurred")
    before = curation.decisions
    curation.exclude([1, 2, 3], "all of a kind")
    assert sorted(Curation(path, 10).in_last_batch()) == [1, 2, 3]
    assert Curation(path, 10).undo_last() == 3
    assert Curation(path, 10).decisions == before
    again = Curation(path, 10)
    assert [again.undo_last(), again.undo_last(), again.undo_last()] == [1, 1, 0]
    assert again.decisions == {}


def test_a_step_that_somebody_else_took_meanwhile_is_not_taken_back(path: Path):
    a, b = Curation(path, 10), Curation(path, 10)
    a.exclude([1], "blurred")
    shown = a.last_step
    b.exclude([2, 3], "a copy")
    with pytest.raises(BadInput, match="meanwhile, so nothing was undone"):
        a.undo_last(shown)
    assert sorted(Curation(path, 10).decisions) == [1, 2, 3]
    # Nor one that has got the number of the step that was shown.
    b.undo([1, 2, 3])
    b.exclude([4], "blurred")
    with pytest.raises(BadInput, match="meanwhile"):
        a.undo_last(shown)
    assert a.undo_last(b.last_step) == 1


def test_different_decisions_can_be_one_batch(path: Path):
    curation = Curation(path, 10)
    changed = curation.decide(
        {
            4: {"decision": "exclude", "reason": "a"},
            2: {"decision": "relabel", "label": 6, "reason": "b"},
            3: {"decision": "keep", "reason": "c", "time": "2026-01-02T03:04:05+00:00"},
        }
    )
    assert changed == 3
    assert (curation.excluded(), curation.relabelled(), curation.confirmed()) == ([4], {2: 6}, [3])
    assert curation.decisions[3]["time"] == "2026-01-02T03:04:05+00:00"
    assert curation.undo_last() == 3


def test_to_keep_an_image_changes_no_dataset_and_keeps_its_label(path: Path):
    curation = Curation(path, 10)
    curation.relabel([1], 5, "looked at")
    fingerprint = curation.fingerprint
    assert curation.keep([1, 2], "rare but right") == 2
    assert curation.confirmed() == [1, 2]
    assert curation.relabelled() == {1: 5}
    assert Curation(path, 10).fingerprint == fingerprint
    curation.exclude([1], "after all not")
    assert curation.relabelled() == {}


@pytest.mark.parametrize("index", [-1, 10, 10**9])
def test_an_image_that_is_not_there_cannot_be_decided_about(path: Path, index: int):
    with pytest.raises(BadInput, match="expected an index from 0 to 9"):
        Curation(path, 10).exclude([0, index], "x")
    assert not path.exists()


@pytest.mark.parametrize("label", [-2, 8])
def test_a_label_that_is_none_is_refused(path: Path, label: int):
    with pytest.raises(BadInput, match="expected 0 to 7"):
        Curation(path, 10).relabel([0], label, "x")


@pytest.mark.parametrize(
    "content",
    [
        "[]",
        '"exclude"',
        '{"a": {"decision": "exclude"}}',
        '{"-1": {"decision": "exclude"}}',
        '{"²": {"decision": "exclude"}}',
        '{"10": {"decision": "exclude"}}',
        '{"1": "exclude"}',
        '{"1": {"decision": "delete"}}',
        '{"1": {"decision": ["exclude"]}}',
        '{"1": {"decision": "relabel"}}',
        '{"1": {"decision": "relabel", "label": 8}}',
        '{"1": {"decision": "relabel", "label": "basophil"}}',
        '{"1": {"decision": "relabel", "label": true}}',
        '{"1": {"decision": "exclude", "label": 3}}',
        '{"1": {"decision": "exclude", "batch": "last"}}',
        '{"1": {"decision": "exclude", "before": {"decision": "burn"}}}',
        "{",
    ],
)
def test_a_file_that_says_something_else_is_refused_in_a_sentence(path: Path, content: str):
    path.write_text(content)
    with pytest.raises(BadInput, match=r"curation\.json"):
        Curation(path, 10)
    assert path.read_text() == content
