"""Accuracy on corrupted images, and on an external dataset."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from bloodcell.figures.theme import MUTED, RUN_COLOURS, style

__all__ = ["corruption_curves", "external_accuracy"]

DASHES = ("solid", "dash", "dot", "dashdot", "longdash")
PANEL_PX = 190


def corruption_curves(
    table: pd.DataFrame, titles: Mapping[str, str], *, columns: int = 4, clean: str = "clean"
) -> go.Figure:
    """A small figure for each corruption: accuracy against severity, a line a model.

    Args:
        table: from :meth:`bloodcell.evaluation.stress.Study.table`; its first network is drawn
            boldest, with its interval.
        titles: corruption → title, in the order of the figures.
        columns: figures in a row.
        clean: the name under which the table has the images as they are: strength 0 of each.
    """
    there = set(table["corruption"]) if len(table) else set()
    shown = [name for name in titles if name in there]
    rows = max(1, -(-len(shown) // columns))
    fig = make_subplots(
        rows,
        columns,
        subplot_titles=[titles[n] for n in shown],
        shared_yaxes=True,
        vertical_spacing=0.42 / rows / 1.4,
        horizontal_spacing=0.03,
    )
    networks = list(dict.fromkeys(table["network"])) if len(table) else []
    lowest = float(table["accuracy"].min()) if len(table) else 0.0
    for place, name in enumerate(shown):
        own = table[table["corruption"].isin([clean, name])]
        for nth, network in enumerate(networks):
            line = own[own["network"] == network].sort_values("strength")
            colour = RUN_COLOURS[nth % len(RUN_COLOURS)]
            bold = nth == 0
            fig.add_scatter(
                x=line["strength"],
                y=line["accuracy"],
                mode="lines+markers",
                name=network,
                legendgroup=network,
                showlegend=place == 0,
                line={
                    "color": colour,
                    "width": 3 if bold else 1.5,
                    "dash": DASHES[nth % len(DASHES)],
                },
                marker={"size": 6 if bold else 4},
                error_y={
                    "type": "data",
                    "symmetric": False,
                    "array": line["high"] - line["accuracy"],
                    "arrayminus": line["accuracy"] - line["low"],
                    "thickness": 1,
                    "width": 3,
                }
                if bold
                else None,
                customdata=line[["low", "high", "n"]].to_numpy(),
                hovertemplate=(
                    f"{network}, severity %{{x}}: %{{y:.1%}} (%{{customdata[0]:.1%}} to "
                    "%{customdata[1]:.1%}, n = %{customdata[2]:,})<extra></extra>"
                ),
                row=place // columns + 1,
                col=place % columns + 1,
            )
    style(fig, 90 + PANEL_PX * rows)
    fig.update_layout(margin={"t": 70}, legend={"y": 1.0 + 42 / (90 + PANEL_PX * rows)})
    fig.update_annotations(font={"size": 13})
    fig.update_xaxes(tickvals=list(range(6)), range=[-0.3, 5.3], fixedrange=True)
    low = max(0.0, np.floor(lowest * 10) / 10 - 0.02)
    fig.update_yaxes(range=[low, 1.03], tickformat=".0%", nticks=5, fixedrange=True)
    return fig


def external_accuracy(table: pd.DataFrame, names: Sequence[str]) -> go.Figure:
    """Accuracy of each model on two datasets, with 95 % intervals.

    Args:
        table: columns ``network``, ``dataset``, ``accuracy``, ``low``, ``high``, ``n``.
        names: the two datasets, the external one last.
    """
    networks = list(dict.fromkeys(table["network"]))
    fig = go.Figure()
    for nth, name in enumerate(names):
        own = table[table["dataset"] == name].set_index("network").loc[networks]
        colour = (RUN_COLOURS[0], MUTED)[nth]
        fig.add_bar(
            y=networks,
            x=own["accuracy"],
            orientation="h",
            name=name,
            marker={"color": colour, "pattern": {"shape": ("", "/")[nth]}},
            error_x={
                "type": "data",
                "symmetric": False,
                "array": own["high"] - own["accuracy"],
                "arrayminus": own["accuracy"] - own["low"],
                "thickness": 1.5,
                "width": 4,
            },
            text=[f"{value:.1%}" for value in own["accuracy"]],
            textposition="inside",
            insidetextanchor="start",
            textfont={"color": "#ffffff"},
            customdata=own[["low", "high", "n"]].to_numpy(),
            hovertemplate=(
                f"{name}, %{{y}}: %{{x:.2%}} (%{{customdata[0]:.2%}} to %{{customdata[1]:.2%}}, "
                "n = %{customdata[2]:,})<extra></extra>"
            ),
        )
    style(fig, 110 + 64 * len(networks))
    fig.update_layout(barmode="group", bargap=0.25, margin={"t": 44})
    fig.update_xaxes(range=[0, 1.02], tickformat=".0%")
    fig.update_yaxes(autorange="reversed", showgrid=False)
    return fig
