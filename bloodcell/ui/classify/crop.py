"""The square of a photograph that is classified: shown, moved and zoomed."""

from typing import Any

import cv2
import numpy as np
import streamlit as st

from bloodcell import figures
from bloodcell.data.imaging.cropping import Crop, centre
from bloodcell.data.imaging.decode import MIN_SIDE, decode_image
from bloodcell.data.readers.inputs import content_of
from bloodcell.ensemble.classify import Classified
from bloodcell.ui.classify import photographs
from bloodcell.ui.classify.photographs import Photographs
from bloodcell.ui.common.format import thumbnail

__all__ = ["crop_text", "show_crop_editor", "square_of"]

SHOWN = 640


def crop_text(crop: Crop, size: tuple[int, int]) -> str:
    """ "the whole photograph, 96×96 pixels", or which square of it."""
    height, width = size
    if crop.side == height == width:
        return f"the whole photograph, {width}×{height} pixels"
    return f"{crop.side}×{crop.side} of {width}×{height} pixels, at {crop.x}, {crop.y}"


def square_of(selection: dict[str, Any], size: tuple[int, int]) -> Crop | None:
    """The square around a box that was drawn on the photograph; None if there is none.

    Args:
        selection: of ``st.plotly_chart(on_select=...)``.
        size: (height, width) of the photograph.
    """
    boxes = selection.get("box") or []
    if not boxes:
        return None
    height, width = size
    x, y = (sorted(float(v) for v in boxes[-1][axis]) for axis in ("x", "y"))
    side = round(max(x[1] - x[0], y[1] - y[0]))
    side = int(np.clip(side, min(MIN_SIDE, height, width), min(height, width)))
    left = round((x[0] + x[1] - side) / 2)
    top = round((y[0] + y[1] - side) / 2)
    return Crop(
        int(np.clip(left, 0, width - side)),
        int(np.clip(top, 0, height - side)),
        side,
    )


def _thumbnail(files: Photographs, position: int) -> str:
    """The photograph as a picture of at most SHOWN pixels; kept for the visitor's next step."""
    kept = st.session_state.get("field_picture")
    if kept is None or kept[0] != (files.digest, position):
        name, content = files.files[position]
        image = decode_image(content_of(content), name)
        if max(image.shape[:2]) < SHOWN / 2:
            scale = SHOWN // (2 * max(image.shape[:2])) + 1
            image = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC)
        kept = ((files.digest, position), thumbnail(image, SHOWN))
        st.session_state["field_picture"] = kept
    return kept[1]


def _crop_by_numbers(position: int, size: tuple[int, int], key: str) -> None:
    height, width = size
    side = min(int(st.session_state[f"{key}_side"]), height, width)
    x = min(int(st.session_state[f"{key}_x"]), width - side)
    y = min(int(st.session_state[f"{key}_y"]), height - side)
    photographs.set_crop(position, Crop(x, y, side))


def _crop_by_box(position: int, size: tuple[int, int], key: str) -> None:
    found = square_of(st.session_state[key]["selection"], size)
    if found is not None:
        photographs.set_crop(position, found)


def show_crop_editor(files: Photographs, found: Classified, position: int) -> None:
    """The photograph with its square; a box drawn on it or three numbers move the square."""
    row = found.row_of(position)
    if row is None:
        return
    size, crop = found.sizes[row], found.crops[row]
    height, width = size
    key = f"field_{files.digest}_{position}"
    st.caption(
        "Networks expect a cell at one scale. The square is proposed from the stained part of the "
        "cell: draw another one on the photograph, or enter its numbers."
    )
    left, right = st.columns([6, 4], gap="medium")
    with left:
        # A box stays on a chart until the chart is another one.
        box = f"{key}_box_{crop.x}_{crop.y}_{crop.side}"
        st.plotly_chart(
            figures.field_of_view(
                _thumbnail(files, position), width, height, (crop.x, crop.y, crop.side)
            ),
            key=box,
            on_select=lambda: _crop_by_box(position, size, box),
            selection_mode="box",
            config={"displayModeBar": False},
            alt=f"The photograph, with the square {crop_text(crop, size)}",
        )
    with right:
        most = min(height, width)
        now = {"x": crop.x, "y": crop.y, "side": crop.side}
        limits = {"x": (0, width - crop.side), "y": (0, height - crop.side), "side": (8, most)}
        words = {"x": "Left", "y": "Top", "side": "Side"}
        for name, value in now.items():
            st.session_state[f"{key}_{name}"] = value
            low, high = limits[name]
            if low < high:
                st.number_input(
                    f"{words[name]}, pixels",
                    low,
                    high,
                    step=max(1, most // 50),
                    key=f"{key}_{name}",
                    on_change=_crop_by_numbers,
                    args=(position, size, key),
                )
        with st.container(horizontal=True):
            st.button(
                "Reset",
                icon=":material/undo:",
                disabled=position not in photographs.moved_crops(),
                on_click=photographs.set_crop,
                args=(position, None),
                key=f"{key}_proposed",
            )
            st.button(
                "Largest centre square",
                icon=":material/crop_square:",
                on_click=photographs.set_crop,
                args=(position, centre(height, width)),
                key=f"{key}_centre",
            )
