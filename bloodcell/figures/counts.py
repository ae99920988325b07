"""How many images a dataset has of each class."""

import pandas as pd
import plotly.graph_objects as go

from bloodcell.classes import CLASSES
from bloodcell.figures.theme import SHORT_TITLES, rgba, style

__all__ = ["class_counts"]

PARTS = ("train", "validation", "test")
PART_OPACITY = {"train": 1.0, "validation": 0.65, "test": 0.4}


def class_counts(table: pd.DataFrame) -> go.Figure:
    """Bars of images per class, parts stacked, with the total and its share at the end.

    Args:
        table: a row for each class and part: ``class`` (name), ``part`` ("" or train,
            validation, test), ``n``.
    """
    fig = go.Figure()
    counts = table.groupby(["part", "class"])["n"].sum() if len(table) else pd.Series(dtype=int)
    present = set(table["part"]) if len(table) else set()
    parts = [p for p in PARTS if p in present] + sorted(present - set(PARTS))
    titles = [SHORT_TITLES[c.name] for c in CLASSES]
    for part in parts:
        n = [int(counts.get((part, c.name), 0)) for c in CLASSES]
        opacity = PART_OPACITY.get(part, 1.0)
        fig.add_bar(
            x=n,
            y=titles,
            orientation="h",
            name=part or "all",
            marker={
                "color": [rgba(c.colour, opacity) for c in CLASSES],
                "line": {"width": 0},
            },
            customdata=[c.title for c in CLASSES],
            hovertemplate=f"%{{customdata}}, {part or 'all'}: %{{x:,}} images<extra></extra>",
            showlegend=len(parts) > 1,
        )
    totals = [sum(int(counts.get((p, c.name), 0)) for p in parts) for c in CLASSES]
    everything = sum(totals)
    if everything:
        fig.add_scatter(
            x=totals,
            y=titles,
            mode="text",
            text=[f" {n:,} · {n / everything:.1%}" for n in totals],
            textposition="middle right",
            cliponaxis=False,
            hoverinfo="skip",
            showlegend=False,
        )
    style(fig, 380)
    fig.update_layout(barmode="stack", bargap=0.25, legend={"traceorder": "normal"})
    # Room for the text behind the longest bar, also on a phone.
    fig.update_xaxes(range=[0, max(totals, default=0) * 1.55 or 1], title="images")
    fig.update_xaxes(tickformat=",d", nticks=4)
    fig.update_yaxes(autorange="reversed", showgrid=False)
    return fig
