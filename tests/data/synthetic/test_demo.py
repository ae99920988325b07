"""Drawn cells look like what they are called; drawn datasets hold exactly what they say."""

from dataclasses import FrozenInstanceError, asdict
from itertools import combinations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from bloodcell.classes import CLASS_NAMES
from bloodcell.data.store.dataset import pixel_hash
from bloodcell.data.synthetic.demo import Faults, make_demo
from bloodcell.data.synthetic.drawing.draw import draw_cell, draw_field, draw_foreign
from bloodcell.errors import BadInput, NameTaken, Stopped
from bloodcell.workspace import Workspace

DRAWN_PER_CLASS = 40
FAULTS = Faults(copies=5, conflicting=4, repeated=6, foreign=7, wrong_labels=3)


def cell(name: str, seed: int = 0, size: int = 96) -> np.ndarray:
    return draw_cell(CLASS_NAMES.index(name), np.random.default_rng(seed), size)


def traits(image: np.ndarray) -> dict[str, float]:
    """What one would measure in a smear with a ruler and a colour chart."""
    rgb = image.astype(np.float32)
    n = len(rgb)
    y, x = np.mgrid[:n, :n] / (n - 1) - 0.5
    light = rgb.mean(2)
    middle = np.hypot(x, y) < 0.25
    dark = (rgb[..., 1] < 95) & (np.hypot(x, y) < 0.46)
    stained = light < np.percentile(light, 90) - 25
    near_dark = cv2.dilate(dark.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
    cytoplasm = middle & stained & ~near_dark
    red, green, blue = rgb[cytoplasm if cytoplasm.sum() > 4 else middle & stained].mean(0)
    points = np.argwhere(dark)[:, ::-1].astype(np.int32) if dark.any() else np.zeros((1, 2), int)
    hull = cv2.contourArea(cv2.convexHull(points.astype(np.int32))) + 1
    fine = light - cv2.GaussianBlur(light, (0, 0), 1.5)
    return {
        "dark area": dark.mean(),
        "dark share of the middle": (dark & middle).sum() / (stained & middle).sum(),
        "solidity": dark.sum() / hull,
        "redness": red - blue,
        "blueness": blue - green,
        "grain": fine[middle & stained].std(),
        "reach": np.hypot(x, y)[dark].max(initial=0),
        "stained middle": (stained & middle).sum() / middle.sum(),
    }


@pytest.fixture(scope="module")
def drawn() -> dict[str, list[np.ndarray]]:
    return {
        name: [draw_cell(label, np.random.default_rng([5, i])) for i in range(DRAWN_PER_CLASS)]
        for label, name in enumerate(CLASS_NAMES)
    }


@pytest.fixture(scope="module")
def measured(drawn) -> dict[str, dict[str, np.ndarray]]:
    table = {}
    for name, images in drawn.items():
        rows = [traits(image) for image in images]
        table[name] = {key: np.array([row[key] for row in rows]) for key in rows[0]}
    return table


def median(measured, name: str, trait: str) -> float:
    return float(np.median(measured[name][trait]))


class TestACell:
    @settings(max_examples=40, deadline=None)
    @given(label=st.integers(0, 7), size=st.integers(28, 224), seed=st.integers(0, 2**32 - 1))
    def test_is_a_picture_of_the_size_asked_for(self, label, size, seed):
        image = draw_cell(label, np.random.default_rng(seed), size)
        assert image.shape == (size, size, 3)
        assert image.dtype == np.uint8
        assert image.flags.c_contiguous
        # Plasma is near white and a stained granule is dark, in every picture.
        assert image.max() > 200
        assert image[..., 1].min() < 140

    @settings(max_examples=16, deadline=None)
    @given(label=st.integers(0, 7), size=st.integers(28, 224), seed=st.integers(0, 2**32 - 1))
    def test_is_the_same_for_the_same_random_state(self, label, size, seed):
        first = draw_cell(label, np.random.default_rng(seed), size)
        assert np.array_equal(first, draw_cell(label, np.random.default_rng(seed), size))

    def test_differs_from_seed_to_seed(self, drawn):
        for images in drawn.values():
            assert len({pixel_hash(image) for image in images}) == len(images)

    def test_neither_reads_nor_moves_numpys_global_state(self):
        np.random.seed(1)
        first = cell("monocyte")
        after_drawing = np.random.random()
        np.random.seed(1)
        assert np.random.random() == after_drawing
        assert np.array_equal(first, cell("monocyte"))

    @pytest.mark.parametrize("name", CLASS_NAMES)
    def test_is_one_picture_at_every_resolution(self, name):
        large = cv2.resize(cell(name, 3, 192), (96, 96), interpolation=cv2.INTER_AREA).astype(int)
        assert np.abs(large - cell(name, 3, 96)).mean() < 5
        assert np.abs(large - cell(name, 4, 96)).mean() > 10

    @pytest.mark.parametrize("label", [-1, 8])
    def test_of_no_known_class_is_refused(self, label):
        with pytest.raises(BadInput, match=f"{label}.*0 to 7"):
            draw_cell(label, np.random.default_rng(0))


class TestTheEightKinds:
    def test_a_platelet_has_the_least_dark_area(self, measured):
        areas = {name: median(measured, name, "dark area") for name in CLASS_NAMES}
        assert min(areas, key=areas.get) == "platelet"
        assert 2 * areas["platelet"] < sorted(areas.values())[1]

    def test_an_eosinophil_is_the_reddest(self, measured):
        redness = {name: median(measured, name, "redness") for name in CLASS_NAMES}
        assert max(redness, key=redness.get) == "eosinophil"
        assert redness["eosinophil"] > redness["neutrophil"] + 10

    def test_the_cytoplasm_of_lymphocytes_and_monocytes_is_bluer_than_of_neutrophils(
        self, measured
    ):
        for name in ("lymphocyte", "monocyte"):
            assert median(measured, name, "blueness") > median(measured, "neutrophil", "blueness")

    def test_the_nucleus_fills_a_lymphocyte_more_than_a_neutrophil_or_an_erythroblast(
        self, measured
    ):
        share = "dark share of the middle"
        for name in ("neutrophil", "erythroblast"):
            assert median(measured, "lymphocyte", share) > median(measured, name, share) + 0.1

    def test_round_nuclei_are_more_solid_than_lobed_ones(self, measured):
        for compact in ("lymphocyte", "erythroblast"):
            for lobed in ("neutrophil", "eosinophil"):
                assert median(measured, compact, "solidity") > median(measured, lobed, "solidity")

    def test_an_erythroblast_has_the_smallest_nucleus(self, measured):
        for name in set(CLASS_NAMES) - {"erythroblast", "platelet"}:
            assert median(measured, name, "dark area") > median(
                measured, "erythroblast", "dark area"
            )

    def test_a_basophil_is_coarser_than_a_lymphocyte_or_a_monocyte(self, measured):
        for name in ("lymphocyte", "monocyte"):
            assert median(measured, "basophil", "grain") > median(measured, name, "grain")

    def test_a_monocyte_and_an_immature_granulocyte_are_larger_than_a_lymphocyte(self, measured):
        for name in ("monocyte", "immature_granulocyte"):
            assert median(measured, name, "reach") > median(measured, "lymphocyte", "reach")

    @pytest.mark.parametrize(("one", "other"), list(combinations(CLASS_NAMES, 2)))
    def test_each_differs_from_each_other_in_some_trait(self, measured, one, other):
        truth = np.repeat([0, 1], DRAWN_PER_CLASS)
        areas = [
            roc_auc_score(truth, np.concatenate([measured[one][trait], measured[other][trait]]))
            for trait in measured[one]
        ]
        assert max(max(area, 1 - area) for area in areas) > 0.75

    def test_can_be_learned_but_not_from_the_mean_colour_alone(self, drawn, measured):
        labels = np.repeat(np.arange(8), DRAWN_PER_CLASS)
        colours = np.array([i.mean((0, 1)) for images in drawn.values() for i in images])
        shapes = np.concatenate([np.stack(list(t.values()), 1) for t in measured.values()])
        model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000))
        by_colour = cross_val_score(model, colours, labels, cv=4).mean()
        by_traits = cross_val_score(model, np.hstack([colours, shapes]), labels, cv=4).mean()
        assert by_colour < 0.7
        assert by_traits > 0.85


class TestOtherPictures:
    @settings(max_examples=30, deadline=None)
    @given(size=st.integers(28, 224), seed=st.integers(0, 2**32 - 1))
    def test_have_the_size_asked_for_and_repeat_with_the_random_state(self, size, seed):
        for draw in (draw_field, draw_foreign):
            image = draw(np.random.default_rng(seed), size)
            assert image.shape == (size, size, 3)
            assert image.dtype == np.uint8
            assert np.array_equal(image, draw(np.random.default_rng(seed), size))

    def test_a_field_has_red_cells_but_nothing_as_dark_as_a_nucleus_or_a_granule(self):
        for seed in range(40):
            image = draw_field(np.random.default_rng(seed))
            assert image[..., 1].min() > 120
            assert image.std() > 5

    def test_foreign_pictures_are_of_several_kinds_and_far_from_any_cell(self, drawn):
        foreign = [draw_foreign(np.random.default_rng(seed)) for seed in range(60)]
        assert len({pixel_hash(image) for image in foreign}) == len(foreign)
        cells = np.array([i.mean((0, 1)) for images in drawn.values() for i in images])
        strangers = np.array([i.mean((0, 1)) for i in foreign])
        assert strangers.std(0).min() > 2 * cells.std(0).max()


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    workspace = Workspace(tmp_path_factory.mktemp("home"))
    return make_demo(workspace, "demo", per_class=6, size=40, seed=9, faults=FAULTS)


class TestADemo:
    def test_holds_the_classes_in_turn(self, demo):
        assert len(demo) == 8 * 6 + FAULTS.total
        assert demo.images.shape == (len(demo), 40, 40, 3)
        assert demo.size == (40, 40)
        assert demo.labels[:48].tolist() == [i % 8 for i in range(48)]

    def test_says_where_it_comes_from(self, demo):
        assert demo.info["source"] == "drawn by bloodcell demo, seed 9"
        for index, label in enumerate(demo.labels):
            expected = f"{CLASS_NAMES[label]}/drawn_{index:06d}.png"
            assert demo.items["name"][index] == expected

    def test_draws_image_i_alike_however_many_there_are(self, demo, tmp_path):
        small = make_demo(Workspace(tmp_path), "small", per_class=2, size=40, seed=9)
        assert np.array_equal(small.images, demo.images[:16])
        assert np.array_equal(demo.images[11], draw_cell(3, np.random.default_rng([9, 11]), 40))

    def test_is_the_same_for_the_same_seed_and_another_for_another(self, demo, tmp_path):
        for seed in (9, 10):
            again = make_demo(
                Workspace(tmp_path), f"s{seed}", per_class=6, size=40, seed=seed, faults=FAULTS
            )
            assert (again.fingerprint == demo.fingerprint) == (seed == 9)
            assert np.array_equal(again.images, demo.images) == (seed == 9)

    def test_is_sound_where_nothing_was_planted(self, demo):
        assert len(set(demo.hashes[:48])) == 48

    def test_records_each_fault_at_its_index(self, demo):
        planted = demo.info["planted"]
        assert {kind: len(indices) for kind, indices in planted.items()} == asdict(FAULTS)
        everything = sorted(index for indices in planted.values() for index in indices)
        assert everything == list(range(48, len(demo)))

    def test_plants_copies_under_the_same_label(self, demo):
        originals = demo.info["planted_originals"]["copies"]
        copies = demo.info["planted"]["copies"]
        assert np.array_equal(demo.images[copies], demo.images[originals])
        assert demo.labels[copies].tolist() == demo.labels[originals].tolist()

    def test_plants_conflicting_copies_under_another_label(self, demo):
        originals = demo.info["planted_originals"]["conflicting"]
        copies = demo.info["planted"]["conflicting"]
        assert np.array_equal(demo.images[copies], demo.images[originals])
        assert (demo.labels[copies] != demo.labels[originals]).all()
        assert not set(originals) & set(demo.info["planted_originals"]["copies"])

    def test_repeats_one_foreign_picture_and_no_other(self, demo):
        planted = demo.info["planted"]
        (repeated,) = set(demo.hashes[planted["repeated"]])
        assert (demo.hashes == repeated).sum() == 6
        assert len(set(demo.hashes[planted["foreign"]])) == 7

    def test_gives_new_cells_a_wrong_label(self, demo):
        wrong = demo.info["planted"]["wrong_labels"]
        drawn_as = demo.info["planted_classes"]["wrong_labels"]
        assert len(drawn_as) == len(wrong)
        assert (demo.labels[wrong] != drawn_as).all()
        assert all((demo.hashes == digest).sum() == 1 for digest in demo.hashes[wrong])

    def test_has_no_faults_unless_asked(self, tmp_path):
        clean = make_demo(Workspace(tmp_path), "clean", per_class=1, size=28)
        assert len(clean) == 8
        assert not any(clean.info["planted"].values())

    def test_can_plant_more_copies_than_there_are_originals(self, tmp_path):
        faults = Faults(copies=20)
        demo = make_demo(Workspace(tmp_path), "many", per_class=1, size=28, faults=faults)
        assert len(demo) == 28
        assert len(set(demo.hashes)) == 8

    def test_tells_how_far_it_is(self, tmp_path):
        calls = []
        make_demo(
            Workspace(tmp_path),
            "demo",
            per_class=6,
            size=28,
            faults=Faults(foreign=30),
            progress=lambda *call: calls.append(call),
        )
        assert [total for _, total, _ in calls] == [78] * len(calls)
        done = [done for done, _, _ in calls]
        assert done == sorted(set(done))
        assert done[0] == 0
        assert done[-1] == 78

    @pytest.mark.parametrize("stop_at", [0, 32, 64])
    def test_leaves_nothing_behind_when_stopped(self, tmp_path, stop_at):
        def progress(done: int, total: int, what: str) -> None:
            if done >= stop_at:
                raise Stopped("asked to stop")

        workspace = Workspace(tmp_path)
        with pytest.raises(Stopped):
            make_demo(
                workspace,
                "demo",
                per_class=5,
                size=28,
                faults=Faults(foreign=40),
                progress=progress,
            )
        assert workspace.names("datasets") == []
        assert not any(path.is_file() for path in tmp_path.rglob("*"))

    def test_does_not_replace_a_dataset_of_that_name(self, tmp_path):
        workspace = Workspace(tmp_path)
        first = make_demo(workspace, "demo", per_class=1, size=28)
        with pytest.raises(NameTaken):
            make_demo(workspace, "demo", per_class=2, size=28, seed=5)
        assert make_demo(workspace, "other", per_class=1, size=28).fingerprint == first.fingerprint

    @pytest.mark.parametrize(
        "wrong", [{"per_class": 0}, {"size": 27}, {"size": 225}, {"seed": -1}], ids=str
    )
    def test_refuses_a_number_out_of_range_and_names_it(self, tmp_path, wrong):
        ((key, value),) = wrong.items()
        with pytest.raises(BadInput, match=f"{key} is {value}"):
            make_demo(Workspace(tmp_path), "demo", **wrong)
        assert list(tmp_path.iterdir()) == []


class TestFaults:
    def test_cannot_be_negative(self):
        with pytest.raises(BadInput, match="foreign=-1"):
            Faults(foreign=-1)

    def test_are_a_value(self):
        assert FAULTS.total == 25
        with pytest.raises(FrozenInstanceError):
            FAULTS.copies = 1
