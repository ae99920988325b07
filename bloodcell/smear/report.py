"""The report of a smear as one HTML file that prints well and needs nothing else."""

import html
from datetime import datetime

from bloodcell.classes import CLASSES, class_id
from bloodcell.smear.differential import Differential, cells_to_tell, rumke_table
from bloodcell.smear.review import About, Review, apart_text, changes_text, some

__all__ = ["differential_rows", "smear_html"]

STYLE = """
:root { color-scheme: light dark; }
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 52rem; padding: 0 1rem; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.1rem; margin-top: 2rem; }
table { border-collapse: collapse; width: 100%; }
td, th { padding: .3rem .8rem .3rem 0; text-align: left; border-bottom: 1px solid #8884; }
td.n, th.n { text-align: right; font-variant-numeric: tabular-nums; }
.dot { display: inline-block; width: .7em; height: .7em; border-radius: 50%; margin-right: .4em;
  print-color-adjust: exact; -webkit-print-color-adjust: exact; }
.note { opacity: .75; } .together { white-space: nowrap; }
@media (max-width: 30rem) { body { margin: 1rem auto; } table { font-size: .8rem; }
  td, th { padding-right: .4rem; } }
@media print { body { margin: 0; max-width: none; } h2 { break-after: avoid; }
  table { break-inside: avoid; } }
"""
MERGED = " Immature granulocytes are counted as neutrophils."
ABOUT = (
    ("name", "Smear"),
    ("patient", "Patient"),
    ("laboratory", "Laboratory"),
    ("stain", "Stain"),
    ("reviewer", "Reviewed by"),
)


def differential_rows(machine: Differential, reviewed: Differential) -> list[dict[str, object]]:
    """A row a white class: the ensemble's count and the reviewed one with its exact limits, %."""
    return [
        {
            "Class": CLASSES[class_id(name)].title,
            "Machine": machine.classes[name].n,
            "Reviewed": share.n,
            "Share, %": None if share.share is None else round(100 * share.share, 1),
            "95 % limits": f"{100 * share.low:.1f} to {100 * share.high:.1f}",
        }
        for name, share in reviewed.classes.items()
    ]


def _named(name: str) -> str:
    """A class with a dot of its colour, which stays beside its first word."""
    known = CLASSES[class_id(name)]
    first, _, rest = known.title.partition(" ")
    dot = f'<span class="dot" style="background:{known.colour}"></span>'
    return f'<span class="together">{dot}{first}</span> {rest}'


def smear_html(review: Review, about: About, ensemble: str, merged: bool = False) -> str:
    """The report: who and what, the differential with its limits, and how sure such a count is.

    Args:
        ensemble: its name.
        merged: immature granulocytes count as neutrophils.
    """
    machine, reviewed = review.machine(merged), review.reviewed(merged)
    facts = "".join(
        f"<tr><th>{title}</th><td>{html.escape(value)}</td></tr>"
        for key, title in ABOUT
        if (value := getattr(about, key))
    )
    rows = "".join(
        f'<tr><td>{_named(name)}</td><td class="n">{row["Machine"]}</td>'
        f'<td class="n">{row["Reviewed"]}</td>'
        f'<td class="n">{"" if row["Share, %"] is None else row["Share, %"]}</td>'
        f'<td class="together">{row["95 % limits"]}</td></tr>'
        for name, row in zip(reviewed.classes, differential_rows(machine, reviewed), strict=True)
    )
    table = rumke_table()
    head = "".join(f"<th>{k}</th>" for k in table[0])
    rumke = "".join(
        "<tr>" + "".join(f'<td class="together">{v}</td>' for v in r.values()) + "</tr>"
        for r in table
    )
    unread = [p for p in review.smear.photographs if p.error is not None]
    errors = "".join(f"<li>{html.escape(p.error or '')}</li>" for p in unread)
    beside = ", ".join(
        f"{n} {name}" + (f" ({reviewed.per_100(n):.1f} per 100 white cells)" if reviewed.n else "")
        for name, n in (
            ("platelets", reviewed.platelets),
            ("erythroblasts", reviewed.erythroblasts),
        )
    )
    return f"""<!doctype html>
<html lang="en"><meta charset="utf-8"><title>Differential</title>
<meta name="viewport" content="width=device-width"><style>{STYLE}</style>
<h1>Differential of {some(reviewed.n, "white cell")}</h1>
<p class="note">{datetime.now().astimezone():%Y-%m-%d %H:%M %Z}, by the ensemble
{html.escape(ensemble)} of BloodCell Lab on
{some(len(review.smear.photographs) - len(unread), "photograph")}. Review: {changes_text(review)}.
For research use only. Not a medical device.</p>
<table>{facts}</table>
<h2>White cells</h2>
<table><tr><th>Class</th><th class="n">Machine</th><th class="n">Reviewed</th>
<th class="n">Share, %</th><th>95 % limits, %</th></tr>{rows}</table>
<p>Beside them: {beside}. {apart_text(reviewed)}{MERGED if merged else ""}</p>
<h2>What a share in % may truly be, by the number of cells counted</h2>
<table><tr>{head}</tr>{rumke}</table>
<p class="note">Exact binomial limits (Clopper and Pearson), 95 %. It takes
{cells_to_tell(0.05, 0.10)} cells to tell 5 % from 10 %.</p>
{f"<h2>Not read</h2><ul>{errors}</ul>" if errors else ""}
</html>
"""
