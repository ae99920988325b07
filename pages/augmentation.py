"""Augmentation: edit augmentation policies and preview them on cells."""

import streamlit as st

from bloodcell.augment import CATALOGUE
from bloodcell.data.stains import TRANSFER
from bloodcell.figures import CONFIG
from bloodcell.figures.augmentation import pixel_histograms
from bloodcell.ui.augmentation.cells import UPLOAD, Shown, choose_cells
from bloodcell.ui.augmentation.editor import (
    draw_policy_choice,
    draw_steps,
    list_step_titles,
    read_policy,
)
from bloodcell.ui.augmentation.engines import show_engines, show_speed
from bloodcell.ui.augmentation.preview import (
    augment_cells,
    compute_strengths,
    draw_in_laboratories,
    draw_strengths,
    draw_variants,
    mixes_images,
    show_cues,
    show_warning,
)
from bloodcell.ui.augmentation.save import draw_save
from bloodcell.ui.common.errors import show_errors
from bloodcell.ui.common.frame import heading
from bloodcell.ui.common.gallery import gallery

VARIANTS, STRENGTHS, HISTOGRAM, ENGINES = "Variants", "Strength", "Histogram", "Engines"
COPIES, COPIES_EACH, COPIES_COUNTED = 15, 4, 16


def increase(key: str) -> None:
    st.session_state[key] = (int(st.session_state[key]) + 1) % 2**31


def draw_seed(shown: Shown) -> int:
    """Draw the choice of cell and seed; returns the seed."""
    with st.container(horizontal=True, vertical_alignment="bottom"):
        if st.session_state["preview_mode"] != UPLOAD:
            st.button(
                "Another cell" if shown.one else "Other cells",
                icon=":material/casino:",
                on_click=increase,
                args=("preview_cell",),
            )
        seed = st.number_input(
            "Seed",
            0,
            2**31 - 1,
            key="preview_seed",
            width=150,
            help="The same seed, cell and policy give the same images.",
            persist_state="session",
        )
        st.button("Next seed", icon=":material/refresh:", on_click=increase, args=("preview_seed",))
    return int(seed)


def show_variants(shown: Shown, seed: int) -> None:
    copies = COPIES if shown.one else COPIES_EACH
    made, labels = augment_cells(read_policy(), shown.cells, copies, seed, shown.partners)
    gallery(
        draw_variants(shown.cells, made, labels, small=not shown.one),
        key="preview_grid",
        columns=4 if shown.one else COPIES_EACH + 1,
        clickable=False,
    )
    if mixes_images(read_policy()):
        st.caption(
            "The bar below an image shows its mixed label in the colours of the classes. Hover for "
            "the shares."
        )


def show_strengths(shown: Shown, seed: int) -> None:
    names = list_step_titles()
    if not names:
        st.info("The policy has no steps. Add an augmentation to preview its strength.")
        return
    steps = read_policy(with_off=True).steps
    graded = [i for i, s in enumerate(steps) if CATALOGUE[s.key].parameters[0].kind == "float"]
    chosen = st.selectbox(
        "Step",
        range(len(names)),
        index=graded[0] if graded else 0,
        format_func=names.__getitem__,
        key="preview_step",
    )
    step = steps[chosen]
    if step.key == TRANSFER:
        tiles, columns = draw_in_laboratories(read_policy(), shown.cells)
        gallery(tiles, key="laboratory_grid", columns=columns, clickable=False)
        named = read_policy().stains.names
        st.caption(
            f"Laboratories {'of this policy' if named else 'built in'}. A training on a dataset of "
            "several laboratories uses theirs, unless the policy brings its own "
            "(`python -m bloodcell stains DATASET --name POLICY`)."
        )
        return
    ladders = compute_strengths(step, shown.cells, shown.partners, seed)
    gallery(
        draw_strengths(step, shown.cells, ladders),
        key="strength_grid",
        columns=len(ladders[0]),
        clickable=False,
    )
    strengths = [p.title.lower() for p in CATALOGUE[step.key].parameters if p.strength]
    st.caption(
        f"From off to twice the current setting (framed), always at the limit of the range: "
        f"{', '.join(strengths)}."
        + (" The two rows show the two directions." if len(ladders) > 1 else "")
    )


def show_histograms(shown: Shown, seed: int) -> None:
    made, _ = augment_cells(read_policy(), shown.cells, COPIES_COUNTED, seed, shown.partners)
    st.plotly_chart(
        pixel_histograms(shown.cells.images, made),
        key="histogram",
        config=CONFIG,
        theme="streamlit",
        alt="Histograms of red, green and blue, before and after augmentation",
    )
    st.caption(
        f"Grey: original. Colour: augmented, over {made.shape[0] * made.shape[1]} variants. A peak "
        "at 0 or 255 means clipped detail."
    )


def show_preview() -> None:
    st.session_state.setdefault("preview_cell", 0)
    st.session_state.setdefault("preview_seed", 0)
    cell = int(st.session_state["preview_cell"])
    shown = choose_cells(cell)
    if shown is None:
        return
    seed = draw_seed(shown)
    view = st.segmented_control(
        "View",
        [VARIANTS, STRENGTHS, HISTOGRAM, ENGINES],
        default=VARIANTS,
        required=True,
        key="preview_view",
        label_visibility="collapsed",
        persist_state="session",
    )
    policy = read_policy(with_off=True)
    # In a container of its own, so that the images below are redrawn and not made anew.
    with st.container():
        show_warning(policy)
    views = {
        VARIANTS: show_variants,
        STRENGTHS: show_strengths,
        HISTOGRAM: show_histograms,
        ENGINES: lambda shown, seed: show_engines(read_policy(), shown, seed),
    }
    views[view](shown, seed)
    show_cues(policy, shown.source, cell)
    show_speed(read_policy(), shown.cells)


@st.fragment
def draw_playground() -> None:
    # On a phone the images come first; the editor must still be read before they are made.
    left, right = st.columns([3, 2], gap="large")
    with right, show_errors():
        draw_policy_choice()
        draw_steps()
    with left, show_errors():
        show_preview()
    with right, show_errors():
        draw_save()


heading(
    "Augmentation",
    "Edit an augmentation policy and preview it on cells.",
)
draw_playground()
