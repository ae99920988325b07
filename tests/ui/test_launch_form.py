"""What the form of a new run makes of what is filled in."""

from dataclasses import fields

import pytest

from bloodcell.models.classifier import BACKBONES
from bloodcell.training.config import PRESETS, TrainConfig, make_config
from bloodcell.ui.training.launch_fields import Prefill


@pytest.mark.parametrize("backbone", BACKBONES)
@pytest.mark.parametrize("preset", PRESETS)
def test_a_form_left_as_it_opens_is_the_preset_of_the_command_line(
    preset: str, backbone: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("bloodcell.training.config.has_bfloat16", lambda: True)
    form = Prefill(preset, preset, {})
    shown = {f.name: form.value(f.name, backbone) for f in fields(TrainConfig)[3:]}
    assert make_config("d", preset, backbone=backbone, **shown) == make_config(
        "d", preset, backbone=backbone
    )
    assert form.changes(shown, backbone) == {}
    assert form.changes({**shown, "epochs": 3}, backbone) == {"epochs": 3}


def test_a_copy_keeps_every_value_of_its_run():
    values = make_config("d", "fast", precision="float32").to_json()
    assert Prefill("duplicate_x", "fast", values).changes(values, "resnet50") == values
