"""A dataset in figures: images per class, their colours, and which are alike."""

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from bloodcell.classes import CLASSES, LABELS
from bloodcell.figures.theme import ACCENT, SHORT_TITLES, rgba, style

__all__ = ["MAP_CONFIG", "channel_ranges", "class_counts", "colour_ranges", "image_map"]

CHANNELS = (("red", "#c8402f"), ("green", "#2f8f4e"), ("blue", "#3f74cf"))
# Selecting is what the map is for: its tools stay.
MAP_CONFIG = {
    "displaylogo": False,
    "scrollZoom": True,
    "toImageButtonOptions": {"format": "svg"},
    "modeBarButtonsToRemove": ["autoScale2d"],
}
MAP_HEIGHT = 520
PARTS = ("train", "validation", "test")
PART_OPACITY = {"train": 1.0, "validation": 0.65, "test": 0.4}


def colour_ranges(percentiles: np.ndarray) -> go.Figure:
    """For each class the values of red, green and blue: median and the middle 90 % of pixels.

    Args:
        percentiles: float, 8×3×3: the 5th, 50th and 95th of each class and channel, 0 to 255;
            NaN for a class without an image.
    """
    present = [c for c in CLASSES if np.isfinite(percentiles[c.id]).all()]
    return channel_ranges(
        percentiles[[c.id for c in present]],
        [c.title for c in present],
        [SHORT_TITLES[c.name] for c in present],
        380,
    )


def channel_ranges(
    percentiles: np.ndarray, names: list[str], ticks: list[str], height: int
) -> go.Figure:
    """Of each of n groups the values of red, green and blue: median and the middle 90 % of pixels.

    Args:
        percentiles: float, n×3×3: the 5th, 50th and 95th of each group and channel, 0 to 255.
        names, ticks: of the groups, for the pointer and for the axis.
        height: pixels.
    """
    fig = go.Figure()
    places = np.arange(len(names))
    for channel, (name, colour) in enumerate(CHANNELS):
        low, middle, high = percentiles[:, channel].reshape(-1, 3).T
        fig.add_scatter(
            x=middle,
            y=places + 0.24 * (channel - 1),
            mode="markers",
            name=name,
            marker={"color": colour, "size": 8},
            error_x={
                "type": "data",
                "array": high - middle,
                "arrayminus": middle - low,
                "width": 0,
                "thickness": 2.5,
                "color": colour,
            },
            customdata=np.stack([low, high], axis=1),
            text=names,
            hovertemplate=f"%{{text}}, {name}: median %{{x:.0f}}, 5 to 95 % of pixels "
            "%{customdata[0]:.0f} to %{customdata[1]:.0f}<extra></extra>",
        )
    style(fig, height)
    fig.update_xaxes(range=[0, 259], title="value of a pixel", nticks=6)
    fig.update_yaxes(
        tickvals=places, ticktext=ticks, range=[len(names) - 0.5, -0.5], showgrid=False
    )
    return fig


def image_map(
    points: np.ndarray,
    labels: np.ndarray,
    indices: np.ndarray,
    marked: int | None = None,
    selected: np.ndarray | None = None,
) -> go.Figure:
    """Images as dots, alike ones close together, coloured by their label.

    Args:
        points: float, N×2: of all images.
        labels: int, N.
        indices: int, n: the images to draw; each dot's ``customdata`` is its index.
        marked: the image to ring, or None.
        selected: the images to draw strongly, the others faintly; None for all alike.
    """
    fig = go.Figure()
    for c in LABELS:
        rows = indices[labels[indices] == c.id]
        if not len(rows):
            continue
        fig.add_scattergl(
            x=points[rows, 0],
            y=points[rows, 1],
            mode="markers",
            name=SHORT_TITLES[c.name],
            marker={"color": c.colour, "size": 5, "opacity": 0.75},
            unselected={"marker": {"opacity": 0.25}},
            customdata=rows,
            selectedpoints=None if selected is None else np.flatnonzero(np.isin(rows, selected)),
            hovertemplate=f"{c.title}, image %{{customdata}}<extra></extra>",
        )
    if marked is not None:
        fig.add_scattergl(
            x=points[[marked], 0],
            y=points[[marked], 1],
            mode="markers",
            showlegend=False,
            marker={
                "color": "rgba(0, 0, 0, 0)",
                "size": 18,
                "line": {"color": ACCENT, "width": 4},
            },
            unselected={"marker": {"opacity": 1}},
            hovertemplate=f"image {marked}, opened last<extra></extra>",
        )
    style(fig, MAP_HEIGHT)
    fig.update_layout(
        dragmode="lasso",
        uirevision="map",
        selectionrevision="map",
        legend={"itemsizing": "constant"},
        modebar={"orientation": "v"},
    )
    for axes in (fig.update_xaxes, fig.update_yaxes):
        axes(showticklabels=False, showgrid=False)
    # A position says nothing by itself, so neither does its scale.
    fig.update_yaxes(scaleanchor="x", constrain="domain")
    return fig


def class_counts(table: pd.DataFrame) -> go.Figure:
    """Bars of images per class, parts stacked, with the total and its share at the end.

    Args:
        table: a row for each class and part: ``class`` (name), ``part`` ("" or train,
            validation, test), ``n``.
    """
    fig = go.Figure()
    counts = table.groupby(["part", "class"])["n"].sum() if len(table) else pd.Series(dtype=int)
    present = set(table["part"]) if len(table) else set()
    parts = [p for p in PARTS if p in present] + sorted(present - set(PARTS))
    titles = [SHORT_TITLES[c.name] for c in CLASSES]
    for part in parts:
        n = [int(counts.get((part, c.name), 0)) for c in CLASSES]
        opacity = PART_OPACITY.get(part, 1.0)
        fig.add_bar(
            x=n,
            y=titles,
            orientation="h",
            name=part or "all",
            marker={
                "color": [rgba(c.colour, opacity) for c in CLASSES],
                "line": {"width": 0},
            },
            customdata=[c.title for c in CLASSES],
            hovertemplate=f"%{{customdata}}, {part or 'all'}: %{{x:,}} images<extra></extra>",
            showlegend=len(parts) > 1,
        )
    totals = [sum(int(counts.get((p, c.name), 0)) for p in parts) for c in CLASSES]
    everything = sum(totals)
    if everything:
        fig.add_scatter(
            x=totals,
            y=titles,
            mode="text",
            text=[f" {n:,} · {n / everything:.1%}" for n in totals],
            textposition="middle right",
            cliponaxis=False,
            hoverinfo="skip",
            showlegend=False,
        )
    style(fig, 380)
    fig.update_layout(barmode="stack", bargap=0.25, legend={"traceorder": "normal"})
    # Room for the text behind the longest bar, also on a phone.
    fig.update_xaxes(range=[0, max(totals, default=0) * 1.55 or 1], title="images")
    fig.update_xaxes(tickformat=",d", nticks=4)
    fig.update_yaxes(autorange="reversed", showgrid=False)
    return fig
