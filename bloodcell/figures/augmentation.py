"""What an augmentation does to the values of pixels."""

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from bloodcell.figures.theme import MUTED, rgba, style

__all__ = ["pixel_histograms"]

BINS = 64
# Percent: the background is most of the pixels, so on a linear axis the cell would be a flat line.
LEAST, MOST = 0.01, 100
# Red, green and blue that keep 3:1 on both backgrounds.
CHANNELS = (("Red", "#d1495b"), ("Green", "#2a9d5c"), ("Blue", "#3f7fdf"))


def pixel_histograms(before: np.ndarray, after: np.ndarray) -> go.Figure:
    """The shares of pixels at each value, one panel a channel, before and after.

    Args:
        before, after: uint8, any shape that ends with 3 (R, G, B); they may differ in number.

    Returns:
        Three panels with the same axes: values 0–255 in bins of 4, shares of pixels in percent
        on a logarithmic axis that ends at 0.01 %.
    """
    fig = make_subplots(
        rows=1,
        cols=3,
        shared_yaxes=True,
        horizontal_spacing=0.03,
        subplot_titles=[name for name, _ in CHANNELS],
    )
    middles = (np.arange(BINS) + 0.5) * 256 / BINS
    for c, (name, colour) in enumerate(CHANNELS):
        for pixels, when, line in ((before, "before", MUTED), (after, "after", colour)):
            fig.add_scatter(
                x=middles,
                y=np.maximum(_shares(pixels[..., c]), LEAST),
                name=when,
                mode="lines",
                line={"color": line, "width": 2, "shape": "hvh"},
                fill="tozeroy" if when == "before" else None,
                fillcolor=rgba(MUTED, 0.25),
                hovertemplate=f"{name} {when}, %{{x:.0f}}: %{{y:.2f}} %<extra></extra>",
                showlegend=False,
                row=1,
                col=c + 1,
            )
    # The colour of "after" differs from panel to panel: words instead of a legend.
    style(fig, 260)
    fig.update_layout(margin={"t": 36})
    fig.update_xaxes(range=[0, 256], tickvals=[64, 128, 192], showgrid=False)
    span = [float(np.log10(LEAST)), float(np.log10(MOST))]
    ticks = [0.01, 0.1, 1, 10, 100]
    fig.update_yaxes(type="log", range=span, tickvals=ticks, ticktext=[f"{t:g}" for t in ticks])
    fig.update_yaxes(title="% of pixels", row=1, col=1)
    return fig


def _shares(values: np.ndarray) -> np.ndarray:
    counts = np.bincount(values.ravel() // (256 // BINS), minlength=BINS)
    return 100 * counts / max(values.size, 1)
