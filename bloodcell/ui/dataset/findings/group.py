"""One group of findings: its pictures beside what they are most like and what they should be."""

from collections import Counter
from dataclasses import replace

import streamlit as st

from bloodcell.audit.finding import Audit, Finding
from bloodcell.classes import CLASS_NAMES, LABEL_NAMES, title
from bloodcell.data.store.dataset import Dataset
from bloodcell.ui.common.dataset_index import DatasetIndex
from bloodcell.ui.common.gallery import Picture, gallery
from bloodcell.ui.dataset.findings.decisions import COPIES, show_decision_buttons
from bloodcell.ui.dataset.image_view import picture_of, show_image

__all__ = ["show_group"]

MOST_IN_GROUP = 12
EXAMPLES = 3
TILE, LARGE = 52, 96


def _tile(dataset: Dataset, index: DatasetIndex, i: int, note: str = "") -> Picture:
    return replace(picture_of(dataset, index, i, note), faded=False)


def _show_strip(
    dataset: Dataset,
    index: DatasetIndex,
    heading: str,
    rows: list[int],
    key: str,
    side: int = TILE,
) -> None:
    """Small pictures in a row; the colour at their foot is that of their label."""
    tiles = [
        replace(tile, caption="", colour="", bar=((1.0, tile.colour),))
        for tile in (_tile(dataset, index, i) for i in rows)
    ]
    with st.container(width=len(rows) * (side + 6) + 6, gap="xsmall"):
        st.caption(heading)
        clicked = gallery(tiles, key=key, side=side, columns=len(rows))
    if clicked is not None:
        show_image(dataset, rows, clicked)


def _count_labels(index: DatasetIndex, rows: list[int]) -> str:
    """ "erythroblast" or "3 erythroblast, 1 platelet"."""
    counts = Counter(title(int(index.labels[i])).lower() for i in rows).most_common()
    if len(counts) == 1:
        return counts[0][0]
    return ", ".join(f"{n} {name}" for name, n in counts)


def _show_heading(group: list[Finding], index: DatasetIndex) -> None:
    first = group[0]
    own = sorted({title(int(index.labels[f.index])) for f in group})
    words = f"**{' and '.join(own)}**"
    if first.looks_like is not None and first.kind not in ("exact_duplicate", "near_duplicate"):
        like = title(CLASS_NAMES.index(first.looks_like))
        words += f", looks most like **{like}**" if own != [like] else ", and looks like it"
    gone = sum(f.suggested == "exclude" for f in group)
    if len(group) == 1:
        suggestion = "suggested: exclude" if gone else "suggested: review"
    else:
        suggestion = f"suggested: exclude {gone:,} of {len(group):,}"
    why = f"{first.why[:1].upper()}{first.why[1:]}"
    if first.kind == "suspect_label":
        # The score is half of one plus the lead.
        lead = 100 * (2 * first.score - 1)
        why = f"In cross-validation that class is {lead:.0f} percentage points more probable"
    st.markdown(f"{words}. {why}.")
    score = max(f.score for f in group)
    st.caption(f"Score {score:.2f} · {suggestion} · image {first.index:,}, {first.name}")


def show_group(
    dataset: Dataset, index: DatasetIndex, audit: Audit | None, group: list[Finding], key: str
) -> None:
    """A card with the pictures of a group, what is wrong with them, and what can be decided."""
    first, shown = group[0], group[:MOST_IN_GROUP]
    with st.container(border=True):
        _show_heading(group, index)
        if first.kind in COPIES:
            _show_copies(dataset, index, group, shown, key)
            if first.kind == "conflicting_label":
                with st.container(horizontal=True, gap="small"):
                    _show_references(dataset, index, audit, first, key)
        else:
            with st.container(horizontal=True, gap="small"):
                _show_strip(dataset, index, "This image", [first.index], key, LARGE)
                _show_references(dataset, index, audit, first, key)
        if len(group) > 1 and first.kind not in COPIES:
            st.caption(f"{len(group):,} images have these pixels.")
        show_decision_buttons(dataset, index, group, key)


def _show_copies(
    dataset: Dataset, index: DatasetIndex, group: list[Finding], shown: list[Finding], key: str
) -> None:
    if len(group) > len(shown):
        st.caption(f"The first {len(shown)} of {len(group):,}")
    rows = [f.index for f in shown]
    tiles = [
        _tile(dataset, index, f.index, "exclude" if f.suggested == "exclude" else "keep")
        for f in shown
    ]
    clicked = gallery(tiles, key=key, side=96)
    if clicked is not None:
        show_image(dataset, rows, clicked)


def _show_references(
    dataset: Dataset, index: DatasetIndex, audit: Audit | None, finding: Finding, key: str
) -> None:
    if near := list(finding.neighbours):
        _show_strip(
            dataset, index, f"Most similar: {_count_labels(index, near)}", near, f"near_{key}"
        )
    own = LABEL_NAMES[int(index.labels[finding.index])]
    for name in dict.fromkeys((own, finding.looks_like)):
        if audit is not None and (rows := list(audit.typical.get(name or "", ()))[:EXAMPLES]):
            heading = f"Typical {title(CLASS_NAMES.index(name)).lower()}"
            _show_strip(dataset, index, heading, rows, f"typical_{name}_{key}")
