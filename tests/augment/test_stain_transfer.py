"""A cell in another laboratory's stain, from stored statistics alone."""

import json
from pathlib import Path

import numpy as np
import pytest

from bloodcell.augment import Policy, apply, policy_from_json, policy_to_json, step
from bloodcell.augment.stain_transfer import BUILT_IN, REGIONS, Stains, measure_stain
from bloodcell.data.stains import measure_stains, with_stains, with_transfer
from bloodcell.data.store.dataset import new_dataset, open_dataset
from bloodcell.data.synthetic.drawing.draw import draw_cell
from bloodcell.errors import BadInput
from bloodcell.ui.augmentation.cells import Cells
from bloodcell.ui.augmentation.preview import draw_in_laboratories
from bloodcell.workspace import Workspace

CLASSES = (0, 1, 4, 5, 6)


def cell(label: int, seed: int) -> np.ndarray:
    return draw_cell(label, np.random.default_rng([seed, label]), 64)


def restained(image: np.ndarray) -> np.ndarray:
    """As a darker, redder laboratory would show it."""
    light = image.astype(np.float32) / 255
    return np.clip(255 * light ** np.array([0.8, 1.3, 1.1]) * [0.95, 0.85, 0.7], 0, 255).astype(
        np.uint8
    )


@pytest.fixture(scope="module")
def stains() -> Stains:
    home = [cell(c, seed) for c in CLASSES for seed in range(8)]
    away = [restained(image) for image in home]
    return Stains([measure_stain(home, "home"), measure_stain(away, "away")])


@pytest.mark.parametrize("label", CLASSES)
def test_a_cell_is_carried_to_what_the_other_laboratory_would_show(stains, label):
    image = cell(label, 99)
    wanted = restained(image).astype(float)
    before = np.abs(image - wanted).mean()
    after = np.abs(stains.carried(image, 1).astype(float) - wanted).mean()
    assert after < before / 2
    back = stains.carried(restained(image), 0).astype(float)
    assert np.abs(back - image).mean() < before / 2


def test_its_own_laboratory_and_no_amount_leave_it_alone(stains):
    image = cell(6, 50)
    assert stains.carried(image, 0) is image
    assert stains.carried(image, 1, amount=0) is image


def test_a_policy_carries_the_statistics_and_needs_no_photograph(stains, tmp_path: Path):
    policy = with_transfer(Policy("none", ()), stains, "shared")
    text = json.dumps(policy_to_json(policy))
    again = policy_from_json(json.loads(text), "a file")
    assert again == policy
    assert again.stains.names == ("home", "away")
    images = np.stack([cell(6, i) for i in range(12)])
    labels = np.eye(8, dtype=np.float32)[[6] * 12]
    first, kept = apply(again, images, labels, np.random.default_rng(3))
    second, _ = apply(again, images, labels, np.random.default_rng(3))
    np.testing.assert_array_equal(first, second)
    np.testing.assert_array_equal(kept, labels)
    assert 1 < sum((a != b).any() for a, b in zip(first, images, strict=True)) < 12


@pytest.mark.parametrize(
    "change",
    [
        {"name": ""},
        {"nucleus": {"mean": [0, 0], "covariance": np.eye(3).tolist()}},
        {"nucleus": {"mean": [0, 0, float("nan")], "covariance": np.eye(3).tolist()}},
        {"nucleus": {"mean": [0, 0, 0], "covariance": (-np.eye(3)).tolist()}},
        {"cytoplasm": "pink"},
        {"background": {"mean": [1e300] * 3, "covariance": np.eye(3).tolist()}},
    ],
)
def test_damaged_statistics_are_refused_in_a_sentence(stains, change):
    document = policy_to_json(Policy("p", (step("stain_transfer"),), stains))
    document["stains"][0] |= change
    with pytest.raises(BadInput, match=r"a file.* has stains that are no list"):
        policy_from_json(document, "a file")


def test_the_playground_shows_a_cell_in_every_laboratory(stains):
    cells = Cells(np.stack([cell(6, 0), cell(1, 0)]), np.array([6, 1]), ("a", "b"))
    tiles, columns = draw_in_laboratories(Policy("p", (), stains), cells)
    assert (len(tiles), columns) == (6, 3)
    assert tiles[2].alt == "This neutrophil as it would look in away"
    np.testing.assert_array_equal(tiles[2].image, stains.carried(cell(6, 0), 1))


def test_the_built_in_laboratories_are_sound():
    assert Stains.checked(BUILT_IN, "built in").names == BUILT_IN.names
    assert len(BUILT_IN) >= 2
    assert all(set(REGIONS) <= set(s) for s in BUILT_IN)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    workspace = Workspace(tmp_path_factory.mktemp("stains"))
    columns = ("laboratory",)
    with new_dataset(workspace, "d", (64, 64), "drawn", "none", columns=columns) as writer:
        for place, name in enumerate(("a", "b", "c")):
            for label in (5, 6):
                for i in range(3):
                    image = cell(label, 10 * place + i)
                    image = restained(image) if name == "b" else image
                    writer.add(image, label, f"{name}{i}", origin={"laboratory": name})
    return open_dataset(workspace, "d")


def test_a_training_has_the_stains_of_what_it_learns_from_alone(dataset):
    policy = Policy("p", (step("stain_transfer", 0.5),))
    rows = np.flatnonzero(dataset.origin("laboratory") != "c")
    assert with_stains(policy, dataset, rows).stains.names == ("a", "b")
    only = np.flatnonzero(dataset.origin("laboratory") == "a")
    assert with_stains(policy, dataset, only).stains == ()
    assert with_stains(Policy("p", (step("flip"),)), dataset, rows).stains == ()


def test_the_order_of_the_files_changes_no_statistics(dataset):
    rows = np.arange(len(dataset))
    assert measure_stains(dataset, rows) == measure_stains(dataset, rows[::-1])
