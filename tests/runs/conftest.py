"""What the tests of runs share."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bloodcell.runs.engines import Engine
from bloodcell.runs.launch import prepare
from bloodcell.runs.run import Run
from bloodcell.training.config import make_config
from bloodcell.workspace import Workspace


def wait_for(condition: Callable[[], Any], seconds: float = 120) -> Any:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if found := condition():
            return found
        time.sleep(0.02)
    raise AssertionError("it did not happen in time")


def measured(run: Run) -> list[dict[str, Any]]:
    """The records of all epochs without the time they took."""
    timed = ("seconds", "images_per_second")
    return [{k: v for k, v in record.items() if k not in timed} for record in run.metrics()]


def seen(engine: Engine, run: Run, state: str) -> dict[str, Any]:
    """The run's status once it is `state` and, where that is an end, its scheduler's word is in it.

    The scheduler is asked again and again meanwhile.
    """

    def look():
        engine.watch()
        status = run.status()
        return status if status["state"] == state else None

    return wait_for(look, 60)


@pytest.fixture
def workspace(demo_copy: Path) -> Workspace:
    """A private workspace with the dataset "demo" and no run."""
    return Workspace(demo_copy)


@pytest.fixture
def three(workspace: Workspace) -> list[Run]:
    """Three runs that have not begun."""
    configs = [
        make_config("demo", backbone="tiny", input_size=48, epochs=2, seed=seed)
        for seed in range(3)
    ]
    return [prepare(workspace, config) for config in configs]
