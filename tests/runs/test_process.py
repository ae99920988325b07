"""What a run takes of its machine."""

import json
import shutil
import subprocess
import sys
import time

import psutil
import pytest

from bloodcell.runs.process import gpus, parse_gpus, resources, this_process
from bloodcell.runs.run import Run


def test_of_a_process_that_works(three: list[Run]):
    three[0].status_path.write_text(json.dumps({"state": "running", **this_process()}))
    first = resources(three[0].status())
    assert first is not None
    assert first.memory == pytest.approx(psutil.Process().memory_info().rss, rel=0.2)
    assert 0 < first.memory < first.memory_total
    until = time.process_time() + 0.3
    while time.process_time() < until:
        pass
    second = resources(three[0].status(), first)
    assert second is not None
    assert 0 < second.cpu <= second.cores
    assert second.cpu_seconds - first.cpu_seconds >= 0.25


def test_there_are_none_of_a_run_that_does_not_run_here(three: list[Run]):
    assert resources(three[0].status()) is None
    others = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    said = {"state": "running", **this_process(), "pid": others.pid, "heartbeat": time.time()}
    three[0].status_path.write_text(json.dumps(said))
    assert resources(three[0].status()) is None, "the pid is another process' now"
    three[0].status_path.write_text(json.dumps({**said, "host": "elsewhere"}))
    assert resources(three[0].status()) is None
    others.communicate(b"\n")


def test_the_words_of_nvidia_smi_are_understood():
    told = "NVIDIA H100 80GB HBM3, 37, 1024, 81559\nGrace, odd, [N/A], 10, 20\n\nnonsense\n"
    first, second = parse_gpus(told)
    assert (first.name, first.share) == ("NVIDIA H100 80GB HBM3", 0.37)
    assert (first.memory, first.memory_total) == (2**30, 81559 * 2**20)
    assert (second.name, second.share) == ("Grace, odd", None)


def test_a_machine_has_the_gpus_that_it_has():
    if shutil.which("nvidia-smi") is None:
        assert gpus() == []
    else:
        assert all(0 <= g.memory <= g.memory_total for g in gpus())
