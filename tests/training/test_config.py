"""What makes a run: presets, changes, and values that cannot be."""

import dataclasses
from pathlib import Path

import pytest

import bloodcell
from bloodcell.augment.policy import PRESETS as POLICIES
from bloodcell.errors import BadInput
from bloodcell.training.config import FIELDS, PRESETS, TrainConfig, make_config


def test_the_forerunners_recipe_is_a_preset():
    c = make_config("d", "bloodcellcnn", backbone="efficientnetb3")
    assert (c.weights, c.epochs, c.batch_size) == ("imagenet", 100, 32)
    assert (c.optimizer, c.learning_rate, c.schedule) == ("lion", 1e-4, "plateau")
    assert c.sample_weights == "balanced"
    assert c.early_stopping > 0
    assert c.label_smoothing == 0
    keys = {s.key for s in POLICIES[c.policy].steps}
    named = {"augmix", "randaugment", "cutmix", "mixup", "channel_shuffle"}
    assert named <= {k.replace("rand_augment", "randaugment") for k in keys}


@pytest.mark.parametrize("preset", sorted(PRESETS))
def test_every_preset_is_a_config_and_names_a_policy_there_is(preset: str):
    assert make_config("d", preset).policy in POLICIES


def test_none_keeps_the_presets_value_and_zero_does_not():
    c = make_config("d", "fast", epochs=None, label_smoothing=0.0, seed=0)
    assert c.epochs == PRESETS["fast"]["epochs"]
    assert c.label_smoothing == 0.0


def test_the_tiny_network_starts_from_nothing_with_values_of_its_own():
    c = make_config("d", backbone="tiny")
    assert c.weights == "none"
    assert c.batch_size < PRESETS["fast"]["batch_size"]
    assert make_config("d", backbone="tiny", batch_size=32).batch_size == 32


def test_it_survives_json():
    import json

    c = make_config("d", "bloodcellcnn", split_shares=(0.7, 0.2, 0.1), seed=5)
    assert TrainConfig.from_json(json.loads(json.dumps(c.to_json()))) == c
    assert TrainConfig.from_json({**c.to_json(), "of_a_later_version": 1}) == c


def test_a_run_of_an_earlier_version_has_its_policy_under_the_present_name():
    assert TrainConfig.from_json({"dataset": "d", "policy": "seed"}).policy == "bloodcellcnn"


def test_it_cannot_be_changed():
    with pytest.raises(dataclasses.FrozenInstanceError):
        make_config("d").epochs = 3


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("backbone", "vgg16"),
        ("backbone", ["tiny"]),
        ("optimizer", "adam"),
        ("schedule", "linear"),
        ("sample_weights", "both"),
        ("epochs", 0),
        ("epochs", 2.5),
        ("epochs", True),
        ("epochs", "3"),
        ("batch_size", 1),
        ("input_size", 16),
        ("learning_rate", 0),
        ("learning_rate", float("nan")),
        ("learning_rate", -1e-3),
        ("dropout", 1.0),
        ("label_smoothing", float("inf")),
        ("ema", 1.0),
        ("seed", -1),
        ("split_shares", (0.5, 0.5, 0.5)),
        ("split_shares", (0.5, 0.5)),
        ("split_shares", "abc"),
        ("dataset", ""),
        ("weights", 5),
    ],
)  # fmt: skip
def test_a_value_that_cannot_be_is_refused_by_name(key: str, value):
    with pytest.raises(BadInput) as caught:
        TrainConfig(**{"dataset": "d", key: value})
    assert key.replace("split_", "") in str(caught.value)


def test_an_unknown_preset_is_named_with_those_there_are():
    with pytest.raises(BadInput, match="expected one of bloodcellcnn, fast"):
        make_config("d", "gpu")


@pytest.mark.parametrize("values", [{}, [], None, {"epochs": 3}])
def test_a_damaged_config_is_refused(values):
    with pytest.raises(BadInput, match="not the config of a run"):
        TrainConfig.from_json(values)


def test_what_a_field_means_is_data_and_not_a_docstring():
    """Python leaves docstrings out with -OO, and the form of the Training page needs the words."""
    assert [f for f, about in FIELDS.items() if not about["help"].endswith(".")] == []
    read = [
        p
        for p in Path(bloodcell.__file__).parent.rglob("*.py")
        if "__doc__" in (text := p.read_text(encoding="utf-8")) or "getdoc" in text
    ]
    assert read == []


@pytest.mark.parametrize("value", [[], {}, None, 10**400, "x" * 9])
@pytest.mark.parametrize("key", [f.name for f in dataclasses.fields(TrainConfig)])
def test_a_value_of_another_kind_is_a_sentence(key: str, value):
    if isinstance(value, str) and isinstance(getattr(TrainConfig("d"), key), str):
        return
    with pytest.raises(BadInput) as caught:
        TrainConfig.from_json({"dataset": "d", key: value})
    assert len(str(caught.value)) < 300
