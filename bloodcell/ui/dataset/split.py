"""Dataset page, split: its choice and numbers, and the proof that no image is in two parts."""

import numpy as np
import pandas as pd
import streamlit as st

from bloodcell.classes import LABEL_NAMES
from bloodcell.csv_files import frame_csv
from bloodcell.data.split import BY
from bloodcell.data.split_choice import choose_split, chosen_rule
from bloodcell.data.store.dataset import PARTS, Dataset
from bloodcell.errors import BloodCellError
from bloodcell.runs.preflight import check_startable
from bloodcell.ui.common.dataset_index import DatasetIndex
from bloodcell.ui.common.errors import show_errors

__all__ = ["show_split", "split_csv"]


def show_split(dataset: Dataset, index: DatasetIndex) -> None:
    """Proof, rule, choice and numbers of the split."""
    _show_proof(index)
    _show_rule(index)
    _ask_split(dataset, index)
    used = int(index.kept.sum())
    totals = index.counts.sum(axis=0)
    present = index.counts[index.counts.sum(axis=1) > 0]
    parts = pd.DataFrame(
        {
            "part": PARTS,
            "images": totals,
            "share": 100 * totals / max(used, 1),
            "smallest class": present.min(axis=0) if len(present) else totals,
            "largest class": present.max(axis=0) if len(present) else totals,
        }
    )
    st.dataframe(
        parts,
        hide_index=True,
        key="split_numbers",
        column_config={"share": st.column_config.NumberColumn(format="%.1f %%")},
    )
    for note in index.split.notes:
        st.caption(f":material/info: {note}")
    try:
        check_startable(dataset, index.split)
    except BloodCellError as error:
        st.warning(f"Training cannot start on this split. {error}", icon=":material/warning:")
    st.download_button(
        "Download split (CSV)",
        lambda: split_csv(index),
        file_name=f"{dataset.name}_split_{index.split.seed}.csv",
        mime="text/csv",
        icon=":material/download:",
        on_click="ignore",
    )
    if "patient" not in dataset.origins:
        st.caption(
            "No split can rule out cells of one patient in two parts: the images carry no patient "
            "numbers. A score on them is better than one for a new patient would be."
        )


def _show_proof(index: DatasetIndex) -> None:
    used = int(index.kept.sum())
    text = (
        f"**{index.shared} images shared between parts.** All {used:,} images in use were "
        "compared by pixel hash across train, validation and test."
    )
    if index.split.groups is not None:
        text += f" **{index.split.shared_groups()} groups shared between parts.**"
    if index.shared or index.split.shared_groups():
        st.error(text, icon=":material/error:")
    else:
        st.success(text, icon=":material/verified:")


def _show_rule(index: DatasetIndex) -> None:
    if index.split.groups is not None:
        st.markdown(
            "Groups stay whole: each is placed where it brings the shares of all classes nearest "
            "to those below, the largest first. An exclusion moves no other group."
        )
        return
    if not index.split.given:
        st.markdown(
            "Stratified: each class is split into train, validation and test by the shares below, "
            "and duplicates stay in one part. The same images, decisions, seed and shares "
            "always give the same split, whatever the order of the files."
        )
        return
    text = (
        "The parts are those of the source. A duplicate of a training image in another part "
        "was moved to train."
    )
    if drawn := " and ".join(index.split.drawn):
        text += (
            f" The source has no {drawn} part: it was taken from its train part, by seed and "
            "shares."
        )
    st.markdown(text)


def _ask_split(dataset: Dataset, index: DatasetIndex) -> None:
    rule = chosen_rule(dataset)
    seed, shares = rule.seed, rule.shares
    known = [by for by in BY if by == BY[0] or by in dataset.origins]
    fixed = index.split.given and not index.split.drawn
    # Another choice, made elsewhere, is shown at once.
    key = f"split_{dataset.name}_{seed}_{shares}_{rule.by}_{rule.hold_out}"
    with st.form(key, border=False), st.container(horizontal=True, vertical_alignment="bottom"):
        percent = [
            st.number_input(
                f"{part.capitalize()}, %",
                1.0 if part == PARTS[0] else 0.0,
                100.0,
                100.0 * share,
                step=1.0,
                format="%g",
                key=f"{key}_{part}",
                width=130,
                disabled=fixed,
            )
            for part, share in zip(PARTS, shares, strict=True)
        ]
        new_seed = st.number_input(
            "Split seed",
            0,
            2**31 - 1,
            seed,
            key=f"{key}_seed",
            width=150,
            disabled=fixed,
            help="Compare runs only within one split.",
        )
        by, hold_out = rule.by, rule.hold_out
        if len(known) > 1:
            by = st.selectbox(
                "Divide by",
                known,
                known.index(rule.by),
                key=f"{key}_by",
                width=150,
                help="What is never in two parts. By patient, a score tells of new patients.",
            )
            held = ["", *_holdable(dataset)]
            hold_out = st.selectbox(
                "Hold out as test",
                held,
                held.index(rule.hold_out) if rule.hold_out in held else 0,
                key=f"{key}_hold_out",
                format_func=lambda name: name.partition("=")[2] or "nothing",
                width=190,
                help="All cells of this laboratory are the test part.",
            )
        locked = fixed and len(known) == 1
        pressed = st.form_submit_button("Split", icon=":material/call_split:", disabled=locked)
    st.caption(
        "The seed has no effect here."
        if fixed
        else "Saved with the dataset. New runs use this split by default."
    )
    if pressed:
        with show_errors():
            shares = tuple(round(p / 100, 9) for p in percent)
            choose_split(dataset, int(new_seed), shares, by, hold_out)
            st.rerun()


def _holdable(dataset: Dataset) -> list[str]:
    names = sorted(set(dataset.origin("laboratory")) - {""})
    return [f"laboratory={name}" for name in names] if len(names) > 1 else []


def split_csv(index: DatasetIndex) -> bytes:
    """A row an image: index, name, hash, class, part ("excluded" if so)."""
    parts = np.array([*PARTS, "excluded"])[index.split.parts]
    names = np.array(LABEL_NAMES)
    table = pd.DataFrame(
        {
            "index": np.arange(len(parts)),
            "name": index.names,
            "hash": index.hashes,
            "class": names[index.labels],
            "part": parts,
        }
    )
    return frame_csv(table).encode()
