"""Both engines on the same cells: what they make of them, and what is measured."""

import numpy as np
import pytest

from bloodcell.augment import ENGINES, PRESETS, Policy, apply, step
from bloodcell.augment.comparison import compare_engines, run_engines
from bloodcell.errors import BadInput, Stopped

IMAGES = np.random.default_rng(0).integers(0, 256, (5, 24, 24, 3), dtype=np.uint8)
LABELS = np.eye(8, dtype=np.float32)[:5]
QUICK = Policy("quick", (step("flip"),))


def test_the_cells_are_those_of_the_seed_and_whole_batches_are_counted():
    (found,) = run_engines(PRESETS["gentle"], ["own"], IMAGES, LABELS, seed=7, seconds=0)
    images, labels = apply(PRESETS["gentle"], IMAGES, LABELS, np.random.default_rng(7))
    np.testing.assert_array_equal(found.images, images)
    np.testing.assert_array_equal(found.labels, labels)
    assert found.counted == 32
    assert found.per_second > 0


def test_what_keras_cv_lacks_is_refused_before_a_process_is_started(monkeypatch):
    monkeypatch.setattr("subprocess.Popen", None)
    with pytest.raises(BadInput, match=r"gentle .*step 2, Quarter turns"):
        compare_engines(PRESETS["gentle"], IMAGES, LABELS)


def test_a_comparison_can_be_stopped():
    def stop(done: int, total: int, what: str) -> None:
        raise Stopped("enough")

    with pytest.raises(Stopped, match="enough"):
        compare_engines(QUICK, IMAGES, LABELS, progress=stop)


@pytest.mark.slow
def test_both_engines_answer_from_a_process_of_their_own():
    pytest.importorskip("keras_cv", reason="keras-cv is not installed")
    found = compare_engines(QUICK, IMAGES, LABELS, seconds=0)
    assert [r.engine for r in found] == list(ENGINES)
    for result in found:
        for image, given in zip(result.images, IMAGES, strict=True):
            flipped = [given[::y, ::x] for y in (1, -1) for x in (1, -1)]
            assert any(np.array_equal(image, f) for f in flipped)
        np.testing.assert_array_equal(result.labels, LABELS)
