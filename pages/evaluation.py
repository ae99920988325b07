"""Evaluation: combine runs into an ensemble, judge it, put it under stress, take it along."""

from typing import Any

import streamlit as st

from bloodcell.data.store.dataset import Dataset
from bloodcell.evaluation.evaluate import EVALUATED, Evaluation
from bloodcell.ui.common.errors import show_errors
from bloodcell.ui.common.frame import heading
from bloodcell.ui.common.jobs import wait_for
from bloodcell.ui.common.state import active_dataset, active_ensemble
from bloodcell.ui.evaluation.calibration import calibration, review, sets
from bloodcell.ui.evaluation.compose_form import compose_form
from bloodcell.ui.evaluation.export import take_along
from bloodcell.ui.evaluation.images import confusion_and_images, hard_pair, image_by_image
from bloodcell.ui.evaluation.metrics import all_figures, by_class, headline, side_by_side
from bloodcell.ui.evaluation.results import AT_ONCE, effort, ensemble_info, held, judging
from bloodcell.ui.evaluation.robustness import away, stress

VIEWS = ("Confusion", "Hard pair", "Networks", "Classes", "Trust", "Images", "All figures")


def how(info: dict[str, Any], dataset: Dataset) -> tuple[str, bool]:
    """The part of the dataset, and whether answers are averaged over flips and turns."""
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
            value=bool(info["tta"]),
            key=f"judge_tta_{info['name']}",
            persist_state="session",
            help="Eight views of each image: slower, often a little better.",
        )
    return part, tta


def judged(
    name: str, info: dict[str, Any], dataset: Dataset, part: str, tta: bool
) -> Evaluation | None:
    """The evaluation: from the disk, or worked out now; None until it is there."""
    found = held(info, dataset, part, tta)
    if found is not None:
        return found
    images, networks, views = effort(info, dataset, part, tta)
    job = judging(name, info, dataset, part, tta, start=False)
    if job is None and images * networks * views <= AT_ONCE:
        job = judging(name, info, dataset, part, tta, start=True)
    if job is None or job.state in ("stopped", "failed"):
        if job is not None:
            wait_for(job)
        work = f"{images:,} images × {networks} networks × {views} views"
        if not st.button(
            f"Judge ({work})", type="primary", icon=":material/play_arrow:", key="judge"
        ):
            return None
        job = judging(name, info, dataset, part, tta, start=True)
    return job.result if job is not None and wait_for(job) else None


def report(found: Evaluation, dataset: Dataset, name: str, info: dict[str, Any]) -> None:
    """The headline, and one view of the rest at a time."""
    headline(found)
    view = st.segmented_control(
        "View",
        VIEWS,
        default=VIEWS[0],
        required=True,
        key="view",
        bind="query-params",
        label_visibility="collapsed",
    )
    match view:
        case "Confusion":
            confusion_and_images(found, dataset, name)
        case "Hard pair":
            hard_pair(found, dataset, name)
        case "Networks":
            side_by_side(found, info)
        case "Classes":
            by_class(found)
        case "Trust":
            st.subheader("Can its probabilities be taken at their word?", anchor=False)
            calibration(found)
            st.subheader("How much to review", anchor=False)
            review(found)
            st.subheader("What else could it be?", anchor=False)
            sets(found, info)
        case "Images":
            image_by_image(found, dataset, name, info["novelty"]["threshold"])
        case _:
            all_figures(found)


def with_ensemble(name: str) -> None:
    """The tabs that need an ensemble and a dataset."""
    info = ensemble_info(name)
    data = active_dataset()
    if data is None:
        if taking_tab.open:
            with taking_tab:
                take_along(name, None, None)
        else:
            st.info("There is no dataset to judge on yet.", icon=":material/info:")
            st.page_link("pages/dataset.py", label="Open Dataset", icon=":material/arrow_forward:")
        return
    with choice:
        part, tta = how(info, data)
    if judging_tab.open:
        with judging_tab:
            found = judged(name, info, data, part, tta)
            if found is not None:
                report(found, data, name, info)
    if stressing_tab.open:
        with stressing_tab:
            st.subheader("Corrupted images", anchor=False)
            stress(name, info, data, part, tta)
            st.subheader("Another laboratory", anchor=False)
            away(name, info, held(info, data, part, tta), data)
    if taking_tab.open:
        with taking_tab:
            take_along(name, held(info, data, part, tta), data)


heading(
    "Evaluation",
    "Combine finished runs into an ensemble, and judge it on cells that it has not seen.",
)
composed = st.session_state.pop("composed", None)
if composed:
    st.toast(f"{composed} is ready and active.", icon=":material/check_circle:")
active = active_ensemble()
choice = st.container()
judging_tab, stressing_tab, combining_tab, taking_tab = st.tabs(
    ["Judge", "Under stress", "Combine runs", "Take along"],
    default=None if active else "Combine runs",
    key=f"evaluation_tab_{active}",
    on_change="rerun",
)
with show_errors():
    if combining_tab.open:
        with combining_tab:
            compose_form()
    elif active is None:
        st.info(
            "There is no ensemble to judge yet: combine finished runs first.",
            icon=":material/info:",
        )
    else:
        with_ensemble(active)
