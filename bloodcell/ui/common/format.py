"""Numbers and pictures as a page shows them."""

import base64
import html
import re

import cv2
import numpy as np

from bloodcell.classes import LABELS

__all__ = [
    "PERCENT",
    "duration",
    "interval",
    "no_pictures",
    "percent",
    "plain",
    "swatch",
    "thumbnail",
]


# A number and its unit stay on one line.
PERCENT = "\N{NO-BREAK SPACE}%"


def percent(share: float, digits: int = 1) -> str:
    """A share as percent; one that is not quite 1 is never rounded up to 100 %, nor one to 0."""
    least = 10.0**-digits
    value = 100 * share
    if 0 < value < least:
        return f"<\N{NO-BREAK SPACE}{least:.{digits}f}{PERCENT}"
    if 100 - least < value < 100:
        return f">\N{NO-BREAK SPACE}{100 - least:.{digits}f}{PERCENT}"
    return f"{value:.{digits}f}{PERCENT}"


def duration(seconds: float) -> str:
    """ "45 s", "12 min", "3 h 05 min"."""
    if seconds < 100:
        return f"{seconds:.0f}\N{NO-BREAK SPACE}s"
    minutes = round(seconds / 60)
    if minutes < 100:
        return f"{minutes}\N{NO-BREAK SPACE}min"
    return f"{minutes // 60}\N{NO-BREAK SPACE}h {minutes % 60:02d}\N{NO-BREAK SPACE}min"


def interval(pair: tuple[float, float], digits: int = 1) -> str:
    """A 95 % interval of shares as "96.8 to 98.4 %"."""
    low, high = pair
    return f"{100 * low:.{digits}f} to {100 * high:.{digits}f}{PERCENT}"


def plain(text: str, longest: int = 300) -> str:
    """Text from a file or its name as Markdown that shows it as it is: no links, no pictures."""
    short = text if len(text) <= longest else f"{text[: longest - 1]}…"
    return re.sub(r"([\\`*_{}\[\]()<>#+.!|~$:^=-])", r"\\\1", " ".join(short.split()))


def no_pictures(markdown: str) -> str:
    """Markdown that came from elsewhere, such that showing it fetches nothing.

    A picture becomes a link, which is fetched by who follows it only. HTML is shown as text by
    Streamlit anyway.
    """
    # Not by a backslash: behind another one it would be escaped itself.
    return markdown.replace("![", "&#33;[")


def swatch(label: int) -> str:
    """HTML: a dot of the class's colour, and its title."""
    cell = LABELS[label]
    dot = (
        "display:inline-block;width:0.7em;height:0.7em;border-radius:50%;margin-right:0.35em;"
        f"background:{cell.colour}"
    )
    return (
        f'<span style="white-space:nowrap"><span style="{dot}"></span>'
        f"{html.escape(cell.title)}</span>"
    )


def thumbnail(image: np.ndarray, side: int = 56) -> str:
    """A small picture as a ``data:`` address.

    Args:
        image: uint8, H×W×3, RGB.
        side: pixels of the longer side; a smaller image stays as it is.
    """
    longest = max(image.shape[:2])
    if longest > side:
        size = tuple(max(1, round(n * side / longest)) for n in image.shape[1::-1])
        image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    _, data = cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 80])
    return "data:image/jpeg;base64," + base64.b64encode(data.tobytes()).decode("ascii")
