"""What is refused: proper cells of a laboratory that nobody knows are accepted, others are not."""

from dataclasses import replace

import numpy as np
import pytest

from bloodcell.ensemble.refusal import Cells, fit_refusal

CHANNELS, TEXTURES, N = 8, 12, 400


def seen(rng: np.random.Generator, n: int, shift: float, strange: float = 0.0) -> np.ndarray:
    """What a network sees: features near a few directions; textures that move with the stain."""
    features = np.abs(np.eye(CHANNELS)[rng.integers(0, 3, n)] + rng.normal(0, 0.05, (n, CHANNELS)))
    textures = rng.normal(0, 1, (n, TEXTURES))
    textures[:, 0] += shift
    textures[:, 1] += strange
    return np.concatenate([features, textures], axis=1).astype(np.float32)


def cells(shifts: dict[str, float], rng: np.random.Generator) -> Cells:
    known = np.concatenate([seen(rng, N, s) for s in shifts.values()])
    validation = np.concatenate([seen(rng, N, s) for s in shifts.values()])
    place = np.repeat(np.array(list(shifts), object), N)
    return Cells(
        [known], [[known + 0.01]], [validation],
        [[seen(rng, N, 0, strange=9)], [seen(rng, N, 4, strange=-9)]],
        rng.random(len(validation)) < 0.5, place, place, [CHANNELS], [None],
    )  # fmt: skip


def test_of_one_laboratory_one_in_a_hundred_is_above_the_scale():
    rng = np.random.default_rng(0)
    found = fit_refusal(cells({"home": 0.0}, rng))
    (member,) = found.rules
    assert found.left_out == []
    assert 0 < (found.novelty > 1).mean() < 0.03
    assert member.detectors.shape == (2, CHANNELS + TEXTURES + 1)


def test_the_limits_are_raised_until_laboratories_that_are_left_out_are_accepted():
    rng = np.random.default_rng(1)
    given = cells({"a": 0.0, "b": 2.0, "c": 4.0}, rng)
    found = fit_refusal(given)
    (member,), novelty, left_out = found.rules, found.novelty, found.left_out
    assert [(f.name, f.n) for f in left_out] == [("a", N), ("b", N), ("c", N)]
    assert np.mean([f.refused for f in left_out]) < 0.2
    assert (novelty > 1).mean() < 0.05
    for strange in (seen(rng, N, 1, strange=9), seen(rng, N, 4, strange=-9)):
        distance, detections = member.said(strange)
        assert (np.maximum(distance, detections.max(1)) > 1).mean() > 0.9


@pytest.mark.parametrize("place", ["", "alone"])
def test_a_laboratory_that_is_not_named_or_alone_is_never_left_out(place: str):
    rng = np.random.default_rng(2)
    assert fit_refusal(cells({place: 0.0}, rng)).left_out == []
    assert fit_refusal(cells({"": 0.0, "one": 1.0}, rng)).left_out == []


def test_what_the_network_itself_has_learned_to_tell_counts_half():
    rng = np.random.default_rng(3)
    given = cells({"home": 0.0}, rng)
    # It tells by a feature that no detector was shown strange cells by.
    own = np.zeros(CHANNELS + 1, np.float32)
    own[-2], own[-1] = 50.0, -3.0
    with_own = replace(given, outlier=[own])
    (before,), found = fit_refusal(given).rules, fit_refusal(with_own)
    (after,) = found.rules
    assert 0 < (found.novelty > 1).mean() < 0.03
    strange = seen(rng, N, 0)
    strange[:, CHANNELS - 1] += 1.0
    refused = [(m.said(strange)[1][:, 0] > 1).mean() for m in (before, after)]
    assert refused[0] < 0.2
    assert refused[1] > 0.9
    # And what the detector tells is still told.
    assert (after.said(seen(rng, N, 0, strange=9))[1][:, 0] > 1).mean() > 0.9
    np.testing.assert_array_equal(after.detectors[1], before.detectors[1])


def test_the_members_decide_together():
    rng = np.random.default_rng(4)
    one = cells({"home": 0.0}, rng)
    two = replace(
        one,
        known=one.known * 2,
        varied=[each * 2 for each in one.varied],
        validation=one.validation * 2,
        strange=[each * 2 for each in one.strange],
        channels=one.channels * 2,
        outlier=one.outlier * 2,
    )
    alone, together = fit_refusal(one), fit_refusal(two)
    np.testing.assert_allclose(together.novelty, alone.novelty, rtol=1e-5)
    # What one of them finds strange counts half.
    strange, usual = seen(rng, N, 0, strange=9), seen(rng, N, 0)
    half = together.of([strange, usual])
    both = together.of([strange, strange])
    assert (half < both).mean() > 0.95
