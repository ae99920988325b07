"""A cascade: one member answers alone where it is sure, and nothing is lost by it."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bloodcell.data.store.dataset import Dataset, open_dataset
from bloodcell.data.synthetic.demo import make_demo
from bloodcell.ensemble import cascade
from bloodcell.ensemble.adapt import adapt, home_of
from bloodcell.ensemble.cascade import Seen, fit_cascade
from bloodcell.ensemble.compose import compose
from bloodcell.ensemble.ensemble import Ensemble, decides, open_ensemble
from bloodcell.errors import BadInput
from bloodcell.evaluation.calibration import apply_temperature, prediction_sets
from bloodcell.evaluation.evaluate import evaluate
from bloodcell.evaluation.stored import evaluated, load_evaluation
from bloodcell.evaluation.stress import study
from bloodcell.evaluation.tables import all_tables
from bloodcell.explain import find_evidence
from bloodcell.runs.run import list_runs
from bloodcell.ui.common.cell_card import cell_of
from bloodcell.workspace import Workspace
from tests.ensemble.test_compose_weights import worse

N = 400


def said(truth: np.ndarray, probability: np.ndarray, wrong: np.ndarray) -> np.ndarray:
    """n×8: `probability` for the true class, or for the next one where it is wrong."""
    found = np.repeat((1 - probability)[:, None] / 7, 8, axis=1)
    found[np.arange(len(truth)), np.where(wrong, (truth + 1) % 8, truth)] = probability
    return found


def cells(rng: np.random.Generator, wrong_when_unsure: float) -> tuple[np.ndarray, Seen]:
    """Cells of which the first member is unsure of a quarter, and wrong in a share of those."""
    truth = rng.integers(0, 8, N)
    unsure = rng.random(N) < 0.25
    probability = np.where(unsure, 0.55, 0.99)
    wrong = unsure & (rng.random(N) < wrong_when_unsure)
    first = said(truth, probability, wrong)
    whole = said(truth, np.full(N, 0.99), np.zeros(N, bool))
    return truth, Seen(first, rng.random(N) * 0.5, whole, rng.random(N) * 0.5)


def strange(rng: np.random.Generator, first_novelty: float) -> Seen:
    probabilities = said(np.zeros(100, int), np.full(100, 0.99), np.zeros(100, bool))
    return Seen(
        probabilities, first_novelty + 0.01 * rng.random(100), probabilities, np.full(100, 2.0)
    )


def halves() -> tuple[np.ndarray, np.ndarray]:
    fit = np.arange(N) % 2 == 0
    return fit, ~fit


def test_the_first_answers_where_it_is_sure_and_all_where_it_errs():
    rng = np.random.default_rng(1)
    truth, found = cells(rng, 0.5)
    limits = fit_cascade(truth, found, strange(rng, 3.0), 1.0, *halves())
    assert limits["probability"] > 0.55
    measured = limits["measured"]
    assert measured["accuracy"] == measured["accuracy_of_all"] == 1
    assert 0.65 < measured["decided"] < 0.85
    assert measured["refused"] == measured["refused_by_all"] == 1
    assert measured["n"] == N // 2
    assert measured["p_value"] == 1


def test_what_only_all_members_refuse_lowers_the_limit_of_novelty():
    rng = np.random.default_rng(2)
    truth, found = cells(rng, 0.5)
    limits = fit_cascade(truth, found, strange(rng, 0.35), 1.0, *halves())
    assert limits["novelty"] < 0.36
    assert limits["measured"]["refused"] == 1


def test_without_limits_that_cost_nothing_there_is_no_cascade():
    rng = np.random.default_rng(3)
    truth = rng.integers(0, 8, N)
    surely_wrong = said(truth, np.full(N, 0.999), np.ones(N, bool))
    right = said(truth, np.full(N, 0.99), np.zeros(N, bool))
    nothing = np.zeros(N)
    found = Seen(surely_wrong, nothing, right, nothing)
    assert fit_cascade(truth, found, strange(rng, 3.0), 1.0, *halves()) is None


def test_views_are_asked_for_only_where_they_mend_an_error():
    rng = np.random.default_rng(4)
    truth = rng.integers(0, 8, N)
    # The first is sure of half. Of the others all together are sure, or err without the views.
    kind = rng.integers(0, 4, N)
    sure, open_ = kind < 2, kind == 3
    nothing = np.zeros(N, bool)
    first = said(truth, np.where(sure, 0.99, 0.4), nothing)
    once = said(truth, np.where(open_, 0.6, 0.92), open_)
    whole = said(truth, np.full(N, 0.97), nothing)
    low = np.full(N, 0.2)
    limits = fit_cascade(
        truth, Seen(first, low, whole, low, once), strange(rng, 3.0), 1.0, *halves()
    )
    assert 0.6 < limits["settled"] <= 0.92
    apart = halves()[1]
    assert limits["measured"]["viewed"] == pytest.approx(open_[apart].mean())
    assert limits["measured"]["accuracy"] == 1


def with_cascade(trained_home: Path, home: Path, **how: Any) -> Workspace:
    """A copy of a workspace with the ensemble `steps`, a cascade of two."""
    shutil.copytree(trained_home, home)
    made = Workspace(home)
    runs = [*list_runs(made), worse(made)]
    with pytest.MonkeyPatch.context() as patched:
        # A tiny network is hardly ever as sure as a cascade asks.
        patched.setattr(cascade, "PROBABILITIES", (0.1, 0.2, 0.5, 0.9))
        patched.setattr(cascade, "SETTLED", (0.1, 0.2, 0.5, 0.9))
        compose(made, runs, "steps", cascade=True, zipped=False, **how)
    return made


@pytest.fixture(scope="module")
def workspace(trained_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    return with_cascade(trained_home, tmp_path_factory.mktemp("cascade") / "home", tta=True)


@pytest.fixture(scope="module")
def steps(workspace: Workspace) -> Ensemble:
    """An ensemble whose cascade decides about half, whatever the networks have learned."""
    found = open_ensemble(workspace, "steps")
    assert found.description.cascade is not None
    images = open_dataset(workspace, "demo").images[:40]
    first, _ = alone(found, images)
    middle = float(np.median(first.max(1)))
    rule = found.description.cascade
    once = found.predict(images, tta=False).probabilities.max(1)
    settled = float(np.median(once[first.max(1) < middle]))
    rule = rule.model_copy(update={"probability": middle, "settled": settled})
    found.description = found.description.changed(cascade=rule)
    return found


@pytest.fixture(scope="module")
def demo(workspace: Workspace) -> Dataset:
    return open_dataset(workspace, "demo")


def alone(ensemble: Ensemble, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Calibrated probabilities and novelty of the first member by itself."""
    names = [m.name for m in ensemble.description.members]
    first = names.index(ensemble.description.cascade.first)
    one = ensemble.models[first](images)
    p = apply_temperature(
        one.probabilities.astype(np.float64), ensemble.description.cascade.temperature
    )
    raw = ensemble.run(images, False)
    only = type(raw)(
        raw.probabilities[[first]],
        raw.plain[[first]],
        [raw.features[first]],
        [raw.maps[first]],
        [raw.novelty_features[first]],
        raw.unlike,
    )
    return p, ensemble._novelty(only, [first])


def test_each_image_is_answered_by_the_first_or_by_all(steps: Ensemble, demo: Dataset):
    images = demo.images[:75]
    first, novelty = alone(steps, images)
    rule = steps.description.cascade
    sure = decides(first, novelty.round(6), rule.probability, rule.novelty)
    assert 0 < sure.sum() < len(images)
    once, every = (steps.predict(images, tta=tta) for tta in (False, True))
    settled = once.probabilities.max(1) >= rule.settled
    assert 0 < (settled & ~sure).sum() < (~sure).sum()
    found = steps.predict(images)
    asked = np.where(settled[:, None], once.probabilities, every.probabilities)
    wanted = np.where(sure[:, None], first, asked)
    np.testing.assert_allclose(found.probabilities, wanted, atol=1e-5)
    assert (np.isnan(found.members).any((0, 2)) == sure).all()
    assert found.recognised[sure].all()
    assert (found.recognised[~sure] == every.recognised[~sure]).all()
    sets = prediction_sets(found.probabilities, steps.description.conformal.threshold)
    assert (found.prediction_sets == sets).all()
    assert not np.isnan(every.members).any()
    assert steps.predict(images[:0]).probabilities.shape == (0, 8)


def test_an_answer_does_not_depend_on_its_place(steps: Ensemble, demo: Dataset):
    images = demo.images[:40]
    together = steps.predict(images)
    order = np.random.default_rng(5).permutation(len(images))
    shuffled = steps.predict(images[order])
    np.testing.assert_allclose(together.probabilities[order], shuffled.probabilities, atol=1e-5)
    np.testing.assert_allclose(together.novelty[order], shuffled.novelty, atol=2e-6)


def test_an_evaluation_by_cascade_compares_only_who_saw_every_image(steps: Ensemble, demo: Dataset):
    found = evaluate(steps, demo)
    assert found.tta is None
    assert [name for name, _ in found.members] == [steps.description.cascade.first]
    assert not np.isnan(found.answers.members).any()
    tables = all_tables(found, demo, steps.description)
    assert list(tables["members"].member) == [steps.description.cascade.first]
    whole = evaluate(steps, demo, tta=True)
    assert len(whole.members) == 2


def test_cascade_and_all_members_are_kept_apart(workspace: Workspace, demo: Dataset):
    plain = open_ensemble(workspace, "steps")
    for tta in (None, False, True):
        made = evaluated(plain, demo, tta=tta)
        kept = load_evaluation(plain.description, demo, "test", tta)
        assert kept.tta is made.tta is tta
        assert len(kept.members) == (1 if tta is None else 2)
    assert len(study(plain, demo, images=8).networks) == 2


def test_a_card_asks_those_that_were_not_asked(steps: Ensemble, demo: Dataset):
    images = demo.images[:40]
    found = steps.predict(images)
    row = int(np.flatnonzero(np.isnan(found.members).any((0, 2)))[0])
    cell = cell_of(found, row, "a.png", images[row], find_evidence(steps, images[row]))
    assert cell.alone
    assert np.isfinite(cell.members).all()
    assert cell.members.shape == (2, 8)


def test_the_card_of_the_ensemble_says_what_the_cascade_costs(workspace: Workspace):
    text = open_ensemble(workspace, "steps").bundle.read("card.md").decode()
    assert "### Cascade" in text
    assert "McNemar" in text


def test_a_cascade_that_begins_with_nobody_is_refused(workspace: Workspace, tmp_path: Path):
    from bloodcell.ensemble.description import read_description
    from bloodcell.files import CHECKSUM

    info = open_ensemble(workspace, "steps").description.to_json()
    info.pop(CHECKSUM)
    info["cascade"]["first"] = "nobody"
    with pytest.raises(BadInput, match="begins with 'nobody'"):
        read_description(info, "steps")


def test_what_is_adapted_is_shown_each_image_once_as_its_cells_of_home_were(workspace: Workspace):
    parent = open_ensemble(workspace, "steps")
    home = home_of(parent)
    assert len(home.labels)
    demo = open_dataset(workspace, "demo")
    rows = [list(demo.hashes).index(i) for i in home.ids.astype(str)]
    once = parent.said(parent.look(lambda i: demo.images[i], np.array(rows)))
    np.testing.assert_allclose(home.said, once, atol=1e-3)
    drawn = make_demo(workspace, "drawn", per_class=4, size=48, seed=9)
    adapt(workspace, parent, "ours", drawn)
    ours = open_ensemble(workspace, "ours").description
    assert ours.tta is False
    assert ours.cascade is None


def test_a_compact_ensemble_keeps_all_but_the_smallest_in_int8(workspace: Workspace):
    runs = [*list_runs(workspace)]
    path = compose(workspace, runs, "small", compact=True, zipped=False)
    plain = open_ensemble(workspace, "steps")
    sizes = {f.name: f.stat().st_size for f in (path / "members").glob("*.tflite")}
    whole = {m.file: len(plain.bundle.read(m.file)) for m in plain.description.members}
    assert sorted(sizes.values())[0] < 0.75 * max(whole.values())
    images = open_dataset(workspace, "demo").images[:32]
    small = open_ensemble(workspace, "small").predict(images, tta=False)
    close = plain.predict(images, tta=False)
    assert np.abs(small.members[1] - close.members[1]).max() < 0.2
