"""What an ensemble says about one cell."""

from collections.abc import Collection, Mapping

import plotly.graph_objects as go

from bloodcell.classes import CLASSES
from bloodcell.figures.theme import rgba, style

__all__ = ["probabilities_bar"]


def probabilities_bar(
    probabilities: Mapping[str, float], *, set: Collection[str] = (), title: str = ""
) -> go.Figure:
    """Bars of the class probabilities, the largest on top, in percent.

    Args:
        probabilities: class name → probability, 0 to 1.
        set: class names in the prediction set; the others are drawn faint.
        title: one line above the figure.
    """
    known = {c.name: c for c in CLASSES}
    order = sorted(probabilities, key=lambda name: -probabilities[name])
    values = [100 * float(probabilities[name]) for name in order]

    def written(value: float) -> str:
        if 0 < value < 0.1:
            return "< 0.1 %"
        return "> 99.9 %" if 99.9 < value < 100 else f"{value:.1f} %"

    within = [name in set or not set for name in order]
    fig = go.Figure(
        go.Bar(
            x=values,
            y=[known[name].title for name in order],
            orientation="h",
            text=[written(v) for v in values],
            textposition="outside",
            cliponaxis=False,
            marker={
                "color": [
                    rgba(known[name].colour, 1 if inside else 0.35)
                    for name, inside in zip(order, within, strict=True)
                ],
                "line": {"width": 0},
            },
            customdata=[
                "in the prediction set" if name in set else "not in the prediction set"
                for name in order
            ]
            if set
            else [""] * len(order),
            hovertemplate="%{y}: %{text}<br>%{customdata}<extra></extra>",
            showlegend=False,
        )
    )
    style(fig, 60 + 34 * max(1, len(order)), title=title)
    # Beyond 100 is room for the text behind a full bar.
    fig.update_xaxes(range=[0, 135], tickvals=[0, 25, 50, 75, 100], ticksuffix=" %")
    fig.update_yaxes(autorange="reversed", showgrid=False)
    return fig
