"""What an ensemble says about one cell, and about a batch of them; and what it is shown."""

from collections.abc import Collection, Mapping, Sequence

import plotly.graph_objects as go

from bloodcell.classes import CLASSES
from bloodcell.evaluation.intervals import wilson
from bloodcell.figures.theme import ACCENT, MUTED, SHORT_TITLES, rgba, style

__all__ = ["differential", "field_of_view", "probabilities_bar"]

# A box is only reported if it holds points: so many a side, unseen.
POINTS = 40


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


def differential(counts: Sequence[int]) -> go.Figure:
    """The share of each class among recognised cells, with Wilson's 95 % intervals.

    Args:
        counts: cells of each class, in the order of the class ids.
    """
    n = sum(counts)
    shares = [100 * c / n if n else 0.0 for c in counts]
    limits = [wilson(c, n) for c in counts]
    titles = [SHORT_TITLES[c.name] for c in CLASSES]
    fig = go.Figure(
        go.Bar(
            x=shares,
            y=titles,
            orientation="h",
            marker={"color": [rgba(c.colour, 0.85) for c in CLASSES], "line": {"width": 0}},
            error_x={
                "type": "data",
                "symmetric": False,
                "array": [100 * high - s for s, (_, high) in zip(shares, limits, strict=True)],
                "arrayminus": [s - 100 * low for s, (low, _) in zip(shares, limits, strict=True)],
                "color": MUTED,
                "thickness": 1.5,
                "width": 4,
            },
            customdata=[
                [c.title, k, 100 * low, 100 * high]
                for c, k, (low, high) in zip(CLASSES, counts, limits, strict=True)
            ],
            hovertemplate="%{customdata[0]}: %{customdata[1]:,} cells, %{x:.1f} % "
            "(95 %: %{customdata[2]:.1f} to %{customdata[3]:.1f} %)<extra></extra>",
            showlegend=False,
        )
    )
    style(fig, 320)
    fig.update_xaxes(ticksuffix=" %", rangemode="tozero", title=f"of {n:,} recognised cells")
    fig.update_yaxes(autorange="reversed", showgrid=False)
    return fig


def field_of_view(
    picture: str, width: int, height: int, square: tuple[int, int, int], shown: int = 340
) -> go.Figure:
    """A photograph with the square that an ensemble is shown, on which a box can be drawn.

    Args:
        picture: the photograph as a ``data:`` address.
        width, height: its pixels, whatever the picture has.
        square: x, y and side in pixels.
        shown: height of the figure.
    """
    x, y, side = square
    fig = go.Figure()
    fig.add_layout_image(
        source=picture,
        xref="x",
        yref="y",
        x=0,
        y=0,
        sizex=width,
        sizey=height,
        sizing="stretch",
        layer="below",
    )
    fig.add_scatter(
        x=[width * (i % POINTS + 0.5) / POINTS for i in range(POINTS**2)],
        y=[height * (i // POINTS + 0.5) / POINTS for i in range(POINTS**2)],
        mode="markers",
        marker={"size": 4, "opacity": 0},
        selected={"marker": {"opacity": 0}},
        unselected={"marker": {"opacity": 0}},
        hoverinfo="skip",
        showlegend=False,
    )
    fig.add_shape(
        type="rect",
        x0=x,
        y0=y,
        x1=x + side,
        y1=y + side,
        line={"color": ACCENT, "width": 3},
        fillcolor="rgba(0, 0, 0, 0)",
    )
    style(fig, shown)
    fig.update_layout(margin={"l": 0, "r": 0, "t": 0, "b": 0}, dragmode="select", hovermode=False)
    fig.update_xaxes(range=[0, width], visible=False, constrain="domain")
    fig.update_yaxes(
        range=[height, 0], visible=False, scaleanchor="x", scaleratio=1, constrain="domain"
    )
    return fig
