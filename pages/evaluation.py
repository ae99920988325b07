"""Evaluation: create an ensemble, measure its metrics and robustness, export the results."""

import streamlit as st

from bloodcell.data.store.dataset import Dataset
from bloodcell.ensemble.description import Description
from bloodcell.evaluation.evaluate import EVALUATED, Evaluation
from bloodcell.ui.common.errors import show_errors
from bloodcell.ui.common.frame import heading
from bloodcell.ui.common.jobs import wait_for
from bloodcell.ui.common.state import active_dataset, active_ensemble
from bloodcell.ui.common.views import ask_views
from bloodcell.ui.evaluation.calibration import show_calibration, show_prediction_sets, show_review
from bloodcell.ui.evaluation.compose_form import draw_compose_form
from bloodcell.ui.evaluation.export import show_export
from bloodcell.ui.evaluation.images import show_class_pair, show_confusion, show_images
from bloodcell.ui.evaluation.metrics import (
    show_all_metrics,
    show_classes,
    show_headline,
    show_members,
)
from bloodcell.ui.evaluation.origins import has_origins, show_origins
from bloodcell.ui.evaluation.results import (
    AT_ONCE,
    count_predictions,
    describe_work,
    ensemble_description,
    find_evaluation,
    find_evaluation_job,
)
from bloodcell.ui.evaluation.robustness import show_corruptions, show_external

VIEWS = (
    "Confusion matrix",
    "Class pair",
    "Members",
    "Per class",
    "By origin",
    "Calibration",
    "Images",
    "All metrics",
)
METRICS, ROBUSTNESS, NEW, EXPORT = "Metrics", "Robustness", "New ensemble", "Export"


def choose_part(description: Description, dataset: Dataset) -> tuple[str, bool | None]:
    """Draw the choice of the dataset's part, and of how the networks look at it."""
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
        tta = ask_views(description, "evaluate")
    return part, tta


def load_or_evaluate(
    name: str, description: Description, dataset: Dataset, part: str, tta: bool | None
) -> Evaluation | None:
    """The evaluation, from disk or computed now; None until it is there."""
    found = find_evaluation(description, dataset, part, tta)
    if found is not None:
        return found
    images, networks, views = count_predictions(description, dataset, part, tta)
    job = find_evaluation_job(name, description, dataset, part, tta, start=False)
    if job is None and images * networks * views <= AT_ONCE:
        job = find_evaluation_job(name, description, dataset, part, tta, start=True)
    if job is None or job.state in ("stopped", "failed"):
        if job is not None:
            wait_for(job)
        work = describe_work(images, networks, views)
        if not st.button(
            f"Evaluate ({work})", type="primary", icon=":material/play_arrow:", key="evaluate"
        ):
            return None
        job = find_evaluation_job(name, description, dataset, part, tta, start=True)
    return job.result if job is not None and wait_for(job) else None


def show_views(found: Evaluation, dataset: Dataset, name: str, description: Description) -> None:
    """Show the main metrics, and one view of the rest at a time."""
    show_headline(found)
    view = st.segmented_control(
        "View",
        [view for view in VIEWS if view != "By origin" or has_origins(found)],
        default=VIEWS[0],
        required=True,
        key="view",
        bind="query-params",
        label_visibility="collapsed",
    )
    match view:
        case "Confusion matrix":
            show_confusion(found, dataset, name)
        case "Class pair":
            show_class_pair(found, dataset, name)
        case "Members":
            show_members(found, description)
        case "Per class":
            show_classes(found)
        case "By origin":
            show_origins(found)
        case "Calibration":
            st.subheader("Reliability of the probabilities", anchor=False)
            show_calibration(found)
            st.subheader("Review by a person", anchor=False)
            show_review(found)
            st.subheader("Prediction sets", anchor=False)
            show_prediction_sets(found, description)
        case "Images":
            show_images(found, dataset, name, description.novelty.threshold)
        case _:
            show_all_metrics(found)


def show_ensemble(name: str) -> None:
    """Show the tabs that need an ensemble and a dataset."""
    description = ensemble_description(name)
    data = active_dataset()
    if data is None:
        if export_tab.open:
            with export_tab:
                show_export(name, None, None)
        else:
            st.info("There is no dataset to evaluate on yet.", icon=":material/info:")
            st.page_link("pages/dataset.py", label="Open Dataset", icon=":material/arrow_forward:")
        return
    with choice:
        part, tta = choose_part(description, data)
    if metrics_tab.open:
        with metrics_tab:
            found = load_or_evaluate(name, description, data, part, tta)
            if found is not None:
                show_views(found, data, name, description)
    if robustness_tab.open:
        with robustness_tab:
            st.subheader("Corrupted images", anchor=False)
            show_corruptions(name, description, data, part, tta)
            st.subheader("Another laboratory", anchor=False)
            show_external(name, description, find_evaluation(description, data, part, tta), data)
    if export_tab.open:
        with export_tab:
            show_export(name, find_evaluation(description, data, part, tta), data)


heading(
    "Evaluation",
    "Combine finished runs into an ensemble, and evaluate it on unseen cells.",
)
composed = st.session_state.pop("composed", None)
if composed:
    st.toast(
        f"{composed} was created and is now the active ensemble.", icon=":material/check_circle:"
    )
active = active_ensemble()
choice = st.container()
metrics_tab, robustness_tab, new_tab, export_tab = st.tabs(
    [METRICS, ROBUSTNESS, NEW, EXPORT],
    default=None if active else NEW,
    key=f"evaluation_tab_{active}",
    on_change="rerun",
)
with show_errors():
    if new_tab.open:
        with new_tab:
            draw_compose_form()
    elif active is None:
        st.info(
            "There is no ensemble yet. Create one from finished runs first.",
            icon=":material/info:",
        )
    else:
        show_ensemble(active)
