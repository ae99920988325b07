"""A sweep: how its trials came out, which setting mattered, and which values go together."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import plotly.graph_objects as go

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
    if title:
        fig.update_layout(margin={"t": 70})
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
    known = table[table["val_loss"].notna()]
    axes = [_axis(known[key], key, key in logs) for key in keys]
    axes.append({"label": "validation loss", "values": known["val_loss"]})
    fig = go.Figure(
        go.Parcoords(
            line={"color": known["val_loss"], "colorscale": SCALE, "showscale": False},
            dimensions=axes,
            labelfont={"size": 13},
            tickfont={"size": 12, "color": MUTED},
            rangefont={"size": 1, "color": "rgba(0,0,0,0)"},
        )
    )
    style(fig, 340, title=title)
    fig.update_layout(margin={"l": 70, "r": 50, "t": 110 if title else 50, "b": 24})
    return fig


def _axis(values: pd.Series, key: str, log: bool) -> dict:
    label = key.replace("_", " ")
    if not pd.api.types.is_numeric_dtype(values) or pd.api.types.is_bool_dtype(values):
        names = sorted(map(str, values.unique()))
        places = [names.index(str(value)) for value in values]
        return {
            "label": label,
            "values": places,
            "tickvals": list(range(len(names))),
            "ticktext": names,
            "range": [-0.2, len(names) - 0.8],
        }
    if not log:
        return {"label": label, "values": values}
    logarithms = np.log10(values.astype(float))
    if logarithms.empty:
        return {"label": label, "values": []}
    ticks = np.linspace(logarithms.min(), logarithms.max(), 4)
    return {
        "label": label,
        "values": logarithms,
        "tickvals": list(ticks),
        "ticktext": [f"{10**tick:.1e}" for tick in ticks],
    }
