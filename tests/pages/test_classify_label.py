"""Label and adapt: cells are labelled, an ensemble is made of the labels, a wrong answer joins."""

from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from bloodcell.classes import CLASSES
from bloodcell.data.store.dataset import open_dataset
from bloodcell.data.store.labelling import labelled_cells, waiting_cells
from bloodcell.ensemble.bundle import Bundle
from bloodcell.ui.classify.adapting import worth_table
from bloodcell.workspace import Workspace
from tests.pages.opened import open_page, settled, words

LABEL = "Label and adapt"


def filled(app: AppTest, label: str, text: str) -> None:
    next(t for t in app.text_input if t.label == label).set_value(text)
    settled(app.run())


def pressed(app: AppTest, key: str) -> None:
    app.button(key=key).click()
    settled(app.run())


@pytest.fixture
def app(home: Path, monkeypatch) -> AppTest:
    """Nine drawn cells on the page."""
    page = open_page(home, "classify", monkeypatch)
    pressed(page, "try_drawn")
    return page


def test_cells_are_labelled_undone_skipped_and_adapted_to(app: AppTest, home: Path):
    workspace = Workspace(home)
    app.session_state["classify_view"] = LABEL
    settled(app.run())
    assert app.button(key="label_keep").disabled
    filled(app, "Laboratory", "Our lab")
    pressed(app, "label_keep")
    assert app.button(key="label_as_basophil").disabled
    assert app.button(key="adapt").disabled
    filled(app, "Your name", "Ada")
    name = "Our-lab"
    assert len(waiting_cells(open_dataset(workspace, name))) == 9
    pressed(app, "label_skip")
    pressed(app, "label_as_monocyte")
    pressed(app, "label_undo")
    assert "0 labelled, 9 left" in words(app)
    for cell in CLASSES[:4]:
        pressed(app, f"label_as_{cell.name}")
    dataset = open_dataset(workspace, name)
    done = labelled_cells(dataset)
    assert sorted(dataset.labels[done]) == [0, 1, 2, 3]
    assert set(dataset.origin("reader")[done]) == {"Ada"}
    assert set(dataset.origin("laboratory")) == {"Our lab"}

    pressed(app, "adapt")
    adapted = Bundle(workspace.ensembles / name).description.adapted
    assert (adapted.parent, adapted.dataset, adapted.laboratory) == ("first", name, "Our lab")
    text = words(app)
    assert "**Our\\-lab** is first adapted to Our lab" in text
    assert "**The rest, adapted.** 5 files" in text
    assert "nothing is known of these here" in text
    # Again from its parent, not from itself.
    assert app.button(key="adapt").label == "Adapt first"


def test_a_wrong_answer_joins_the_labelled_cells(app: AppTest, home: Path):
    filled(app, "Your name", "Ada")
    filled(app, "Laboratory", "Our lab")
    next(s for s in app.selectbox if s.label == "It is").set_value(5)
    settled(app.run())
    pressed(app, "correction_keep")
    assert "Kept as monocyte in Our\\-lab" in "\n".join(e.value for e in app.success)
    dataset = open_dataset(Workspace(home), "Our-lab")
    assert dataset.labels.tolist() == [5]
    assert dataset.origin("reader").tolist() == ["Ada"]
    assert "the answer was" in dataset.curation.decisions[0]["reason"]


def test_what_it_is_worth_stands_before_and_after_with_what_is_refused_and_home():
    share = {"accuracy": 0.5, "intervals": {"accuracy": [0.25, 0.75]}}
    table = worth_table(
        {
            "before": share | {"ece": None},
            "after": share | {"accuracy": 0.75, "ece": None},
            "synthetic": {"n": 80, "refused_before": 1.0, "refused_after": 0.9},
            "home": {"before": 0.99, "after": 0.98, "after_interval": [0.97, 0.99]},
        }
    )
    assert table[""].tolist() == ["Accuracy", "Refused of synthetic artefacts", "At home"]
    assert table["before"].tolist() == [50, 100, 99]
    assert table["after"].tolist() == [75, 90, 98]
