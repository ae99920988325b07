"""From labels to an ensemble of the laboratory: one button, what it is worth, what it changed."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

from bloodcell import figures
from bloodcell.classes import CLASSES, OTHER, class_id, title
from bloodcell.data.imaging.cropping import Crop
from bloodcell.data.store.dataset import Dataset
from bloodcell.data.store.labelling import waiting_cells
from bloodcell.ensemble.adapt import adapt
from bloodcell.ensemble.adapt_worth import FEW
from bloodcell.ensemble.classify import Classified
from bloodcell.ensemble.ensemble import Answers, Ensemble
from bloodcell.progress import Progress
from bloodcell.ui.classify.answers import (
    show_answers_table,
    show_class_counts,
    show_downloads,
    summary,
)
from bloodcell.ui.classify.label import label_counts, look_at_cell
from bloodcell.ui.classify.photographs import Photographs
from bloodcell.ui.common.format import interval, no_pictures, percent, plain
from bloodcell.ui.common.gallery import Picture, gallery
from bloodcell.ui.common.jobs import Job, wait_for
from bloodcell.ui.common.state import load_ensemble, set_active, workspace

__all__ = [
    "before",
    "free_name",
    "measured",
    "parent_of",
    "said",
    "show_adapt",
    "show_changes",
    "show_progress_of_adapting",
    "show_unlabelled",
    "show_worth",
    "worth_table",
]

JOB = "adapt_job"
MOST_SHOWN = 24
WORDS = {
    "accuracy": "Accuracy",
    "balanced_accuracy": "Balanced accuracy",
    "ece": "Calibration error",
    "recognised": "Recognised",
}
REFUSED = {"other": "Refused of other cells", "synthetic": "Refused of synthetic artefacts"}


def parent_of(ensemble: Ensemble, dataset: Dataset) -> str:
    """What is adapted: the ensemble, or its parent where it was made from these cells before."""
    adapted = ensemble.description.adapted
    again = adapted is not None and adapted.dataset == dataset.name
    return adapted.parent if again and before(ensemble) else ensemble.name


def before(ensemble: Ensemble) -> Ensemble | None:
    """The ensemble that it was adapted from, if it is still there."""
    adapted = ensemble.description.adapted
    if adapted is None or adapted.parent not in workspace().names("ensembles"):
        return None
    return load_ensemble(adapted.parent)


def free_name(wanted: str) -> str:
    """`wanted`, or with a number the first that no ensemble has."""
    taken = {n.lower() for n in workspace().names("ensembles")}
    name, count = wanted, 2
    while name.lower() in taken:
        name, count = f"{wanted}-{count}", count + 1
    return name


def _start(parent: str, name: str, dataset: Dataset | None, files: Sequence[Any]) -> None:
    """A callback: adapt in a thread of its own."""
    home, loaded = workspace(), load_ensemble(parent)

    def work(progress: Progress) -> dict[str, Any]:
        return adapt(
            home, loaded, name, dataset, unlabelled=list(files), tta=False, progress=progress
        )

    st.session_state[JOB] = Job(f"Adapting {parent}", work)


def show_adapt(ensemble: Ensemble, dataset: Dataset) -> None:
    """The button, once there is a label; its result becomes the active ensemble."""
    counts = label_counts(dataset)
    classes = {k: n for k, n in counts.items() if n and k != OTHER}
    parent = parent_of(ensemble, dataset)
    name = free_name(dataset.name)
    few = [title(k).lower() for k, n in classes.items() if n < FEW]
    with st.container(horizontal=True, vertical_alignment="center"):
        st.button(
            f"Adapt {parent}",
            icon=":material/home_work:",
            type="primary",
            key="adapt",
            disabled=not classes or _running(),
            on_click=_start,
            args=(parent, name, dataset, ()),
            help=f"Fits a head on the labelled cells in seconds and makes the ensemble {name}; "
            f"{parent} stays as it is.",
        )
        text = f"{sum(classes.values()):,} labelled cells of {len(classes)} classes"
        if not classes:
            text = "Label cells of the eight classes first: ten of each are worth most"
        elif few:
            text += f"; fewer than {FEW} of {', '.join(few)}"
        st.caption(f"{text}.")


def _running() -> bool:
    job = st.session_state.get(JOB)
    return job is not None and job.running


def show_progress_of_adapting() -> None:
    """What goes on, or why it came to nothing; the ensemble that was made becomes active."""
    job = st.session_state.get(JOB)
    if job is None:
        return
    ended = not job.running
    done = wait_for(job)
    if done:
        # First, and only then forgotten: a click meanwhile ends this run of the page anywhere.
        set_active("ensembles", job.result["name"])
    if done or ended:
        st.session_state.pop(JOB, None)
    if done:
        st.rerun()


def show_unlabelled(ensemble: Ensemble, mine: Photographs) -> None:
    """Fit what is recognised to the photographs that were dropped, without a label."""
    n = len(mine.files)
    with st.expander("Without labels"):
        st.markdown(
            f"From {n:,} photographs of cells alone the white balance is fitted, and which cells "
            "are recognised here. How the classes are told stays as it is."
        )
        name = free_name(f"{ensemble.name}-here"[:60])
        st.button(
            f"Fit to {n:,} photographs",
            icon=":material/tune:",
            key="adapt_unlabelled",
            disabled=_running(),
            on_click=_start,
            args=(ensemble.name, name, None, mine.files),
        )


def measured(ensemble: Ensemble, dataset: Dataset | None) -> dict[str, Any] | None:
    """What was measured when the ensemble was adapted to these cells; None if it was not."""
    adapted = ensemble.description.adapted
    if adapted is None or adapted.dataset not in ("", dataset and dataset.name):
        return None
    return adapted.model_dump(mode="json")


def worth_table(found: dict[str, Any]) -> pd.DataFrame:
    """Before and after, on the laboratory's cells and at home, in percent."""
    rows = []
    after, before = found.get("after") or {}, found.get("before") or {}
    for key, words in WORDS.items():
        if after.get(key) is not None:
            low_high = interval(tuple(after["intervals"][key]))
            rows.append([words, 100 * before[key], 100 * after[key], low_high])
    for key, words in REFUSED.items():
        if other := found.get(key):
            shares = [100 * other[f"refused_{k}"] for k in ("before", "after")]
            rows.append([words, *shares, f"n = {other['n']:,}"])
    if home := found.get("home"):
        low_high = interval(tuple(home["after_interval"]))
        rows.append(["At home", 100 * home["before"], 100 * home["after"], low_high])
    return pd.DataFrame(rows, columns=["", "before", "after", "95 %"])


def show_worth(ensemble: Ensemble, dataset: Dataset | None, found: dict[str, Any]) -> None:
    """What adapting was worth, what to label next, and labels to look at again."""
    to = plain(str(found["laboratory"])) if found["used"] else "photographs without labels"
    st.markdown(
        f"**{plain(ensemble.name)}** is {plain(str(found['parent']))} adapted to {to}. Measured: "
        f"{found.get('how', '')}."
    )
    left, right = st.columns([11, 9], gap="medium")
    with left:
        number = st.column_config.NumberColumn(format="%.1f %%", width=70)
        st.dataframe(
            worth_table(found),
            hide_index=True,
            key="adapt_worth",
            column_config={
                "before": number,
                "after": number,
                "95 %": st.column_config.TextColumn(
                    width=110,
                    help="Interval of what is after. At home: balanced accuracy on cells of the "
                    "dataset that the networks were trained on, each left out in turn. Synthetic "
                    "artefacts are made of the photographs themselves: two cells, half of one "
                    "blended with something else, another scale, text, noise.",
                ),
            },
        )
        if pair := found.get("paired"):
            st.caption(f"{pair['verdict'][:1].upper()}{pair['verdict'][1:]} (p = {pair['p']:.2g}).")
        if found["used"]:
            st.caption(
                "Doubtful cells are labelled first, so these are harder than the rest, before and "
                "after."
            )
    with right:
        if found.get("curve"):
            before = (found.get("before") or {}).get("balanced_accuracy")
            st.plotly_chart(
                figures.shot_curve(found["curve"], before),
                key="adapt_curve",
                config=figures.CONFIG,
                alt="Balanced accuracy by labelled cells of each class",
            )
        if found.get("label_next"):
            st.info(
                f"Ten more of **{title(class_id(found['label_next'])).lower()}** promise most.",
                icon=":material/add_circle:",
            )
    for warning in found.get("warnings", []):
        st.warning(no_pictures(warning), icon=":material/warning:")
    if dataset is not None:
        _show_doubtful(dataset, found.get("doubtful") or [])


def _show_doubtful(dataset: Dataset, doubtful: list[dict[str, Any]]) -> None:
    places = {h: i for i, h in enumerate(dataset.hashes.tolist())}
    pictures = []
    for doubt in doubtful[:MOST_SHOWN]:
        index = places.get(doubt["id"])
        if index is None or dataset.labels[index] != class_id(doubt["label"]):
            continue
        rather = title(class_id(doubt["rather"]))
        pictures.append(
            Picture(
                index,
                dataset.images[index],
                f"{doubt['name']}: labelled {title(class_id(doubt['label']))}, rather {rather}",
                caption=title(class_id(doubt["label"])),
                note=f"rather {rather.lower()}, {percent(doubt['probability'])}",
                colour=CLASSES[class_id(doubt["label"])].colour,
            )
        )
    if pictures:
        st.markdown("**Labels to look at again.** Click one to change it.")
        clicked = gallery(pictures, key="adapt_doubtful")
        if clicked is not None:
            look_at_cell(dataset, clicked)
            st.rerun()


def _classified(dataset: Dataset, rows: np.ndarray, all_: Answers) -> Classified:
    """The answers for some cells of a batch, as for files that were dropped."""
    height = dataset.size[0]
    answers = Answers(
        all_.probabilities[rows],
        all_.members[:, rows],
        all_.prediction_sets[rows],
        all_.novelty[rows],
        all_.recognised[rows],
        [maps[rows] for maps in all_.maps],
    )
    return Classified(
        [str(n) for n in dataset.items["name"].iloc[rows]],
        {},
        [dataset.size] * len(rows),
        [Crop(0, 0, height)] * len(rows),
        np.ascontiguousarray(dataset.images[rows]),
        np.zeros((len(rows), 3), np.float32),
        answers,
    )


def said(answers: Answers, row: int) -> str:
    """An answer in words: the class, or that it is none."""
    return title(int(answers.labels[row])) if answers.recognised[row] else "None of the eight"


def show_changes(
    ensemble: Ensemble, now: Answers, parent: Ensemble, was: Answers, dataset: Dataset
) -> None:
    """The cells that have no label, classified by the adapted ensemble, and what is new in that.

    Args:
        now, was: what the ensemble and its parent say of all cells of the dataset.
    """
    rows = waiting_cells(dataset)
    if not len(rows):
        return
    found = _classified(dataset, rows, now)
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown(f"**The rest, adapted.** {summary(found)}", width="stretch")
        show_downloads(ensemble, found, [])
    _show_changed(dataset, rows, now, was, parent.name)
    threshold = ensemble.description.novelty.threshold
    with st.expander(f"All {len(rows):,} answers"):
        position = show_answers_table(found, threshold, f"rest_{dataset.fingerprint[:12]}")
        st.button(
            f"Label {plain(found.files[position])}",
            icon=":material/edit:",
            key="rest_label",
            on_click=look_at_cell,
            args=(dataset, int(rows[position])),
        )
    show_class_counts(found)


def _show_changed(
    dataset: Dataset, rows: np.ndarray, now: Answers, before: Answers, parent: str
) -> None:
    changed = [int(i) for i in rows if said(now, i) != said(before, i)]
    if not changed:
        st.caption(f"None of these answers is another than that of {plain(parent)}.")
        return
    # What the ensemble is surest of last: a wrong one among the doubtful is found first.
    changed.sort(key=lambda i: float(now.probabilities[i].max()))
    st.markdown(
        f"**{len(changed):,} of {len(rows):,} answers changed**, the least certain first. "
        "Click one that is wrong to label it, then adapt again."
    )
    clicked = gallery(
        [
            Picture(
                i,
                dataset.images[i],
                f"{dataset.items['name'].iloc[i]}: {said(before, i)} before, {said(now, i)} now",
                caption=said(now, i),
                note=f"was {said(before, i).lower()}",
                colour=CLASSES[int(now.labels[i])].colour if now.recognised[i] else "",
            )
            for i in changed[:MOST_SHOWN]
        ],
        key="adapt_changed",
    )
    if clicked is not None:
        look_at_cell(dataset, clicked)
        st.rerun()
