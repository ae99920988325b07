"""Decisions as a table: what is exported is what another copy of the images takes over."""

import csv
import io
from pathlib import Path

import numpy as np
import pytest

from bloodcell.classes import CLASS_NAMES
from bloodcell.data.store.dataset import Dataset, new_dataset, open_dataset
from bloodcell.data.store.decisions import decisions_csv, import_decisions
from bloodcell.errors import BadInput
from bloodcell.workspace import Workspace

IMAGES = np.random.default_rng(0).integers(0, 256, (12, 8, 8, 3), dtype=np.uint8)


def made(workspace: Workspace, name: str, order: list[int], renamed: bool = False) -> Dataset:
    """A dataset of some of IMAGES in some order; an image may be there several times."""
    with new_dataset(workspace, name, (8, 8), "a test", "none") as writer:
        for place, i in enumerate(order):
            writer.add(IMAGES[i], i % 8, f"other_{place}.png" if renamed else f"{place}_{i}.png")
    return open_dataset(workspace, name)


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path)


@pytest.fixture
def decided(workspace: Workspace) -> Dataset:
    """Images 0 to 11, then a copy of 3 that is excluded, with two more decisions."""
    dataset = made(workspace, "decided", [*range(12), 3])
    dataset.curation.exclude([12], "exact_duplicate")
    dataset.curation.relabel([5], 2, "looked at, twice")
    dataset.curation.keep([7], "a rare one")
    return dataset


def summary(dataset: Dataset) -> set[tuple]:
    return {
        (dataset.hashes[i], d["decision"], d.get("label"), d["reason"], d["time"])
        for i, d in dataset.curation.decisions.items()
    }


def test_the_same_images_take_over_every_decision_with_reason_and_time(
    workspace: Workspace, decided: Dataset
):
    copy = made(workspace, "copy", [*range(12), 3])
    done = import_decisions(copy, decisions_csv(decided), "d.csv")
    assert (done.applied, done.changed, done.unknown) == (3, 3, 0)
    assert summary(copy) == summary(decided)
    assert copy.curation.fingerprint == decided.curation.fingerprint
    assert decisions_csv(copy) == decisions_csv(decided)


def test_order_and_names_do_not_matter_and_one_of_two_copies_stays(
    workspace: Workspace, decided: Dataset
):
    other = made(workspace, "other", [3, *range(11, -1, -1)], renamed=True)
    import_decisions(other, decisions_csv(decided), "d.csv")
    assert summary(other) == summary(decided)
    of_three = np.flatnonzero(other.hashes == decided.hashes[3])
    assert other.kept[of_three].tolist() == [True, False]


def test_where_the_copy_is_gone_already_the_image_stays(workspace: Workspace, decided: Dataset):
    clean = made(workspace, "clean", list(range(12)), renamed=True)
    assert import_decisions(clean, decisions_csv(decided), "d.csv").applied == 2
    assert clean.kept.all()


def test_images_that_are_not_there_are_counted(workspace: Workspace, decided: Dataset):
    few = made(workspace, "few", [0, 1, 5])
    done = import_decisions(few, decisions_csv(decided), "d.csv")
    assert (done.applied, done.unknown) == (1, 2)
    assert few.labels[2] == 2


def test_an_import_is_undone_as_one(workspace: Workspace, decided: Dataset):
    copy = made(workspace, "copy", list(range(12)))
    copy.curation.relabel([5], 1, "before")
    import_decisions(copy, decisions_csv(decided), "d.csv")
    assert copy.labels[5] == 2
    copy.curation.undo_last()
    assert {i: d["label"] for i, d in copy.curation.decisions.items()} == {5: 1}


def test_hash_and_decision_are_enough(workspace: Workspace):
    dataset = made(workspace, "d", [0, 1])
    import_decisions(dataset, f"decision,hash\nexclude,{dataset.hashes[1]}\n", "mine.csv")
    assert dataset.curation.excluded() == [1]


def in_excel(text: str, delimiter: str = ";", *, end: str = "") -> str:
    rows = csv.reader(io.StringIO(text))
    out = io.StringIO()
    csv.writer(out, delimiter=delimiter).writerows(rows)
    return out.getvalue() + end


LOCAL = {
    "25.11.2026 12:11": "2026-11-25T12:11:00",
    "11/25/2026 3:04 PM": "2026-11-25T15:04:00",
    "25/11/2026 12:11": "2026-11-25T12:11:00",
    "2026/11/25 12:11:10": "2026-11-25T12:11:10",
    "5.3.26": "2026-03-05T00:00:00",
    "2026-11-25 12:11": "2026-11-25T12:11:00",
}


class TestAfterASpreadsheet:
    @pytest.mark.parametrize(
        "saved",
        [
            lambda t: in_excel(t).encode("utf-8-sig"),
            lambda t: in_excel(t, "\t").encode("utf-16"),
            lambda t: in_excel(t, ",").encode("cp1252"),
            lambda t: in_excel(t, end=";;;;;;;\r\n\r\n").encode(),
            lambda t: b"sep=;\r\n" + in_excel(t).encode(),
            lambda t: t.replace("exclude", "Exclude").replace("relabel", " RELABEL ").encode(),
            lambda t: t.replace("erythroblast", "Erythroblasts").encode(),
            lambda t: t.replace("hash,name", " Hash ,NAME").encode(),
            lambda t: in_excel(t).replace(";\r\n", ";;;\r\n").encode(),
        ],
    )
    def test_a_table_is_read_as_it_was(self, workspace: Workspace, decided: Dataset, saved):
        copy = made(workspace, "copy", [*range(12), 3])
        decided.curation.relabel([2], 0, "größer")
        assert import_decisions(copy, saved(decisions_csv(decided)), "d.csv").applied == 4
        assert summary(copy) == summary(decided)

    @pytest.mark.parametrize(("shown", "meant"), LOCAL.items())
    def test_dates_as_it_shows_them(self, workspace: Workspace, shown: str, meant: str):
        dataset = made(workspace, "d", [0])
        row = f"hash;decision;time\n{dataset.hashes[0]};Keep;{shown}\n"
        import_decisions(dataset, row, "d.csv")
        assert dataset.curation.decisions[0]["time"] == meant

    @pytest.mark.parametrize("title", ["Immature granulocyte", "immature granulocytes", "IG"])
    def test_classes_as_the_pages_write_them(self, workspace: Workspace, title: str):
        dataset = made(workspace, "d", [0])
        table = f"hash,decision,label\n{dataset.hashes[0]},relabel,{title}\n"
        import_decisions(dataset, table, "d.csv")
        assert dataset.labels.tolist() == [3]

    def test_a_workbook_is_no_table(self, workspace: Workspace):
        dataset = made(workspace, "d", [0])
        with pytest.raises(BadInput, match=r"d\.csv is a zip archive \(an Excel workbook is one\)"):
            import_decisions(dataset, b"PK\x03\x04" + bytes(100), "d.csv")

    def test_no_reason_is_a_formula_and_none_is_changed(self, workspace: Workspace):
        dataset, copy = made(workspace, "d", [0]), made(workspace, "copy", [0])
        dataset.curation.exclude([0], "=HYPERLINK(1)")
        table = decisions_csv(dataset)
        assert ",'=HYPERLINK(1)," in table
        import_decisions(copy, table, "d.csv")
        assert copy.curation.decisions[0]["reason"] == "=HYPERLINK(1)"


HASH = "0" * 32


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "expected at least hash, decision"),
        ("a,b\n1,2\n", "columns a, b"),
        ("hash,decision\nxyz,exclude\n", "line 2: 'xyz' is no pixel hash"),
        (f"hash,decision\n{HASH},exclude\n{HASH},burn\n", "line 3: there is no decision 'burn'"),
        (f"hash,decision,label\n{HASH},relabel,cat\n", f"'cat': expected one of {CLASS_NAMES[0]}"),
        (f"hash,decision\n{HASH}\n", "line 2: expected 2 values"),
        (f"hash,decision\n{HASH},keep,x\n", "line 2: expected 2 values"),
        (f"hash,decision,time\n{HASH},keep,noon\n", "'noon' is no time"),
        (f"hash,decision,copies\n{HASH},keep,-1\n", "'-1' copies"),
        ("\0\1", "is not text"),
    ],
)
def test_a_table_of_something_else_is_one_sentence_and_changes_nothing(
    workspace: Workspace, text: str, says: str
):
    dataset = made(workspace, "d", [0, 1])
    with pytest.raises(BadInput, match=r"d\.csv") as caught:
        import_decisions(dataset, text, "d.csv")
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not dataset.curation.decisions
