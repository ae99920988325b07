"""Policies: presets, files in the workspace, and what is said about a wrong one."""

import json
from concurrent.futures import ThreadPoolExecutor

import pytest

from bloodcell.augment import (
    CATALOGUE,
    PRESETS,
    Policy,
    Step,
    cautions,
    current_name,
    find_policy,
    load_policy,
    policy_from_json,
    policy_names,
    policy_to_json,
    save_policy,
    step,
    validate,
)
from bloodcell.errors import BadInput, NameTaken, NotFound
from bloodcell.workspace import Workspace

MINE = Policy("mine", (step("flip", horizontal=False), step("zoom", 0.25, amount=0.3)))


@pytest.fixture
def workspace(tmp_path):
    return Workspace(tmp_path / "home")


def test_there_are_these_presets_and_all_are_valid():
    assert list(PRESETS) == [
        "none",
        "gentle",
        "bloodcellcnn",
        "strong",
        "lab-robust",
        "stain-transfer",
        "lab-stain",
    ]
    for preset in PRESETS.values():
        assert validate(preset) == preset


def test_bloodcellcnn_holds_the_whole_list_of_the_forerunner():
    assert [s.key for s in PRESETS["bloodcellcnn"].steps] == [
        *("flip", "rotation", "zoom", "contrast", "crop", "resize", "gaussian_noise", "hue"),
        *("saturation", "augmix", "randaugment", "cutmix", "mixup", "channel_shuffle"),
        "random_color_degeneration",
    ]


def test_a_command_of_an_earlier_version_may_call_it_seed(workspace):
    assert find_policy(workspace, "seed") == PRESETS["bloodcellcnn"]
    assert current_name("seed") == "bloodcellcnn"
    assert current_name("mine") == "mine"
    assert "seed" not in policy_names(workspace)
    # so that it never means something else
    with pytest.raises(NameTaken, match="'seed' belongs to a preset"):
        save_policy(workspace, Policy("seed", ()))


def test_gentle_keeps_every_class_cue():
    assert cautions(PRESETS["gentle"]) == []
    assert not any(CATALOGUE[s.key].mixes_labels for s in PRESETS["gentle"].steps)


def test_a_saved_policy_is_found_again_by_name_and_by_path(workspace):
    path = save_policy(workspace, MINE)
    assert path == workspace.policies / "mine.json"
    assert find_policy(workspace, "mine") == MINE
    assert find_policy(workspace, str(path)) == MINE
    assert policy_names(workspace) == [*PRESETS, "mine"]


@pytest.mark.parametrize("preset", PRESETS.values(), ids=lambda p: p.name)
def test_json_keeps_everything(preset):
    document = json.loads(json.dumps(policy_to_json(preset), allow_nan=False))
    assert document["schema_version"] == 1
    assert policy_from_json(document, "here") == preset


def test_presets_come_before_files_and_cannot_be_written_over(workspace):
    with pytest.raises(NameTaken, match="preset"):
        save_policy(workspace, Policy("Gentle", MINE.steps), replace=True)
    workspace.policies.mkdir(parents=True)
    document = policy_to_json(Policy("gentle", MINE.steps))
    (workspace.policies / "gentle.json").write_text(json.dumps(document))
    assert find_policy(workspace, "gentle") == PRESETS["gentle"]


def test_a_saved_policy_is_written_over_only_when_asked_to(workspace):
    save_policy(workspace, MINE)
    other = Policy("mine", (step("hue"),))
    with pytest.raises(NameTaken, match="'mine' is taken"):
        save_policy(workspace, other)
    with pytest.raises(NameTaken, match="'MINE' is taken"):
        save_policy(workspace, Policy("MINE", other.steps))
    save_policy(workspace, other, replace=True)
    assert find_policy(workspace, "mine") == other


def test_what_is_left_out_has_its_default():
    document = {"schema_version": 1, "name": "short", "steps": [{"key": "stain"}]}
    (only,) = policy_from_json(document, "here").steps
    assert only == Step("stain", 1.0, CATALOGUE["stain"].defaults())


def test_an_unknown_name_says_what_there_is(workspace):
    save_policy(workspace, MINE)
    with pytest.raises(
        NotFound, match=r"'nope'.*none, .*strong, lab-robust, stain-transfer, lab-stain, mine"
    ):
        find_policy(workspace, "nope")
    with pytest.raises(NotFound, match=r"gone\.json"):
        load_policy(workspace.policies / "gone.json")


def with_step(**changes):
    return {
        "schema_version": 1,
        "name": "bad",
        "steps": [{"key": "flip"}, {"key": "zoom"} | changes],
    }


@pytest.mark.parametrize(
    ("document", "said"),
    [
        ([], "list"),
        ({"name": "x", "steps": []}, "schema_version None"),
        ({"schema_version": 2, "name": "x", "steps": []}, "schema_version 2"),
        ({"schema_version": 1, "steps": []}, "name None"),
        ({"schema_version": 1, "name": "../x", "steps": []}, r"'\.\./x'"),
        ({"schema_version": 1, "name": "x", "steps": "flip"}, "steps 'flip'"),
        ({"schema_version": 1, "name": "x", "steps": ["flip"]}, "step 1 has 'flip'"),
        (with_step(kye=1), r"step 2 has \['kye'\]"),
        (with_step(key="warp"), "step 2 .*'warp'.*flip"),
        (with_step(key=["zoom"]), r"step 2 .*\['zoom'\]"),
        (with_step(probability=1.5), r"step 2 \(zoom\).*probability 1.5"),
        (with_step(probability=True), r"step 2 \(zoom\).*probability True"),
        (with_step(probability=float("nan")), r"step 2 \(zoom\).*probability nan"),
        (with_step(parameters=[]), r"step 2 \(zoom\).*parameters \[\]"),
        (with_step(parameters={"amuont": 1}), r"step 2 \(zoom\).*'amuont'.*amount"),
        (with_step(parameters={"amount": 4}), r"step 2 \(zoom\).*amount 4 .*0.0 to 0.8"),
        (with_step(parameters={"amount": "1"}), r"step 2 \(zoom\).*amount '1'"),
        (with_step(parameters={"amount": float("nan")}), r"step 2 \(zoom\).*amount nan"),
        (with_step(key="flip", parameters={"vertical": 1}), r"step 2 \(flip\).*vertical 1 .*true"),
        (with_step(key="jpeg", parameters={"loss": 1.5}), r"step 2 \(jpeg\).*loss 1.5 .*whole"),
    ],
)
def test_a_wrong_document_is_refused_in_one_sentence_that_names_file_step_and_value(document, said):
    with pytest.raises(BadInput, match=said) as caught:
        policy_from_json(document, "folder/bad.json")
    sentence = str(caught.value)
    assert sentence.startswith("folder/bad.json")
    assert "expected" in sentence
    assert "\n" not in sentence
    assert sentence.endswith(".")


def test_a_file_that_is_no_json_is_refused_by_name(workspace):
    workspace.policies.mkdir(parents=True)
    (workspace.policies / "torn.json").write_text('{"schema_version": 1, "na')
    with pytest.raises(BadInput, match=r"torn\.json"):
        find_policy(workspace, "torn")


def test_a_file_with_a_mark_of_its_byte_order_is_read(workspace):
    path = save_policy(workspace, Policy("mine", (step("flip"),)))
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert find_policy(workspace, "mine").steps == (step("flip"),)


def test_too_many_steps_are_refused_by_their_number(workspace):
    many = {"schema_version": 1, "name": "many"}
    with pytest.raises(BadInput, match=r"^all\.json has 100,000 steps where at most 100 were"):
        policy_from_json(many | {"steps": [{"key": "flip"}] * 100_000}, "all.json")
    with pytest.raises(BadInput, match="Policy many has 101 steps"):
        save_policy(workspace, Policy("many", (step("flip"),) * 101))


def test_a_value_of_any_length_is_named_in_a_short_sentence():
    with pytest.raises(BadInput) as caught:
        policy_from_json(with_step(parameters={"amount": 10**4000}), "long.json")
    assert len(str(caught.value)) < 300


def test_a_step_made_in_python_is_checked_too():
    with pytest.raises(BadInput, match="'zoom' has amount 2"):
        step("zoom", amount=2.0)
    with pytest.raises(BadInput, match="Policy p: step 1"):
        validate(Policy("p", (Step("zoom", 0.5, {"amount": -1}),)))


def test_settings_that_hide_what_tells_cells_apart_are_pointed_out():
    policy = Policy("p", (step("flip"), step("zoom", amount=0.5), step("hue", 0.0, angle=90)))
    (only,) = cautions(policy)
    assert (only.place, only.step) == (2, policy.steps[1])
    assert only.sentence.startswith("Step 2, Random zoom: amount 0.5 is beyond 0.15")
    assert "platelets" in only.sentence
    assert (only.cue.changed, only.cue.beside) == ("platelet", "lymphocyte")


def test_several_settings_of_one_step_are_one_caution():
    (only,) = cautions(Policy("p", (step("gain_gamma", gain=0.4, gamma=1.0),)))
    assert "gain 0.4 is beyond 0.15 and gamma 1 is beyond 0.3" in only.sentence


def test_of_two_who_save_under_one_name_the_second_is_told(workspace):
    seen = Policy("mine", (step("flip"),))
    save_policy(workspace, seen)
    theirs, ours = (Policy("mine", (step(key),)) for key in ("hue", "zoom"))
    save_policy(workspace, theirs, replace=seen)
    with pytest.raises(BadInput, match="'mine' was changed by somebody else"):
        save_policy(workspace, ours, replace=seen)
    assert find_policy(workspace, "mine") == validate(theirs)
    save_policy(workspace, ours, replace=True)

    def save_new(policy: Policy) -> bool:
        try:
            save_policy(workspace, policy)
        except NameTaken:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(save_new, [Policy("new", (step("flip"),))] * 8))
    assert made.count(True) == 1
