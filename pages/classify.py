"""Classify: photographs in, answers out."""

from collections.abc import Callable
from functools import partial

import streamlit as st

from bloodcell.data.imaging.decode import MAX_BYTES
from bloodcell.data.readers.inputs import is_hidden
from bloodcell.ensemble.ensemble import Ensemble
from bloodcell.ensemble.shift import wanted_background
from bloodcell.evaluation.intervals import wilson
from bloodcell.ui.classify import photographs
from bloodcell.ui.classify.answers_table import answers_table, summary
from bloodcell.ui.classify.batch import class_counts_of_batch, downloads, shift_said
from bloodcell.ui.classify.ensembles import bring_in_ensemble, ensembles_section, said
from bloodcell.ui.classify.field_of_view import field_of_view, view_words
from bloodcell.ui.classify.guide import guide
from bloodcell.ui.classify.photographs import Answered, Photographs
from bloodcell.ui.classify.samples import Samples, drawn_cells, unseen_cells
from bloodcell.ui.common.cell_card import cell_card, cell_of
from bloodcell.ui.common.errors import attempt, show_errors, show_problem
from bloodcell.ui.common.format import interval, percent, plain
from bloodcell.ui.common.frame import heading
from bloodcell.ui.common.jobs import wait_for
from bloodcell.ui.common.similar import show_similar_cells
from bloodcell.ui.common.state import active_dataset, active_ensemble, load_ensemble

# Streamlit's drop zone is as low as a button; nobody would think of dropping something there.
ROOMY = """<style>
[class*="st-key-classify_upload"] [data-testid="stFileUploaderDropzone"] {
  min-height: 7.5rem; border-style: dashed; align-items: center;
}
</style>"""
DRAWN = "These cells are drawn, not photographed: they show how the page works, not how well."


def how_to_get_one() -> None:
    """The way from nothing to an ensemble."""
    st.info("There is no ensemble yet. Three steps lead to one:", icon=":material/info:")
    steps = (
        ("pages/dataset.py", "Dataset", "1. Bring in labelled cells, or draw the demo dataset"),
        ("pages/training.py", "Training", "2. Train a network on them"),
        ("pages/evaluation.py", "Evaluation", "3. Combine finished runs into an ensemble"),
    )
    for column, (page, link, text) in zip(st.columns(3), steps, strict=True):
        with column.container(border=True, height="stretch"):
            st.markdown(text)
            st.page_link(page, label=f"Open {link}", icon=":material/arrow_forward:")
    bring_in_ensemble()
    st.caption("For research use only. Not a medical device.")


def about(ensemble: Ensemble) -> None:
    """One line on the ensemble: what it is and how good it was."""
    info, on = ensemble.info, ensemble.info["measured"]["validation"]
    n, size = len(info["members"]), info["input_size"]
    low_high = interval(wilson(round(on["accuracy"] * on["n"]), on["n"]))
    networks = "1 network" if n == 1 else f"{n} networks"
    st.caption(
        f"Ensemble **{info['name']}**: {networks}, {size}×{size} pixels, trained on "
        f"{info['trained_on']['dataset']}; {percent(on['accuracy'])} right (95 %: {low_high}) of "
        f"{on['n']:,} validation images. For research use only. Not a medical device."
    )


def take_upload(key: str) -> None:
    uploads = st.session_state[key]
    if "folder" in key:
        # It brings along what its system keeps in it.
        uploads = [file for file in uploads if not is_hidden(file.name)]
    if uploads:
        photographs.keep([(file.name, file.getvalue()) for file in uploads])
    else:
        photographs.clear()


def take_samples(make: Callable[[int], Samples], note: str) -> None:
    seed = st.session_state.get("sample_seed", 0)
    st.session_state["sample_seed"] = seed + 1
    photographs.clear()
    attempt("sample_problem", lambda: photographs.keep(*make(seed), note))


def choose(ensemble: Ensemble) -> tuple[bool, bool]:
    """The drop zone, samples and settings; returns whether to turn and flip, and to balance."""
    st.html(ROOMY)
    files, folder = (f"classify_{what}_{photographs.drops()}" for what in ("upload", "folder"))
    st.file_uploader(
        "Drop photographs of single cells here: JPEG, PNG, TIFF, BMP or WebP, or a zip of them. "
        "They stay in memory and are not stored.",
        accept_multiple_files=True,
        max_upload_size=MAX_BYTES >> 20,
        key=files,
        on_change=take_upload,
        args=(files,),
    )
    dataset = active_dataset()
    with st.container(horizontal=True, vertical_alignment="center"):
        if dataset is not None:
            st.button(
                f"Try test cells of {dataset.name}",
                icon=":material/science:",
                key="try_test",
                on_click=take_samples,
                args=(
                    partial(unseen_cells, dataset, ensemble),
                    f"A cell of each class from the test part of {dataset.name}, unseen so far.",
                ),
            )
        st.button(
            "Try drawn cells",
            icon=":material/draw:",
            key="try_drawn",
            on_click=take_samples,
            args=(drawn_cells, DRAWN),
        )
        with st.popover("A whole folder", icon=":material/folder_open:"):
            st.file_uploader(
                "Photographs of single cells, also in folders within it",
                accept_multiple_files="directory",
                max_upload_size=MAX_BYTES >> 20,
                key=folder,
                on_change=take_upload,
                args=(folder,),
            )
        turned = st.toggle(
            "Average over flips and turns",
            value=bool(ensemble.info["tta"]),
            key=f"classify_tta_{ensemble.name}",
            persist_state="session",
            help="Eight views of each image: slower, often a little better. The default is how "
            "the ensemble was composed.",
        )
        balance = wanted_background(ensemble) is not None and st.toggle(
            "Balance the light",
            key="classify_balance",
            persist_state="session",
            help="Colour constancy: the empty field between the cells is brought to the colour "
            "it has in the training photographs. For another lamp, filter or camera.",
        )
    return turned, balance


def chosen_cell(ensemble: Ensemble, kept: Photographs, answered: Answered, position: int) -> None:
    """The card of one file, its field of view, and known cells like it."""
    found = answered.found
    row = found.row_of(position)
    if row is None:
        st.error(plain(found.errors[position]), icon=":material/error:")
        return
    truth = kept.truths[position] if kept.truths else None
    crop, size = found.crops[row], found.sizes[row]
    evidence = photographs.evidence_for(ensemble, found, row)
    cell = cell_of(
        found.answers,
        row,
        found.files[position],
        found.images[row],
        evidence.whole,
        truth,
        view_words(crop, size),
    )
    cell_card(cell, ensemble.info, "classify")
    odd = crop.side < min(size) or size[0] != size[1]
    with st.expander(f"Field of view: {view_words(crop, size)}", expanded=odd):
        field_of_view(kept, found, position)
    show_similar_cells(found.images[row], ensemble, active_dataset(), "classify_similar")


def show(
    ensemble: Ensemble, kept: Photographs, answered: Answered, turned: bool, balance: bool
) -> None:
    """The answers: a card for one file; a table, and the card of its chosen row, for many."""
    found = photographs.with_moved(ensemble, kept, answered.found, turned, balance)
    n = len(kept.files)
    with st.container(horizontal=True, vertical_alignment="center"):
        took = f"{answered.milliseconds:,.0f} ms"
        each = "" if n == 1 else f", {answered.milliseconds / n:,.1f} ms each"
        st.markdown(f"{summary(found)} Answered in {took}{each}.", width="stretch")
        place = st.container(horizontal=True, width="content")
        st.button("Clear", icon=":material/close:", on_click=photographs.clear, key="clear")
    if kept.note:
        st.info(kept.note, icon=":material/info:")
    shift = shift_said(ensemble, found, balance)
    notes = [kept.note] if kept.note else []
    notes += [shift.sentence(balance)] if shift is not None and shift.found else []
    with place:
        downloads(ensemble, found, notes)
    position = 0
    if n > 1:
        threshold = ensemble.info["novelty"]["threshold"]
        position = answers_table(found, threshold, f"answers_{kept.digest}")
        if found.errors:
            with st.expander(f"Not readable: {len(found.errors):,} of {n:,} files"):
                st.text("\n".join(found.errors.values()))
    chosen_cell(ensemble, kept, Answered(found, answered.milliseconds), position)
    if n > 1:
        class_counts_of_batch(found)


heading(
    "Classify",
    "Drop photographs of single blood cells: which of eight cells it is, how sure that is, and "
    "whether it is one of them at all.",
)
chosen = active_ensemble()
if chosen is None:
    said()
    how_to_get_one()
    st.stop()
with show_errors():
    loaded = load_ensemble(chosen)
    about(loaded)
    said()
    use_turns, use_balance = choose(loaded)
    show_problem("sample_problem")
    mine = photographs.current()
    if mine is None:
        guide()
    else:
        job = photographs.answering(loaded, mine, use_turns, use_balance)
        if wait_for(job):
            show(loaded, mine, job.result, use_turns, use_balance)
        elif job.state == "stopped":
            with st.container(horizontal=True):
                st.button(
                    "Classify again",
                    icon=":material/refresh:",
                    key="again",
                    on_click=photographs.again,
                    args=(job,),
                )
                st.button("Clear", icon=":material/close:", key="clear", on_click=photographs.clear)
    ensembles_section(loaded)
