"""Smear: whole photographs in, a reviewed differential out."""

import streamlit as st

from bloodcell.data.imaging.decode import MAX_BYTES
from bloodcell.ensemble.ensemble import Ensemble
from bloodcell.ensemble.shift import wanted_background
from bloodcell.ui.common.errors import show_errors
from bloodcell.ui.common.format import plain
from bloodcell.ui.common.frame import heading
from bloodcell.ui.common.handover import handed_over
from bloodcell.ui.common.jobs import wait_for
from bloodcell.ui.common.state import active_ensemble, load_ensemble
from bloodcell.ui.common.uploads import drop_round, drop_zone, dropped
from bloodcell.ui.smear import session
from bloodcell.ui.smear.learn import show_learn
from bloodcell.ui.smear.result import ask_about, show_differential, show_rumke
from bloodcell.ui.smear.review import show_gallery, show_photograph

PHOTOGRAPHS, GALLERY, DIFFERENTIAL = "Photographs", "Gallery", "Differential"
DRAWN = "This smear is drawn, not photographed. It shows how the page works, not how well."


def keep_upload(key: str) -> None:
    """A callback: make what was dropped the visitor's smear."""
    uploads = dropped(key)
    if uploads:
        session.store([(file.name, file.getvalue()) for file in uploads])
    else:
        session.clear()


def ask_photographs(ensemble: Ensemble) -> bool:
    """Drop zone and a drawn sample; returns whether to balance the light."""
    key = f"smear_upload_{drop_round(session.ROUND)}"
    drop_zone(
        "Drop the photographs of one smear here, at any magnification: JPEG, PNG, TIFF, BMP or "
        "WebP, or a zip of them. They stay in memory and are not stored.",
        accept_multiple_files=True,
        max_upload_size=MAX_BYTES >> 20,
        key=key,
        on_change=keep_upload,
        args=(key,),
    )
    with st.container(horizontal=True, vertical_alignment="center"):
        st.button(
            "Try a drawn smear",
            icon=":material/draw:",
            key="smear_drawn",
            on_click=lambda: session.store(session.drawn_smear(), DRAWN),
        )
        return wanted_background(ensemble) is not None and st.toggle(
            "White balance",
            key="smear_balance",
            persist_state="session",
            help="Brings the empty background to the colour that it has in the training images. "
            "For photographs with another lamp, filter or camera.",
        )


heading(
    "Smear",
    "Drop whole photographs of a smear. Its white cells and platelets are found by the red cells' "
    "size and the stain, classified, and yours to correct; the result is the differential.",
)
chosen = active_ensemble()
if chosen is None:
    st.info(
        "There is no ensemble yet: import one on the Classify page, or combine runs on the "
        "Evaluation page.",
        icon=":material/info:",
    )
    show_rumke()
    st.stop()
if (handed := handed_over()) is not None:
    session.store(handed)
with show_errors():
    loaded = load_ensemble(chosen)
    balance = ask_photographs(loaded)
    mine = session.current()
    if mine is None:
        show_rumke()
        st.stop()
    if mine.note:
        st.info(plain(mine.note), icon=":material/info:")
    job = session.count_job(loaded, mine, balance)
    if not wait_for(job):
        st.button("Clear", icon=":material/close:", on_click=session.clear, key="smear_clear")
        st.stop()
    review = session.review_of(job.result)
    about = ask_about()
    broken = [p for p in review.smear.photographs if p.error is not None]
    if broken:
        with st.expander(f"Unreadable: {len(broken):,} of {len(mine.files):,} files"):
            st.text("\n".join(p.error for p in broken))
    with st.container(horizontal=True, vertical_alignment="center"):
        view = st.segmented_control(
            "View",
            (PHOTOGRAPHS, GALLERY, DIFFERENTIAL),
            default=PHOTOGRAPHS,
            required=True,
            key="smear_view",
            label_visibility="collapsed",
        )
        st.button("Clear", icon=":material/close:", on_click=session.clear, key="smear_clear")
    if view == PHOTOGRAPHS:
        show_photograph(loaded, mine, review)
    elif view == GALLERY:
        show_gallery(review)
    else:
        show_differential(review, about, loaded.name)
        show_learn(loaded, review, about)
