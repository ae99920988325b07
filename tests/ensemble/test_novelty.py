"""Novelty: near to known cells and far from strangers, and the worse of the two counts."""

import hashlib
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from bloodcell.data.store.dataset import open_dataset
from bloodcell.data.synthetic.out_of_distribution import (
    OUT_OF_DISTRIBUTION,
    make_out_of_distribution,
    photograph,
)
from bloodcell.ensemble.ensemble import Ensemble, open_ensemble
from bloodcell.ensemble.novelty import (
    DIRECTIONS,
    basis_of,
    detect,
    fit_detector,
    neighbour_distance,
    novelty_of,
    scaled,
    unit,
)
from bloodcell.errors import BadInput
from bloodcell.workspace import Workspace


@pytest.fixture(scope="module")
def first(trained_home: Path) -> Ensemble:
    return open_ensemble(Workspace(trained_home), "first")


def test_the_distance_is_that_of_the_kth_neighbour():
    reference = unit(np.array([[1, 0], [0, 1], [1, 1]]))
    found = neighbour_distance(np.array([[5.0, 0.0]]), reference, 2)
    assert found == pytest.approx([1 - np.sqrt(0.5)])


def test_known_cells_in_few_directions_are_as_near_and_what_lies_outside_is_far():
    rng = np.random.default_rng(0)
    plane = np.linalg.qr(rng.normal(size=(200, 20)))[0]
    known = unit(rng.normal(size=(500, 20)) @ plane.T)
    basis = basis_of(known)
    assert basis.shape == (200, DIRECTIONS)
    assert basis.dtype == np.float16
    kept = (known @ basis.astype(np.float32)).astype(np.float16)
    cells = rng.normal(size=(50, 20)) @ plane.T
    wanted = neighbour_distance(cells, known, 3)
    np.testing.assert_allclose(neighbour_distance(cells, kept, 3, basis), wanted, atol=2e-3)
    outside = rng.normal(size=(50, 200))
    outside -= outside @ plane @ plane.T
    assert neighbour_distance(outside, kept, 3, basis).min() > 0.8


def test_a_detector_is_half_below_0_and_99_percent_below_1_of_known_cells():
    rng = np.random.default_rng(0)
    cells, strangers = rng.normal(0, 1, (600, 5)), rng.normal(2, 1, (300, 5))
    known = rng.normal(0, 1, (1000, 5))
    found = detect(known, scaled(fit_detector(cells, strangers, 0.003), known))
    assert (found == 0).mean() == pytest.approx(0.5, abs=0.01)
    assert (found > 1.0001).mean() == pytest.approx(0.01, abs=0.002)
    far = detect(rng.normal(4, 1, (100, 5)), scaled(fit_detector(cells, strangers, 0.003), known))
    assert (far > 1).all()


def test_the_worse_of_distance_and_detector_counts():
    near, far = np.array([0.2, 3.0]), np.array([2.0, 0.1])
    np.testing.assert_allclose(novelty_of([near, near], [far[:, None], far[:, None]]), [2.0, 3.0])
    np.testing.assert_allclose(novelty_of([near, far], []), [1.1, 1.55])


def test_drawn_strangers_are_refused_and_drawn_cells_are_not(first: Ensemble, trained_home: Path):
    cells = open_dataset(Workspace(trained_home), "demo").images
    assert first.predict(cells).recognised.mean() > 0.85
    flower = photograph("flower")
    made = [make_out_of_distribution(k, cells[:80], 20, 9, flower) for k in OUT_OF_DISTRIBUTION]
    assert 1 - first.predict(np.concatenate(made)).recognised.mean() > 0.6


def test_an_ensemble_without_detectors_still_works(trained_home: Path, tmp_path: Path):
    folder = tmp_path / "first"
    shutil.copytree(trained_home / "ensembles" / "first", folder)
    info = json.loads((folder / "ensemble.json").read_text())
    del info["checksum"]
    del info["members"][0]["detector"]
    (folder / "ensemble.json").write_text(json.dumps(info))
    old = open_ensemble(Workspace(tmp_path), str(folder))
    images = open_dataset(Workspace(trained_home), "demo").images[:4]
    assert old.predict(images).novelty.shape == (4,)


def with_detector(home: Path, tmp_path: Path, detector: np.ndarray) -> Path:
    """The first ensemble with another detector, as its files would be if it were composed so."""
    folder = tmp_path / "first"
    shutil.copytree(home / "ensembles" / "first", folder)
    np.save(folder / "members" / "tiny.detector.npy", detector)
    info = json.loads((folder / "ensemble.json").read_text())
    del info["checksum"]
    content = (folder / "members" / "tiny.detector.npy").read_bytes()
    info["files"]["members/tiny.detector.npy"] = hashlib.sha256(content).hexdigest()
    (folder / "ensemble.json").write_text(json.dumps(info))
    return folder


def test_a_detector_of_another_length_is_refused(trained_home: Path, tmp_path: Path):
    folder = with_detector(trained_home, tmp_path, np.zeros(3, np.float32))
    with pytest.raises(BadInput, match="expected 257 numbers"):
        open_ensemble(Workspace(tmp_path), str(folder))


def test_a_detector_of_before_textures_looks_at_the_features_alone(
    trained_home: Path, tmp_path: Path
):
    # Only the constant counts, so every image is strange by the same number.
    detector = np.zeros(65, np.float32)
    detector[-1] = 7.0
    old = open_ensemble(Workspace(tmp_path), str(with_detector(trained_home, tmp_path, detector)))
    images = open_dataset(Workspace(trained_home), "demo").images[:4]
    np.testing.assert_allclose(old.predict(images).novelty, 7.0)


def test_the_detector_learns_from_textures_too(trained_home: Path):
    first = open_ensemble(Workspace(trained_home), "first")
    (detector,) = first._detectors
    assert detector.shape == (1, 257)
    assert np.abs(detector[0, 64:-1]).max() > 0
