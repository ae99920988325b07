"""What can be taken along: the evaluation as one file, its tables, the ensemble, its card."""

import io
import json
import re
import zipfile
from pathlib import Path
from typing import Any

import streamlit as st

from bloodcell.data.store.dataset import Dataset
from bloodcell.ensemble.bundle import Bundle, zipped
from bloodcell.evaluation.checklist import checklist, measured_card
from bloodcell.evaluation.evaluate import Evaluation
from bloodcell.evaluation.stress import load_study
from bloodcell.evaluation.tables import all_tables
from bloodcell.ui.common.state import workspace

__all__ = ["take_along", "zipped_tables"]


def zipped_tables(found: Evaluation, dataset: Dataset, info: dict[str, Any]) -> bytes:
    """A zip with a CSV file for every table of an evaluation."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, table in all_tables(found, dataset, info).items():
            packed.writestr(f"{name}.csv", table.to_csv(index=False))
    return buffer.getvalue()


def _study(found: Evaluation, dataset: Dataset, info: dict[str, Any]):
    every = (load_study(info, dataset, found.part, images=n, tta=found.tta) for n in (0, 300))
    # Rather a complete one of some images than one of all that has just begun.
    return max((s for s in every if s is not None), key=lambda s: len(s.done), default=None)


def _report(found: Evaluation, dataset: Dataset, info: dict[str, Any]) -> str:
    # Imported late: it reads the whole of plotly.js.
    from bloodcell.figures.report import evaluation_report

    return evaluation_report(found, dataset, info, _study(found, dataset, info))


def _headings(text: str) -> str:
    return re.sub(r"^(#+) ", r"##\1 ", text, flags=re.MULTILINE)


def take_along(name: str, found: Evaluation | None, dataset: Dataset | None) -> None:
    """Downloads of the evaluation that is on screen, of the ensemble, and its card.

    Args:
        name: the ensemble's in the workspace.
        found: the evaluation, if there is one.
        dataset: what it was judged on.
    """
    folder = Path(workspace().find("ensembles", name))
    bundle = Bundle(folder)
    card = bundle.read("card.md").decode("utf-8", "replace")
    if found is not None and dataset is not None:
        card = measured_card(card, bundle.info, dataset, found)
        _evaluation(found, dataset, bundle.info, card)
    else:
        st.info("Judge the ensemble first to take an evaluation along.", icon=":material/info:")
    st.subheader("The ensemble", anchor=False)
    st.markdown(
        "One file that needs nothing else: `python -m bloodcell classify "
        f"{name}.zip cell.png` works with it on any machine."
    )
    st.download_button(
        f"{name}.zip",
        lambda: zipped(folder),
        f"{name}.zip",
        "application/zip",
        icon=":material/download:",
        type="primary",
        on_click="ignore",
        key="zip",
    )
    with st.container(border=True):
        st.markdown(_headings(card))


def _evaluation(found: Evaluation, dataset: Dataset, info: dict[str, Any], card: str) -> None:
    st.subheader("The evaluation", anchor=False)
    stem = f"{found.ensemble}-{found.dataset}-{found.part}"
    text = json.dumps(found.to_json(), ensure_ascii=False, allow_nan=False) + "\n"
    with st.container(horizontal=True):
        st.download_button(
            "Report, HTML",
            lambda: _report(found, dataset, info),
            f"{stem}.html",
            "text/html",
            icon=":material/download:",
            type="primary",
            on_click="ignore",
            key="report",
        )
        for label, data, file, mime in (
            (
                "Every table, CSV",
                lambda: zipped_tables(found, dataset, info),
                f"{stem}-tables.zip",
                "application/zip",
            ),
            ("Figures of evaluate, JSON", text, f"{stem}.json", "application/json"),
            ("Card and checklist", card, f"{stem}-card.md", "text/markdown"),
        ):
            st.download_button(
                label, data, file, mime, icon=":material/download:", on_click="ignore"
            )
    still = sum(not item.known for item in checklist(info, dataset, found))
    st.caption(
        "The report is one file, interactive and without need of a network; it holds names and "
        "numbers, no photographs. Every figure, here and in it, can be saved as a picture from "
        f"its toolbar (SVG; PNG in the report). Of the checklist {still} lines are left to you: "
        "no file knows them."
    )
