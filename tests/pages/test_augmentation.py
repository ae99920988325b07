"""The Augmentation page: compose a policy, see what it does, keep it."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from bloodcell.augment import CATALOGUE, PRESETS, Policy, find_policy, save_policy, step
from bloodcell.ui.policy_cells import drawn_cells
from bloodcell.ui.policy_preview import label_words, preview, tiles
from bloodcell.ui.policy_speed import measure
from bloodcell.workspace import Workspace

Open = Callable[..., AppTest]


def texts(elements) -> str:
    return "\n".join(str(e.value) for e in elements)


def button(app: AppTest, label: str):
    return next(b for b in app.button if b.label == label)


def steps(app: AppTest) -> list:
    return app.session_state["policy_steps"]


def choose(app: AppTest, name: str) -> AppTest:
    return app.selectbox(key="policy_choice").set_value(name).run()


def opened(app: AppTest, place: int) -> AppTest:
    """The page with the step at `place` unfolded."""
    app.session_state[f"step_{steps(app)[place].number}_open"] = True
    return app.run()


class TestEditor:
    def test_begins_with_a_preset_on_drawn_cells_when_there_is_nothing(
        self, tmp_path: Path, open_page: Open
    ):
        app = open_page(tmp_path, "augmentation")
        assert not app.exception
        assert [s.key for s in steps(app)] == [s.key for s in PRESETS["gentle"].steps]
        assert "Drawn cells" in texts(app.caption)

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
        assert "No step" in texts(app.info)
        app.selectbox(key="step_to_add").set_value("defocus").run()
        button(app, "Add").click().run()
        assert not app.exception
        assert [(s.key, s.parameters) for s in steps(app)] == [
            ("defocus", CATALOGUE["defocus"].defaults())
        ]

    def test_moves_removes_and_switches_off(self, tmp_path: Path, open_page: Open):
        app = opened(choose(open_page(tmp_path, "augmentation"), "gentle"), 0)
        first, second = (s.key for s in steps(app)[:2])
        button(app, "Later").click().run()
        assert [s.key for s in steps(app)[:2]] == [second, first]
        app.toggle(key=f"step_{steps(app)[0].number}_on").set_value(False).run()
        assert not steps(app)[0].on
        assert "left out of what is kept" in texts(app.caption)
        button(opened(app, 1), "Remove").click().run()
        assert first not in [s.key for s in steps(app)]
        assert "Changed since gentle was loaded." in texts(app.caption)
        button(app, "Undo the changes").click().run()
        assert len(steps(app)) == len(PRESETS["gentle"].steps)

    def test_warns_beyond_what_is_sensible_for_a_blood_cell(self, tmp_path: Path, open_page: Open):
        app = open_page(tmp_path, "augmentation")
        assert not app.warning
        place = [s.key for s in steps(app)].index("hue")
        opened(app, place)
        app.slider(key=f"step_{steps(app)[place].number}_angle").set_value(90.0).run()
        assert f"Step {place + 1}, Random hue" in texts(app.warning)
        assert "eosinophils from neutrophils" in texts(app.warning)


class TestKeeping:
    def test_saves_under_a_name_that_training_finds(self, demo_copy: Path, open_page: Open):
        app = choose(open_page(demo_copy, "augmentation"), "strong")
        app.text_input(key="policy_name").set_value("mine").run()
        button(app, "Save").click().run()
        assert not app.exception
        assert "Saved as mine" in texts(app.success)
        saved = find_policy(Workspace(demo_copy), "mine")
        assert saved.steps == PRESETS["strong"].steps
        assert app.selectbox(key="policy_choice").value == "mine"

    def test_a_preset_cannot_be_written_over(self, demo_copy: Path, open_page: Open):
        app = open_page(demo_copy, "augmentation")
        app.text_input(key="policy_name").set_value("seed").run()
        button(app, "Save").click().run()
        assert "belongs to a preset" in texts(app.error)
        assert not Workspace(demo_copy).policies.exists()

    def test_a_saved_policy_is_written_over_only_when_asked(self, demo_copy: Path, open_page: Open):
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

    def test_a_damaged_policy_file_is_a_sentence(self, demo_copy: Path, open_page: Open):
        folder = Workspace(demo_copy).policies
        folder.mkdir()
        (folder / "bad.json").write_text(json.dumps({"schema_version": 99}), encoding="utf-8")
        app = choose(open_page(demo_copy, "augmentation"), "bad")
        assert not app.exception
        assert "bad.json" in texts(app.error)


class TestPreview:
    def test_shows_the_original_beside_its_variants(self):
        cells = drawn_cells((1, 5), 0)
        made, labels = preview(PRESETS["none"], cells, 3, 0)
        pictures = tiles(cells, made, labels)
        assert [p.marked for p in pictures] == [True, False, False, False] * 2
        assert all((p.image == cells.images[0]).all() for p in pictures[:4])

    def test_the_same_seed_gives_the_same_pictures_and_another_one_others(self):
        cells = drawn_cells((1,), 0)
        first, second, other = (preview(PRESETS["strong"], cells, 4, s)[0] for s in (7, 7, 8))
        assert (first == second).all()
        assert (first != other).any()

    def test_mixed_pictures_carry_their_mixed_labels(self):
        cells, partners = drawn_cells((1,), 0), drawn_cells((4,) * 24, 1)
        policy = Policy("mix", (step("mixup", alpha=1.0),))
        made, labels = preview(policy, cells, 12, 0, partners)
        mixed = [k for k in range(12) if 0.01 < labels[0, k, 4] < 0.99]
        assert mixed
        for k in mixed:
            assert labels[0, k, 1] == pytest.approx(1 - labels[0, k, 4], abs=1e-5)
            assert (made[0, k] != cells.images[0]).any()
        captions = [p.caption for p in tiles(cells, made, labels)[1:]]
        assert all(("Eosino" in captions[k]) and ("Lympho" in captions[k]) for k in mixed)

    def test_a_pure_label_needs_no_words(self):
        assert label_words(np.eye(8, dtype=np.float32)[3]) == ""
        label = np.array([0.25, 0, 0, 0, 0, 0, 0.75, 0], np.float32)
        assert label_words(label) == "75% Neutro, 25% Baso"

    def test_shows_one_of_each_class_of_the_dataset(self, demo_home: Path, open_page: Open):
        app = open_page(demo_home, "augmentation")
        app.button_group(key="preview_mode").set_value("One of each class").run()
        assert not app.exception
        assert "Drawn cells" not in texts(app.caption)

    def test_measures_the_speed_when_asked(self, demo_home: Path, open_page: Open):
        app = open_page(demo_home, "augmentation")
        button(app, "Measure the speed").click().run()
        assert "images a second" in texts(app.markdown)
        rate, n = measure(PRESETS["gentle"], drawn_cells((0, 1), 0), seconds=0.05)
        assert rate > 0
        assert n > 0
        assert n % 32 == 0
