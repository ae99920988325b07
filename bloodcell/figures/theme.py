"""How every figure looks: transparent, so that it reads on a light and on a dark page."""

import plotly.graph_objects as go

from bloodcell.classes import CLASSES

__all__ = [
    "ACCENT",
    "BEHIND_WHITE",
    "CLASS_COLOURS",
    "CONFIG",
    "GRID",
    "MUTED",
    "RUN_COLOURS",
    "SHORT_TITLES",
    "rgba",
    "style",
]

# The violet of azure granules under May Grünwald-Giemsa; 3:1 on white and on #0e1117.
ACCENT = "#8b5fd3"
# Greys that keep 3:1 on both backgrounds, for what is not data of its own.
MUTED = "#80808c"
GRID = "rgba(128, 128, 140, 0.28)"
# A heat map's colours from low to high behind white numbers: opaque, since plotly and the page do
# not know each other's background, and dark enough to read on either.
BEHIND_WHITE = ("#9772d6", "#54309c")
CLASS_COLOURS = {c.name: c.colour for c in CLASSES}
# Eight full names do not fit beside each other on a phone.
SHORT_TITLES = {
    "basophil": "Baso",
    "eosinophil": "Eosino",
    "erythroblast": "Erythro",
    "immature_granulocyte": "Imm. gran.",
    "lymphocyte": "Lympho",
    "monocyte": "Mono",
    "neutrophil": "Neutro",
    "platelet": "Platelet",
    "other": "Other",
}
RUN_COLOURS = (ACCENT, "#d55e00", "#00896b", "#3f8fcf", "#c24a7a", "#8a7a00")
# For st.plotly_chart(config=...): the picture is saved as vectors, the logo is left out.
CONFIG = {
    "displaylogo": False,
    "toImageButtonOptions": {"format": "svg"},
    "modeBarButtonsToRemove": ["lasso2d", "select2d", "autoScale2d"],
}


def rgba(colour: str, opacity: float) -> str:
    """``#rrggbb`` as ``rgba(r, g, b, opacity)``, opacity 0 to 1."""
    red, green, blue = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return f"rgba({red}, {green}, {blue}, {opacity:g})"


def style(fig: go.Figure, height: int = 360, *, title: str = "") -> go.Figure:
    """Give a figure the product's look; the page's theme keeps the font and its colour.

    Args:
        fig: changed in place.
        height: pixels.
        title: one line above the figure, or "".

    Returns:
        The same figure.
    """
    fig.update_layout(
        template="none",
        paper_bgcolor="rgba(0, 0, 0, 0)",
        plot_bgcolor="rgba(0, 0, 0, 0)",
        height=height,
        margin={"l": 8, "r": 12, "t": 44 if title else 16, "b": 8},
        font={"size": 14},
        title={"text": title, "x": 0, "xanchor": "left", "font": {"size": 16}},
        hoverlabel={"font": {"size": 14}},
        legend={
            "orientation": "h",
            "yanchor": "bottom",
            "y": 1.02,
            "xanchor": "left",
            "x": 0,
            "title": {"text": ""},
        },
        colorway=list(RUN_COLOURS),
    )
    axis = {
        "automargin": True,
        "gridcolor": GRID,
        "linecolor": GRID,
        "zeroline": False,
        "ticks": "",
        "title": {"standoff": 8},
    }
    fig.update_xaxes(**axis)
    fig.update_yaxes(**axis)
    return fig
