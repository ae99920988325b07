"""A grid of pictures that can be clicked: one element of the page, however many pictures it has."""

import base64
import io
from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass
from typing import Any

import numpy as np
import streamlit as st
from PIL import Image

__all__ = ["Picture", "gallery", "png_bytes"]

# Twice the width shown, for screens with two dots a pixel.
LARGEST_SIDE = 224
JPEG_QUALITY = 92

_CSS = """
.grid { display: grid; gap: 0.6rem; font-family: var(--st-font); color: var(--st-text-color);
  grid-template-columns: repeat(auto-fill, minmax(min(var(--side), 28vw), 1fr)); }
.tile { all: unset; position: relative; box-sizing: border-box; min-width: 0;
  display: flex; flex-direction: column; justify-content: flex-start;
  border-radius: 0.5rem; border: 1px solid var(--st-border-color); overflow: hidden;
  background: var(--st-secondary-background-color); }
button.tile { cursor: pointer; }
button.tile:hover { border-color: var(--st-primary-color); }
button.tile:focus-visible { outline: 2px solid var(--st-primary-color); outline-offset: 2px; }
.badge { position: absolute; top: 0.3rem; left: 0.3rem; padding: 0.05rem 0.4rem; font-size: 0.7rem;
  border-radius: 0.4rem; color: #ffffff; background: rgba(31, 26, 43, 0.75); }
.picture { position: relative; }
.bar { position: absolute; left: 0; right: 0; bottom: 0; height: 0.4rem; display: flex; }
img { display: block; width: 100%; aspect-ratio: 1; object-fit: cover; }
.marked { border-color: var(--st-primary-color); border-width: 2px; }
.faded img { opacity: 0.35; filter: grayscale(1); }
.caption { display: flex; gap: 0.3rem; align-items: baseline; padding: 0.3rem 0.4rem 0;
  font-size: 0.76rem; line-height: 1.25; }
.caption:last-child { padding-bottom: 0.35rem; }
.text { min-width: 0; hyphens: auto; overflow-wrap: break-word; }
.dot { flex: none; width: 0.55rem; height: 0.55rem; border-radius: 50%; }
.note { padding: 0.1rem 0.4rem 0.35rem; font-size: 0.72rem; opacity: 0.75; overflow: hidden;
  text-overflow: ellipsis; white-space: nowrap; }
"""

_JS = """
export default function ({ data, parentElement, setTriggerValue }) {
  const grid = parentElement.querySelector(".grid");
  grid.style.setProperty("--side", data.side + "px");
  grid.style.gridTemplateColumns = data.columns ? `repeat(${data.columns}, minmax(0, 1fr))` : "";
  grid.style.gap = data.columns ? "0.4rem" : "";
  const made = data.pictures.map((picture) => {
    const tile = document.createElement(data.clickable ? "button" : "div");
    tile.className =
      "tile" + (picture.faded ? " faded" : "") + (picture.marked ? " marked" : "");
    tile.title = picture.alt;
    const image = document.createElement("img");
    image.src = picture.src;
    image.alt = picture.alt;
    image.draggable = false;
    const frame = document.createElement("div");
    frame.className = "picture";
    frame.append(image);
    if (picture.bar.length) {
      const bar = document.createElement("div");
      bar.className = "bar";
      for (const [share, colour] of picture.bar) {
        const piece = document.createElement("span");
        piece.style.flex = String(share);
        piece.style.background = colour;
        bar.append(piece);
      }
      frame.append(bar);
    }
    tile.append(frame);
    if (picture.badge) {
      const badge = document.createElement("span");
      badge.className = "badge";
      badge.textContent = picture.badge;
      tile.append(badge);
    }
    if (picture.caption) {
      const caption = document.createElement("div");
      caption.className = "caption";
      if (picture.colour) {
        const dot = document.createElement("span");
        dot.className = "dot";
        dot.style.background = picture.colour;
        caption.append(dot);
      }
      const text = document.createElement("span");
      text.className = "text";
      text.textContent = picture.caption;
      caption.append(text);
      tile.append(caption);
    }
    if (picture.note) {
      const note = document.createElement("div");
      note.className = "note";
      note.textContent = picture.note;
      tile.append(note);
    }
    if (data.clickable) {
      tile.type = "button";
      tile.onclick = () => setTriggerValue("clicked", picture.id);
    }
    return tile;
  });
  grid.replaceChildren(...made);
}
"""

_component = st.components.v2.component(
    "bloodcell_gallery", html='<div class="grid" lang="en"></div>', css=_CSS, js=_JS
)


@dataclass(frozen=True)
class Picture:
    """One tile.

    Attributes:
        id: what a click returns, e.g. the index in the dataset.
        image: uint8, H×W×3, RGB.
        alt: what it shows, in words; also its tooltip.
        caption, note: a first line and a fainter second one; may be empty.
        badge: a word on the picture; may be empty.
        bar: (share, ``#rrggbb``) of the pieces of a bar at the picture's foot; may be empty.
        colour: ``#rrggbb`` of the dot before the caption, or "" for none.
        faded: whether it is shown as set aside.
        marked: whether it has a frame in the accent colour.
    """

    id: int
    image: np.ndarray
    alt: str
    _: KW_ONLY
    caption: str = ""
    note: str = ""
    badge: str = ""
    bar: tuple[tuple[float, str], ...] = ()
    colour: str = ""
    faded: bool = False
    marked: bool = False


def png_bytes(image: np.ndarray) -> bytes:
    """The exact pixels of uint8 H×W×3 as a PNG file."""
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(image)).save(buffer, "PNG")
    return buffer.getvalue()


def _source(image: np.ndarray) -> str:
    picture = Image.fromarray(np.ascontiguousarray(image))
    picture.thumbnail((LARGEST_SIDE, LARGEST_SIDE), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=JPEG_QUALITY, subsampling=0)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()


def gallery(
    pictures: Sequence[Picture],
    key: str,
    *,
    side: int = 112,
    columns: int | None = None,
    clickable: bool = True,
) -> int | None:
    """Show pictures in a grid that fills the width.

    Args:
        key: of the element; one grid, one key.
        side: least width of a tile in pixels.
        columns: a fixed number of tiles in a row, or None for as many as fit.
        clickable: whether tiles are buttons.

    Returns:
        The id of the picture that was just clicked (or chosen by keyboard), else None.
    """
    tiles: list[dict[str, Any]] = [
        {
            "id": int(p.id),
            "src": _source(p.image),
            "alt": p.alt,
            "caption": p.caption,
            "note": p.note,
            "badge": p.badge,
            "bar": [[float(share), colour] for share, colour in p.bar],
            "colour": p.colour,
            "faded": p.faded,
            "marked": p.marked,
        }
        for p in pictures
    ]
    result = _component(
        data={"pictures": tiles, "side": side, "columns": columns, "clickable": clickable},
        key=key,
        on_clicked_change=lambda: None,
    )
    clicked = getattr(result, "clicked", None)
    return None if clicked is None else int(clicked)
