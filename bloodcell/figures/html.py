"""Reports as one HTML file: figures and tables that open anywhere and load nothing."""

import html
from collections.abc import Iterable
from typing import Any

import plotly.graph_objects as go
from plotly.offline import get_plotlyjs

__all__ = ["html_figure", "html_page", "html_table"]

_CSS = """
:root { color-scheme: light dark; --ink: #1f1a2b; --page: #ffffff; --line: #d9d4e3; }
@media (prefers-color-scheme: dark) { :root { --ink: #e9e6f0; --page: #0e1117; --line: #3a3646; } }
body { font: 16px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--page);
  max-width: 62rem; margin: 0 auto; padding: 1rem; }
h1 { line-height: 1.2; } h2 { margin-top: 2.5rem; }
table { border-collapse: collapse; font-size: 0.9rem; }
.wide { overflow-x: auto; } th, td { border-bottom: 1px solid var(--line); padding: 0.3rem 0.7rem;
  text-align: right; vertical-align: top; } td { white-space: nowrap; }
td.text, th.text { text-align: left; white-space: normal; overflow-wrap: anywhere;
  min-width: 5.5rem; }
.note { opacity: 0.8; font-size: 0.9rem; } .open { color: #b35c1e; font-weight: 600; }
figure { margin: 1rem 0; }
.pair { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 20rem), 1fr));
  gap: 0 1rem; break-inside: avoid; } .pair figure { min-width: 0; }
@media print { body { max-width: none; padding: 0; } table { font-size: 0.72rem; }
  th, td, td.text, th.text { padding: 0.2rem 0.4rem; min-width: 0;
    overflow-wrap: break-word; } td { white-space: normal; }
  figure, tr { break-inside: avoid; }
  h1, h2, h3, p:has(+ .wide), tr:first-child { break-after: avoid; }
  .pair { grid-template-columns: 1fr 1fr; } .pair figure { zoom: 0.66; } }
"""
# The text of figures follows the page's colour, in light and in dark.
_JS = """
const ink = getComputedStyle(document.body).color;
for (const element of document.querySelectorAll("figure[data-figure]")) {
  const found = JSON.parse(document.getElementById(element.dataset.figure).textContent);
  found.layout.font = Object.assign({}, found.layout.font, { color: ink });
  Plotly.newPlot(element, found.data, found.layout, { displaylogo: false, responsive: true,
    toImageButtonOptions: { format: "svg" },
    modeBarButtonsToAdd: [{ name: "PNG", icon: Plotly.Icons.camera,
      click: (plot) => Plotly.downloadImage(plot, { format: "png", scale: 3 }) }] });
}
"""


def html_figure(name: str, fig: go.Figure, words: str) -> str:
    # "</" could end the script element from inside a name.
    data = fig.to_json().replace("</", "<\\/")
    return (
        f'<figure data-figure="{name}" role="img" aria-label="{html.escape(words)}"></figure>'
        f'<script type="application/json" id="{name}">{data}</script>'
    )


def html_table(rows: Iterable[Iterable[Any]], head: list[str], texts: int = 1) -> str:
    def line(cells: Iterable[Any], tag: str) -> str:
        return "".join(
            f'<{tag} class="text">{html.escape(str(c))}</{tag}>'
            if place < texts
            else f"<{tag}>{html.escape(str(c))}</{tag}>"
            for place, c in enumerate(cells)
        )

    body = "".join(f"<tr>{line(row, 'td')}</tr>" for row in rows)
    return f'<div class="wide"><table><tr>{line(head, "th")}</tr>{body}</table></div>'


def html_page(title: str, pieces: Iterable[str]) -> str:
    """Pieces of HTML as a whole page, with what their figures need; light or dark as the reader's
    system is, and printable."""
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{html.escape(title)}</title><style>{_CSS}</style>"
        f"<script>{get_plotlyjs()}</script></head><body>{''.join(pieces)}"
        f"<script>{_JS}</script></body></html>\n"
    )
