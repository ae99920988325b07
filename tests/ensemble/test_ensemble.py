"""Several classifiers, one calibrated answer."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from bloodcell.data.split import make_split
from bloodcell.data.store.dataset import Dataset, open_dataset
from bloodcell.data.synthetic.demo import make_demo
from bloodcell.data.synthetic.drawing.draw import draw_foreign
from bloodcell.ensemble.bundle import Bundle
from bloodcell.ensemble.compose import compose
from bloodcell.ensemble.ensemble import VIEWS, Ensemble, open_ensemble, run_members
from bloodcell.ensemble.novelty import neighbour_distance, unit
from bloodcell.errors import BadInput, NameTaken
from bloodcell.models.litert import LiteModel
from bloodcell.runs.launch import prepare
from bloodcell.runs.run import Run, create_run, list_runs
from bloodcell.workspace import Workspace


@pytest.fixture(scope="module")
def first(trained_home: Path) -> Ensemble:
    return open_ensemble(Workspace(trained_home), "first")


@pytest.fixture(scope="module")
def demo(trained_home: Path) -> Dataset:
    return open_dataset(Workspace(trained_home), "demo")


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> np.ndarray:
    """240 drawn cells that nobody was trained on."""
    workspace = Workspace(tmp_path_factory.mktemp("fresh"))
    return make_demo(workspace, "fresh", per_class=30, size=48, seed=9).images[:]


def twin(workspace: Workspace, mirrored: bool = True) -> Run:
    """A second finished run: the first one's folder under another id."""
    (run,) = list_runs(workspace)
    copied = workspace.runs / f"{run.id}-twin"
    shutil.copytree(run.path, copied)
    return Run(copied)


def test_rows_sum_to_one_and_everything_has_its_shape(first: Ensemble, fresh: np.ndarray):
    found = first.predict(fresh[:50])
    np.testing.assert_allclose(found.probabilities.sum(1), 1, atol=1e-9)
    assert (found.probabilities >= 0).all()
    assert found.probabilities.shape == (50, 8)
    assert found.members.shape == (1, 50, 8)
    assert found.prediction_sets.shape == (50, 8)
    assert found.prediction_sets.dtype == found.recognised.dtype == bool
    assert found.novelty.shape == (50,)
    assert found.maps[0].shape == (50, 6, 6, 8)
    assert (found.labels == found.probabilities.argmax(1)).all()


def test_calibration_changes_how_sure_it_is_and_not_what_it_says(first, fresh):
    found = first.predict(fresh)
    assert (found.labels == found.members[0].argmax(1)).all()
    power = found.members[0].astype(float) ** (1 / first.description.temperature)
    wanted = power / power.sum(1, keepdims=True)
    np.testing.assert_allclose(found.probabilities, wanted, atol=1e-4)


def test_an_answer_does_not_depend_on_the_company(first: Ensemble, fresh: np.ndarray):
    together = first.predict(fresh[:40])
    alone = [first.predict(fresh[i : i + 1]) for i in range(40)]
    np.testing.assert_allclose(
        np.concatenate([a.probabilities for a in alone]), together.probabilities, atol=1e-6
    )
    np.testing.assert_allclose(
        np.concatenate([a.novelty for a in alone]), together.novelty, rtol=1e-3, atol=1e-4
    )


def test_no_image_is_no_error(first: Ensemble):
    found = first.predict(np.zeros((0, 48, 48, 3), np.uint8))
    assert found.probabilities.shape == (0, 8)
    assert found.members.shape == (1, 0, 8)
    assert len(found.maps) == 1


def test_turned_and_flipped_answers_are_averaged_before_calibration(first, fresh):
    images = fresh[:5]
    model = first.models[0]
    by_hand = np.mean(
        [
            model(np.ascontiguousarray(np.rot90(base, turns, axes=(1, 2)))).probabilities
            for base in (images, images[:, :, ::-1])
            for turns in range(4)
        ],
        axis=0,
    )
    found = first.predict(images, tta=True)
    np.testing.assert_allclose(found.members[0], by_hand, atol=1e-6)
    plain = first.predict(images, tta=False)
    assert np.abs(found.members - plain.members).max() > 1e-4
    np.testing.assert_array_equal(found.novelty, plain.novelty)


def test_the_eight_views_are_eight_different_ones_and_the_first_is_the_image():
    image = np.arange(48).reshape(1, 4, 4, 3)
    views = [np.rot90(image[:, :, ::-1] if f else image, t, axes=(1, 2)) for t, f in VIEWS]
    assert len({v.tobytes() for v in views}) == 8
    assert np.array_equal(views[0], image)


def test_with_averaged_views_a_turned_image_gets_the_same_answer(first, fresh):
    images = fresh[:4]
    turned = np.ascontiguousarray(np.rot90(images, 1, axes=(1, 2)))
    a, b = first.predict(images, tta=True), first.predict(turned, tta=True)
    np.testing.assert_allclose(a.probabilities, b.probabilities, atol=1e-4)


def test_progress_counts_every_image(first: Ensemble, fresh: np.ndarray):
    told = []
    first.predict(fresh[:70], progress=lambda *a: told.append(a[:2]))
    assert told == [(32, 70), (64, 70), (70, 70)]


def test_weights_are_those_of_the_average(home: Path, fresh: np.ndarray):
    workspace = Workspace(home)
    runs = [*list_runs(workspace), twin(workspace)]
    # A different second opinion: the same network with its classes in another order.
    equal = open_ensemble(workspace, compose(workspace, runs, "equal").name)
    uneven = open_ensemble(workspace, compose(workspace, runs, "uneven", weights=[3, 1]).name)
    assert [m.weight for m in uneven.description.members] == [0.75, 0.25]
    assert [m.weight for m in equal.description.members] == [0.5, 0.5]
    raw = run_members(uneven.models, fresh[:6], tta=False)
    raw.probabilities[1] = np.roll(raw.probabilities[1], 3, axis=1)
    mean = 0.75 * raw.probabilities[0] + 0.25 * raw.probabilities[1]
    power = mean.astype(float) ** (1 / uneven.description.temperature)
    wanted = power / power.sum(1, keepdims=True)
    np.testing.assert_allclose(uneven.calibrate(raw).probabilities, wanted, atol=1e-4)


def test_two_members_of_one_backbone_have_two_names(home: Path):
    workspace = Workspace(home)
    path = compose(workspace, [*list_runs(workspace), twin(workspace)], "both")
    names = [m.name for m in Bundle(path).description.members]
    assert names == ["tiny", "tiny-2"]
    assert sorted(p.name for p in (path / "members").glob("*.tflite")) == [
        "tiny-2.tflite",
        "tiny.tflite",
    ]


def test_what_it_saw_is_training_and_validation_and_nothing_of_the_test(first, demo):
    split = make_split(demo)
    seen = set(first.seen())
    used = np.concatenate([split.indices("train"), split.indices("validation")])
    assert seen == set(demo.hashes[used])
    assert not seen & set(demo.hashes[split.indices("test")])


def test_thresholds_keep_what_they_promise_on_validation(first, demo):
    split = make_split(demo)
    rows = split.indices("validation")
    found = first.predict(demo.images[rows])
    assert found.recognised.mean() >= 0.99
    covered = found.prediction_sets[np.arange(len(rows)), demo.labels[rows]]
    assert covered.mean() >= 0.95


def test_cells_are_recognised_and_other_pictures_are_not(first, fresh):
    rng = np.random.default_rng(0)
    others = {
        "noise": rng.integers(0, 256, (60, 48, 48, 3), dtype=np.uint8),
        "drawn foreign": np.stack([draw_foreign(np.random.default_rng(i), 48) for i in range(60)]),
        "black": np.zeros((1, 48, 48, 3), np.uint8),
        "white": np.full((1, 48, 48, 3), 255, np.uint8),
    }
    # The threshold is the highest novelty of the 16 validation cells: a coarse quantile.
    assert first.predict(fresh).recognised.mean() >= 0.85
    shares = {name: first.predict(images).recognised.mean() for name, images in others.items()}
    assert shares["noise"] <= 0.05, shares
    assert shares["drawn foreign"] <= 0.1, shares
    assert shares["black"] == shares["white"] == 0, shares


def test_distance_is_that_to_the_kth_neighbour():
    rng = np.random.default_rng(0)
    reference = unit(rng.normal(size=(30, 5)))
    features = rng.normal(size=(7, 5)) * 9
    by_hand = np.sort(1 - unit(features) @ reference.T, axis=1)[:, 3]
    np.testing.assert_allclose(neighbour_distance(features, reference, 4), by_hand, atol=1e-6)
    np.testing.assert_allclose(neighbour_distance(reference, reference, 1), 0, atol=1e-6)
    assert neighbour_distance(features, reference[:2], 10).shape == (7,)
    assert np.isfinite(neighbour_distance(np.zeros((1, 5)), reference, 4)).all()


class TestComposing:
    def test_an_unfinished_run_is_refused(self, home: Path):
        workspace = Workspace(home)
        (run,) = list_runs(workspace)
        waiting = prepare(workspace, run.config())
        with pytest.raises(BadInput, match=rf"{waiting.id} is queued, expected finished"):
            compose(workspace, [waiting], "second")

    def test_a_run_without_its_model_is_refused(self, home: Path):
        workspace = Workspace(home)
        (run,) = list_runs(workspace)
        run.litert_path.unlink()
        with pytest.raises(BadInput, match="expected finished"):
            compose(workspace, [run], "second")

    def test_runs_on_different_images_are_refused(self, home: Path):
        workspace = Workspace(home)
        other = twin(workspace)
        record = {**other.record(), "dataset_fingerprint": "0" * 64}
        other.config_path.write_text(json.dumps(record))
        runs = list_runs(workspace)
        with pytest.raises(BadInput, match="trained on different images"):
            compose(workspace, runs, "second")

    def test_a_dataset_changed_since_is_refused(self, home: Path):
        workspace = Workspace(home)
        open_dataset(workspace, "demo").curation.exclude([3], "x")
        with pytest.raises(BadInput, match="was changed since"):
            compose(workspace, list_runs(workspace), "second")

    def test_a_run_divided_by_another_version_is_refused(self, home: Path):
        workspace = Workspace(home)
        (run,) = list_runs(workspace)
        arrays = dict(np.load(run.predictions_path))
        arrays["test_ids"] = arrays["test_ids"][::-1]
        np.savez(run.predictions_path, **arrays)
        with pytest.raises(BadInput, match="another division"):
            compose(workspace, [run], "second")

    def test_a_taken_name_is_refused_and_the_old_one_is_unharmed(self, home: Path):
        workspace = Workspace(home)
        before = (home / "ensembles" / "first.zip").read_bytes()
        with pytest.raises(NameTaken):
            compose(workspace, list_runs(workspace), "first")
        assert (home / "ensembles" / "first.zip").read_bytes() == before

    def test_a_zip_that_somebody_put_there_is_not_overwritten(self, home: Path):
        workspace = Workspace(home)
        (home / "ensembles" / "colleague.zip").write_bytes(b"precious")
        with pytest.raises(NameTaken, match=r"colleague\.zip"):
            compose(workspace, list_runs(workspace), "colleague")
        assert (home / "ensembles" / "colleague.zip").read_bytes() == b"precious"

    @pytest.mark.parametrize("name", ["../x", "", "a/b"])
    def test_a_name_that_cannot_be_is_refused(self, home: Path, name: str):
        workspace = Workspace(home)
        with pytest.raises(BadInput):
            compose(workspace, list_runs(workspace), name)

    def test_a_dot_in_the_name_stays_in_the_zips_name(self, home: Path):
        workspace = Workspace(home)
        compose(workspace, list_runs(workspace), "v1.2")
        assert (home / "ensembles" / "v1.2.zip").is_file()
        assert open_ensemble(workspace, "v1.2.zip").name == "v1.2"

    def test_one_run_twice_is_refused(self, home: Path):
        workspace = Workspace(home)
        with pytest.raises(BadInput, match="named twice"):
            compose(workspace, list_runs(workspace) * 2, "second")

    def test_no_run_is_refused(self, home: Path):
        with pytest.raises(BadInput, match="at least one"):
            compose(Workspace(home), [], "second")

    @pytest.mark.parametrize(
        "weights", [[], [1, 2], [-1], [0], [float("nan")], [float("inf")]], ids=str
    )
    def test_weights_that_do_not_fit_are_refused(self, home: Path, weights):
        workspace = Workspace(home)
        with pytest.raises(BadInput, match="do not fit 1 runs"):
            compose(workspace, list_runs(workspace), "second", weights=weights)

    def test_whatever_is_refused_nothing_is_left(self, home: Path):
        workspace = Workspace(home)
        (run,) = list_runs(workspace)
        run.litert_path.write_bytes(b"x" * 100)
        with pytest.raises(BadInput, match=r"model\.tflite is damaged"):
            compose(workspace, [run], "second")
        run.write_checksums()
        with pytest.raises(BadInput, match="is not a LiteRT model"):
            compose(workspace, [run], "second")
        assert sorted(p.name for p in (home / "ensembles").iterdir()) == ["first", "first.zip"]

    def test_members_of_two_input_sizes_and_split_seeds_fit_together(self, home: Path):
        """A second member that was shown 32 pixels, with the split of the first."""
        from bloodcell.models.classifier import build_classifier
        from bloodcell.models.export import export_litert

        workspace = Workspace(home)
        (run,) = list_runs(workspace)
        config = {**run.config().to_json(), "input_size": 32}
        small = create_run(
            workspace, type(run.config()).from_json(config), {**run.record(), "config": config}
        )
        export_litert(build_classifier("tiny", 32), small.litert_path)
        small.status_path.write_text(run.status_path.read_text())
        path = compose(workspace, [run, small], "mixed")
        found = Bundle(path).description
        assert found.input_size == 48
        assert [m.input_size for m in found.members] == [48, 32]
        found = open_ensemble(workspace, "mixed").predict(np.zeros((2, 48, 48, 3), np.uint8))
        assert found.members.shape == (2, 2, 8)

    def test_a_member_is_the_runs_file_byte_by_byte(self, home: Path):
        workspace = Workspace(home)
        (run,) = list_runs(workspace)
        packed = home / "ensembles" / "first" / "members" / "tiny.tflite"
        assert packed.read_bytes() == run.litert_path.read_bytes()
        assert LiteModel(packed.read_bytes(), "tiny").size == 48
