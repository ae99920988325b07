"""What no stained cell looks like: a middle lighter than the rim, or greener than red and blue."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from bloodcell.data.store.dataset import open_dataset
from bloodcell.data.synthetic.demo import make_demo
from bloodcell.data.synthetic.out_of_distribution import make_out_of_distribution, photograph
from bloodcell.ensemble.ensemble import Ensemble, open_ensemble
from bloodcell.ensemble.stained import LIMITS, beyond, limits_for, reason, unlike_stained
from bloodcell.workspace import Workspace


@pytest.fixture(scope="module")
def cells(tmp_path_factory: pytest.TempPathFactory) -> np.ndarray:
    workspace = Workspace(tmp_path_factory.mktemp("cells"))
    return make_demo(workspace, "cells", per_class=20, size=96, seed=4).images[:]


@pytest.fixture(scope="module")
def flowers(cells: np.ndarray) -> np.ndarray:
    return make_out_of_distribution("photograph", cells, 60, 5, photograph("flower"))


def disc(middle: tuple[int, int, int], field: tuple[int, int, int]) -> np.ndarray:
    place = np.arange(96) - 47.5
    inside = np.hypot(place[:, None], place) < 30
    return np.where(inside[..., None], middle, field).astype(np.uint8)[None]


def test_drawn_cells_are_within_both_limits(cells: np.ndarray):
    assert (unlike_stained(cells) < LIMITS).all()


def test_violet_on_a_light_field_is_stained():
    light, green = unlike_stained(disc((150, 90, 170), (240, 230, 220)))[0]
    assert light < -0.5
    assert green < -0.3


def test_the_numbers_are_the_logarithms_of_how_many_times_as_much_passes():
    ((light, green),) = unlike_stained(disc((196, 196, 196), (96, 96, 96)))
    assert light == pytest.approx(np.log(2), abs=0.01)
    # Where the middle is the lightest it is the field itself, and has no colour.
    assert green == pytest.approx(0, abs=0.01)
    ((light, green),) = unlike_stained(disc((96, 196, 46), (196, 196, 196)))
    assert green == pytest.approx(np.log(4), abs=0.01)


@pytest.mark.parametrize(
    "middle", [(250, 250, 250), (90, 200, 80), (230, 160, 60), (60, 200, 200)],
    ids=["bright", "green", "orange", "cyan"],
)  # fmt: skip
def test_bright_green_orange_and_cyan_things_are_beyond(middle: tuple[int, int, int]):
    assert beyond(unlike_stained(disc(middle, (60, 60, 60))), LIMITS)[0] > 1
    if middle != (250, 250, 250):
        assert beyond(unlike_stained(disc(middle, (252, 252, 252))), LIMITS)[0] > 1


@pytest.mark.parametrize("gain", [(0.6, 0.8, 1.0), (1.0, 0.5, 0.7), (0.5, 0.5, 0.5)])
def test_neither_depends_much_on_the_lamp(cells: np.ndarray, gain: tuple[float, float, float]):
    lit = np.rint(cells * np.array(gain)).astype(np.uint8)
    assert (unlike_stained(lit) < LIMITS).all()
    assert np.abs(unlike_stained(lit) - unlike_stained(cells)).max() < 0.2


def test_an_answer_is_the_same_wherever_in_a_batch_its_image_stands(cells: np.ndarray):
    alone = np.concatenate([unlike_stained(cells[i : i + 1]) for i in range(9)])
    np.testing.assert_allclose(unlike_stained(cells[:9]), alone, rtol=0, atol=1e-6)


@pytest.mark.parametrize("size", [16, 48, 96, 130])
def test_images_of_any_size_and_black_and_white_ones_give_numbers(size: int):
    images = np.stack([np.full((size, size, 3), v, np.uint8) for v in (0, 128, 255)])
    np.testing.assert_allclose(unlike_stained(images), 0, atol=1e-5)
    assert beyond(unlike_stained(images), LIMITS).max() < 0.01


def test_most_pieces_of_a_photograph_of_a_flower_are_beyond(flowers: np.ndarray):
    assert (beyond(unlike_stained(flowers), LIMITS) > 1).mean() > 0.8


def test_limits_are_as_wide_as_a_dataset_of_another_stain_needs():
    rng = np.random.default_rng(0)
    assert limits_for(rng.normal(-1, 0.1, (500, 2))) == LIMITS
    light, green = limits_for(rng.normal([-1, 0.3], 0.1, (500, 2)))
    assert light == LIMITS[0]
    assert 0.45 < green < 0.7


def test_the_reason_is_the_limit_that_is_passed_by_more(cells: np.ndarray):
    assert "no stain's" in reason(disc((90, 200, 80), (252, 252, 252))[0], LIMITS)
    assert "is lighter than" in reason(disc((250, 250, 250), (60, 60, 60))[0], LIMITS)
    assert reason(cells[0], LIMITS) == ""
    assert reason(disc((90, 200, 80), (252, 252, 252))[0], None) == ""


def changed(home: Path, tmp_path: Path, stained: list[float] | None) -> Ensemble:
    """The first ensemble with other limits, or none, as earlier ones."""
    folder = tmp_path / "first"
    shutil.copytree(home / "ensembles" / "first", folder)
    info = json.loads((folder / "ensemble.json").read_text())
    del info["checksum"], info["novelty"]["stained"]
    if stained is not None:
        info["novelty"]["stained"] = stained
    (folder / "ensemble.json").write_text(json.dumps(info))
    return open_ensemble(Workspace(tmp_path), str(folder))


def test_an_ensemble_refuses_what_is_beyond_and_earlier_ones_answer_as_before(
    trained_home: Path, tmp_path: Path, flowers: np.ndarray
):
    first = open_ensemble(Workspace(trained_home), "first")
    given = open_dataset(Workspace(trained_home), "demo").images[:20]
    small = flowers[:20, ::2, ::2]
    assert first.description.novelty.stained == LIMITS
    refused = ~first.predict(small).recognised
    far = beyond(unlike_stained(small), LIMITS) > 1
    assert refused[far].all()
    earlier = changed(trained_home, tmp_path, None)
    np.testing.assert_array_equal(earlier.predict(given).novelty, first.predict(given).novelty)
    assert (earlier.predict(small).novelty <= first.predict(small).novelty).all()


def test_novelty_1_is_the_limit_in_units_of_the_ensembles_own(trained_home: Path, tmp_path: Path):
    ensemble = changed(trained_home, tmp_path, [0.5, 0.5])
    green = disc((96, 196, 46), (196, 196, 196))[:, ::2, ::2]
    found = ensemble.predict(green)
    threshold = ensemble.description.novelty.threshold
    assert found.novelty[0] >= threshold * np.log(4) / 0.5 - 0.1
    assert not found.recognised[0]
