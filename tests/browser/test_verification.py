"""A study of forty drawn smears: planned, locked, counted and reported by hand."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bloodcell.agreement.counts import counts_csv, read_counts
from bloodcell.agreement.methods import bland_altman
from bloodcell.agreement.verification import load_plan, verify
from bloodcell.classes import CLASS_NAMES
from bloodcell.data.synthetic.drawing.draw import draw_cell, draw_field
from bloodcell.ensemble.ensemble import open_ensemble
from bloodcell.smear.count import count
from bloodcell.smear.review import Review, class_counts
from bloodcell.ui.common.gallery import png_bytes
from bloodcell.workspace import Workspace
from tests.browser.conftest import Server, settle
from tests.browser.test_classify_label import typed

pytestmark = [pytest.mark.browser, pytest.mark.nightly]

SMEARS, CELLS, TILE = 40, 12, 160
NEUTROPHIL, LYMPHOCYTE, EOSINOPHIL = (
    CLASS_NAMES.index(name) for name in ("neutrophil", "lymphocyte", "eosinophil")
)
# Ben calls one neutrophil of three immature: he and Anna differ by so much, and by no more.
ONE_OF = 3


def drawn_smear(rng: np.random.Generator) -> tuple[bytes, dict[str, int]]:
    """A photograph with cells of three classes, and how many of each."""
    shares = rng.dirichlet([6, 3, 1.5])
    labels = rng.choice([NEUTROPHIL, LYMPHOCYTE, EOSINOPHIL], CELLS, p=shares)
    tiles = [draw_cell(int(label), rng, TILE) for label in labels]
    tiles += [draw_field(rng, TILE) for _ in range(8)]
    order = rng.permutation(len(tiles))
    rows = [np.hstack([tiles[i] for i in order[k : k + 5]]) for k in range(0, len(tiles), 5)]
    names, counts = np.unique(labels, return_counts=True)
    return png_bytes(np.vstack(rows)), {
        CLASS_NAMES[k]: int(n) for k, n in zip(names, counts, strict=True)
    }


def study(home: Path) -> str:
    """The table of counts of a machine and of two readers."""
    rng = np.random.default_rng(21)
    ensemble = open_ensemble(Workspace(home), "first")
    lines = []
    for number in range(1, SMEARS + 1):
        photograph, true = drawn_smear(rng)
        smear = f"smear {number}"
        machine = class_counts(Review(count(ensemble, [("field.png", photograph)])))
        immature = round(true.get("neutrophil", 0) / ONE_OF)
        ben = true | {"immature_granulocyte": immature}
        ben["neutrophil"] = true.get("neutrophil", 0) - immature
        lines += [(smear, "first", machine), (smear, "Anna", true), (smear, "Ben", ben)]
    return counts_csv(lines)


def number(page: Any, label: str, value: str) -> None:
    page.get_by_role("spinbutton", name=label).fill(value)
    page.get_by_role("spinbutton", name=label).press("Tab")
    settle(page)


def plan_and_lock(page: Any) -> None:
    """Fill in the plan of the study on the page, and lock it."""
    page.get_by_text("Plan", exact=True).click()
    typed(page, "Name", "forty")
    typed(page, "Question", "Does the machine count drawn smears as Anna and Ben do?")
    typed(page, "Machine", "first")
    typed(page, "Readers, separated by commas", "Anna, Ben")
    number(page, "Smears", str(SMEARS))
    number(page, "White cells a reader counts", str(CELLS))
    number(page, "Expected standard deviation of differences", "6")
    for name in ("Neutrophil", "Lymphocyte"):
        number(page, f"{name} ±", "15")
    page.get_by_role("button", name="Lock plan").click()
    page.get_by_text("Locked on").wait_for()
    settle(page)


def upload_counts(page: Any, counts: str) -> None:
    """Drop the counts on a locked plan."""
    page.get_by_text("Results", exact=True).click()
    page.locator("input[type=file]").set_input_files(
        {"name": "counts.csv", "mimeType": "text/csv", "buffer": counts.encode()}
    )
    page.get_by_text("Smears that need a person").wait_for()
    settle(page)


def test_a_study_from_set_up_to_lock_to_report(
    page: Any, server: Server, trained_home: Path, tmp_path: Path
):
    home = tmp_path / "home"
    (home / "ensembles").mkdir(parents=True)
    counts = study(trained_home)
    (tmp_path / "counts.csv").write_text(counts, encoding="utf-8")
    page.goto(f"{server.show(home)}/verification")
    settle(page)
    plan_and_lock(page)
    path = home / "verifications" / "forty" / "plan.json"
    plan = load_plan(path)
    assert (plan.machine, plan.readers, plan.smears) == ("first", ("Anna", "Ben"), SMEARS)
    assert plan.limits == {"neutrophil": 15.0, "lymphocyte": 15.0}
    # What is locked has nothing to be typed into.
    assert page.get_by_role("spinbutton").count() == 0

    upload_counts(page, counts)
    read = read_counts(tmp_path / "counts.csv")
    expected = verify(plan, read)
    page.get_by_text(expected.verdict).wait_for()
    with page.expect_download() as download:
        page.get_by_role("button", name="Report (HTML)").click()
    report = tmp_path / "report.html"
    download.value.save_as(report)

    # The two readers differ as they were made to.
    anna, ben = read.common_shares(("Anna", "Ben"))
    known = bland_altman(anna["neutrophil"].to_numpy(), ben["neutrophil"].to_numpy())
    neutrophil = next(c for c in expected.comparisons if c.name == "neutrophil")
    assert neutrophil.between_readers.bias == pytest.approx(known.bias)
    assert known.bias == pytest.approx(-anna["neutrophil"].mean() / ONE_OF, abs=1.5)

    page.emulate_media(color_scheme="dark")
    page.set_viewport_size({"width": 400, "height": 900})
    page.set_content(report.read_text(encoding="utf-8"))
    page.locator("figure .main-svg").first.wait_for()
    assert page.get_by_text(expected.verdict).is_visible()
    assert page.get_by_text(f"{known.bias:+.1f} (").first.is_visible()
    assert plan.seal in page.content()
    figures = page.locator("figure").count()
    assert figures >= 2 * len(plan.limits)
    assert page.locator("figure .main-svg").count() >= figures
    # Nothing stands beyond the edge of a phone.
    assert page.evaluate("document.documentElement.scrollWidth") <= 400
