"""The Training page: what can be done with a run."""

import dataclasses
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from streamlit.testing.v1 import AppTest

from bloodcell.augment import Policy, save_policy, step
from bloodcell.locks import locked
from bloodcell.runs.labels import write_labels
from bloodcell.runs.launch import prepare
from bloodcell.runs.process import this_process
from bloodcell.runs.queue import enqueue
from bloodcell.runs.run import Run, list_runs
from bloodcell.trash import delete, list_trash
from bloodcell.workspace import Workspace
from tests.pages.test_training import only_run, texts

Open = Callable[..., AppTest]


class TestActions:
    def test_a_deleted_run_can_be_brought_back(self, home: Path, open_page: Open):
        run = only_run(home)
        app = open_page(home, "training")
        app.button(key="delete_run").click().run()
        assert not app.exception
        assert not list_runs(Workspace(home))
        assert len(list_trash(Workspace(home))) == 1
        app.button(key="undo_delete").click().run()
        assert not app.exception
        assert only_run(home).id == run.id
        assert run.id in texts(app.markdown)

    def test_name_tags_and_note_are_shown(self, home: Path, open_page: Open):
        run = only_run(home)
        write_labels(run, name="first try", tags=("demo",), note="# a *note*")
        app = open_page(home, "training")
        assert app.dataframe[0].value["run"].tolist() == ["first try"]
        assert app.dataframe[0].value["tags"].tolist() == [["demo"]]
        assert "**first try** on **demo**" in texts(app.markdown)
        assert "# a *note*" in texts(app.text)

    def test_what_goes_wrong_is_a_sentence(self, home: Path, open_page: Open):
        run = only_run(home)
        app = open_page(home, "training")
        # Somebody else holds it, which the page cannot know before it tries.
        with locked(run.lock_path, 0):
            app.button(key="delete_run").click().run()
        assert not app.exception
        assert run.id in texts(app.error)
        assert list_runs(Workspace(home))

    def test_a_copy_of_one_that_started_from_a_run_names_it(self, home: Path, open_page: Open):
        workspace = Workspace(home)
        earlier = only_run(home)
        config = dataclasses.replace(earlier.config(), weights=earlier.id)
        copy = prepare(workspace, config)
        app = open_page(home, "training", run=copy.id)
        app.button(key="duplicate_run").click().run()
        assert not app.exception
        chosen = [m.value for m in app.multiselect if "Initial weights" in m.label]
        assert chosen == [[earlier.id]]
        assert f"the best epoch of {earlier.id}" in texts(app.markdown)

    def test_the_picker_of_initial_weights_shows_the_epoch_that_is_used(
        self, home: Path, open_page: Open
    ):
        run = only_run(home)
        # The most accurate epoch is not the one of lowest loss, whose weights are kept.
        first, second = run.metrics()
        first |= {"val_loss": 0.1, "val_calibrated_loss": 0.1, "val_accuracy": 0.5}
        second |= {"val_loss": 9.0, "val_calibrated_loss": 9.0, "val_accuracy": 0.75}
        for line in (first, second):
            # It would tell another accuracy, which is refused as damage.
            del line["val_confusion"]
        lines = "".join(json.dumps(line) + "\n" for line in (first, second))
        run.metrics_path.write_text(lines, encoding="utf-8")
        app = open_page(home, "training", training_view="New run")
        app.selectbox(key="train_fast_backbone").set_value("tiny").run()
        app.button_group(key="train_fast_weights_tiny").set_value("runs").run()
        (picker,) = (m for m in app.multiselect if "Initial weights" in m.label)
        (option,) = picker.options
        assert option.replace("\N{NO-BREAK SPACE}", " ") == (
            f"{run.id}: epoch 1, 50.0 % validation accuracy"
        )

    def test_one_that_does_not_answer_is_ended_at_once(self, home: Path, open_page: Open):
        run = only_run(home)
        deaf = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
        try:
            status = json.loads(run.status_path.read_text(encoding="utf-8"))
            started = psutil.Process(deaf.pid).create_time()
            status |= this_process() | {"pid": deaf.pid, "process_started": started}
            status |= {"state": "running", "process_mark": ""}
            run.status_path.write_text(json.dumps(status), encoding="utf-8")
            app = open_page(home, "training", run=run.id)
            app.button(key="stop_run").click().run()
            assert "stopping" in texts(app.markdown)
            app.button(key="end_run").click().run()
            assert not app.exception
            assert not psutil.pid_exists(deaf.pid)
            assert app.button(key="resume_run").label == "Resume"
        finally:
            deaf.kill()
            deaf.wait()

    def test_what_is_gone_by_the_click_is_a_sentence(self, home: Path, open_page: Open):
        run = only_run(home)
        write_status(run, state="stopped")
        app = open_page(home, "training")
        run.path.rename(home / "runs-elsewhere")
        app.button(key="resume_run").click().run()
        assert not app.exception
        assert not (home / "runs" / run.id).exists()


def write_status(run: Run, **changes) -> None:
    status = json.loads(run.status_path.read_text(encoding="utf-8"))
    run.status_path.write_text(json.dumps(status | changes), encoding="utf-8")


@pytest.fixture
def held_home(home: Path):
    """`home` with a queue that does not move."""
    (home / "queue").mkdir(exist_ok=True)
    with locked(home / "queue" / "supervisor", 0) as free:
        assert free
        yield home


class TestCopy:
    """A copy differs from the run in what was changed in the form, and in nothing else."""

    def copied(self, home: Path, known: set[str]) -> Run:
        (new,) = [r for r in list_runs(Workspace(home)) if r.id not in known]
        return new

    def test_a_fold_stays_that_fold(self, held_home: Path, open_page: Open):
        workspace = Workspace(held_home)
        config = dataclasses.replace(only_run(held_home).config(), split_fold=(2, 5))
        fold = prepare(workspace, config)
        enqueue(workspace, [fold])
        known = {r.id for r in list_runs(workspace)}
        for how in ("edit_run", "duplicate_run"):
            app = open_page(held_home, "training", run=fold.id)
            app.button(key=how).click().run()
            assert "Fold 2 of 5" in texts(app.caption)
            kind = how.removesuffix("_run")
            app.number_input(key=f"train_{kind}_{fold.id}_epochs").set_value(9)
            app.button(key="start").click().run()
            assert not app.exception
        for run in (fold, self.copied(held_home, known)):
            assert (run.config().epochs, run.config().split_fold) == (9, (2, 5))

    def test_a_policy_that_is_gone_stays_the_runs(self, held_home: Path, open_page: Open):
        workspace = Workspace(held_home)
        policy = Policy("mine", (step("flip"),))
        save_policy(workspace, policy)
        config = dataclasses.replace(only_run(held_home).config(), policy="mine")
        run = prepare(workspace, config)
        delete(workspace, "policies", "mine")
        known = {r.id for r in list_runs(workspace)}
        app = open_page(held_home, "training", run=run.id)
        app.button(key="duplicate_run").click().run()
        field = app.selectbox(key=f"train_duplicate_{run.id}_policy")
        assert field.value == "mine"
        assert "mine (stored in the run)" in field.options
        app.button(key="start").click().run()
        assert not app.exception
        assert self.copied(held_home, known).policy() == policy

    def test_a_dataset_that_is_gone_is_not_another_one(self, held_home: Path, open_page: Open):
        run = only_run(held_home)
        (held_home / "datasets" / "demo").rename(held_home / "datasets" / "another")
        app = open_page(held_home, "training", run=run.id)
        app.button(key="duplicate_run").click().run()
        assert app.selectbox(key=f"train_dataset_duplicate_{run.id}").value == "demo"
        assert "demo" in texts(app.error)
        assert not [b for b in app.button if b.key == "start"]
