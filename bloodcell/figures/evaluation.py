"""How far an ensemble can be trusted: reliability and metrics with their intervals."""

from collections.abc import Mapping, Sequence

import pandas as pd
import plotly.graph_objects as go

from bloodcell.evaluation.evaluate import Evaluation
from bloodcell.figures.theme import ACCENT, MUTED, RUN_COLOURS, style

__all__ = ["PUBLISHED", "members_figure", "metric_intervals", "reliability_diagram"]

# BloodCellCNN as published.
PUBLISHED = {
    "BloodCellCNN, published: 97.74 %": (0.9774,),
    "its networks alone: 96.5, 95.2, 94.5 %": (0.965, 0.952, 0.945),
}
SYMBOLS = ("circle", "diamond", "square", "triangle-up", "cross", "x")


def reliability_diagram(
    table: pd.DataFrame, ece: float, interval: tuple[float, float], n: int
) -> go.Figure:
    """Share of correct answers against the probability that was claimed.

    Args:
        table: from :func:`bloodcell.evaluation.reliability`.
        ece: expected calibration error, 0 to 1.
        interval: its 95 % interval.
        n: number of images.
    """
    filled = table[table["n"] > 0]
    largest = max(1, int(filled["n"].max())) if len(filled) else 1
    fig = go.Figure()
    fig.add_scatter(
        x=[0, 1],
        y=[0, 1],
        mode="lines",
        line={"color": MUTED, "dash": "dash", "width": 1.5},
        name="ideal",
        hoverinfo="skip",
        showlegend=True,
    )
    fig.add_scatter(
        x=filled["confidence"],
        y=filled["accuracy"],
        mode="markers",
        cliponaxis=False,
        name="measured",
        error_y={
            "type": "data",
            "symmetric": False,
            "array": filled["accuracy_high"] - filled["accuracy"],
            "arrayminus": filled["accuracy"] - filled["accuracy_low"],
            "color": ACCENT,
            "thickness": 1.5,
            "width": 4,
        },
        # The area of a dot grows with the images in it.
        marker={"color": ACCENT, "size": 7 + 13 * (filled["n"] / largest) ** 0.5, "opacity": 1},
        customdata=filled["n"],
        hovertemplate=(
            "claimed %{x:.1%}, correct %{y:.1%}<br>%{customdata:,} images<extra></extra>"
        ),
        showlegend=True,
    )
    low, high = interval
    style(fig, 420, title=f"ECE {ece:.2%} ({low:.2%} to {high:.2%}), n = {n:,}")
    fig.update_layout(margin={"t": 84})
    fig.update_xaxes(range=[0, 1.02], tickformat=".0%", title="claimed probability")
    fig.update_yaxes(range=[0, 1.05], tickformat=".0%", title="correct")
    return fig


def metric_intervals(
    table: pd.DataFrame, *, title: str = "", references: Mapping[str, Sequence[float]] | None = None
) -> go.Figure:
    """Dots with 95 % intervals: what overlaps has no measurable difference at a glance.

    Args:
        table: columns ``name`` (member or ensemble), ``metric``, ``value``, ``low``, ``high``
            (0 to 1) and ``n``, in the order in which they are to be read from the top.
        title: one line above the figure.
        references: published values to draw as lines, words → values (0 to 1).
    """
    fig = go.Figure()
    names = list(dict.fromkeys(table["name"])) if len(table) else []
    metrics = list(dict.fromkeys(table["metric"])) if len(table) else []
    place = {name: i for i, name in enumerate(names)}
    for nth, metric in enumerate(metrics):
        rows = table[table["metric"] == metric]
        colour = RUN_COLOURS[nth % len(RUN_COLOURS)]
        # Metrics of one name lie beside each other, not on top.
        shift = (nth - (len(metrics) - 1) / 2) * 0.7 / max(1, len(metrics))
        fig.add_scatter(
            x=rows["value"],
            y=[place[name] + shift for name in rows["name"]],
            mode="markers",
            name=metric,
            marker={
                "color": colour,
                "size": 11,
                "symbol": SYMBOLS[nth % len(SYMBOLS)],
            },
            error_x={
                "type": "data",
                "symmetric": False,
                "array": rows["high"] - rows["value"],
                "arrayminus": rows["value"] - rows["low"],
                "color": colour,
                "thickness": 2,
                "width": 5,
            },
            customdata=rows[["name", "low", "high", "n"]].to_numpy(object),
            hovertemplate=(
                f"%{{customdata[0]}}, {metric}: %{{x:.2%}}<br>95 % interval "
                "%{customdata[1]:.2%} to %{customdata[2]:.2%}, n = %{customdata[3]:,}"
                "<extra></extra>"
            ),
            showlegend=len(metrics) > 1,
        )
    top, bottom = max(1, len(names)) - 0.5, -0.5
    for nth, (words, values) in enumerate((references or {}).items()):
        fig.add_scatter(
            x=[x for value in values for x in (value, value, None)],
            y=[y for _ in values for y in (bottom, top, None)],
            mode="lines",
            name=words,
            line={"color": MUTED, "width": 1.5, "dash": ("dash", "dot")[nth % 2]},
            hovertemplate=f"{words}<extra></extra>",
        )
    spacing = max(44, 24 * len(metrics))
    style(fig, 110 + spacing * max(1, len(names)), title=title)
    if references:
        fig.update_layout(margin={"t": 60})
    if title and len(metrics) > 1:
        fig.update_layout(margin={"t": 80})
    fig.update_xaxes(tickformat=".1~%", nticks=6)
    fig.update_yaxes(tickvals=list(place.values()), ticktext=names, range=[top, bottom])
    return fig


def members_figure(found: Evaluation) -> go.Figure:
    """Accuracy of the ensemble and of each member, with the forerunner's published figures.

    Args:
        found: the evaluation.
    """
    rows = [(f"{found.ensemble} (ensemble)", found.judgement), *found.members]
    table = pd.DataFrame(
        [
            {
                "name": name,
                "metric": "accuracy",
                "value": j.accuracy,
                "low": j.intervals["accuracy"][0],
                "high": j.intervals["accuracy"][1],
                "n": j.n,
            }
            for name, j in rows
        ]
    )
    return metric_intervals(table, references=PUBLISHED)
