"""``ensemble.json`` is read once into typed values; what is not known is kept."""

import json

import pytest

from bloodcell.ensemble.description import read_description
from bloodcell.errors import BadInput
from bloodcell.files import CHECKSUM
from bloodcell.workspace import built_in_ensembles


@pytest.fixture
def reference() -> dict:
    path = built_in_ensembles()
    assert path is not None
    found = json.loads((path / "reference" / "ensemble.json").read_text(encoding="utf-8"))
    # What is changed by hand below has none.
    del found[CHECKSUM]
    return found


def same(found: dict, wanted: dict) -> bool:
    """Whether two are written alike, but for the checksum."""
    texts = [
        json.dumps({k: v for k, v in one.items() if k != "checksum"}, sort_keys=True)
        for one in (found, wanted)
    ]
    return texts[0] == texts[1]


def test_what_was_changed_since_it_was_written_is_refused(reference: dict):
    written = read_description(reference, "here").to_json()
    assert read_description(written, "here").name == "reference"
    with pytest.raises(BadInput, match="is not as it was written"):
        read_description(written | {"temperature": 0.5}, "here")


def test_it_is_written_as_it_was_read(reference: dict):
    reference["of a later version"] = {"a": [1, None]}
    reference["members"][0]["of a later version"] = "kept"
    description = read_description(json.dumps(reference), "here")
    assert same(description.to_json(), reference)


def test_a_change_leaves_the_rest_alone(reference: dict):
    other = read_description(reference, "here").changed(name="other")
    assert same(other.to_json(), reference | {"name": "other"})


def test_an_ensemble_of_before_the_optional_parts_opens(reference: dict):
    for key in ("field", "light", "weighting", "left_out"):
        del reference[key]
    for member in reference["members"]:
        del member["basis"], member["detector"]
    del reference["novelty"]["levels"], reference["conformal"]["thresholds"]
    description = read_description(reference, "here")
    assert description.light is None
    assert description.field_of_view.stained is None
    sets = reference["conformal"]
    assert description.conformal.by_coverage() == {sets["coverage"]: sets["threshold"]}
    assert same(description.to_json(), reference)


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("temperature", 10**400, "has temperature 1000.*, expected a number from 0.001 to 1000"),
        ("temperature", float("inf"), "has temperature inf, expected a number"),
        ("tta", 1, "has tta 1, expected true or false"),
        ("left_out", 5, "has left_out 5, expected a list"),
        ("weighting", [], r"has weighting \[\], expected a text"),
        (
            "conformal",
            {"coverage": 0.9, "threshold": 0.4, "thresholds": [["a", "b"]]},
            "thresholds",
        ),
        ("light", {"background": [[1, 2]]}, r"light.background .*expected three colours"),
        ("anything", float("nan"), "holds what JSON cannot"),
        ("anything", "\ud800", "holds what JSON cannot"),
    ],
)
def test_what_cannot_be_is_one_sentence(reference: dict, key: str, value, words: str):
    with pytest.raises(BadInput, match=words) as caught:
        read_description(reference | {key: value}, "here")
    assert len(str(caught.value)) < 300
    assert "\n" not in str(caught.value)


def test_what_is_missing_is_named(reference: dict):
    del reference["members"][1]["weight"]
    with pytest.raises(BadInput, match=r"lacks members\[1\]\.weight"):
        read_description(reference, "here")


def test_a_number_of_200_000_digits_is_a_sentence():
    with pytest.raises(BadInput, match="not readable as JSON"):
        read_description('{"temperature": ' + "9" * 200_000 + "}", "here")
