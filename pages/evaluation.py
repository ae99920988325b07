"""Evaluation: combine runs into an ensemble, judge it, take it along."""

import hashlib
import json

import streamlit as st

from bloodcell.data.dataset import Dataset
from bloodcell.ensemble.ensemble import Ensemble
from bloodcell.evaluation.evaluate import EVALUATED, Evaluation
from bloodcell.ui.compose_form import compose_form
from bloodcell.ui.image_review import confusion_and_images, image_by_image
from bloodcell.ui.image_table import metrics_csv, predictions_csv
from bloodcell.ui.judge_view import by_class, calibration, headline, side_by_side
from bloodcell.ui.judged import AT_ONCE, effort, judging
from bloodcell.ui.state import (
    active_dataset,
    active_ensemble,
    heading,
    load_ensemble,
    sentences,
)
from bloodcell.ui.take_along import take_along
from bloodcell.ui.work import ended


def judge(ensemble: Ensemble, dataset: Dataset) -> None:
    """Choose a part, judge, show."""
    with st.container(horizontal=True, vertical_alignment="bottom"):
        part = st.segmented_control(
            f"Part of {dataset.name}",
            EVALUATED,
            default="test",
            required=True,
            format_func=str.capitalize,
            key="part",
            bind="query-params",
        )
        tta = st.toggle(
            "Average over flips and turns",
            value=bool(ensemble.info["tta"]),
            key=f"judge_tta_{ensemble.name}",
            persist_state="session",
            help="Eight views of each image: slower, often a little better.",
        )
    images, networks, views = effort(ensemble, dataset, part, tta)
    job = judging(ensemble, dataset, part, tta, start=images * networks * views <= AT_ONCE)
    if job is None or job.state in ("stopped", "failed"):
        work = f"{images:,} images × {networks} networks × {views} views"
        if job is not None:
            ended(job)
        if not st.button(
            f"Judge ({work})", type="primary", icon=":material/play_arrow:", key="judge"
        ):
            return
        job = judging(ensemble, dataset, part, tta, start=True)
    if job is not None and ended(job):
        report(job.result, dataset, ensemble)


def report(found: Evaluation, dataset: Dataset, ensemble: Ensemble) -> None:
    """An evaluation, top to bottom."""
    headline(found)
    text = json.dumps(found.to_json(), ensure_ascii=False, allow_nan=False) + "\n"
    stem = f"{found.ensemble}-{found.dataset}-{found.part}"
    st.subheader("Which cells are taken for which", anchor=False)
    confusion_and_images(found, dataset, ensemble)
    st.subheader("Beside each other", anchor=False)
    side_by_side(found)
    st.subheader("Class by class", anchor=False)
    by_class(found)
    st.subheader("Can its probabilities be taken at their word?", anchor=False)
    calibration(found)
    st.subheader("Image by image", anchor=False)
    stamp = hashlib.sha256(found.answers.probabilities.tobytes() + stem.encode()).hexdigest()
    image_by_image(found, dataset, ensemble, stamp)
    st.subheader("Take it along", anchor=False)
    with st.container(horizontal=True):
        for label, data, file, mime in (
            ("Evaluation, JSON", text, f"{stem}.json", "application/json"),
            ("Metrics, CSV", metrics_csv(found), f"{stem}-metrics.csv", "text/csv"),
            (
                "Images, CSV",
                lambda: predictions_csv(found, dataset),
                f"{stem}-images.csv",
                "text/csv",
            ),
        ):
            st.download_button(
                label, data, file, mime, icon=":material/download:", on_click="ignore"
            )


heading(
    "Evaluation",
    "Combine finished runs into an ensemble, and judge it on cells that it has not seen.",
)
composed = st.session_state.pop("composed", None)
if composed:
    st.toast(f"{composed} is ready and active.", icon=":material/check_circle:")
name = active_ensemble()
judging_tab, combining_tab, taking_tab = st.tabs(
    ["Judge", "Combine runs", "Take along"],
    default=None if name else "Combine runs",
    key=f"evaluation_tab_{name}",
    on_change="rerun",
)
with judging_tab, sentences():
    if judging_tab.open:
        data = active_dataset()
        if name is None:
            st.info(
                "There is no ensemble to judge yet: combine finished runs first.",
                icon=":material/info:",
            )
        elif data is None:
            st.info("There is no dataset to judge on yet.", icon=":material/info:")
            st.page_link("pages/dataset.py", label="Open Dataset", icon=":material/arrow_forward:")
        else:
            judge(load_ensemble(name), data)
with combining_tab, sentences():
    if combining_tab.open:
        compose_form()
with taking_tab, sentences():
    if taking_tab.open:
        if name is None:
            st.info("There is no ensemble yet.", icon=":material/info:")
        else:
            take_along(load_ensemble(name))
