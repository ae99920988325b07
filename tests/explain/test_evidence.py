"""Evidence is where a network really looks: the sanity checks of maps.

Adebayo et al., "Sanity checks for saliency maps", NeurIPS 2018; Petsiuk et al., "RISE", 2018.
"""

import zipfile
from pathlib import Path

import numpy as np
import pytest

from bloodcell.data.imaging.decode import decode_image, fit
from bloodcell.data.imaging.resize import resized
from bloodcell.data.store.dataset import Dataset, open_dataset, pixel_hash
from bloodcell.ensemble.ensemble import Ensemble, open_ensemble
from bloodcell.explain import deletion, find_evidence, occlusion_maps, random_map
from bloodcell.explain.evidence import PASSES, Classifier, hide, parts_of
from bloodcell.models.litert import LiteModel
from bloodcell.workspace import Workspace

REFERENCE = Path(__file__).parents[2] / "artifacts" / "ensembles" / "reference"


def classifier_of(model: LiteModel) -> Classifier:
    return lambda images: model(resized(images, model.size)).probabilities


def seen_in(corner: slice) -> Classifier:
    """A network that calls dark pixels in a corner class 3."""

    def classify(images: np.ndarray) -> np.ndarray:
        dark = (images[:, corner, corner].mean((1, 2, 3)) < 150).astype(float)
        p = np.full((len(images), 8), 0.02)
        p[:, 3] = 0.05 + 0.8 * dark
        return p / p.sum(1, keepdims=True)

    return classify


@pytest.fixture(scope="module")
def trained(trained_home: Path) -> tuple[Ensemble, Dataset]:
    workspace = Workspace(trained_home)
    return open_ensemble(workspace, "first"), open_dataset(workspace, "demo")


def test_what_the_answer_depends_on_is_marked():
    image = np.full((48, 48, 3), 230, np.uint8)
    image[32:, 32:] = 60
    found = occlusion_maps(seen_in(slice(32, 48)), image)[..., 3]
    assert found.shape == (48, 48)
    assert found[34:46, 34:46].mean() > 3 * found[:24, :24].mean()
    row, column = np.unravel_index(found.argmax(), found.shape)
    assert row > 24
    assert column > 24


def test_a_network_that_looks_nowhere_has_no_evidence():
    image = np.random.default_rng(0).integers(0, 256, (48, 48, 3), dtype=np.uint8)
    found = occlusion_maps(lambda images: np.full((len(images), 8), 1 / 8), image)
    assert not found.any()


@pytest.mark.parametrize("size", [28, 48, 96])
def test_the_parts_cover_the_photograph(size: int):
    image = np.random.default_rng(1).integers(0, 256, (size, size, 3), dtype=np.uint8)
    parts = parts_of(image)
    assert parts.shape[1:] == (size, size)
    assert parts.min() >= 0
    assert parts.max() <= 1.001
    assert parts.sum(0).min() > 0.3
    assert len(parts) + 1 <= PASSES


def test_an_empty_photograph_is_no_trouble():
    image = np.full((32, 32, 3), 255, np.uint8)
    _, shown = hide(image)
    assert len(shown) <= PASSES
    assert np.array_equal(shown[0], shown[-1])


def test_the_map_has_at_least_12_by_12_places(trained):
    ensemble, dataset = trained
    found = find_evidence(ensemble, np.ascontiguousarray(dataset.images[0])).whole
    side = ensemble.size // 12
    means = found[: 12 * side, : 12 * side, 0].reshape(12, side, 12, side).mean((1, 3))
    assert len(np.unique(np.round(means, 6))) > 100


def test_one_member_is_the_whole_of_an_ensemble_of_one(trained):
    ensemble, dataset = trained
    found = find_evidence(ensemble, np.ascontiguousarray(dataset.images[3]))
    assert len(found.members) == 1
    assert np.allclose(found.whole, found.members[0], atol=1e-4)


def random_network(size: int, seed: int) -> Classifier:
    """The same network as the only member's before any training."""
    import keras

    from bloodcell.models.classifier import build_classifier

    keras.utils.set_random_seed(seed)
    model = build_classifier("tiny", size)
    return lambda images: np.asarray(model(resized(images, size), training=False))


@pytest.mark.slow
def test_random_weights_change_the_map(trained):
    ensemble, dataset = trained
    own = classifier_of(ensemble.models[0])
    # One that knows nothing may still react to the cell as a whole, for a class or against it:
    # only several show that its maps are none of the trained one.
    others = [random_network(ensemble.size, seed) for seed in range(8)]
    alike = []
    for i in range(0, len(dataset), 24):
        image = np.ascontiguousarray(dataset.images[i])
        label = int(own(image[None]).argmax())
        ranks = [
            occlusion_maps(c, image)[..., label].ravel().argsort().argsort() for c in (own, *others)
        ]
        alike.append(np.corrcoef(ranks)[0, 1:])
    assert np.mean(alike) < 0.5


def falls(own: Classifier, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Deletion scores of the map and of a map that knows nothing, an entry a cell."""
    by_map, at_random = [], []
    for i, image in enumerate(images):
        label = int(own(image[None]).argmax())
        found = occlusion_maps(own, image)[..., label]
        by_map.append(deletion(own, image, label, found))
        at_random.append(deletion(own, image, label, random_map(len(image), i)))
    return np.array(by_map), np.array(at_random)


def test_deleting_what_is_marked_costs_more_than_deleting_at_random(trained):
    ensemble, dataset = trained
    images = np.ascontiguousarray(dataset.images[::4])
    by_map, at_random = falls(classifier_of(ensemble.models[0]), images)
    assert by_map.mean() < at_random.mean()
    assert (by_map < at_random).mean() > 0.6


@pytest.mark.slow
@pytest.mark.realdata
def test_so_it_is_on_photographs_with_the_reference(shared: Path):
    if not (REFERENCE / "ensemble.json").is_file():
        pytest.skip("there is no reference ensemble in artifacts/ensembles")
    ensemble = open_ensemble(Workspace(REFERENCE.parents[1]), "reference")
    seen, images = set(ensemble.seen()), []
    with zipfile.ZipFile(shared / "pbc96.zip") as photographs:
        for name in sorted(n for n in photographs.namelist() if n.endswith(".jpg"))[::37]:
            image = decode_image(photographs.read(name), name)
            if pixel_hash(image) not in seen:
                images.append(fit(image, ensemble.size))
    assert len(images) > 30
    by_map, at_random = falls(classifier_of(ensemble.models[0]), np.stack(images))
    assert by_map.mean() < 0.8 * at_random.mean()
    # By chance three quarters of thirty cells come about once in 250 times.
    assert (by_map < at_random).mean() > 0.75
