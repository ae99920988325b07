"""A photograph of a smear with its cells marked, to zoom and to click."""

import base64

import cv2
import numpy as np
import plotly.graph_objects as go

from bloodcell.figures.theme import style

__all__ = ["smear_photograph"]

# Pixels of the longer side of what a browser is sent.
LONGEST = 1600
# Places a click can fall on, along the longer side.
GRID = 48


def smear_photograph(
    image: np.ndarray,
    boxes: list[tuple[int, int, int, int]],
    colours: list[str],
    names: list[str],
    chosen: int | None = None,
) -> go.Figure:
    """A photograph with a box for each cell.

    A click on a marker gives `customdata` [number of the cell], one beside them all
    [-1, x, y] in pixels of the photograph.

    Args:
        image: uint8, H×W×3, RGB.
        boxes: left, top, right, bottom of each cell.
        colours: ``#rrggbb`` of each.
        names: what each is called at the pointer.
        chosen: the number of the cell that is looked at.
    """
    height, width = image.shape[:2]
    scale = min(1.0, LONGEST / max(height, width))
    small = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    _, data = cv2.imencode(".jpg", small[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 88])
    source = "data:image/jpeg;base64," + base64.b64encode(data.tobytes()).decode("ascii")
    step = max(height, width) / GRID
    x, y = (np.arange(step / 2, side, step) for side in (width, height))
    xs, ys = (v.ravel() for v in np.meshgrid(x, y))
    figure = go.Figure()
    figure.add_layout_image(
        source=source, xref="x", yref="y", x=0, y=0, sizex=width, sizey=height,
        sizing="stretch", layer="below",
    )  # fmt: skip
    figure.add_scatter(
        x=xs, y=ys, mode="markers", marker={"size": 14, "opacity": 0, "symbol": "square"},
        customdata=np.stack([np.full(xs.size, -1), xs, ys], 1), hoverinfo="none",
        showlegend=False,
    )  # fmt: skip
    figure.add_scatter(
        x=[(b[0] + b[2]) / 2 for b in boxes], y=[(b[1] + b[3]) / 2 for b in boxes],
        mode="markers", marker={"size": 22, "opacity": 0.01, "color": colours},
        customdata=[[i] for i in range(len(boxes))], text=names,
        hovertemplate="%{text}<extra></extra>", showlegend=False,
    )  # fmt: skip
    figure.update_layout(
        shapes=[
            {
                "type": "rect", "x0": b[0], "y0": b[1], "x1": b[2], "y1": b[3],
                "line": {"color": colour, "width": 5 if i == chosen else 2.5},
            }
            for i, (b, colour) in enumerate(zip(boxes, colours, strict=True))
        ]
    )  # fmt: skip
    style(figure, 460)
    figure.update_xaxes(visible=False, range=[0, width], constrain="domain")
    # On a narrow screen the room that is left over lies below.
    figure.update_yaxes(
        visible=False, range=[height, 0], scaleanchor="x", constrain="domain",
        constraintoward="top",
    )  # fmt: skip
    figure.update_layout(
        margin={"l": 0, "r": 0, "t": 0, "b": 0}, dragmode="zoom", clickmode="event+select"
    )
    return figure
