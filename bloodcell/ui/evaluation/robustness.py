"""Robustness: accuracy on corrupted images, and on an external dataset."""

import numpy as np
import pandas as pd
import streamlit as st

from bloodcell import figures
from bloodcell.csv_files import frame_csv
from bloodcell.data.pipeline import read_images
from bloodcell.data.store.dataset import Dataset, open_dataset
from bloodcell.ensemble.description import Description
from bloodcell.evaluation.corruptions import CORRUPTIONS, STRENGTHS, corrupt
from bloodcell.evaluation.evaluate import Evaluation, split_of
from bloodcell.evaluation.stress import CONDITIONS, Study, load_study
from bloodcell.ui.common.format import interval, percent
from bloodcell.ui.common.gallery import Picture, gallery
from bloodcell.ui.common.jobs import wait_for
from bloodcell.ui.common.state import workspace
from bloodcell.ui.evaluation.results import (
    count_predictions,
    describe_work,
    find_evaluation,
    find_evaluation_job,
    find_robustness_job,
)

__all__ = ["show_corruptions", "show_external"]

# Some minutes with three networks on two cores.
SOME = 300


def show_corruptions(
    name: str, description: Description, dataset: Dataset, part: str, tta: bool | None
) -> None:
    """Show the robustness study, or start, follow, stop and resume it."""
    st.caption(
        "Accuracy under eleven image corruptions (file, optics, light, slide), each at five "
        "severities. Modelled on BloodMNIST-C; own implementation."
    )
    total, networks, views = count_predictions(description, dataset, part, tta)
    if not total:
        st.info(f"The {part} part of {dataset.name} has no images: select another part.")
        return
    with st.expander("Examples of the corruptions"):
        _show_examples(description, dataset, part)
    images = 0
    if total > SOME:
        images = st.segmented_control(
            "Images",
            (SOME, 0),
            default=SOME,
            required=True,
            format_func=lambda n: f"{n:,}, balanced over the classes" if n else f"all {total:,}",
            key="robustness_images",
        )
    job = find_robustness_job(name, description, dataset, part, tta, images, start=False)
    kept = load_study(description, dataset, part, images=images, tta=tta)
    if job is not None and job.running:
        st.caption("It continues when this page is closed. Finished conditions are kept.")
        wait_for(job)
    elif kept is None or not kept.complete:
        if job is not None and job.state == "failed":
            wait_for(job)
        done = 0 if kept is None else len(kept.done)
        work = describe_work(images or total, networks, views)
        label = "Resume" if done else "Start"
        if st.button(
            f"{label} ({len(CONDITIONS) - done} conditions × {work})",
            type="primary",
            icon=":material/play_arrow:",
            key="robustness_start",
        ):
            find_robustness_job(name, description, dataset, part, tta, images, start=True)
            st.rerun()
        if done:
            st.caption(f"{done} of {len(CONDITIONS)} conditions are finished.")
    if kept is not None and len(kept.done) > 1:
        _show_study(kept)


@st.cache_data(max_entries=4, show_spinner=False)
def _corrupt_once(key: str, _image: np.ndarray) -> list[np.ndarray]:
    return [corrupt(_image[None], name, s)[0] for name in CORRUPTIONS for s in STRENGTHS]


def _show_examples(description: Description, dataset: Dataset, part: str) -> None:
    index = split_of(description, dataset).indices(part)[:1]
    image = read_images(dataset, index, description.input_size)[0]
    changed = _corrupt_once(f"{dataset.fingerprint}_{index}_{description.input_size}", image)
    made = []
    for place, picture in enumerate(changed):
        title = list(CORRUPTIONS.values())[place // len(STRENGTHS)]
        strength = STRENGTHS[place % len(STRENGTHS)]
        made.append(
            Picture(place, picture, f"{title}, severity {strength}", caption=f"{title} {strength}")
        )
    gallery(made, "robustness_sheet", columns=len(STRENGTHS), clickable=False)


def _show_study(study: Study) -> None:
    table = study.table()
    rows = []
    for place, network in enumerate(study.networks):
        value, pair = study.mean(place)
        clean = study.done[0].right[place].mean()
        rows.append(
            {
                "Model": network,
                "Original images": percent(float(clean)),
                "Mean over the corruptions": percent(value),
                "95 % interval": interval(pair),
                "Change, points": f"{100 * (value - clean):+.1f}",
                "n": study.n,
            }
        )
    if not study.complete:
        st.caption(f"So far: {len(study.done)} of {len(CONDITIONS)} conditions.")
    st.dataframe(pd.DataFrame(rows), hide_index=True, alt="Mean accuracy on corrupted images")
    st.plotly_chart(
        figures.corruption_curves(table, CORRUPTIONS, columns=3),
        key="corruption_curves",
        config=figures.CONFIG,
        alt="Accuracy of each model against the severity of each corruption",
    )
    st.caption(
        "Accuracy against severity; 0 is the original image. The bars are 95 % intervals of the "
        "ensemble."
    )
    st.download_button(
        "Download (CSV)",
        frame_csv(table),
        f"{study.ensemble}-{study.dataset}-robustness.csv",
        "text/csv",
        icon=":material/download:",
        on_click="ignore",
    )


def show_external(
    name: str, description: Description, home: Evaluation | None, dataset: Dataset
) -> None:
    """Compare the accuracy with that on another dataset (external validation).

    Args:
        home: the evaluation on the active dataset, if there is one.
        dataset: the active dataset.
    """
    others = [n for n in workspace().names("datasets") if n != dataset.name]
    if not others:
        st.info(
            "Import images of another laboratory on the Dataset page for an external validation.",
            icon=":material/info:",
        )
        return
    if home is None:
        st.info(f"Evaluate {description.name} on {dataset.name} first.", icon=":material/info:")
        return
    other = open_dataset(
        workspace(), st.selectbox("External dataset", others, key="external_dataset")
    )
    found = find_evaluation(description, other, "all", home.tta)
    if found is None:
        images, networks, views = count_predictions(description, other, "all", home.tta)
        job = find_evaluation_job(name, description, other, "all", home.tta, start=False)
        if (job is None or not job.running) and st.button(
            f"Evaluate on all of {other.name} ({images:,} images × {networks} networks × {views} "
            "views)",
            icon=":material/play_arrow:",
            key="external_start",
        ):
            job = find_evaluation_job(name, description, other, "all", home.tta, start=True)
        if job is None or not wait_for(job):
            return
        found = job.result
    rows = []
    for evaluation in (home, found):
        named = [(evaluation.ensemble, evaluation.judgement), *evaluation.members]
        for network, j in named:
            low, high = j.intervals["accuracy"]
            rows.append(
                {
                    "network": network,
                    "dataset": evaluation.dataset,
                    "accuracy": j.accuracy,
                    "low": low,
                    "high": high,
                    "n": j.n,
                    "macro_recall": j.macro_recall,
                    "ece": j.ece,
                    "recognised": evaluation.answers.recognised.mean()
                    if j is evaluation.judgement
                    else None,
                }
            )
    table = pd.DataFrame(rows)
    st.plotly_chart(
        figures.external_accuracy(table, (home.dataset, found.dataset)),
        key="external_accuracy",
        config=figures.CONFIG,
        alt="Accuracy of each model on the active and the external dataset",
    )
    st.dataframe(
        pd.DataFrame(
            [
                {
                    "Model": r.network,
                    "Dataset": r.dataset,
                    "Accuracy": percent(r.accuracy),
                    "95 % interval": interval((r.low, r.high)),
                    "Macro recall": percent(r.macro_recall),
                    "Calibration error": percent(r.ece),
                    "Recognised": "" if pd.isna(r.recognised) else percent(r.recognised),
                    "n": r.n,
                }
                for r in table.itertuples()
            ]
        ),
        hide_index=True,
        alt="Metrics on the active and the external dataset",
    )
    if found.seen:
        st.warning(
            f"{found.seen:,} of the {found.judgement.n:,} images of {found.dataset} were used in "
            "training or validation.",
            icon=":material/warning:",
        )
