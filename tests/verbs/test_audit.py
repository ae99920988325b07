"""audit --sheet, exclude --above, decisions: what was found and decided, without a page."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from bloodcell.cli import app
from bloodcell.data.store.dataset import open_dataset
from bloodcell.data.synthetic.demo import Faults, make_demo
from bloodcell.errors import BadInput, NotFound
from bloodcell.workspace import Workspace

Say = Callable[..., Any]


@pytest.fixture
def say(capsys: pytest.CaptureFixture[str]) -> Say:
    """Run a verb with --json on a workspace; returns the document that it prints."""

    def run(home: Path, *arguments: object) -> Any:
        app(["--home", str(home), *map(str, arguments), "--json"], standalone_mode=False)
        return json.loads(capsys.readouterr().out)

    return run


@pytest.fixture
def faulty(tmp_path: Path) -> Path:
    faults = Faults(copies=2, conflicting=1, foreign=5, wrong_labels=5)
    for name in ("d", "other"):
        make_demo(Workspace(tmp_path), name, per_class=12, size=32, faults=faults)
    return tmp_path


def test_an_audit_leaves_a_sheet_and_all_above_a_score_can_go(faulty: Path, say: Say):
    found = say(faulty, "audit", "d", "--sheet", faulty / "sheet.png")
    assert Image.open(faulty / "sheet.png").format == "PNG"
    wanted = [f for f in found["findings"] if f["kind"] == "outlier" and f["score"] >= 0.6]
    done = say(faulty, "exclude", "d", "--findings", "outlier", "--above", 0.6)
    assert done["excluded"] == {"outlier": len(wanted)}


def test_a_sheet_that_cannot_be_written_is_said_before_the_work(faulty: Path, say: Say):
    with pytest.raises(BadInput, match=r"sheet\.txt"):
        say(faulty, "audit", "d", "--sheet", faulty / "sheet.txt")
    assert not (faulty / "datasets" / "d" / "audit.json").exists()


def test_decisions_are_carried_to_another_copy_and_taken_back(faulty: Path, say: Say):
    say(faulty, "exclude", "d", "--findings", "exact_duplicate,conflicting_label")
    table = faulty / "decisions.csv"
    assert say(faulty, "decisions", "d", "--export", table)["decisions"] == {"exclude": 4}
    done = say(faulty, "decisions", "other", "--import", table)
    assert (done["applied"], done["changed"], done["unknown"]) == (4, 4, 0)
    workspace = Workspace(faulty)
    first, second = (open_dataset(workspace, name) for name in ("d", "other"))
    assert first.curation.excluded() == second.curation.excluded()
    assert say(faulty, "decisions", "other", "--undo-last")["undone"] == 4
    assert open_dataset(workspace, "other").kept.all()


def test_a_table_that_is_not_there_is_one_sentence(faulty: Path, say: Say):
    with pytest.raises(NotFound, match=r"absent\.csv"):
        say(faulty, "decisions", "d", "--import", faulty / "absent.csv")
