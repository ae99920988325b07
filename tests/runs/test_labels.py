"""What people call a run changes nothing of the run."""

import shutil
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from bloodcell.errors import BadInput, NotFound
from bloodcell.files import write_json
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


def test_of_several_who_write_at_once_nobody_loses_anything(
    three: list[Run], monkeypatch: pytest.MonkeyPatch
):
    def late(*arguments) -> None:
        # As long as others need to read what this one is about to change.
        time.sleep(0.005)
        write_json(*arguments)

    monkeypatch.setattr("bloodcell.runs.labels.write_json", late)
    tags = [f"t{i}" for i in range(12)]
    with ThreadPoolExecutor(12) as pool:
        list(pool.map(lambda tag: write_labels(three[0], add=[tag]), tags))
    assert sorted(read_labels(three[0]).tags) == sorted(tags)


def test_of_two_who_saw_the_same_each_changes_what_is_theirs(three: list[Run]):
    run = three[0]
    seen = write_labels(run, name="old", tags=["a", "b"], note="n")
    write_labels(run, since=seen, name="old", tags=["b", "c"], note="of the first")
    write_labels(run, since=seen, name="new", tags=["a", "b", "d"], note="n")
    assert read_labels(run) == Labels("new", ("b", "c", "d"), "of the first")
    with pytest.raises(BadInput, match="note 'of the first': save again"):
        write_labels(run, since=seen, note="of the second")
    write_labels(run, since=read_labels(run), note="of the second")
    assert read_labels(run).note == "of the second"


def test_labels_of_a_run_that_is_gone_make_no_folder(three: list[Run]):
    shutil.rmtree(three[0].path)
    with pytest.raises(NotFound, match="not there any more"):
        write_labels(three[0], name="x")
    assert not three[0].path.exists()
