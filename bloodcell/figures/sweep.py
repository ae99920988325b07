"""A sweep: how its trials came out, which setting mattered, and which values go together."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.colors import sample_colorscale

from bloodcell.figures.theme import ACCENT, MUTED, style

__all__ = ["parallel_coordinates", "sweep_history", "sweep_importance"]

# A light violet on white is not seen, nor a dark one on black: both ends keep 3:1 on both.
SCALE = [[0.0, ACCENT], [0.5, "#8a8a96"], [1.0, "#d55e00"]]


def sweep_history(table: pd.DataFrame, *, title: str = "") -> go.Figure:
    """The lowest validation loss of each trial in their order, and of the best so far.

    Args:
        table: a row a trial: ``number``, ``val_loss`` (NaN before its first epoch), ``state``
            ("complete", "pruned", ...) and ``label`` (its values, for the hover).
    """
    fig = go.Figure()
    for state, symbol, colour in (
        ("complete", "circle", ACCENT),
        ("pruned", "x-thin-open", MUTED),
        ("other", "circle-open", MUTED),
    ):
        known = table["state"].isin(["complete", "pruned"])
        rows = table[~known if state == "other" else table["state"] == state]
        if rows.empty:
            continue
        fig.add_scatter(
            x=rows["number"] + 1,
            y=rows["val_loss"],
            mode="markers",
            name={"other": "not ended"}.get(state, state),
            marker={
                "symbol": symbol,
                "size": 10,
                "color": colour,
                "line": {"width": 2, "color": colour},
            },
            customdata=rows[["label"]],
            hovertemplate="trial %{x}: %{y:.4f}<br>%{customdata[0]}<extra></extra>",
        )
    done = table[table["state"] == "complete"]
    if len(done):
        best = done.set_index("number")["val_loss"].cummin()
        fig.add_scatter(
            x=best.index + 1, y=best, mode="lines", name="best so far",
            line={"color": "#d55e00", "width": 2, "shape": "hv"}, hoverinfo="skip",
        )  # fmt: skip
    style(fig, 320, title=title)
    fig.update_xaxes(title="Trial", rangemode="tozero")
    # Below: above, it runs into the title on a narrow page.
    fig.update_layout(legend={"yanchor": "top", "y": -0.28})
    return fig


def sweep_importance(shares: Mapping[str, float], *, title: str = "") -> go.Figure:
    """How much of the difference between trials is due to each setting.

    Args:
        shares: setting → 0 to 1, adding up to 1.
    """
    names = sorted(shares, key=lambda name: shares[name])
    fig = go.Figure(
        go.Bar(
            x=[shares[name] for name in names],
            y=[name.replace("_", " ") for name in names],
            orientation="h",
            marker={"color": ACCENT},
            text=[f"{shares[name]:.0%}" for name in names],
            textposition="auto",
            hoverinfo="skip",
        )
    )
    style(fig, 120 + 36 * len(names), title=title)
    fig.update_xaxes(range=[0, 1], tickformat=".0%")
    fig.update_yaxes(automargin=True)
    return fig


def parallel_coordinates(
    table: pd.DataFrame, keys: Sequence[str], logs: Sequence[str] = (), *, title: str = ""
) -> go.Figure:
    """A line a trial through its values to its validation loss.

    Args:
        table: a row a trial with `keys` and ``val_loss``; those without a loss are left out.
        keys: the settings, in the order of the axes.
        logs: those of them whose axis is logarithmic.
    """
    known = table[table["val_loss"].notna()].sort_values("val_loss", ascending=False)
    axes = [_axis(known[key], key.replace("_", " "), key in logs) for key in keys]
    axes.append(_axis(known["val_loss"], "validation loss", False))
    fig = go.Figure()
    # The best is drawn last, over the others.
    ranks = np.linspace(1.0, 0.0, max(len(known), 1))
    for row, rank in enumerate(ranks[: len(known)]):
        label = known["label"].iloc[row] if "label" in known else ""
        fig.add_scatter(
            x=list(range(len(axes))),
            y=[axis.places[row] for axis in axes],
            mode="lines+markers",
            line={"color": sample_colorscale(SCALE, [float(rank)])[0], "width": 3 - 1.5 * rank},
            marker={"size": 6},
            hovertemplate=f"{label}<br>loss {known['val_loss'].iloc[row]:.4f}<extra></extra>",
            showlegend=False,
        )
    style(fig, 360, title=title)
    for place, axis in enumerate(axes):
        fig.add_shape(x0=place, x1=place, y0=0, y1=1, line={"color": MUTED, "width": 1})
        for height, text in axis.ticks:
            # Beyond the ends of the axis, where no line runs.
            fig.add_annotation(
                x=place, y=height, text=text, showarrow=False, yshift=13 if height >= 0.5 else -13,
                font={"size": 12, "color": MUTED},
            )  # fmt: skip
    fig.update_xaxes(
        tickvals=list(range(len(axes))),
        ticktext=[axis.label for axis in axes],
        range=[-0.35, len(axes) - 0.65],
        showgrid=False,
        fixedrange=True,
    )
    fig.update_yaxes(visible=False, range=[-0.12, 1.12], fixedrange=True)
    return fig


@dataclass(frozen=True)
class _Axis:
    """Where the values lie on an axis from 0 to 1, and what is written there."""

    label: str
    places: list[float]
    ticks: list[tuple[float, str]]


def _axis(values: pd.Series, label: str, log: bool) -> _Axis:
    if values.empty:
        return _Axis(label, [], [])
    if not pd.api.types.is_numeric_dtype(values):
        names = sorted(map(str, values.unique()))
        heights = np.linspace(0.0, 1.0, len(names)) if len(names) > 1 else np.array([0.5])
        places = {name: float(height) for name, height in zip(names, heights, strict=True)}
        return _Axis(label, [places[str(v)] for v in values], [(h, n) for n, h in places.items()])
    numbers = np.log10(values.astype(float)) if log else values.astype(float)
    low, high = float(numbers.min()), float(numbers.max())
    if low == high:
        return _Axis(label, [0.5] * len(values), [(0.5, f"{values.iloc[0]:.3g}")])
    ends = [(h, f"{(10**n if log else n):.3g}") for h, n in ((0.0, low), (1.0, high))]
    return _Axis(label, list((numbers - low) / (high - low)), ends)
