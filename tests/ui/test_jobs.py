"""Jobs: work in a thread that says how far it is and can be stopped."""

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from bloodcell.data.synthetic.demo import make_demo
from bloodcell.errors import BadInput
from bloodcell.progress import Progress
from bloodcell.ui.common.jobs import Job, progress_text, shared_job
from bloodcell.workspace import Workspace


def test_a_stopped_import_leaves_nothing_in_the_workspace(tmp_path: Path):
    workspace = Workspace(tmp_path)
    begun = threading.Event()

    def work(progress: Progress):
        def watch(done: int, total: int, what: str) -> None:
            begun.set()
            progress(done, total, what)

        return make_demo(workspace, "big", per_class=5000, size=32, progress=watch)

    job = Job("Drawing big", work)
    assert begun.wait(30)
    job.stop()
    job.wait(30)
    assert job.state == "stopped"
    assert "was stopped" in job.error
    assert workspace.names("datasets") == []


def test_what_the_work_returns_is_its_result():
    job = Job("Adding", lambda progress: 1 + 1)
    job.wait(10)
    assert (job.state, job.result) == ("done", 2)


def test_an_error_for_the_person_is_kept_as_its_sentence():
    def work(progress: Progress):
        raise BadInput("cells.zip is empty: choose another file.")

    job = Job("Importing", work)
    job.wait(10)
    assert (job.state, job.error) == ("failed", "cells.zip is empty: choose another file.")


def test_a_failure_of_the_program_shows_no_traceback():
    job = Job("Importing", lambda progress: 1 / 0)
    job.wait(10)
    assert job.state == "failed"
    assert "ZeroDivisionError" in job.error
    assert "\n" not in job.error


def test_progress_tells_count_and_remaining_time():
    assert progress_text(100, 400, "images", 20.0) == "images, 100 of 400, about 60 s left"
    assert progress_text(2**20, 2**22, "bytes", 0.5) == "1.0 of 4.0 MiB"


def test_of_several_who_ask_at_once_one_starts_it():
    begun, meet = [], threading.Barrier(6)

    def ask(_: int) -> Job:
        meet.wait()
        return shared_job("a key of this test", "Reading", lambda progress: begun.append(1))

    with ThreadPoolExecutor(6) as pool:
        found = list(pool.map(ask, range(6)))
    found[0].wait()
    assert len({id(job) for job in found}) == 1
    assert begun == [1]
    assert shared_job("a key of this test", "", None) is found[0]
    assert shared_job("another key of this test", "", None) is None


def two_at_once():
    import threading

    from bloodcell.ui.common import jobs

    goes_on = threading.Event()
    both = [jobs.Job("Reading", lambda progress: goes_on.wait(20)) for _ in range(2)]
    for job in both:
        jobs.wait_for(job)
    goes_on.set()


def test_two_that_are_waited_for_at_once_are_both_shown(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("bloodcell.ui.common.jobs.PATIENCE_S", 0.0)
    app = AppTest.from_function(two_at_once).run()
    assert not app.exception
    assert [button.label for button in app.button] == ["Stop", "Stop"]
