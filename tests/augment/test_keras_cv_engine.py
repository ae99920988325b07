"""keras-cv as the engine: what it can carry out, and that a batch comes from its seed alone."""

import json
from pathlib import Path

import numpy as np
import pytest

from bloodcell.augment import CATALOGUE, PRESETS, Policy, Step, augmenter, save_policy, step
from bloodcell.augment.apply import Augment
from bloodcell.augment.keras_cv_engine import (
    DIFFERENCES,
    keras_cv_layers,
    missing_steps,
    refuse_missing,
)
from bloodcell.cli import app
from bloodcell.data.pipeline import TrainingBatches
from bloodcell.data.store.dataset import open_dataset
from bloodcell.errors import BadInput
from bloodcell.runs.launch import prepare
from bloodcell.runs.run import Run
from bloodcell.training.config import make_config
from bloodcell.workspace import Workspace

SIDE = 32
LABELS = np.eye(8, dtype=np.float32)[np.arange(12) % 8]
# Quick to trace, and with all kinds of draws: of the generator, a factor, gamma, a permutation.
QUICK = Policy(
    "quick",
    (
        step("flip"),
        step("hue", 0.5, angle=20),
        step("gaussian_noise", 0.5, sigma=9),
        step("cutmix", 0.5, alpha=1.0),
        step("mixup", 0.5, alpha=0.2),
    ),
)


# Those with limits of their own at the strongest and the weakest, too: a trace takes a second.
STRENGTHS = [
    *((key, 1) for key in CATALOGUE if missing_steps(Policy("", (step(key),))) == []),
    *((key, 100) for key in ("rotation", "zoom", "crop", "hue", "saturation", "defocus", "jpeg")),
    *((key, 0.01) for key in ("crop", "resize", "defocus")),
]


def cells(n: int = 12) -> np.ndarray:
    y, x = np.mgrid[:SIDE, :SIDE] - (SIDE - 1) / 2
    grain = np.random.default_rng(0).normal(0, 6, (n, SIDE, SIDE, 3))
    cell = np.where((x**2 + y**2 < 100)[..., None], (120, 70, 150), (245, 225, 200))
    return np.clip(cell + grain, 0, 255).astype(np.uint8)


def test_the_forerunners_policy_is_carried_out_whole():
    assert missing_steps(PRESETS["bloodcellcnn"]) == []
    refuse_missing(PRESETS["bloodcellcnn"])


def test_a_policy_with_a_step_that_it_lacks_is_refused_and_never_cut_short():
    policy = Policy("mine", (step("flip"), step("stain"), step("resize", blocks=0.5)))
    sentence = r"policy mine .*step 2, Stain jitter; step 3, Loss of resolution with pixels left"
    with pytest.raises(BadInput, match=sentence):
        augmenter(policy, "keras-cv")


def test_a_step_that_does_nothing_is_no_reason_to_refuse():
    off = Policy("off", (step("stain", 0.0), step("tint", amount=0.0, tint=0.3)))
    assert missing_steps(off) == []


def test_a_run_whose_policy_it_lacks_is_refused_before_it_is_made(demo_copy: Path):
    workspace = Workspace(demo_copy)
    config = make_config("demo", backbone="tiny", augment_engine="keras-cv", policy="gentle")
    with pytest.raises(BadInput, match=r"gentle .*Quarter turns.*bloodcellcnn"):
        prepare(workspace, config)
    assert workspace.names("runs") == []


def test_what_differs_is_said_of_augmentations_that_there_are():
    assert set(DIFFERENCES) <= set(CATALOGUE)


@pytest.fixture(scope="module")
def installed() -> None:
    pytest.importorskip("keras_cv", reason="keras-cv is not installed")


@pytest.fixture(scope="module")
def quick(installed: None) -> Augment:
    return augmenter(QUICK, "keras-cv")


@pytest.mark.slow
@pytest.mark.usefixtures("installed")
class TestCarriedOut:
    def test_every_augmentation_has_a_layer_or_is_missing(self):
        library = keras_cv_layers(SIDE, SIDE)
        for key, augmentation in CATALOGUE.items():
            alone = Policy(key, (Step(key, 1.0, augmentation.defaults()),))
            assert (key in library) == (missing_steps(alone) == [])

    def test_a_severity_below_the_least_of_its_layer_is_that_least(self):
        (layer,) = keras_cv_layers(SIDE, SIDE)["augmix"]({"severity": 0.001})
        assert layer.severity == 0.01

    @pytest.mark.parametrize(("key", "share"), STRENGTHS)
    def test_each_gives_cells_of_0_to_255_at_any_strength(self, key: str, share: float):
        parameters = CATALOGUE[key].scaled({}, share)
        if key == "resize":
            parameters["blocks"] = 0.0
        if key == "zoom":
            parameters["shrink"] = min(parameters["shrink"], 1 - parameters["amount"])
        if key == "randaugment":
            # drawn from ten kinds of operation, each takes seconds to trace
            parameters["operations"] = 1
        alone = Policy(key, (Step(key, 1.0, parameters),))
        augment = augmenter(alone, "keras-cv")
        given = cells()
        images, labels = augment(given, LABELS, np.random.default_rng(0))
        assert images.dtype == np.uint8
        assert images.shape == given.shape
        assert labels.dtype == np.float32
        np.testing.assert_allclose(labels.sum(1), 1, atol=1e-5)
        # of a layer that takes 0–255 for 0–1, or the other way round, no cell is left
        if share == 1:
            assert images.std((1, 2)).mean() > 10
            assert 40 < images.mean() < 240

    def test_a_batch_comes_from_the_state_of_the_generator_alone(self, quick: Augment):
        first = quick(cells(), LABELS, np.random.default_rng(3))
        quick(cells(), LABELS, np.random.default_rng(4))
        again = quick(cells(), LABELS, np.random.default_rng(3))
        anew = augmenter(QUICK, "keras-cv")(cells(), LABELS, np.random.default_rng(3))
        for a, b, c in zip(first, again, anew, strict=True):
            np.testing.assert_array_equal(a, b)
            np.testing.assert_array_equal(a, c)
        other = quick(cells(), LABELS, np.random.default_rng(4))
        assert not np.array_equal(first[0], other[0])

    def test_the_images_of_a_batch_are_drawn_apart(self, quick: Augment):
        same = np.repeat(cells(1), 12, 0)
        images, _ = quick(same, LABELS, np.random.default_rng(0))
        assert len({image.tobytes() for image in images}) > 6

    def test_images_and_labels_are_mixed_alike_and_labels_sum_to_1(self):
        mixup = augmenter(Policy("p", (step("mixup", alpha=1.0),)), "keras-cv")
        grey = np.arange(8, dtype=np.uint8) * 30
        flat = np.broadcast_to(grey[:, None, None, None], (8, SIDE, SIDE, 3)).copy()
        images, labels = mixup(flat, np.eye(8, dtype=np.float32), np.random.default_rng(0))
        np.testing.assert_allclose(labels.sum(1), 1, atol=1e-5)
        assert ((labels > 0.01) & (labels < 0.99)).any()
        np.testing.assert_allclose(images.mean((1, 2, 3)), labels @ grey.astype(float), atol=0.51)

    def test_an_alpha_so_small_that_its_beta_is_no_number_leaves_a_cell_as_it_is(self):
        mixup = augmenter(Policy("p", (step("mixup", alpha=0.001),)), "keras-cv")
        images, labels = mixup(cells(), LABELS, np.random.default_rng(0))
        np.testing.assert_allclose(labels.sum(1), 1, atol=1e-5)
        assert images.std((1, 2)).min() > 10

    def test_a_step_comes_as_often_as_its_probability_says(self):
        black = augmenter(Policy("p", (step("brightness", 0.25),)), "keras-cv")
        given = np.full((400, SIDE, SIDE, 3), 128, np.uint8)
        images, _ = black(given, np.eye(8, dtype=np.float32)[[0] * 400], np.random.default_rng(0))
        changed = (images != given).any((1, 2, 3)).sum()
        # 4.6 standard deviations; one in 50 of those changed stays at 128
        assert 60 < changed < 140

    def test_batches_and_a_batch_of_one_or_none(self, quick: Augment):
        for n in (0, 1, 5):
            images, labels = quick(cells()[:n], LABELS[:n], np.random.default_rng(0))
            assert images.shape == (n, SIDE, SIDE, 3)
            assert labels.shape == (n, 8)

    def test_two_threads_read_the_batches_of_an_epoch_as_one_does(self, demo_home: Path):
        dataset = open_dataset(Workspace(demo_home), "demo")
        ones = np.ones(len(dataset), np.float32)
        every = np.arange(40)
        make = TrainingBatches(
            dataset, every, dataset.labels, ones, QUICK, 8, SIDE, seed=3, engine="keras-cv"
        )
        alone = [make.reader(2)(b) for b in range(5)]
        for one, both in zip(alone[1:], make.epoch(2, start=1), strict=True):
            for a, b in zip(one, both, strict=True):
                np.testing.assert_array_equal(a, b.numpy())

    def test_a_run_is_trained_so_and_says_so(self, demo_copy: Path, capsys):
        save_policy(Workspace(demo_copy), Policy("turned", (step("flip"),)))
        model = "--backbone tiny --weights none --input-size 32 --epochs 1 --batch-size 64"
        options = f"{model} --policy turned --augment-engine keras-cv --json".split()
        arguments = ["--home", str(demo_copy), "train", "--dataset", "demo", *options]
        app(arguments, standalone_mode=False)
        found = json.loads(capsys.readouterr().out)
        assert found["state"] == "finished"
        run = Run(Workspace(demo_copy).runs / found["id"])
        assert run.config().augment_engine == "keras-cv"
        assert '"augment_engine": "keras-cv"' in (run.path / "config.json").read_text("utf-8")
