"""Augmentation: compose what training does to its images, and see it before it happens."""

import streamlit as st

from bloodcell.augment import CATALOGUE
from bloodcell.figures import CONFIG
from bloodcell.figures.augmentation import pixel_histograms
from bloodcell.ui.augmentation.cells import Shown, choose_cells
from bloodcell.ui.augmentation.editor import choose_policy, edit_steps, edited_policy, step_names
from bloodcell.ui.augmentation.preview import (
    ladder_tiles,
    mixes,
    preview,
    rungs_of,
    show_cues,
    tiles,
    warn,
)
from bloodcell.ui.augmentation.save import keep
from bloodcell.ui.augmentation.speed import show_speed
from bloodcell.ui.common.errors import show_errors
from bloodcell.ui.common.frame import heading
from bloodcell.ui.common.gallery import gallery

VARIANTS, LADDER, HISTOGRAM = "Variants", "Strength ladder", "Pixel histogram"
COPIES, COPIES_EACH, COPIES_COUNTED = 15, 4, 16


def another(key: str) -> None:
    st.session_state[key] = (int(st.session_state[key]) + 1) % 2**31


def dice(shown: Shown) -> int:
    """Another cell, another draw; returns the seed of the draw."""
    with st.container(horizontal=True, vertical_alignment="bottom"):
        if st.session_state["preview_mode"] != "Your pictures":
            st.button(
                "Another cell" if shown.one else "Other cells",
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
    return int(seed)


def variants(shown: Shown, seed: int) -> None:
    copies = COPIES if shown.one else COPIES_EACH
    made, labels = preview(edited_policy(), shown.cells, copies, seed, shown.partners)
    gallery(
        tiles(shown.cells, made, labels, small=not shown.one),
        key="preview_grid",
        columns=4 if shown.one else COPIES_EACH + 1,
        clickable=False,
    )
    if mixes(edited_policy()):
        st.caption(
            "A bar at the foot of a picture shows its mixed label in the colours of the classes; "
            "hold the pointer over it for the shares."
        )


def strengths(shown: Shown, seed: int) -> None:
    names = step_names()
    if not names:
        st.info("No step: add an augmentation to see it at several strengths.")
        return
    steps = edited_policy(with_off=True).steps
    graded = [i for i, s in enumerate(steps) if CATALOGUE[s.key].parameters[0].kind == "float"]
    chosen = st.selectbox(
        "Step",
        range(len(names)),
        index=graded[0] if graded else 0,
        format_func=names.__getitem__,
        key="preview_ladder",
    )
    step = steps[chosen]
    ladders = rungs_of(step, shown.cells, shown.partners, seed)
    gallery(
        ladder_tiles(step, shown.cells, ladders),
        key="ladder_grid",
        columns=len(ladders[0]),
        clickable=False,
    )
    strengths = [p.title.lower() for p in CATALOGUE[step.key].parameters if p.strength]
    st.caption(
        f"From nothing to twice the setting (framed), always at the end of what the strength "
        f"allows: {', '.join(strengths)}."
        + (" The two rows go towards the two ends." if len(ladders) > 1 else "")
    )


def histograms(shown: Shown, seed: int) -> None:
    made, _ = preview(edited_policy(), shown.cells, COPIES_COUNTED, seed, shown.partners)
    st.plotly_chart(
        pixel_histograms(shown.cells.images, made),
        key="histogram",
        config=CONFIG,
        theme="streamlit",
        alt="Shares of pixels at each value of red, green and blue, before and after the policy",
    )
    st.caption(
        f"Grey: before. In colour: after, over {made.shape[0] * made.shape[1]} variants. A peak "
        "at 0 or 255 is detail that was cut off."
    )


def look() -> None:
    st.session_state.setdefault("preview_cell", 0)
    st.session_state.setdefault("preview_seed", 0)
    cell = int(st.session_state["preview_cell"])
    shown = choose_cells(cell)
    if shown is None:
        return
    seed = dice(shown)
    view = st.segmented_control(
        "View",
        [VARIANTS, LADDER, HISTOGRAM],
        default=VARIANTS,
        required=True,
        key="preview_view",
        label_visibility="collapsed",
        persist_state="session",
    )
    policy = edited_policy(with_off=True)
    # In a place of its own, so that the pictures below are redrawn and not made anew.
    with st.container():
        warn(policy)
    {VARIANTS: variants, LADDER: strengths, HISTOGRAM: histograms}[view](shown, seed)
    show_cues(policy, shown.source, cell)
    show_speed(edited_policy(), shown.cells)


@st.fragment
def playground() -> None:
    # On a phone the pictures come first; the editor must still be read before they are made.
    left, right = st.columns([3, 2], gap="large")
    with right, show_errors():
        choose_policy()
        edit_steps()
    with left, show_errors():
        look()
    with right, show_errors():
        keep()


heading(
    "Augmentation",
    "Compose what training does to its images, and see it on cells before it happens.",
)
playground()
