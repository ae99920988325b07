"""Classify: photographs in, predictions out."""

from collections.abc import Callable
from functools import partial

import streamlit as st

from bloodcell.data.imaging.decode import MAX_BYTES
from bloodcell.data.readers.strays import sift
from bloodcell.ensemble.ensemble import Ensemble
from bloodcell.ensemble.shift import wanted_background
from bloodcell.evaluation.intervals import wilson
from bloodcell.ui.classify import adapting, batch, photographs
from bloodcell.ui.classify.answers import (
    show_answers_table,
    show_class_counts,
    show_downloads,
    summary,
    warn_of_shift,
)
from bloodcell.ui.classify.correction import show_correction
from bloodcell.ui.classify.crop import crop_text, show_crop_editor
from bloodcell.ui.classify.ensembles import show_ensembles, show_import_result
from bloodcell.ui.classify.guide import show_first_steps, show_guide
from bloodcell.ui.classify.label import queue_of, show_labelling
from bloodcell.ui.classify.photographs import Answered, Photographs
from bloodcell.ui.classify.samples import Samples, drawn_cells, unseen_cells
from bloodcell.ui.common.cell_card import cell_card, cell_of
from bloodcell.ui.common.errors import attempt, show_errors, show_problem
from bloodcell.ui.common.format import interval, percent, plain
from bloodcell.ui.common.frame import heading
from bloodcell.ui.common.handover import hand_over
from bloodcell.ui.common.jobs import Job, wait_for
from bloodcell.ui.common.similar import show_similar_cells
from bloodcell.ui.common.state import active_dataset, active_ensemble, load_ensemble
from bloodcell.ui.common.uploads import drop_round, drop_zone, dropped
from bloodcell.ui.common.views import ask_views

# Streamlit's drop zone is as low as a button; nobody would think of dropping something there.
ROOMY = """<style>
[class*="st-key-classify_upload"] [data-testid="stFileUploaderDropzone"] {
  min-height: 7.5rem; border-style: dashed; align-items: center;
}
</style>"""
ANSWERS, LABEL = "Answers", "Label and adapt"
DRAWN = "These cells are drawn, not photographed. They show how the page works, not how well."


def show_ensemble_line(ensemble: Ensemble) -> None:
    """One line on the ensemble: what it is and how good it was."""
    description, on = ensemble.description, ensemble.description.measured.validation
    n, size = len(description.members), description.input_size
    low_high = interval(wilson(round(on.accuracy * on.n), on.n))
    networks = "1 network" if n == 1 else f"{n} networks"
    st.caption(
        f"Ensemble **{plain(description.name)}**: {networks}, {size}×{size} pixels, trained on "
        f"{plain(description.trained_on.dataset)}. Validation accuracy "
        f"{percent(on.accuracy)} (95 % interval {low_high}, n = {on.n:,}). "
        "For research use only. Not a medical device."
    )


def keep_upload(key: str) -> None:
    """A callback: make what was dropped the visitor's photographs."""
    uploads, strays = dropped(key), []
    if "folder" in key:
        kept, strays = sift([file.name for file in uploads])
        uploads = [file for file in uploads if file.name in set(kept)]
    if uploads:
        photographs.store([(file.name, file.getvalue()) for file in uploads], strays=strays)
    else:
        photographs.clear()


def keep_samples(make: Callable[[int], Samples], note: str) -> None:
    """A callback: make sample cells the visitor's photographs, others at every click."""
    seed = st.session_state.get("sample_seed", 0)
    st.session_state["sample_seed"] = seed + 1
    photographs.clear()
    attempt("sample_problem", lambda: photographs.store(*make(seed), note))


def ask_photographs(ensemble: Ensemble) -> tuple[bool | None, bool]:
    """Drop zone, samples and settings; returns (how the networks look, white balance)."""
    st.html(ROOMY)
    files, folder = (
        f"classify_{what}_{drop_round(photographs.DROPS)}" for what in ("upload", "folder")
    )
    drop_zone(
        "Drop photographs of single cells here: JPEG, PNG, TIFF, BMP or WebP, or a zip of them. "
        "They stay in memory and are not stored.",
        accept_multiple_files=True,
        max_upload_size=MAX_BYTES >> 20,
        key=files,
        on_change=keep_upload,
        args=(files,),
    )
    dataset = active_dataset()
    with st.container(horizontal=True, vertical_alignment="center"):
        if dataset is not None:
            st.button(
                f"Try test images of {dataset.name}",
                icon=":material/science:",
                key="try_test",
                on_click=keep_samples,
                args=(
                    partial(unseen_cells, dataset, ensemble),
                    f"One image of each class from the test part of {dataset.name}. No network of "
                    "this ensemble has seen them.",
                ),
            )
        st.button(
            "Try synthetic cells",
            icon=":material/draw:",
            key="try_drawn",
            on_click=keep_samples,
            args=(drawn_cells, DRAWN),
        )
        with st.popover("Upload a folder", icon=":material/folder_open:"):
            drop_zone(
                "Photographs of single cells, also in folders within it",
                accept_multiple_files="directory",
                max_upload_size=MAX_BYTES >> 20,
                key=folder,
                on_change=keep_upload,
                args=(folder,),
            )
        tta = ask_views(ensemble.description, "classify")
        balance = wanted_background(ensemble) is not None and st.toggle(
            "White balance",
            key="classify_balance",
            persist_state="session",
            help="Brings the empty background to the colour that it has in the training images. "
            "For photographs with another lamp, filter or camera.",
        )
    return tta, balance


def show_cell(ensemble: Ensemble, kept: Photographs, answered: Answered, position: int) -> None:
    """The card of one file, its crop, and known cells like it."""
    found = answered.found
    row = found.row_of(position)
    if row is None:
        st.error(plain(found.errors[position]), icon=":material/error:")
        return
    truth = kept.truths[position] if kept.truths else None
    crop, size = found.crops[row], found.sizes[row]
    evidence = photographs.cached_evidence(ensemble, found, row)
    cell = cell_of(
        found.answers,
        row,
        found.files[position],
        found.images[row],
        evidence,
        truth,
        crop_text(crop, size),
    )
    cell_card(cell, ensemble.description, "classify")
    odd = crop.side < min(size) or size[0] != size[1]
    show_correction(
        kept,
        position,
        adapting.said(found.answers, row),
        partial(batch.square, ensemble, kept, found, position),
        lambda: st.session_state.update({"classify_view": LABEL}),
    )
    with st.expander(f"Crop: {crop_text(crop, size)}", expanded=odd):
        show_crop_editor(kept, found, position)
    show_similar_cells(found.images[row], ensemble, active_dataset(), "classify_similar")


def offer_smear(kept: Photographs, several: tuple[int, ...]) -> None:
    """Photographs with several white cells are fields of a smear: the next page counts those."""
    n = len(several)
    what = "This photograph shows" if n == len(kept.files) == 1 else f"{n:,} photographs show"
    with st.container(horizontal=True, vertical_alignment="center"):
        st.info(
            f"{what} several white cells; here each photograph gets one answer.",
            icon=":material/blur_on:",
            width="stretch",
        )
        if st.button("Count all cells", icon=":material/arrow_forward:", key="to_smear"):
            hand_over([kept.files[i] for i in several])
            st.switch_page("pages/smear.py")


def show_answers(
    ensemble: Ensemble, kept: Photographs, answered: Answered, tta: bool | None, balance: bool
) -> None:
    """A card for one file; a table, and the card of its chosen row, for many."""
    found = photographs.apply_moved_crops(ensemble, kept, answered.found, tta, balance)
    n = len(kept.files)
    with st.container(horizontal=True, vertical_alignment="center"):
        took = f"{answered.milliseconds:,.0f} ms"
        each = "" if n == 1 else f", {answered.milliseconds / n:,.1f} ms each"
        st.markdown(f"{summary(found)} Classified in {took}{each}.", width="stretch")
        place = st.container(horizontal=True, width="content")
        st.button("Clear", icon=":material/close:", on_click=photographs.clear, key="clear")
    if kept.note:
        st.info(kept.note, icon=":material/info:")
    shift = warn_of_shift(ensemble, found, balance)
    notes = [kept.note] if kept.note else []
    notes += [shift.sentence(balance)] if shift is not None and shift.found else []
    with place:
        show_downloads(ensemble, found, notes)
    if answered.several:
        offer_smear(kept, answered.several)
    position = 0
    if n > 1:
        threshold = ensemble.description.novelty.threshold
        position = show_answers_table(found, threshold, f"answers_{kept.digest}")
        if found.errors:
            with st.expander(f"Unreadable: {len(found.errors):,} of {n:,} files"):
                st.text("\n".join(found.errors.values()))
    show_cell(ensemble, kept, Answered(found, answered.milliseconds), position)
    if n > 1:
        show_class_counts(found)


def show_again(job: Job) -> None:
    """What can be done about a job that was stopped."""
    with st.container(horizontal=True):
        st.button(
            "Classify again",
            icon=":material/refresh:",
            key="again",
            on_click=photographs.retry,
            args=(job,),
        )
        st.button("Clear", icon=":material/close:", key="clear", on_click=photographs.clear)


def show_label_view(ensemble: Ensemble, kept: Photographs | None) -> None:
    """Label, adapt, see what changed, correct, adapt again."""
    found = None
    if kept is not None:
        job = photographs.squares_job(ensemble, kept)
        if not wait_for(job):
            if job.state == "stopped":
                show_again(job)
            return
        found = photographs.apply_moved_crops(ensemble, kept, job.result.found, False, False)
    dataset = batch.ask_batch(kept, found)
    if dataset is not None:
        reader = batch.ask_reader()
        job = batch.seen_job(ensemble, dataset)
        if not wait_for(job):
            return
        show_labelling(dataset, queue_of(ensemble, dataset, job.result), reader)
        adapting.show_adapt(ensemble, dataset)
    if kept is not None:
        adapting.show_unlabelled(ensemble, kept)
    adapting.show_progress_of_adapting()
    worth = adapting.measured(ensemble, dataset)
    if worth is not None:
        adapting.show_worth(ensemble, dataset, worth)
        parent = adapting.before(ensemble)
        if dataset is not None and parent is not None:
            its = batch.seen_job(parent, dataset)
            if not wait_for(its):
                return
            adapting.show_changes(
                ensemble,
                ensemble.calibrate(job.result),
                parent,
                parent.calibrate(its.result),
                dataset,
            )


heading(
    "Classify",
    "Drop photographs of single blood cells. For each you see the predicted class, the confidence, "
    "and whether it is one of the eight classes at all.",
)
chosen = active_ensemble()
if chosen is None:
    show_import_result()
    show_first_steps()
    st.stop()
with show_errors():
    loaded = load_ensemble(chosen)
    show_ensemble_line(loaded)
    show_import_result()
    use_tta, use_balance = ask_photographs(loaded)
    show_problem("sample_problem")
    mine = photographs.current()
    view = st.segmented_control(
        "View",
        (ANSWERS, LABEL),
        default=LABEL if batch.linked() else ANSWERS,
        required=True,
        key="classify_view",
        label_visibility="collapsed",
    )
    if view == LABEL:
        show_label_view(loaded, mine)
    elif mine is None:
        batch.unlink()
        show_guide()
    else:
        batch.unlink()
        job = photographs.classify_job(loaded, mine, use_tta, use_balance)
        if wait_for(job):
            show_answers(loaded, mine, job.result, use_tta, use_balance)
        elif job.state == "stopped":
            show_again(job)
    show_ensembles(loaded)
