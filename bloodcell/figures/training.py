"""Learning curves of runs."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import plotly.graph_objects as go

from bloodcell.classes import CLASSES
from bloodcell.figures.theme import CLASS_COLOURS, RUN_COLOURS, SHORT_TITLES, style

__all__ = ["learning_curves", "learning_rate_curve", "recall_by_epoch"]

DASHES = ("solid", "dot", "dash", "dashdot", "longdash", "longdashdot")
WORDS = {
    "loss": "training loss",
    "val_loss": "validation loss",
    "accuracy": "training accuracy",
    "val_accuracy": "validation accuracy",
    "macro_recall": "training macro recall",
    "val_macro_recall": "validation macro recall",
}
SYMBOLS = (
    "circle",
    "square",
    "diamond",
    "triangle-up",
    "cross",
    "x",
    "triangle-down",
    "pentagon",
)
MANY = 40

Lines = Sequence[Mapping[str, Any]]


def _runs(metrics: Lines | Mapping[str, Lines]) -> dict[str, Lines]:
    return dict(metrics) if isinstance(metrics, Mapping) else {"": metrics}


def _epoch_axis(fig: go.Figure, runs: dict[str, Lines]) -> None:
    """Whole epochs only, with room beside the first and the last."""
    last = max((line["epoch"] for lines in runs.values() for line in lines), default=1)
    fig.update_xaxes(title="epoch", tickformat="d", dtick=1 if last <= 10 else None)
    if last <= 10:
        fig.update_xaxes(range=[0.5, max(last, 2) + 0.5])


def learning_curves(
    metrics: Lines | Mapping[str, Lines],
    names: Sequence[str] = ("accuracy", "val_accuracy"),
    *,
    title: str = "",
) -> go.Figure:
    """Metrics over epochs, of one run or of several laid over each other.

    Args:
        metrics: the lines of ``metrics.jsonl`` (dicts with ``epoch`` and metrics), or run name
            → such lines. A line without a metric leaves a gap.
        names: which metrics; if all are accuracies or recalls, they are drawn in percent.
        title: one line above the figure.
    """
    runs = _runs(metrics)
    fig = go.Figure()
    percent = bool(names) and all("accuracy" in name or "recall" in name for name in names)
    number = ".2%" if percent else ".4g"
    for place, (run, lines) in enumerate(runs.items()):
        for nth, name in enumerate(names):
            # Records of earlier versions lack some; the others keep their colours.
            if lines and all(line.get(name) is None for line in lines):
                continue
            colour = RUN_COLOURS[(nth if len(runs) == 1 else place) % len(RUN_COLOURS)]
            words = WORDS.get(name, name.replace("_", " "))
            label = " · ".join(part for part in (run, words) if part)
            fig.add_scatter(
                x=[line["epoch"] for line in lines],
                y=[line.get(name) for line in lines],
                mode="lines" if len(lines) > MANY else "lines+markers",
                name=label,
                line={"color": colour, "width": 2, "dash": DASHES[nth % len(DASHES)]},
                marker={"size": 6},
                hovertemplate=f"epoch %{{x}}, {label}: %{{y:{number}}}<extra></extra>",
                showlegend=True,
            )
    style(fig, 340 + 22 * max(0, len(fig.data) - 2), title=title)
    fig.update_layout(hovermode="closest")
    _epoch_axis(fig, runs)
    fig.update_yaxes(title="", tickformat=".1~%" if percent else "")
    if title:
        fig.update_layout(margin={"t": 70})
    return fig


def learning_rate_curve(
    metrics: Lines | Mapping[str, Lines], name: str = "learning_rate", *, title: str = ""
) -> go.Figure:
    """The learning rate over epochs on a logarithmic axis, of one run or of several.

    Args:
        metrics: as for :func:`learning_curves`.
        name: the key that holds the learning rate.
        title: one line above the figure.
    """
    fig = go.Figure()
    runs = _runs(metrics)
    for place, (run, lines) in enumerate(runs.items()):
        fig.add_scatter(
            x=[line["epoch"] for line in lines],
            y=[line.get(name) for line in lines],
            mode="lines" if len(lines) > MANY else "lines+markers",
            name=run or "learning rate",
            line={"color": RUN_COLOURS[place % len(RUN_COLOURS)], "width": 2, "shape": "hv"},
            hovertemplate="epoch %{x}: %{y:.3g}<extra></extra>",
            showlegend=len(runs) > 1,
        )
    style(fig, 340, title=title)
    _epoch_axis(fig, runs)
    rates = [y for trace in fig.data for y in trace.y if y]
    # Plotly's own labels between the decades ("9 8 7 6") say more about logarithms than rates.
    first = math.floor(math.log10(min(rates))) if rates else -4
    last = max(math.ceil(math.log10(max(rates))), first + 1) if rates else -3
    step = max(1, (last - first) // 4)
    decades = range(first, last + 1, step)
    fig.update_yaxes(
        type="log",
        range=[first, last + 0.05],
        tickvals=[10.0**d for d in decades],
        ticktext=[f"1e{d}" for d in decades],
        title="" if title else "learning rate",
    )
    if title:
        # Level with the other curves, which have a legend.
        fig.update_layout(margin={"t": 70})
    return fig


def recall_by_epoch(metrics: Lines, *, title: str = "") -> go.Figure:
    """Recall of each class in the validation part over the epochs, in the classes' colours.

    Args:
        metrics: the lines of ``metrics.jsonl``, each with ``val_recall`` (8 shares, None where
            the part has no image of a class).
        title: one line above the figure.
    """
    fig = go.Figure()
    epochs = [line["epoch"] for line in metrics]
    for c in CLASSES:
        values = [line["val_recall"][c.id] for line in metrics]
        if all(value is None for value in values):
            continue
        fig.add_scatter(
            x=epochs,
            y=values,
            mode="lines" if len(metrics) > MANY else "lines+markers",
            name=SHORT_TITLES[c.name],
            # Eight colours alone are too many to tell apart for some.
            line={"color": CLASS_COLOURS[c.name], "width": 2, "dash": DASHES[c.id % 4]},
            marker={"size": 6, "symbol": SYMBOLS[c.id]},
            hovertemplate=f"epoch %{{x}}, {c.title}: %{{y:.1%}}<extra></extra>",
            showlegend=True,
        )
    style(fig, 420, title=title)
    # Eight names above the figure would run into its title on a phone.
    fig.update_layout(hovermode="closest", legend={"y": -0.12, "yanchor": "top"})
    _epoch_axis(fig, {"": metrics})
    fig.update_xaxes(title="")
    fig.update_yaxes(title="", tickformat=".0%")
    return fig
