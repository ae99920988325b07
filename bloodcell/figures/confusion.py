"""The confusion matrix, drawn so that one error among thousands is seen and can be clicked."""

from collections.abc import Callable

import numpy as np
import plotly.graph_objects as go

from bloodcell.classes import CLASSES
from bloodcell.figures.theme import SHORT_TITLES, style

__all__ = ["confusion", "confusion_difference"]

# Errors are orange, so that "wrong" does not rest on brightness alone. All four are opaque and
# dark enough for white text at 4.5:1, whatever the page behind them.
FEW_ERRORS, MANY_ERRORS = "#b35c1e", "#953800"
FEW_HITS, MANY_HITS = "#7f68b8", "#6a3fc0"
EMPTY = "rgba(128, 128, 140, 0.09)"
SCALE = [
    [0.0, MANY_ERRORS],
    [0.45, FEW_ERRORS],
    [0.4501, EMPTY],
    [0.55, EMPTY],
    [0.5501, FEW_HITS],
    [1.0, MANY_HITS],
]


def _shades(counts: np.ndarray, shares: np.ndarray) -> np.ndarray:
    # -1 to -0.1 errors by the logarithm of their count, because one wrong image beside 600
    # right ones would otherwise be invisible; 0 empty; 0.1 to 1 hits by their share of the row.
    off = ~np.eye(len(counts), dtype=bool)
    most = max(2, counts[off].max(initial=0))
    errors = -(0.12 + 0.88 * np.log(np.maximum(counts, 1)) / np.log(most))
    shades = np.where(off, np.maximum(errors, -1), 0.12 + 0.88 * shares)
    return np.where(counts > 0, shades, 0.0)


def confusion(
    matrix: np.ndarray | list[list[int]], *, normalise: bool = False, title: str = ""
) -> go.Figure:
    """A confusion matrix; a click on a cell selects a marker with [true id, predicted id].

    Plotly's heatmap gives Streamlit no event, so that a transparent square marker lies over
    each cell: its ``customdata`` is ``[true_id, predicted_id]``, in the last trace, in
    row-major order.

    Args:
        matrix: 8×8 counts, rows true.
        normalise: write each count as a share of its row instead.
        title: one line above the figure.
    """
    counts = np.asarray(matrix, np.int64)
    rows = counts.sum(1, keepdims=True)
    shares = np.divide(counts, rows, out=np.zeros(counts.shape), where=rows > 0)
    names = [c.title for c in CLASSES]
    k = len(CLASSES)

    def written(i: int, j: int) -> str:
        if not counts[i, j]:
            return ""
        percent = 100 * shares[i, j]
        return f"{percent:.{0 if percent in {0, 100} else 1}f}" if normalise else f"{counts[i, j]}"

    def words(i: int, j: int) -> str:
        n = f"{counts[i, j]:,} of {rows[i, 0]:,} ({shares[i, j]:.1%})"
        if i == j:
            return f"{names[i]} predicted correctly: {n}"
        return f"{names[i]} predicted as {names[j].lower()}: {n}"

    text = [[written(i, j) for j in range(k)] for i in range(k)]
    fig = _matrix(_shades(counts, shares), text, words)
    style(fig, 520, title=title)
    return _axes(fig, "predicted class" + (" (% of row)" if normalise else ""))


def confusion_difference(
    first: np.ndarray | list[list[int]],
    second: np.ndarray | list[list[int]],
    names: tuple[str, str],
) -> go.Figure:
    """Counts of one confusion matrix minus those of another on the same images.

    Violet is in favour of the first, orange of the second: on the diagonal more is better,
    elsewhere less. Clicks are as in :func:`confusion`.

    Args:
        first, second: 8×8 counts, rows true.
        names: of the two.
    """
    apart = np.asarray(first, np.int64) - np.asarray(second, np.int64)
    k = len(CLASSES)
    favour = np.where(np.eye(k, dtype=bool), apart, -apart)
    most = max(2, int(np.abs(apart).max(initial=0)))
    size = 0.12 + 0.88 * np.log(np.maximum(np.abs(favour), 1)) / np.log(most)
    shades = np.sign(favour) * np.minimum(size, 1)

    def words(i: int, j: int) -> str:
        what = f"{CLASSES[i].title} predicted as {CLASSES[j].title.lower()}"
        return f"{what}: {names[0]} {apart[i, j]:+,} compared with {names[1]}"

    text = [[f"{n:+d}" if n else "" for n in row] for row in apart]
    fig = _matrix(shades, text, words)
    style(fig, 520)
    return _axes(fig, f"predicted class ({names[0]} minus {names[1]})")


def _matrix(
    shades: np.ndarray, text: list[list[str]], words: Callable[[int, int], str]
) -> go.Figure:
    # Cells with their numbers, and over each a transparent marker that can be clicked.
    k = len(CLASSES)
    fig = go.Figure(
        go.Heatmap(
            z=shades,
            zmin=-1,
            zmax=1,
            x=list(range(k)),
            y=list(range(k)),
            colorscale=SCALE,
            showscale=False,
            xgap=2,
            ygap=2,
            text=text,
            texttemplate="%{text}",
            textfont={"size": 13, "color": "#ffffff"},
            hoverinfo="skip",
        )
    )
    places = [(i, j) for i in range(k) for j in range(k)]
    fig.add_scatter(
        x=[j for _, j in places],
        y=[i for i, _ in places],
        mode="markers",
        marker={"symbol": "square", "size": 34, "color": "rgba(0, 0, 0, 0)", "line": {"width": 0}},
        selected={"marker": {"color": "rgba(128, 128, 140, 0.35)"}},
        unselected={"marker": {"opacity": 1}},
        customdata=[[i, j] for i, j in places],
        text=[words(i, j) for i, j in places],
        hovertemplate="%{text}<extra></extra>",
        showlegend=False,
    )
    return fig


def _axes(fig: go.Figure, label: str) -> go.Figure:
    short = [SHORT_TITLES[c.name] for c in CLASSES]
    k = len(CLASSES)
    fig.update_layout(
        dragmode=False, clickmode="event+select", hovermode="closest", hoverdistance=40
    )
    ticks = {"tickvals": list(range(k)), "ticktext": short, "showgrid": False, "fixedrange": True}
    fig.update_xaxes(**ticks, range=[-0.5, k - 0.5], title=label)
    fig.update_xaxes(tickangle=-45)
    fig.update_yaxes(**ticks, range=[k - 0.5, -0.5], title="true class")
    return fig
