"""What people call a run changes nothing of the run."""

import pytest

from bloodcell.errors import BadInput
from bloodcell.runs.labels import Labels, read_labels, write_labels
from bloodcell.runs.run import Run


def test_a_run_has_none_at_first(three: list[Run]):
    assert read_labels(three[0]) == Labels()


def test_what_is_not_given_stays(three: list[Run]):
    write_labels(three[0], name="  the  best ", tags=("a", "b"))
    write_labels(three[0], note="line one\nline two")
    assert read_labels(three[0]) == Labels("the best", ("a", "b"), "line one\nline two")
    assert write_labels(three[0], name="").name == ""
    assert read_labels(three[1]) == Labels()


def test_the_id_the_config_and_the_state_stay(three: list[Run]):
    run = three[0]
    before = run.config_path.read_bytes(), run.status_path.read_bytes()
    write_labels(run, name="Zelle ü", tags=["x"], note="n")
    assert (run.config_path.read_bytes(), run.status_path.read_bytes()) == before
    assert run.id == three[0].path.name


def test_tags_are_words_each_once_in_order(three: list[Run]):
    assert write_labels(three[0], tags=["b", " a ", "b", "", "two  words"]).tags == (
        "b", "a", "two words",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"name": "x" * 81}, "name"),
        ({"tags": ["x" * 41]}, "tag"),
        ({"tags": [str(i) for i in range(21)]}, "at most 20 tags"),
        ({"tags": "abc"}, "tag"),
        ({"tags": [1]}, "tag"),
        ({"note": "x" * 10_001}, "note"),
        ({"name": None}, "name"),
    ],
)
def test_what_is_too_long_or_no_text_is_refused(three: list[Run], change: dict, words: str):
    write_labels(three[0], name="kept")
    with pytest.raises(BadInput, match=words):
        write_labels(three[0], **change)
    assert read_labels(three[0]).name == "kept"


@pytest.mark.parametrize("damage", ["", "[]", '{"tags": 3}', '{"name": 1}'])
def test_a_damaged_file_is_a_sentence(three: list[Run], damage: str):
    three[0].labels_path.write_text(damage)
    with pytest.raises(BadInput):
        read_labels(three[0])
