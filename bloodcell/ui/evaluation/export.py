"""Downloads: the evaluation as a report, its tables, the ensemble, its model card."""

import io
import json
import re
import zipfile
from pathlib import Path

import streamlit as st

from bloodcell.csv_files import frame_csv
from bloodcell.data.store.dataset import Dataset
from bloodcell.ensemble.bundle import Bundle, zipped
from bloodcell.ensemble.description import Description
from bloodcell.evaluation.checklist import checklist, measured_card
from bloodcell.evaluation.evaluate import Evaluation
from bloodcell.evaluation.stress import load_study
from bloodcell.evaluation.tables import all_tables
from bloodcell.ui.common.format import no_pictures
from bloodcell.ui.common.state import workspace

__all__ = ["show_export", "zip_tables"]


def zip_tables(found: Evaluation, dataset: Dataset, description: Description) -> bytes:
    """A zip with a CSV file for every table of an evaluation."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, table in all_tables(found, dataset, description).items():
            packed.writestr(f"{name}.csv", frame_csv(table))
    return buffer.getvalue()


def _find_study(found: Evaluation, dataset: Dataset, description: Description):
    every = (
        load_study(description, dataset, found.part, images=n, tta=found.tta) for n in (0, 300)
    )
    # Rather a complete one of some images than one of all that has just begun.
    return max((s for s in every if s is not None), key=lambda s: len(s.done), default=None)


def _write_report(found: Evaluation, dataset: Dataset, description: Description) -> str:
    # Imported late: it reads the whole of plotly.js.
    from bloodcell.figures.report import evaluation_report

    return evaluation_report(found, dataset, description, _find_study(found, dataset, description))


def _lower_headings(text: str) -> str:
    return re.sub(r"^(#+) ", r"##\1 ", text, flags=re.MULTILINE)


def show_export(name: str, found: Evaluation | None, dataset: Dataset | None) -> None:
    """Show downloads of the evaluation on screen and of the ensemble, and its model card.

    Args:
        name: the ensemble's in the workspace.
        found: the evaluation, if there is one.
        dataset: what it was evaluated on.
    """
    folder = Path(workspace().find("ensembles", name))
    bundle = Bundle(folder)
    card = bundle.read("card.md").decode("utf-8", "replace")
    if found is not None and dataset is not None:
        card = measured_card(card, bundle.description, dataset, found)
        _show_downloads(found, dataset, bundle.description, card)
    else:
        st.info("Evaluate the ensemble first to download a report.", icon=":material/info:")
    st.subheader("Ensemble", anchor=False)
    st.markdown(
        "One self-contained file. On any machine: `python -m bloodcell classify "
        f"{name}.zip cell.png`."
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
    st.subheader("Model card", anchor=False)
    with st.container(border=True):
        st.markdown(no_pictures(_lower_headings(card)))


def _show_downloads(
    found: Evaluation, dataset: Dataset, description: Description, card: str
) -> None:
    st.subheader("Evaluation", anchor=False)
    stem = f"{found.ensemble}-{found.dataset}-{found.part}"
    text = json.dumps(found.to_json(), ensure_ascii=False, allow_nan=False) + "\n"
    with st.container(horizontal=True):
        st.download_button(
            "Report (HTML)",
            lambda: _write_report(found, dataset, description),
            f"{stem}.html",
            "text/html",
            icon=":material/download:",
            type="primary",
            on_click="ignore",
            key="report",
        )
        for label, data, file, mime in (
            (
                "All tables (CSV)",
                lambda: zip_tables(found, dataset, description),
                f"{stem}-tables.zip",
                "application/zip",
            ),
            ("Metrics (JSON)", text, f"{stem}.json", "application/json"),
            ("Model card with checklist", card, f"{stem}-card.md", "text/markdown"),
        ):
            st.download_button(
                label, data, file, mime, icon=":material/download:", on_click="ignore"
            )
    still = sum(not item.known for item in checklist(description, dataset, found))
    st.caption(
        "The report is one interactive file that works offline. It holds file names and numbers, "
        "no images. Save any figure from its toolbar (SVG, in the report also PNG). Of the CLAIM "
        f"checklist {still} items are left for you to fill in."
    )
