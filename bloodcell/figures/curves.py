"""ROC and precision-recall curves, one line a class, and what a person has to review."""

from collections.abc import Mapping

import pandas as pd
import plotly.graph_objects as go

from bloodcell.classes import CLASSES
from bloodcell.figures.theme import ACCENT, CLASS_COLOURS, MUTED, style

__all__ = ["precision_recall_figure", "review_figure", "roc_figure"]

# Lines that lie on each other are told apart by their dashes too.
DASHES = ("solid", "dash", "dot", "dashdot", "longdash", "longdashdot", "5px 2px", "2px 5px")


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
    _beside(fig, 520, "ROC, one class against the rest")
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
    _beside(fig, 520, "Precision and recall")
    fig.update_xaxes(range=[0.75, 1.004], tickformat=".0%", title="recall")
    fig.update_yaxes(range=[0.75, 1.004], tickformat=".0%", title="precision")
    return fig


def review_figure(curve: pd.DataFrame, referred: float, caught: float, errors: int) -> go.Figure:
    """Share of errors caught against the share of cells that a person looks at.

    Args:
        curve: from :func:`bloodcell.evaluation.review.review_curve`.
        referred, caught: the place that was chosen, shares.
        errors: wrong answers in all.
    """
    fig = go.Figure()
    fig.add_scatter(
        x=[0, 1],
        y=[0, 1],
        mode="lines",
        line={"color": MUTED, "dash": "dash", "width": 1.5},
        name="cells picked blindly",
        hoverinfo="skip",
    )
    fig.add_scatter(
        x=curve["referred"],
        y=curve["caught"],
        mode="lines",
        line={"color": ACCENT, "width": 2.5, "shape": "hv"},
        name="the least sure first",
        customdata=curve["threshold"],
        hovertemplate=(
            "below %{customdata:.2%}: %{x:.1%} of cells reviewed, "
            "%{y:.0%} of errors caught<extra></extra>"
        ),
    )
    fig.add_scatter(
        x=[referred],
        y=[caught],
        mode="markers",
        marker={"color": ACCENT, "size": 14, "line": {"width": 2, "color": "#ffffff"}},
        name="chosen",
        hoverinfo="skip",
        cliponaxis=False,
    )
    style(fig, 400, title=f"{errors:,} errors")
    fig.update_layout(margin={"t": 84})
    fig.update_xaxes(
        range=[-0.01, max(0.3, min(1.0, 1.3 * referred))],
        tickformat=".0%",
        title="cells that a person looks at",
    )
    fig.update_yaxes(range=[0, 1.03], tickformat=".0%", title="errors caught")
    return fig
