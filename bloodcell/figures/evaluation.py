"""How good an ensemble is: metrics with their intervals, reliability, ROC, review."""

from collections.abc import Mapping, Sequence

import pandas as pd
import plotly.graph_objects as go

from bloodcell.classes import CLASSES
from bloodcell.evaluation.evaluate import Evaluation
from bloodcell.figures.theme import ACCENT, CLASS_COLOURS, MUTED, RUN_COLOURS, style

__all__ = [
    "PUBLISHED",
    "members_figure",
    "metric_intervals",
    "precision_recall_figure",
    "reliability_diagram",
    "review_figure",
    "roc_figure",
]

# BloodCellCNN as published.
PUBLISHED = {
    "BloodCellCNN ensemble (published): 97.74 %": (0.9774,),
    "its members (published): 96.5, 95.2, 94.5 %": (0.965, 0.952, 0.945),
}
SYMBOLS = ("circle", "diamond", "square", "triangle-up", "cross", "x")
# Lines that lie on each other are told apart by their dashes too.
DASHES = ("solid", "dash", "dot", "dashdot", "longdash", "longdashdot", "5px 2px", "2px 5px")


def reliability_diagram(
    table: pd.DataFrame, ece: float, interval: tuple[float, float], n: int
) -> go.Figure:
    """Observed accuracy against predicted probability.

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
            "predicted %{x:.1%}, observed %{y:.1%}<br>%{customdata:,} images<extra></extra>"
        ),
        showlegend=True,
    )
    low, high = interval
    style(fig, 420, title=f"ECE {ece:.2%} ({low:.2%} to {high:.2%}), n = {n:,}")
    fig.update_layout(margin={"t": 84})
    fig.update_xaxes(range=[0, 1.02], tickformat=".0%", title="predicted probability")
    fig.update_yaxes(range=[0, 1.05], tickformat=".0%", title="observed accuracy")
    return fig


def metric_intervals(
    table: pd.DataFrame, *, title: str = "", references: Mapping[str, Sequence[float]] | None = None
) -> go.Figure:
    """Dots with 95 % intervals, one row a name.

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
    """Accuracy of the ensemble and of each member, with the published results of BloodCellCNN.

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


def _lines(fig: go.Figure, table: pd.DataFrame, x: str, y: str, notes: Mapping[str, str]) -> None:
    for cell in CLASSES:
        own = table[table["class"] == cell.name]
        if not len(own):
            continue
        note = notes.get(cell.name, "")
        fig.add_scatter(
            x=own[x],
            y=own[y],
            mode="lines",
            name=f"{cell.title} {note}".strip(),
            line={"color": CLASS_COLOURS[cell.name], "width": 2, "dash": DASHES[cell.id]},
            hovertemplate=f"{cell.title}: %{{x:.2%}}, %{{y:.2%}}<extra></extra>",
        )


def _beside(fig: go.Figure, height: int, title: str) -> go.Figure:
    style(fig, height, title=title)
    # Eight names above the figure would leave a phone no room for the curves.
    fig.update_layout(
        legend={"orientation": "h", "yanchor": "top", "y": -0.2, "x": 0, "entrywidth": 210},
        margin={"t": 52 if title else 16},
    )
    return fig


def roc_figure(
    table: pd.DataFrame, notes: Mapping[str, str] | None = None, *, most: float = 0.2
) -> go.Figure:
    """Receiver operating characteristic of each class against the rest.

    Args:
        table: from :func:`bloodcell.evaluation.curves.roc_curves`.
        notes: class name → what to write behind it, e.g. its AUC.
        most: the false positive rate up to which it is shown at first; a double click shows all.
    """
    fig = go.Figure()
    _lines(fig, table, "false_positive_rate", "true_positive_rate", notes or {})
    _beside(fig, 520, "ROC curves (one class against the rest)")
    fig.update_xaxes(range=[-0.002, most], tickformat=".0%", title="false positive rate")
    fig.update_yaxes(range=[0.75, 1.004], tickformat=".0%", title="true positive rate (recall)")
    return fig


def precision_recall_figure(
    table: pd.DataFrame, notes: Mapping[str, str] | None = None
) -> go.Figure:
    """Precision against recall of each class.

    Args:
        table: from :func:`bloodcell.evaluation.curves.precision_recall_curves`.
        notes: class name → what to write behind it.
    """
    fig = go.Figure()
    _lines(fig, table, "recall", "precision", notes or {})
    _beside(fig, 520, "Precision-recall curves")
    fig.update_xaxes(range=[0.75, 1.004], tickformat=".0%", title="recall")
    fig.update_yaxes(range=[0.75, 1.004], tickformat=".0%", title="precision")
    return fig


def review_figure(curve: pd.DataFrame, referred: float, caught: float, errors: int) -> go.Figure:
    """Share of errors caught against the share of cells that a person reviews.

    Args:
        curve: from :func:`bloodcell.evaluation.review.review_curve`.
        referred, caught: shares at the current threshold.
        errors: their total number.
    """
    fig = go.Figure()
    fig.add_scatter(
        x=[0, 1],
        y=[0, 1],
        mode="lines",
        line={"color": MUTED, "dash": "dash", "width": 1.5},
        name="random selection",
        hoverinfo="skip",
    )
    fig.add_scatter(
        x=curve["referred"],
        y=curve["caught"],
        mode="lines",
        line={"color": ACCENT, "width": 2.5, "shape": "hv"},
        name="least confident first",
        customdata=curve["threshold"],
        hovertemplate=(
            "threshold %{customdata:.2%}: %{x:.1%} of cells reviewed, "
            "%{y:.0%} of errors caught<extra></extra>"
        ),
    )
    fig.add_scatter(
        x=[referred],
        y=[caught],
        mode="markers",
        marker={"color": ACCENT, "size": 14, "line": {"width": 2, "color": "#ffffff"}},
        name="current threshold",
        hoverinfo="skip",
        cliponaxis=False,
    )
    style(fig, 400, title=f"{errors:,} errors in total")
    fig.update_layout(margin={"t": 84})
    fig.update_xaxes(
        range=[-0.01, max(0.3, min(1.0, 1.3 * referred))],
        tickformat=".0%",
        title="cells reviewed",
    )
    fig.update_yaxes(range=[0, 1.03], tickformat=".0%", title="errors caught")
    return fig
