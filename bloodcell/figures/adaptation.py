"""What labelled cells of a laboratory are worth."""

from collections.abc import Sequence
from typing import Any

import plotly.graph_objects as go

from bloodcell.figures.theme import ACCENT, MUTED, rgba, style

__all__ = ["shot_curve"]


def shot_curve(curve: Sequence[dict[str, Any]], before: float | None = None) -> go.Figure:
    """Balanced accuracy on the cells that were not drawn, by labelled cells a class.

    Args:
        curve: ``per_class``, ``balanced_accuracy`` and ``interval`` of each point.
        before: of the parent, on the same laboratory.
    """
    x = [point["per_class"] for point in curve]
    low, high = ([point["interval"][k] for point in curve] for k in (0, 1))
    fig = go.Figure()
    fig.add_scatter(
        x=[*x, *x[::-1]],
        y=[*high, *low[::-1]],
        mode="lines",
        fill="toself",
        fillcolor=rgba(ACCENT, 0.18),
        line={"width": 0},
        name="95 % of draws",
        hoverinfo="skip",
    )
    fig.add_scatter(
        x=x,
        y=[point["balanced_accuracy"] for point in curve],
        mode="lines+markers",
        line={"color": ACCENT},
        marker={"size": 8},
        name="adapted",
        hovertemplate="%{x} a class: %{y:.1%}<extra></extra>",
    )
    if before is not None:
        fig.add_hline(before, line={"color": MUTED, "dash": "dash"})
        fig.add_annotation(
            x=0.5, xref="paper", y=before, yanchor="bottom", showarrow=False,
            text="before", font={"color": MUTED},
        )  # fmt: skip
    style(fig, 300)
    # Each step about doubles the number.
    fig.update_xaxes(title="labelled cells a class", type="log", tickvals=x, ticktext=x)
    fig.update_yaxes(title="balanced accuracy", tickformat=".0%")
    return fig
