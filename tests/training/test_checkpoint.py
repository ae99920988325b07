"""The state of a training on disk: read back exactly, or not at all."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bloodcell.errors import BadInput
from bloodcell.training.checkpoint import load_arrays, load_state, save_arrays, save_state

ARRAYS = [
    np.random.default_rng(0).normal(size=(3, 5)).astype(np.float32),
    np.array(7, np.int64),
    np.array([1, 2**32 - 1], np.uint32),
    np.zeros((0, 4), np.float32),
]


def meta(epoch: int, batch: int = 0) -> dict:
    return {"epoch": epoch, "batch": batch, "patience": {"best": float("inf")}}


def same(a: list[np.ndarray], b: list[np.ndarray]) -> bool:
    return len(a) == len(b) and all(
        x.dtype == y.dtype and x.shape == y.shape and np.array_equal(x, y)
        for x, y in zip(a, b, strict=True)
    )


def test_round_trip(tmp_path: Path):
    save_arrays(tmp_path / "a.npz", ARRAYS, meta(3))
    arrays, found = load_arrays(tmp_path / "a.npz")
    assert same(arrays, ARRAYS)
    assert found == meta(3)


def test_hundreds_of_arrays_keep_their_order(tmp_path: Path):
    many = [np.array(i) for i in range(1200)]
    save_arrays(tmp_path / "a.npz", many, {})
    assert [int(a) for a in load_arrays(tmp_path / "a.npz")[0]] == list(range(1200))


def test_where_nothing_was_saved_there_is_nothing(tmp_path: Path):
    assert load_state(tmp_path) is None


def test_the_newest_state_is_found(tmp_path: Path):
    for epoch in (1, 2, 3):
        save_state(tmp_path, [np.array(epoch)], meta(epoch))
    arrays, found = load_state(tmp_path)
    assert (int(arrays[0]), found["epoch"]) == (3, 3)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["previous.npz", "state.npz"]


def flip(path: Path, at: int, bits: int = 0xFF) -> None:
    content = bytearray(path.read_bytes())
    content[at] ^= bits
    path.write_bytes(content)


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(share=st.floats(0, 1, exclude_max=True), bits=st.integers(1, 255))
def test_a_flipped_byte_anywhere_is_noticed_or_harmless(tmp_path: Path, share: float, bits: int):
    path = tmp_path / "a.npz"
    save_arrays(path, ARRAYS, meta(3))
    flip(path, int(path.stat().st_size * share), bits)
    try:
        arrays, found = load_arrays(path)
    except BadInput:
        return
    assert same(arrays, ARRAYS)
    assert found == meta(3)


@pytest.mark.parametrize("left", [0, 1, 100, 0.5, 0.99])
def test_a_state_cut_short_gives_way_to_the_one_before(tmp_path: Path, left: float):
    for epoch in (1, 2):
        save_state(tmp_path, [np.full(100, epoch)], meta(epoch))
    state = tmp_path / "state.npz"
    content = state.read_bytes()
    state.write_bytes(content[: left if isinstance(left, int) else int(left * len(content))])
    arrays, found = load_state(tmp_path)
    assert (int(arrays[0][0]), found["epoch"]) == (1, 1)


def test_after_falling_back_the_next_save_is_the_newest_again(tmp_path: Path):
    for epoch in (1, 2):
        save_state(tmp_path, [np.array(epoch)], meta(epoch))
    flip(tmp_path / "state.npz", 90)
    save_state(tmp_path, [np.array(22)], meta(2))
    assert int(load_state(tmp_path)[0][0]) == 22
    flip(tmp_path / "state.npz", 90)
    with pytest.raises(BadInput):
        load_state(tmp_path)


def test_if_both_are_damaged_the_sentence_names_a_file(tmp_path: Path):
    for epoch in (1, 2):
        save_state(tmp_path, [np.array(epoch)], meta(epoch))
    for name in ("state.npz", "previous.npz"):
        (tmp_path / name).write_bytes(b"x")
    with pytest.raises(BadInput, match=r"\.npz is damaged"):
        load_state(tmp_path)


def test_a_process_killed_between_two_renames_loses_nothing(tmp_path: Path):
    for epoch in (1, 2):
        save_state(tmp_path, [np.array(epoch)], meta(epoch))
    # The moment after the first of the two renames of the third save.
    save_arrays(tmp_path / "next.npz", [np.array(3)], meta(3))
    os.replace(tmp_path / "state.npz", tmp_path / "previous.npz")
    assert int(load_state(tmp_path)[0][0]) == 3
    save_state(tmp_path, [np.array(4)], meta(4))
    assert int(load_state(tmp_path)[0][0]) == 4


def test_a_batch_later_is_newer(tmp_path: Path):
    save_state(tmp_path, [np.array(1)], meta(2, 5))
    save_state(tmp_path, [np.array(2)], meta(2, 7))
    save_arrays(tmp_path / "next.npz", [np.array(0)], meta(2, 6))
    assert int(load_state(tmp_path)[0][0]) == 2


def test_killed_at_any_moment_there_is_always_a_state(tmp_path: Path):
    code = f"""
import numpy as np
from pathlib import Path
from bloodcell.training.checkpoint import save_state
epoch = 0
while True:
    epoch += 1
    save_state(Path({str(tmp_path)!r}), [np.full(20_000, epoch)], {{"epoch": epoch, "batch": 0}})
    print(epoch, flush=True)
"""
    seen = 0
    for wait in (1, 3, 8):
        process = subprocess.Popen(
            [sys.executable, "-c", code],
            cwd=Path(__file__).parents[2],
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(wait):
            seen = int(process.stdout.readline())
        process.send_signal(signal.SIGKILL)
        rest = process.communicate()[0].split()
        seen = int(rest[-1]) if rest else seen
        arrays, found = load_state(tmp_path)
        assert found["epoch"] >= seen
        assert (arrays[0] == found["epoch"]).all()
