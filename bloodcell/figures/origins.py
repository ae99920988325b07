"""Where cells come from, in figures: laboratory × class, and what a threshold refuses."""

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from bloodcell.classes import LABELS
from bloodcell.figures.dataset import channel_ranges
from bloodcell.figures.theme import ACCENT, BEHIND_WHITE, MUTED, SHORT_TITLES, style

__all__ = ["laboratory_colours", "laboratory_map", "refusal_figure"]


def laboratory_map(counts: np.ndarray, names: list[str]) -> go.Figure:
    """How many cells of each label each laboratory has; what it has none of is crossed out.

    Args:
        counts: int, L×9: of the eight classes and of none of them, for each laboratory.
        names: L, as they are shown.
    """
    shown = [k for k in range(counts.shape[1]) if k < len(LABELS) - 1 or counts[:, k].any()]
    values = counts[:, shown]
    titles = [SHORT_TITLES[LABELS[k].name] for k in shown]
    fig = go.Figure()
    fig.add_heatmap(
        z=np.where(values > 0, np.log10(np.maximum(values, 1)) + 1, 0),
        x=titles,
        y=names,
        text=[[f"{n:,}" if n else "" for n in row] for row in values],
        texttemplate="%{text}",
        textfont={"color": "#ffffff"},
        customdata=values,
        colorscale=[[0, "rgba(0, 0, 0, 0)"], [0.01, BEHIND_WHITE[0]], [1, BEHIND_WHITE[1]]],
        zmin=0,
        xgap=2,
        ygap=2,
        showscale=False,
        hovertemplate="%{y}, %{x}: %{customdata:,} cells<extra></extra>",
    )
    rows, columns = np.nonzero(values == 0)
    fig.add_scatter(
        x=[titles[k] for k in columns],
        y=[names[k] for k in rows],
        text=["✕"] * len(rows),
        mode="text",
        textfont={"color": MUTED},
        hoverinfo="skip",
        showlegend=False,
    )
    style(fig, 120 + 40 * len(names))
    fig.update_xaxes(side="top", showgrid=False, type="category")
    fig.update_yaxes(autorange="reversed", showgrid=False, type="category")
    return fig


def laboratory_colours(percentiles: np.ndarray, names: list[str]) -> go.Figure:
    """The middle 90 % and the median of red, green and blue in each laboratory.

    Args:
        percentiles: float, L×3×3: the 5th, 50th and 95th of each channel, 0 to 255.
        names: L, as they are shown.
    """
    return channel_ranges(percentiles, names, names, 120 + 56 * len(names))


def refusal_figure(curve: pd.DataFrame, cells: float, others: float) -> go.Figure:
    """Share of none of the eight that is refused against the share of proper cells refused.

    Args:
        curve: from :func:`bloodcell.evaluation.origins.refusal_curve`.
        cells, others: shares refused at the ensemble's threshold.
    """
    fig = go.Figure()
    fig.add_scatter(
        x=[0, 1],
        y=[0, 1],
        mode="lines",
        line={"color": MUTED, "dash": "dash", "width": 1.5},
        name="by chance",
        hoverinfo="skip",
    )
    fig.add_scatter(
        x=curve["cells_refused"],
        y=curve["others_refused"],
        mode="lines",
        line={"color": ACCENT, "width": 2.5},
        name="at every threshold",
        customdata=curve["threshold"],
        hovertemplate="%{x:.1%} of proper cells and %{y:.1%} of the others refused<extra></extra>",
    )
    fig.add_scatter(
        x=[cells],
        y=[others],
        mode="markers",
        marker={"color": ACCENT, "size": 14, "line": {"width": 2, "color": "#ffffff"}},
        name="this ensemble's threshold",
        hoverinfo="skip",
        cliponaxis=False,
    )
    style(fig, 380)
    fig.update_xaxes(range=[-0.01, 1], tickformat=".0%", title="proper cells refused")
    fig.update_yaxes(range=[0, 1.03], tickformat=".0%", title="others refused")
    return fig
