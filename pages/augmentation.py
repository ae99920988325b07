"""Augmentation: compose what training does to its images, and see it before it happens."""

import json

import numpy as np
import streamlit as st

from bloodcell.augment import PRESETS, cautions, policy_names, policy_to_json, save_policy
from bloodcell.classes import CLASSES, title
from bloodcell.errors import BloodCellError
from bloodcell.ui.dataset_index import dataset_index
from bloodcell.ui.gallery import gallery
from bloodcell.ui.policy_editor import UNSAVED, choose_policy, edit_steps, edited_policy, load
from bloodcell.ui.policy_preview import Cells, cells_of, drawn_cells, measure, mixes, preview, tiles
from bloodcell.ui.state import active_dataset, heading, sentences, workspace

ONE, EACH = "One cell", "One of each class"
VARIANTS, VARIANTS_EACH = 15, 4
PARTNERS = 24


def another(key: str) -> None:
    st.session_state[key] = (int(st.session_state[key]) + 1) % 2**31


def choose_cells() -> tuple[Cells, Cells, bool]:
    """The originals, cells they may be mixed with, and whether it is one original only."""
    dataset = active_dataset()
    st.session_state.setdefault("preview_cell", 0)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        mode = st.segmented_control(
            "Show",
            [ONE, EACH],
            default=ONE,
            required=True,
            key="preview_mode",
            persist_state="session",
        )
        label = 0
        if mode == ONE:
            label = st.selectbox(
                "Class",
                [c.id for c in CLASSES],
                format_func=title,
                key="preview_class",
                width=210,
                persist_state="session",
            )
    seed = int(st.session_state["preview_cell"])
    rng = np.random.default_rng(seed)
    labels = (label,) if mode == ONE else tuple(c.id for c in CLASSES)
    if dataset is None:
        every = tuple(i % len(CLASSES) for i in range(PARTNERS))
        st.caption("Drawn cells, since there is no dataset yet.")
        return drawn_cells(labels, seed), drawn_cells(every, 1), mode == ONE
    index = dataset_index(dataset)
    chosen = [
        int(rng.choice(members))
        for k in labels
        if len(members := np.flatnonzero((index.labels == k) & index.kept))
    ]
    if not chosen:
        st.info(f"{dataset.name} has no {title(label).lower()}: drawn cells are shown instead.")
        return drawn_cells(labels, seed), drawn_cells(labels, 1), mode == ONE
    others = sorted(rng.choice(np.flatnonzero(index.kept), PARTNERS).tolist())
    return cells_of(dataset, index, chosen), cells_of(dataset, index, others), mode == ONE


def save(name: str, replace: bool) -> None:
    """A callback: what it has to say is shown by the run that follows."""
    try:
        policy = edited_policy(name)
        save_policy(workspace(), policy, replace=replace)
    except BloodCellError as error:
        st.session_state["save_problem"] = str(error)
        return
    load(name)
    st.session_state["policy_choice"] = name
    st.session_state["save_done"] = f"Saved as {name}: the Training page offers it now."


def keep() -> None:
    """Save under a name, or take the policy along as a file."""
    st.subheader("Keep it", anchor=False)
    if "policy_name" not in st.session_state:
        loaded = st.session_state["policy_loaded"].name
        st.session_state["policy_name"] = UNSAVED if loaded in PRESETS else loaded
    name = st.text_input("Name", key="policy_name").strip()
    taken = name in policy_names(workspace()) and name not in PRESETS
    replace = taken and st.checkbox(f"Write over the saved policy {name}", key="policy_replace")
    with st.container(horizontal=True):
        st.button(
            "Save", type="primary", icon=":material/save:", on_click=save, args=(name, replace)
        )
        policy = edited_policy(name or UNSAVED)
        st.download_button(
            "JSON",
            json.dumps(policy_to_json(policy), indent=1),
            file_name=f"{name or UNSAVED}.json",
            mime="application/json",
            icon=":material/download:",
            on_click="ignore",
        )
    if len(policy.steps) < len(edited_policy(with_off=True).steps):
        st.caption("Steps that are switched off are left out of what is kept.")
    if problem := st.session_state.pop("save_problem", None):
        st.error(problem, icon=":material/error:")
    if done := st.session_state.pop("save_done", None):
        st.success(done, icon=":material/check_circle:")


def speed(cells: Cells, partners: Cells) -> None:
    """How many images a second this machine augments, measured when asked for."""
    policy = edited_policy()
    with st.container(horizontal=True, vertical_alignment="center"):
        if st.button("Measure the speed", icon=":material/speed:", key="measure"):
            with st.spinner("Measuring for a second"):
                st.session_state["speed"] = (policy, *measure(policy, partners))
        measured = st.session_state.get("speed")
        if measured is not None and measured[0] == policy:
            rate, n = measured[1:]
            height, width = cells.images.shape[1:3]
            text = (
                f"**{rate:,.0f} images a second** on one core of this machine, measured over "
                f"{n:,} images of {width}×{height} pixels."
            )
            dataset = active_dataset()
            if dataset is not None:
                train = int(dataset_index(dataset).counts[:, 0].sum())
                text += f" An epoch of {train:,} images takes {train / rate:,.0f} s of it."
            st.markdown(text)


def look() -> None:
    cells, partners, one = choose_cells()
    st.session_state.setdefault("preview_seed", 0)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        st.button(
            "Another cell" if one else "Other cells",
            icon=":material/casino:",
            on_click=another,
            args=("preview_cell",),
        )
        seed = st.number_input(
            "Seed",
            0,
            2**31 - 1,
            key="preview_seed",
            width=150,
            help="The same seed, cell and policy give the same pictures.",
            persist_state="session",
        )
        st.button("Re-roll", icon=":material/refresh:", on_click=another, args=("preview_seed",))
    for sentence in cautions(edited_policy(with_off=True)):
        st.warning(sentence, icon=":material/warning:")
    copies = VARIANTS if one else VARIANTS_EACH
    made, labels = preview(edited_policy(), cells, copies, int(seed), partners)
    gallery(
        tiles(cells, made, labels, small=not one),
        key="preview_grid",
        columns=4 if one else VARIANTS_EACH + 1,
        clickable=False,
    )
    if mixes(edited_policy()):
        st.caption(
            "A bar at the foot of a picture shows its mixed label in the colours of the classes; "
            "hold the pointer over it for the shares."
        )
    speed(cells, partners)


@st.fragment
def playground() -> None:
    # On a phone the pictures come first; the editor must still be read before they are made.
    left, right = st.columns([3, 2], gap="large")
    with right, sentences():
        choose_policy()
        edit_steps()
    with left, sentences():
        look()
    with right, sentences():
        keep()


heading(
    "Augmentation",
    "Compose what training does to its images, and see it on cells before it happens.",
)
playground()
