"""Under stress: corrupted images, and cells from another laboratory."""

from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

from bloodcell import figures
from bloodcell.data.pipeline import read_images
from bloodcell.data.store.dataset import Dataset, open_dataset
from bloodcell.evaluation.corruptions import CORRUPTIONS, STRENGTHS, corrupt
from bloodcell.evaluation.evaluate import Evaluation, split_of
from bloodcell.evaluation.stress import CONDITIONS, Study, load_study
from bloodcell.ui.common.format import interval, percent
from bloodcell.ui.common.gallery import Picture, gallery
from bloodcell.ui.common.jobs import wait_for
from bloodcell.ui.common.state import workspace
from bloodcell.ui.evaluation.results import effort, held, judging, stressing

__all__ = ["away", "stress"]

# Some minutes with three networks on two cores.
SOME = 300


def stress(name: str, info: dict[str, Any], dataset: Dataset, part: str, tta: bool) -> None:
    """The corruption study: look at it, start it, watch it, stop it, go on."""
    st.caption(
        "Eleven faults of file, optics, light and slide, each at five strengths, after "
        "BloodMNIST-C; our own implementation, scaled to the images."
    )
    total, networks, views = effort(info, dataset, part, tta)
    if not total:
        st.info(f"The {part} part of {dataset.name} has no images: choose another part.")
        return
    with st.expander("What the corruptions look like"):
        _sheet(info, dataset, part)
    choices = [n for n in (SOME, 0) if n < total]
    images = st.segmented_control(
        "Images",
        choices,
        default=choices[0],
        required=True,
        format_func=lambda n: f"all {total:,}" if n == 0 else f"{n:,}, spread over the classes",
        key="stress_images",
    )
    job = stressing(name, info, dataset, part, tta, images, start=False)
    kept = load_study(info, dataset, part, images=images, tta=tta)
    if job is not None and job.running:
        st.caption("It goes on when this page is closed, and what is done is kept.")
        wait_for(job)
    elif kept is None or not kept.complete:
        if job is not None and job.state == "failed":
            wait_for(job)
        done = 0 if kept is None else len(kept.done)
        work = f"{len(CONDITIONS) - done} × {images or total:,} images × {networks} networks"
        label = "Go on" if done else "Start"
        if st.button(
            f"{label} ({work}{f' × {views} views' if views > 1 else ''})",
            type="primary",
            icon=":material/play_arrow:",
            key="stress_start",
        ):
            stressing(name, info, dataset, part, tta, images, start=True)
            st.rerun()
        if done:
            st.caption(f"{done} of {len(CONDITIONS)} conditions are done and kept.")
    if kept is not None and len(kept.done) > 1:
        _report(kept)


@st.cache_data(max_entries=4, show_spinner=False)
def _corrupted(key: str, _image: np.ndarray) -> list[np.ndarray]:
    return [corrupt(_image[None], name, s)[0] for name in CORRUPTIONS for s in STRENGTHS]


def _sheet(info: dict[str, Any], dataset: Dataset, part: str) -> None:
    index = split_of(info, dataset).indices(part)[:1]
    image = read_images(dataset, index, info["input_size"])[0]
    changed = _corrupted(f"{dataset.fingerprint}_{index}_{info['input_size']}", image)
    made = []
    for place, picture in enumerate(changed):
        title = list(CORRUPTIONS.values())[place // len(STRENGTHS)]
        strength = STRENGTHS[place % len(STRENGTHS)]
        made.append(
            Picture(place, picture, f"{title}, strength {strength}", caption=f"{title} {strength}")
        )
    gallery(made, "stress_sheet", columns=len(STRENGTHS), clickable=False)


def _report(study: Study) -> None:
    table = study.table()
    rows = []
    for place, network in enumerate(study.networks):
        value, pair = study.mean(place)
        clean = study.done[0].right[place].mean()
        rows.append(
            {
                "Network": network,
                "Clean": percent(float(clean)),
                "Mean over the corruptions": percent(value),
                "95 % interval": interval(pair),
                "Lost, points": f"{100 * (value - clean):+.1f}",
                "n": study.n,
            }
        )
    if not study.complete:
        st.caption(f"So far: {len(study.done)} of {len(CONDITIONS)} conditions.")
    st.dataframe(pd.DataFrame(rows), hide_index=True, alt="Mean accuracy under corruption")
    st.plotly_chart(
        figures.stress_curves(table, CORRUPTIONS),
        key="stress_curves",
        config=figures.CONFIG,
        alt="Accuracy of each network against the strength of each corruption",
    )
    st.download_button(
        "Study, CSV",
        table.to_csv(index=False),
        f"{study.ensemble}-{study.dataset}-stress.csv",
        "text/csv",
        icon=":material/download:",
        on_click="ignore",
    )


def away(name: str, info: dict[str, Any], home: Evaluation | None, dataset: Dataset) -> None:
    """Home beside another dataset: how much of the accuracy travels.

    Args:
        home: the evaluation on the active dataset, if there is one.
        dataset: the active dataset.
    """
    others = [n for n in workspace().names("datasets") if n != dataset.name]
    if not others:
        st.info(
            "Bring in cells of another laboratory on the Dataset page to see how much travels.",
            icon=":material/info:",
        )
        return
    if home is None:
        st.info(f"Judge {info['name']} on {dataset.name} first.", icon=":material/info:")
        return
    other = open_dataset(workspace(), st.selectbox("Beside", others, key="away_dataset"))
    found = held(info, other, "all", home.tta)
    if found is None:
        images, networks, views = effort(info, other, "all", home.tta)
        job = judging(name, info, other, "all", home.tta, start=False)
        if (job is None or not job.running) and st.button(
            f"Judge on all of {other.name} ({images:,} images × {networks} networks × {views})",
            icon=":material/play_arrow:",
            key="away_start",
        ):
            job = judging(name, info, other, "all", home.tta, start=True)
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
        figures.home_and_away(table, (home.dataset, found.dataset)),
        key="home_and_away",
        config=figures.CONFIG,
        alt="Accuracy of each network at home and away",
    )
    st.dataframe(
        pd.DataFrame(
            [
                {
                    "Network": r.network,
                    "Dataset": r.dataset,
                    "Accuracy": percent(r.accuracy),
                    "95 % interval": interval((r.low, r.high)),
                    "Mean recall": percent(r.macro_recall),
                    "Calibration error": percent(r.ece),
                    "Recognised": "" if pd.isna(r.recognised) else percent(r.recognised),
                    "n": r.n,
                }
                for r in table.itertuples()
            ]
        ),
        hide_index=True,
        alt="Figures at home and away",
    )
    if found.seen:
        st.warning(
            f"{found.seen:,} of the {found.judgement.n:,} images of {found.dataset} were seen in "
            "training or validation.",
            icon=":material/warning:",
        )
