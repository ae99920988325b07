"""The Training page: what can be done with a run."""

import dataclasses
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import psutil
from streamlit.testing.v1 import AppTest

from bloodcell.runs.act import deleted
from bloodcell.runs.labels import write_labels
from bloodcell.runs.launch import prepare
from bloodcell.runs.lock import locked
from bloodcell.runs.process import this_process
from bloodcell.runs.run import list_runs
from bloodcell.workspace import Workspace
from tests.pages.test_training import only_run, texts

Open = Callable[..., AppTest]


class TestAct:
    def test_a_deleted_run_can_be_brought_back(self, home: Path, open_page: Open):
        run = only_run(home)
        app = open_page(home, "training")
        app.button(key="delete_run").click().run()
        assert not app.exception
        assert not list_runs(Workspace(home))
        assert len(deleted(Workspace(home))) == 1
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
        chosen = [m.value for m in app.multiselect if "to start from" in m.label]
        assert chosen == [[earlier.id]]
        assert f"the best epoch of {earlier.id}" in texts(app.markdown)

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
