"""The Findings view: audit from the page, look, decide, undo, export and import."""

import shutil
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from bloodcell.audit import audit, load_audit, save_audit
from bloodcell.audit.finding import KINDS, Finding
from bloodcell.classes import CLASS_NAMES
from bloodcell.data.store.dataset import Dataset, open_dataset
from bloodcell.data.store.decisions import decisions_csv
from bloodcell.data.synthetic.demo import Faults, make_demo
from bloodcell.ui.common.jobs import current_job
from bloodcell.ui.dataset.findings.browse import KIND_TEXTS, FindingFilter, groups_of
from bloodcell.ui.dataset.findings.decisions import decisions_for, keep_one
from bloodcell.workspace import Workspace

Open = Callable[..., AppTest]
FAULTS = Faults(copies=3, conflicting=2, repeated=0, foreign=6, wrong_labels=8)


def button(app: AppTest, label: str):
    return next(b for b in app.button if b.label.startswith(label))


def widget(widgets, label: str):
    return next(w for w in widgets if w.label == label)


def texts(elements) -> str:
    return "\n".join(str(e.value) for e in elements)


def named(home: Path) -> Dataset:
    return open_dataset(Workspace(home), "faulty")


@pytest.fixture(scope="module")
def audited_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("findings") / "home"
    dataset = make_demo(Workspace(home), "faulty", per_class=20, size=32, faults=FAULTS)
    save_audit(dataset, audit(dataset))
    return home


@pytest.fixture
def own_home(audited_home: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(audited_home, tmp_path / "home"))


def of_kind(home: Path, kind: str) -> list[Finding]:
    found = load_audit(named(home))
    assert found is not None
    return [f for f in found.findings if f.kind == kind]


def opened(home: Path, open_page: Open, kind: str) -> AppTest:
    app = open_page(home, "dataset", view="Findings")
    assert not app.exception
    widget(app.button_group, "Kind of finding").set_value(kind).run()
    assert not app.exception
    return app


class TestAudit:
    def test_is_made_from_the_page_and_kept(self, own_home: Path, open_page: Open):
        (named(own_home).path / "audit.json").unlink()
        app = open_page(own_home, "dataset", view="Findings")
        assert "Only exact duplicates are known" in texts(app.markdown)
        button(app, "Run audit").click().run()
        job = current_job()
        assert job is not None
        job.wait(120)
        assert (job.state, job.error) == ("done", "")
        app.run()
        assert not app.exception
        assert load_audit(named(own_home)) is not None
        kinds = widget(app.button_group, "Kind of finding").options
        assert any(o.startswith("Outliers") for o in kinds)

    def test_can_be_stopped_and_leaves_the_last_one(self, own_home: Path, open_page: Open):
        shutil.rmtree(named(own_home).path / "audit")
        before = load_audit(named(own_home))
        app = open_page(own_home, "dataset", view="Findings")
        button(app, "Run again").click().run()
        job = current_job()
        assert job is not None
        job.stop()
        job.wait(120)
        assert job.state == "stopped"
        end = time.monotonic() + 30
        while "was stopped" not in texts(app.warning) and time.monotonic() < end:
            app.run()
        assert "was stopped" in texts(app.warning)
        assert load_audit(named(own_home)) == before


class TestOneFinding:
    def test_says_what_why_how_sure_and_what_it_looks_like(self, audited_home: Path, open_page):
        app = opened(audited_home, open_page, "suspect_label")
        first = of_kind(audited_home, "suspect_label")[0]
        shown = texts(app.markdown) + texts(app.caption)
        assert f"Score {first.score:.2f}" in shown
        assert first.name in shown
        assert "looks most like" in shown
        assert "Most similar" in shown
        assert f"Typical {first.looks_like.replace('_', ' ')}" in shown

    def test_is_rejected_and_not_asked_about_again(self, own_home: Path, open_page: Open):
        app = opened(own_home, open_page, "suspect_label")
        first, before = of_kind(own_home, "suspect_label")[0], named(own_home)
        app.button(key=f"keep_suspect_label_{first.index}").click().run()
        after = named(own_home)
        assert after.curation.confirmed() == [first.index]
        assert after.curation.fingerprint == before.curation.fingerprint
        assert f"image {first.index:,}, {first.name}" not in texts(app.caption)

    def test_is_accepted_and_undone(self, own_home: Path, open_page: Open):
        app = opened(own_home, open_page, "outlier")
        first = of_kind(own_home, "outlier")[0]
        app.button(key=f"exclude_outlier_{first.index}").click().run()
        assert named(own_home).curation.decisions[first.index]["reason"] == "outlier"
        assert "1 excluded" in texts(app.success)
        button(app, "Undo").click().run()
        assert not named(own_home).curation.decisions

    def test_gets_the_label_it_looks_like(self, own_home: Path, open_page: Open):
        app = opened(own_home, open_page, "suspect_label")
        first = of_kind(own_home, "suspect_label")[0]
        app.button(key=f"relabel_suspect_label_{first.index}").click().run()
        assert CLASS_NAMES[named(own_home).labels[first.index]] == first.looks_like

    def test_of_copies_in_conflict_one_stays_under_the_label_it_looks_like(self):
        labels = np.array([1, 6, 6, 0])
        group = [
            Finding("conflicting_label", i, f"{i}.png", 0, 1.0, "exclude", looks_like="neutrophil")
            for i in (0, 1, 2)
        ]
        done = {i: d["decision"] for i, d in keep_one(group, labels).items()}
        assert done == {0: "exclude", 1: "keep", 2: "exclude"}
        assert keep_one(group, np.zeros(4, int)) == {}


class TestAllOfAKind:
    def test_a_preview_comes_before_anything_is_relabelled(self, own_home: Path, open_page: Open):
        app = opened(own_home, open_page, "suspect_label")
        found = of_kind(own_home, "suspect_label")
        widget(app.button_group, "Decision").set_value("relabel").run()
        assert f"**{len(found):,} images** would change" in texts(app.markdown)
        assert not named(own_home).curation.decisions
        button(app, "Relabel").click().run()
        assert not app.exception
        labels = named(own_home).labels
        assert [CLASS_NAMES[labels[f.index]] for f in found] == [f.looks_like for f in found]
        button(app, "Undo last step").click().run()
        np.testing.assert_array_equal(named(own_home).labels, named(own_home).given_labels)

    def test_undo_undoes_what_was_shown_or_nothing(self, own_home: Path, open_page: Open):
        app = opened(own_home, open_page, "outlier")
        button(app, "Exclude").click().run()
        mine = set(named(own_home).curation.excluded())
        assert mine
        rest = next(i for i in range(len(named(own_home))) if i not in mine)
        named(own_home).curation.exclude([rest], "somebody else")
        next(b for b in app.button if b.label == "Undo").click().run()
        assert not app.exception
        assert "nothing was undone" in texts(app.error)
        assert set(named(own_home).curation.excluded()) == mine | {rest}

    def test_above_a_score(self, own_home: Path, open_page: Open):
        app = opened(own_home, open_page, "outlier")
        found = of_kind(own_home, "outlier")
        widget(app.slider, "Minimum score").set_value(0.8).run()
        above = {f.index for f in found if f.score >= 0.8}
        button(app, f"Exclude {len(above)} images").click().run()
        assert set(named(own_home).curation.excluded()) == above

    def test_of_copies_only_those_suggested(self, own_home: Path, open_page: Open):
        app = opened(own_home, open_page, "exact_duplicate")
        button(app, "Exclude 3 images").click().run()
        assert len(named(own_home).curation.excluded()) == 3


def finding(index: int, group: int, score: float, **more) -> Finding:
    return Finding("outlier", index, f"{index}.png", group, score, "review", **more)


class TestChoice:
    LABELS = np.array([0, 1, 0, 2])

    def test_by_label_likeness_and_score(self):
        found = [
            finding(0, 0, 0.9, looks_like="platelet"),
            finding(1, 1, 0.8, looks_like="monocyte"),
            finding(2, 2, 0.6, looks_like="platelet"),
        ]

        def chosen(**wanted) -> list[int]:
            return [g[0].index for g in groups_of(found, self.LABELS, FindingFilter(**wanted))]

        assert chosen() == [0, 1, 2]
        assert chosen(labels=(0,)) == [0, 2]
        assert chosen(looks_like=("platelet",), above=0.7) == [0]
        assert chosen(suggested="exclude") == []

    def test_a_group_is_never_torn_apart(self):
        found = [finding(0, 0, 0.9), finding(1, 0, 0.5), finding(3, 1, 0.5)]
        groups = groups_of(found, self.LABELS, FindingFilter(labels=(1,)))
        assert [[f.index for f in g] for g in groups] == [[0, 1]]

    def test_what_looks_like_nothing_cannot_be_relabelled(self):
        found = [finding(0, 0, 0.9, looks_like="monocyte"), finding(1, 1, 0.9)]
        assert decisions_for(found, "relabel", "seen") == {
            0: {"decision": "relabel", "reason": "seen", "label": 5}
        }


class TestDecisionsAsATable:
    def test_are_imported_from_a_file(self, own_home: Path, open_page: Open):
        dataset = named(own_home)
        dataset.curation.exclude([4], "blurred")
        dataset.curation.relabel([9], 3, "looked at")
        table = decisions_csv(dataset)
        dataset.curation.undo([4, 9])
        app = open_page(own_home, "dataset", view="Findings")
        widget(app.file_uploader, "Decisions (CSV)").upload(
            "mine.csv", table.encode(), "text/csv"
        ).run()
        button(app, "Import decisions").click().run()
        assert not app.exception
        assert "2 decisions imported, 2 of them new" in texts(app.success)
        assert decisions_csv(named(own_home)) == table

    def test_another_file_is_one_sentence(self, own_home: Path, open_page: Open):
        app = open_page(own_home, "dataset", view="Findings")
        widget(app.file_uploader, "Decisions (CSV)").upload(
            "cells.csv", b"a,b\n1,2\n", "text/csv"
        ).run()
        button(app, "Import decisions").click().run()
        assert not app.exception
        assert "cells.csv has the columns a, b" in texts(app.error)


def test_every_kind_is_explained():
    assert tuple(KIND_TEXTS) == KINDS
