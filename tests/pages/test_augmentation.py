"""The Augmentation page: edit a policy, preview it, save it."""

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from bloodcell.augment import (
    CATALOGUE,
    PRESETS,
    Policy,
    cautions,
    find_policy,
    policy_to_json,
    save_policy,
    step,
)
from bloodcell.augment.comparison import EngineResult, run_engines
from bloodcell.data.store.dataset import open_dataset
from bloodcell.data.synthetic.drawing.draw import draw_cell
from bloodcell.runs.run import list_runs
from bloodcell.ui.augmentation.cells import OWN, Cells, draw_cells
from bloodcell.ui.augmentation.engines import (
    describe_speeds,
    list_differences,
    list_trained_here,
)
from bloodcell.ui.augmentation.preview import (
    augment_cells,
    compute_strengths,
    describe_label,
    draw_cue,
    draw_strengths,
    draw_variants,
)
from bloodcell.ui.common.gallery import png_bytes
from bloodcell.workspace import Workspace

REPOSITORY = Path(__file__).parents[2]

Open = Callable[..., AppTest]


def texts(elements) -> str:
    return "\n".join(str(e.value) for e in elements)


def button(app: AppTest, label: str):
    return next(b for b in app.button if b.label == label)


def steps(app: AppTest) -> list:
    return app.session_state["policy_steps"]


def choose(app: AppTest, name: str) -> AppTest:
    return app.selectbox(key="policy_choice").set_value(name).run()


def link(app: AppTest):
    """The link to the Training page."""
    return next(e.proto for e in app.get("page_link"))


def bring(app: AppTest, name: str, text: str) -> AppTest:
    """The page after a file was dropped on Import."""
    uploader = next(u for u in app.get("file_uploader") if u.key == "policy_upload")
    uploader.set_value([(name, text.encode(), "application/json")])
    return app.run()


def opened(app: AppTest, place: int) -> AppTest:
    """The page with the step at `place` unfolded."""
    app.session_state[f"step_{steps(app)[place].number}_open"] = True
    return app.run()


class TestEditor:
    def test_begins_with_a_preset_on_synthetic_cells_when_there_is_nothing(
        self, tmp_path: Path, open_page: Open
    ):
        app = open_page(tmp_path, "augmentation")
        assert not app.exception
        assert [s.key for s in steps(app)] == [s.key for s in PRESETS["gentle"].steps]
        assert "Synthetic cells" in texts(app.caption)

    def test_offers_every_preset_and_what_was_saved(self, demo_copy: Path, open_page: Open):
        save_policy(Workspace(demo_copy), Policy("own", (step("zoom", 0.5, amount=0.12),)))
        app = open_page(demo_copy, "augmentation")
        assert app.selectbox(key="policy_choice").options == [*PRESETS, "own"]
        choose(app, "own")
        assert [(s.key, s.probability, s.parameters) for s in steps(app)] == [
            ("zoom", 0.5, {"amount": 0.12, "shrink": 0.0})
        ]

    def test_every_augmentation_has_a_widget_for_every_parameter(
        self, demo_copy: Path, open_page: Open
    ):
        everything = Policy("everything", tuple(step(key) for key in CATALOGUE))
        save_policy(Workspace(demo_copy), everything)
        app = choose(open_page(demo_copy, "augmentation"), "everything")
        for edited in steps(app):
            app.session_state[f"step_{edited.number}_open"] = True
        app.run()
        assert not app.exception
        for edited in steps(app):
            for p in CATALOGUE[edited.key].parameters:
                widgets = app.toggle if p.kind == "switch" else app.slider
                widget = widgets(key=f"step_{edited.number}_{p.key}")
                assert widget.value == p.default
                if p.kind != "switch":
                    assert (widget.min, widget.max) == (p.low, p.high)

    def test_adds_a_step_with_its_defaults(self, tmp_path: Path, open_page: Open):
        app = choose(open_page(tmp_path, "augmentation"), "none")
        assert "No steps" in texts(app.info)
        app.selectbox(key="step_to_add").set_value("defocus").run()
        button(app, "Add").click().run()
        assert not app.exception
        assert [(s.key, s.parameters) for s in steps(app)] == [
            ("defocus", CATALOGUE["defocus"].defaults())
        ]

    def test_moves_deletes_and_switches_off(self, tmp_path: Path, open_page: Open):
        app = opened(choose(open_page(tmp_path, "augmentation"), "gentle"), 0)
        first, second = (s.key for s in steps(app)[:2])
        button(app, "Move down").click().run()
        assert [s.key for s in steps(app)[:2]] == [second, first]
        app.toggle(key=f"step_{steps(app)[0].number}_on").set_value(False).run()
        assert not steps(app)[0].on
        assert "are not saved" in texts(app.caption)
        button(opened(app, 1), "Delete").click().run()
        assert first not in [s.key for s in steps(app)]
        assert "gentle was edited." in texts(app.caption)
        button(app, "Discard changes").click().run()
        assert len(steps(app)) == len(PRESETS["gentle"].steps)

    def test_warns_beyond_what_is_sensible_for_a_blood_cell(self, tmp_path: Path, open_page: Open):
        app = open_page(tmp_path, "augmentation")
        assert not app.warning
        place = [s.key for s in steps(app)].index("hue")
        opened(app, place)
        app.slider(key=f"step_{steps(app)[place].number}_angle").set_value(90.0).run()
        assert f"Step {place + 1} exceeds the recommended range" in texts(app.markdown)
        assert f"Step {place + 1}, Random hue" in texts(app.warning)
        assert "eosinophils from neutrophils" in texts(app.warning)

    def test_of_many_steps_that_are_too_strong_two_are_shown_and_the_others_folded(
        self, tmp_path: Path, open_page: Open
    ):
        app = open_page(tmp_path, "augmentation")
        choose(app, "lab-stain")
        many = len(cautions(PRESETS["lab-stain"]))
        (folded,) = [e for e in app.expander if "beyond the recommended" in e.label]
        assert folded.label == f"{many - 2} more steps beyond the recommended range"
        assert len(folded.warning) == many - 2
        assert len(app.warning) == many


class TestSaving:
    def test_saves_under_a_name_that_training_finds(self, demo_copy: Path, open_page: Open):
        app = choose(open_page(demo_copy, "augmentation"), "strong")
        app.text_input(key="policy_name").set_value("mine").run()
        button(app, "Save").click().run()
        assert not app.exception
        assert "Saved as mine" in texts(app.success)
        saved = find_policy(Workspace(demo_copy), "mine")
        assert saved.steps == PRESETS["strong"].steps
        assert app.selectbox(key="policy_choice").value == "mine"

    def test_a_preset_cannot_be_overwritten(self, demo_copy: Path, open_page: Open):
        app = open_page(demo_copy, "augmentation")
        app.text_input(key="policy_name").set_value("bloodcellcnn").run()
        button(app, "Save").click().run()
        assert "belongs to a preset" in texts(app.error)
        assert not Workspace(demo_copy).policies.exists()

    def test_a_saved_policy_is_overwritten_only_when_asked(self, demo_copy: Path, open_page: Open):
        workspace = Workspace(demo_copy)
        save_policy(workspace, Policy("mine", (step("flip"),)))
        app = open_page(demo_copy, "augmentation")
        app.text_input(key="policy_name").set_value("mine").run()
        button(app, "Save").click().run()
        assert "taken" in texts(app.error)
        assert len(find_policy(workspace, "mine").steps) == 1
        app.checkbox(key="policy_replace").set_value(True).run()
        button(app, "Save").click().run()
        assert find_policy(workspace, "mine").steps == PRESETS["gentle"].steps

    def test_a_deleted_policy_stays_in_the_editor_and_comes_back(
        self, demo_copy: Path, open_page: Open
    ):
        workspace = Workspace(demo_copy)
        mine = Policy("mine", (step("hue", angle=7.0),))
        save_policy(workspace, mine)
        app = choose(open_page(demo_copy, "augmentation"), "mine")
        app.text_input(key="policy_name").set_value("mine").run()
        app.button(key="policy_delete").click().run()
        assert not app.exception
        assert "Deleted mine" in texts(app.success)
        assert "mine" not in app.selectbox(key="policy_choice").options
        assert [s.key for s in steps(app)] == ["hue"]
        assert link(app).disabled
        button(app, "Restore").click().run()
        assert find_policy(workspace, "mine") == mine
        assert app.selectbox(key="policy_choice").value == "mine"
        assert not link(app).disabled
        assert "Restore" not in [b.label for b in app.button]

    def test_a_policy_is_imported_from_a_file(self, demo_copy: Path, open_page: Open):
        brought = Policy("theirs", (step("stain", 0.5, amount=0.15), step("flip")))
        app = open_page(demo_copy, "augmentation")
        # As an editor of another system may save it: with a mark of its byte order.
        bring(app, "theirs.json", "\ufeff" + json.dumps(policy_to_json(brought)))
        assert "Imported theirs.json with 2 steps into the editor" in texts(app.success)
        assert [(s.key, s.probability) for s in steps(app)] == [("stain", 0.5), ("flip", 1.0)]
        assert app.selectbox(key="policy_choice").value is None
        assert link(app).disabled
        button(app, "Save").click().run()
        assert find_policy(Workspace(demo_copy), "theirs") == brought
        assert link(app).label == "Train with theirs"

    @pytest.mark.parametrize(
        ("text", "said"),
        [
            ("{", "theirs.json is not readable as JSON"),
            ("1" * 5000, "theirs.json is not readable as JSON"),
            ("[1]", "theirs.json holds list where a policy was expected"),
            ('{"schema_version": 1, "name": "x", "steps": [{"key": "warp"}]}', "'warp'"),
        ],
    )
    def test_a_wrong_file_is_a_sentence_and_changes_nothing(
        self, tmp_path: Path, open_page: Open, text, said
    ):
        app = bring(open_page(tmp_path, "augmentation"), "theirs.json", text)
        (sentence,) = [e.value for e in app.error]
        assert said in sentence
        assert "\n" not in sentence
        assert [s.key for s in steps(app)] == [s.key for s in PRESETS["gentle"].steps]

    def test_leads_to_training_with_exactly_what_is_saved(self, demo_copy: Path, open_page: Open):
        app = choose(open_page(demo_copy, "augmentation"), "strong")
        assert link(app).label == "Train with strong"
        assert link(app).query_string == "policy=strong"
        app.toggle(key=f"step_{steps(app)[0].number}_on").set_value(False).run()
        assert link(app).disabled

    def test_opens_with_the_policy_of_the_address(
        self, demo_home: Path, monkeypatch: pytest.MonkeyPatch
    ):
        monkeypatch.setenv("BLOODCELL_HOME", str(demo_home))
        app = AppTest.from_file(str(REPOSITORY / "app.py"), default_timeout=60)
        app.query_params["policy"] = "lab-robust"
        app.run()
        app.switch_page("pages/augmentation.py")
        app.query_params["policy"] = "lab-robust"
        app.run()
        assert app.selectbox(key="policy_choice").value == "lab-robust"

    def test_a_damaged_policy_file_is_a_sentence(self, demo_copy: Path, open_page: Open):
        folder = Workspace(demo_copy).policies
        folder.mkdir()
        (folder / "bad.json").write_text(json.dumps({"schema_version": 99}), encoding="utf-8")
        app = choose(open_page(demo_copy, "augmentation"), "bad")
        assert not app.exception
        assert "bad.json" in texts(app.error)


class TestPreview:
    def test_shows_the_original_beside_its_variants(self):
        cells = draw_cells((1, 5), 0)
        made, labels = augment_cells(PRESETS["none"], cells, 3, 0)
        pictures = draw_variants(cells, made, labels)
        assert [p.marked for p in pictures] == [True, False, False, False] * 2
        assert all((p.image == cells.images[0]).all() for p in pictures[:4])

    def test_the_same_seed_gives_the_same_pictures_and_another_one_others(self):
        cells = draw_cells((1,), 0)
        first, second, other = (augment_cells(PRESETS["strong"], cells, 4, s)[0] for s in (7, 7, 8))
        assert (first == second).all()
        assert (first != other).any()

    def test_mixed_pictures_carry_their_mixed_labels(self):
        cells, partners = draw_cells((1,), 0), draw_cells((4,) * 24, 1)
        policy = Policy("mix", (step("mixup", alpha=1.0),))
        made, labels = augment_cells(policy, cells, 12, 0, partners)
        mixed = [k for k in range(12) if 0.01 < labels[0, k, 4] < 0.99]
        assert mixed
        for k in mixed:
            assert labels[0, k, 1] == pytest.approx(1 - labels[0, k, 4], abs=1e-5)
            assert (made[0, k] != cells.images[0]).any()
        captions = [p.caption for p in draw_variants(cells, made, labels)[1:]]
        assert all(("Eosino" in captions[k]) and ("Lympho" in captions[k]) for k in mixed)

    def test_a_pure_label_needs_no_words(self):
        assert describe_label(np.eye(8, dtype=np.float32)[3]) == ""
        label = np.array([0.25, 0, 0, 0, 0, 0, 0.75, 0], np.float32)
        assert describe_label(label) == "75% Neutro, 25% Baso"

    def test_shows_one_of_each_class_of_the_dataset(self, demo_home: Path, open_page: Open):
        app = open_page(demo_home, "augmentation")
        app.button_group(key="preview_mode").set_value("One per class").run()
        assert not app.exception
        assert "Synthetic cells" not in texts(app.caption)

    def test_shows_a_step_at_several_strengths(self, demo_home: Path, open_page: Open):
        app = choose(open_page(demo_home, "augmentation"), "gentle")
        app.button_group(key="preview_view").set_value("Strength").run()
        assert not app.exception
        assert app.selectbox(key="preview_step").value == 2
        assert "twice the current setting" in texts(app.caption)
        choose(app, "none")
        assert "The policy has no steps" in texts(app.info)

    def test_a_ladder_says_its_strengths_and_where_they_go_too_far(self):
        cells, partners = draw_cells((7,), 0), draw_cells((4,) * 8, 1)
        setting = step("zoom", amount=0.12)
        ladders = compute_strengths(setting, cells, partners, 0)
        pictures = draw_strengths(setting, cells, ladders)
        assert [p.caption for p in pictures[:5]] == ["0", "0.06", "0.12", "0.18", "0.24"]
        assert [p.note for p in pictures[:5]] == ["", "", "", "too strong", "too strong"]
        assert [p.marked for p in pictures[:5]] == [False, False, True, False, False]
        assert len(ladders) == 2
        assert (pictures[0].image == cells.images[0]).all()
        assert (pictures[4].image != pictures[9].image).any()

    def test_shows_what_is_left_of_a_cue(self, demo_home: Path):
        dataset = open_dataset(Workspace(demo_home), "demo")
        (caution,) = cautions(Policy("p", (step("zoom", amount=0.6),)))
        before, larger, smaller, other = draw_cue(caution, dataset, 0)
        assert (before.caption, other.caption) == ("Platelet", "Lymphocyte")
        platelets = dataset.images[np.flatnonzero(dataset.labels == 7)]
        assert any((before.image == p).all() for p in platelets)
        stained = [(p.image < 128).any(2).sum() for p in (before, larger)]
        assert stained[1] > 1.5 * stained[0]
        assert (smaller.image != before.image).any()

    def test_shows_the_histogram_before_and_after(self, demo_home: Path, open_page: Open):
        app = open_page(demo_home, "augmentation")
        app.button_group(key="preview_view").set_value("Histogram").run()
        assert not app.exception
        assert len(app.get("plotly_chart")) == 1

    def test_own_pictures_are_shown_and_a_wrong_file_is_a_sentence(
        self, demo_home: Path, open_page: Open
    ):
        app = open_page(demo_home, "augmentation")
        app.button_group(key="preview_mode").set_value("Upload").run()
        assert not app.get("bidi_component")
        picture = png_bytes(draw_cell(1, np.random.default_rng(0), 120))
        (uploader,) = [u for u in app.get("file_uploader") if u.key == "own_upload"]
        uploader.set_value([("a.png", picture, "image/png"), ("b.txt", b"words", "text/plain")])
        app.run()
        assert not app.exception
        assert "b.txt is no image" in texts(app.warning)
        ((image, name),) = app.session_state["own_cells"]
        assert (image.shape, name) == ((96, 96, 3), "a.png")

    def test_a_picture_of_unknown_class_can_be_mixed_too(self):
        cells = Cells(draw_cells((1,), 0).images, np.array([OWN]), ("a.png",))
        policy = Policy("mix", (step("cutmix", alpha=1.0),))
        _, labels = augment_cells(policy, cells, 20, 0, draw_cells((4,) * 24, 1))
        assert any("upload" in describe_label(label) for label in labels[0])
        np.testing.assert_allclose(labels.sum(2), 1, atol=1e-5)

    def test_the_share_of_a_step_comes_from_runs_on_this_machine(self, home: Path):
        workspace = Workspace(home)
        (trained,) = list_trained_here(workspace)
        (run,) = list_runs(workspace)
        rates = [m["images_per_second"] for m in run.metrics()]
        assert (trained.run, trained.backbone) == (run.id, "tiny")
        assert min(rates) <= trained.rate <= max(rates)
        assert trained.share(2 * trained.rate) == pytest.approx(0.5 / trained.cores)
        status = json.loads(run.status_path.read_text())
        run.status_path.write_text(json.dumps(status | {"host": "another"}))
        assert list_trained_here(workspace) == []

    def test_measures_the_speed_when_asked(self, demo_home: Path, open_page: Open):
        app = open_page(demo_home, "augmentation")
        button(app, "Measure speed").click().run()
        assert "images/s" in texts(app.markdown)
        assert "once a run has finished on this machine" in texts(app.caption)


class TestEngines:
    def test_what_keras_cv_lacks_is_said_and_nothing_is_compared(
        self, tmp_path: Path, open_page: Open
    ):
        app = open_page(tmp_path, "augmentation", {"preview_view": "Engines"})
        assert "no layer for Quarter turns" in texts(app.caption)
        assert "cannot carry out step 2, Quarter turns" in texts(app.info)
        assert "Compare engines" not in [b.label for b in app.button]

    def test_both_are_shown_with_their_speed_and_what_differs(
        self, tmp_path: Path, open_page: Open, monkeypatch: pytest.MonkeyPatch
    ):
        def compared(policy, images, labels, seed, progress):
            (own,) = run_engines(policy, ["own"], images, labels, seed, seconds=0)
            return [own, dataclasses.replace(own, engine="keras-cv", per_second=10.0)]

        monkeypatch.setattr("bloodcell.ui.augmentation.engines.compare_engines", compared)
        app = open_page(
            tmp_path, "augmentation", {"preview_view": "Engines"}, policy="bloodcellcnn"
        )
        assert f"{CATALOGUE['hue'].title}: the hue of HSV is turned" in texts(app.markdown)
        button(app, "Compare engines").click().run()
        assert "| keras-cv | 10 |" in texts(app.markdown)
        assert "**keras-cv**" in texts(app.markdown)

    def test_the_ratio_is_that_of_what_was_measured_without_the_first_batch(self):
        nothing = np.empty((0, 1, 1, 3), np.uint8), np.empty((0, 9), np.float32)
        own = EngineResult("own", *nothing, 300.0, 1.0, 320, 0.1)
        said = describe_speeds([own, EngineResult("keras-cv", *nothing, 30.0, 8.0, 32, 61.5)])
        assert "| keras-cv | 30 | 8.00 | 61.5 s |" in said
        assert "over 320 and 32 images" in said
        assert "**10.0 times** as fast" in said
        assert "**8.0 times** by processor time" in said
        assert "the first batch, in which keras-cv is loaded and traced, is not counted" in said

    def test_a_step_that_is_the_same_in_both_is_no_difference(self):
        assert list_differences(Policy("p", (step("flip"),))) == ""
