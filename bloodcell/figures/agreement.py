"""Agreement: differences of two methods, their regression, and the kappas of readers."""

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go

from bloodcell.agreement.methods import BlandAltman, Line
from bloodcell.figures.theme import ACCENT, BEHIND_WHITE, GRID, MUTED, RUN_COLOURS, style

__all__ = ["bland_altman_figure", "kappa_matrix", "regression_figure"]


def _points(fig: go.Figure, x: np.ndarray, y: np.ndarray, names: Sequence[str]) -> None:
    fig.add_scatter(
        x=x,
        y=y,
        mode="markers",
        name="smears",
        showlegend=False,
        marker={"color": ACCENT, "size": 8, "opacity": 0.75},
        text=list(names),
        hovertemplate="%{text}: %{x:.1f}, %{y:+.1f}<extra></extra>",
    )


def _room(values: np.ndarray) -> list[float]:
    """From 0 to the largest value, with room for the points at both ends."""
    most = max(float(np.max(values)), 1.0)
    return [-0.04 * most, 1.06 * most]


def bland_altman_figure(
    reference: np.ndarray,
    machine: np.ndarray,
    found: BlandAltman,
    names: Sequence[str],
    limit: float | None = None,
) -> go.Figure:
    """Difference against mean, with bias, limits of agreement and their intervals.

    Args:
        reference, machine: float, n: cells of 100 white cells.
        found: from :func:`bloodcell.agreement.methods.bland_altman`.
        names: of the smears, for the pointer.
        limit: the largest difference accepted, drawn as dotted lines.
    """
    fig = go.Figure()
    middles = (reference + machine) / 2
    _points(fig, middles, machine - reference, names)
    lines = (
        (found.bias, found.bias_interval, "bias", "solid"),
        (found.low, found.low_interval, "lower limit", "dash"),
        (found.high, found.high_interval, "upper limit", "dash"),
    )
    # Methods that differ everywhere by the same have one line.
    for value, (low, high), words, dash in lines if found.deviation else lines[:1]:
        fig.add_hrect(low, high, fillcolor=MUTED, opacity=0.16, line_width=0)
        fig.add_hline(
            value,
            line={"color": MUTED, "dash": dash},
            annotation_text=f"{words} {value:+.1f}",
            annotation_position="top left",
            annotation_font_size=13,
        )
    for value in () if limit is None else (-limit, limit):
        fig.add_hline(value, line={"color": RUN_COLOURS[1], "dash": "dot", "width": 2})
    reach = max(
        abs(found.low_interval[0]),
        abs(found.high_interval[1]),
        float(np.abs(machine - reference).max()),
        limit or 0.0,
        0.5,
    )
    style(fig, 360)
    fig.update_xaxes(title="mean of both (of 100 white cells)", range=_room(middles))
    fig.update_yaxes(title="machine − readers", range=[-1.15 * reach, 1.15 * reach])
    return fig


def regression_figure(
    reference: np.ndarray,
    machine: np.ndarray,
    names: Sequence[str],
    passing_bablok: Line | None,
    deming: Line | None,
) -> go.Figure:
    """Machine against readers, with the line of equality and both regressions.

    Args:
        reference, machine: float, n: cells of 100 white cells.
        names: of the smears, for the pointer.
        passing_bablok, deming: None where there is no line.
    """
    fig = go.Figure()
    room = _room(np.concatenate([reference, machine]))
    ends = np.array([0.0, room[1]])
    fig.add_scatter(
        x=ends, y=ends, mode="lines", name="equal", line={"color": GRID, "width": 2, "dash": "dot"}
    )
    _points(fig, reference, machine, names)
    for line, words, colour, dash in (
        (passing_bablok, "Passing–Bablok", ACCENT, "solid"),
        (deming, "Deming", RUN_COLOURS[1], "dash"),
    ):
        if line is not None:
            fig.add_scatter(
                x=ends,
                y=line.intercept + line.slope * ends,
                mode="lines",
                name=words,
                line={"color": colour, "dash": dash, "width": 2},
                hoverinfo="skip",
            )
    style(fig, 360)
    fig.update_xaxes(title="readers (of 100 white cells)", range=room)
    fig.update_yaxes(title="machine", range=room)
    fig.update_layout(margin={"t": 44})
    return fig


def kappa_matrix(readers: Sequence[str], values: np.ndarray) -> go.Figure:
    """Cohen's kappa of every two readers.

    Args:
        readers: R names.
        values: float, R×R, NaN where there is nothing to compare.
    """
    texts = [["" if np.isnan(v) else f"{v:.2f}" for v in row] for row in values]
    fig = go.Figure(
        go.Heatmap(
            z=values,
            x=list(readers),
            y=list(readers),
            zmin=0,
            zmax=1,
            text=texts,
            texttemplate="%{text}",
            textfont={"size": 16, "color": "#ffffff"},
            colorscale=[[0, BEHIND_WHITE[0]], [1, BEHIND_WHITE[1]]],
            showscale=False,
            xgap=3,
            ygap=3,
            hovertemplate="%{y} and %{x}: %{z:.3f}<extra></extra>",
        )
    )
    style(fig, 120 + 52 * len(readers))
    fig.update_xaxes(showgrid=False, type="category")
    fig.update_yaxes(showgrid=False, type="category", autorange="reversed")
    return fig
