"""A verification as one HTML file: what was planned, what was found, what is still open."""

import html

import numpy as np

from bloodcell import __version__
from bloodcell.agreement.counts import Counts
from bloodcell.agreement.methods import BlandAltman, Line
from bloodcell.agreement.verification import Comparison, Plan, Result
from bloodcell.figures.agreement import bland_altman_figure, regression_figure
from bloodcell.figures.html import html_figure, html_page, html_table

__all__ = ["CHECKLISTS", "HEAD", "comparison_rows", "verification_report"]

OPEN = "to be written by the authors"
HEAD = [
    *("class", "status", "accepted ±", "bias (95 %)", "lower limit (95 %)", "upper limit (95 %)"),
    *("within counting error", "Passing–Bablok slope", "intercept", "Deming slope", "r"),
]
# Of these columns the first so many are of differences, the others of regression.
DIFFERENCES = 7


def _words(name: str) -> str:
    return name.replace("_", " ")


def _number(value: float, pair: tuple[float, float], digits: int = 1) -> str:
    low, high = pair
    return f"{value:+.{digits}f} ({low:+.{digits}f} to {high:+.{digits}f})"


def _held_together(text: str) -> str:
    """An interval stands on one line."""
    head, bracket, rest = text.partition("(")
    return head + bracket + rest.replace(" ", "\N{NO-BREAK SPACE}")


def _line(line: Line | None, what: str) -> str:
    if line is None:
        return "too rare"
    ends = [f"{v:.2f}".replace("inf", "∞") for v in getattr(line, f"{what}_interval")]
    return f"{getattr(line, what):.2f} ({ends[0]} to {ends[1]})"


def _status(c: Comparison) -> str:
    if not c.planned:
        return "explored"
    return "accepted" if c.accepted else "not accepted"


def comparison_rows(result: Result) -> list[list[str]]:
    """The comparisons as rows of words, under HEAD."""
    rows = []
    for c in result.comparisons:
        b: BlandAltman = c.agreement
        rows.append(
            [
                _words(c.name),
                _status(c),
                "" if c.limit is None else f"{c.limit:g}",
                _number(b.bias, b.bias_interval),
                _number(b.low, b.low_interval),
                _number(b.high, b.high_interval),
                f"{100 * c.within_counting_error:.0f} %",
                _line(c.passing_bablok, "slope"),
                _line(c.passing_bablok, "intercept"),
                _line(c.deming, "slope"),
                "" if c.correlation is None else f"{c.correlation:.2f}",
            ]
        )
    return rows


def _share(value: float | None, pair: tuple[float, float] | None) -> str:
    if value is None or pair is None:
        return "no smear decides it"
    return f"{100 * value:.0f} % (95 %: {100 * pair[0]:.0f} to {100 * pair[1]:.0f} %)"


# Topics of two guidelines that a study of this kind is asked for, in our own words: the topic, and
# what the product knows of it ("" where only the authors do).
CHECKLISTS = {
    "STARD-AI": (
        ("Question and hypothesis", "question"),
        ("Design: prospective or retrospective", "design"),
        ("Participants: eligibility, setting, dates", ""),
        ("Index test: version of the machine", "machine"),
        ("Index test: cut-offs set beforehand", "limits"),
        ("Reference standard and who read it", "readers"),
        ("Whether readers knew the other's result", ""),
        ("Sample size and how it was determined", "size"),
        ("Data that are missing or indeterminate", "missing"),
        ("Estimates with their precision", "estimates"),
        ("Analyses that were not planned", "explored"),
        ("Training data of the machine and their overlap with the test", ""),
        ("Fairness over subgroups", ""),
        ("Limitations, registration, protocol, funding", "protocol"),
    ),
    "TRIPOD+AI": (
        ("Intended use and users", "use"),
        ("Source of the data, dates, setting", ""),
        ("Outcome and how it was assessed", "readers"),
        ("Sample size", "size"),
        ("Missing data", "missing"),
        ("Model: what it is and where it can be had", "machine"),
        ("Performance measures with intervals", "estimates"),
        ("Fairness and how it was looked at", ""),
        ("Open science: protocol, data, code", "protocol"),
        ("Patient and public involvement", ""),
    ),
}


def _answers(plan: Plan, result: Result) -> dict[str, str]:
    limits = ", ".join(f"{_words(k)} ± {v:g}" for k, v in plan.limits.items())
    return {
        "question": plan.question,
        "design": f"Planned on {plan.created or plan.locked}, locked on {plan.locked} before "
        "figures were seen in this program.",
        "machine": f"{plan.machine}, BloodCell Lab {__version__}",
        "limits": f"{limits or 'none'} cells of 100 white cells",
        "readers": f"Mean of {', '.join(plan.readers)}, {plan.cells} white cells each",
        "size": f"{plan.smears} smears planned, {result.n} found",
        "missing": f"{len(result.left_out)} smears left out since somebody did not count them; "
        f"{len(result.too_few)} differentials of fewer cells than planned",
        "estimates": "All with 95 % intervals, by smear",
        "explored": ", ".join(_words(c.name) for c in result.comparisons if not c.planned)
        or "none",
        "use": "Research only. Not a medical device.",
        "protocol": f"Plan sealed with sha256 {plan.seal[:16]}…; the rest is {OPEN}",
    }


def verification_report(result: Result, counts: Counts) -> str:
    """The whole verification as HTML; it loads nothing from anywhere and can be printed."""
    plan = result.plan
    machine, *readers = counts.common_shares((plan.machine, *plan.readers))
    smears = list(machine.index)
    answers = _answers(plan, result)
    rows = [[_held_together(text) for text in row] for row in comparison_rows(result)]
    pieces = [
        f"<h1>Verification: {html.escape(plan.name)}</h1>",
        f"<p>{html.escape(plan.question)}</p>",
        f"<p><strong>{html.escape(result.verdict)}</strong></p>",
        '<p class="note">For research use only. Not a medical device.</p>',
        "<h2>Plan</h2>",
        html_table(
            [
                ["Machine", plan.machine],
                ["Readers", ", ".join(plan.readers)],
                ["Smears", f"{plan.smears} planned, {result.n} found"],
                ["White cells of a reader on a smear", str(plan.cells)],
                ["Accepted differences", answers["limits"]],
                *(
                    [f"Chance to succeed: {_words(name)}", f"{100 * plan.power(limit):.0f} %"]
                    for name, limit in plan.limits.items()
                ),
                ["Locked", f"{plan.locked}, sha256 {plan.seal}"],
            ],
            ["", ""],
            texts=2,
        ),
        "<h2>Machine against readers</h2>",
        "<p>Cells of 100 white cells, smear by smear. Explored: not planned, so no claim rests on "
        "it.</p>",
        html_table([row[:DIFFERENCES] for row in rows], HEAD[:DIFFERENCES], texts=2),
        "<p>Regression of the machine on the readers.</p>",
        html_table([[row[0], *row[DIFFERENCES:]] for row in rows], [HEAD[0], *HEAD[DIFFERENCES:]]),
    ]
    for c in result.comparisons:
        reference = np.mean([r[c.name] for r in readers], axis=0)
        own = machine[c.name].to_numpy()
        if not c.planned and not (reference.any() or own.any()):
            continue
        title = f"{_words(c.name).capitalize()} ({_status(c)})"
        pieces += [
            f"<h3>{html.escape(title)}</h3>",
            '<div class="pair">',
            html_figure(
                f"ba-{c.name}",
                bland_altman_figure(reference, own, c.agreement, smears, c.limit),
                f"Bland-Altman plot of {c.name}",
            ),
            html_figure(
                f"line-{c.name}",
                regression_figure(reference, own, smears, c.passing_bablok, c.deming),
                f"Regression of {c.name}",
            ),
            "</div>",
        ]
    between = [
        [
            _words(c.name),
            _number(c.between_readers.bias, c.between_readers.bias_interval),
            f"{c.between_readers.low:+.1f} to {c.between_readers.high:+.1f}",
        ]
        for c in result.comparisons
        if c.between_readers is not None
    ]
    if between:
        pieces += [
            f"<h2>{html.escape(plan.readers[1])} against {html.escape(plan.readers[0])}</h2>",
            html_table(between, ["class", "bias (95 %)", "limits of agreement"]),
        ]
    f = result.flag
    rule = ", ".join(f"{_words(k)} from {v:g}" for k, v in plan.flag.items())
    pieces += [
        "<h2>Smears that need a person</h2>",
        f"<p>By {html.escape(rule)} of 100 white cells: {f.needed} of {f.n} smears by the readers, "
        f"{f.flagged} by the machine. Sensitivity {_share(f.sensitivity, f.sensitivity_interval)}, "
        f"specificity {_share(f.specificity, f.specificity_interval)}.</p>",
    ]
    if result.left_out or result.too_few:
        pieces += [
            "<h2>Left out</h2>",
            f"<p>Smears that somebody did not count: {html.escape(', '.join(result.left_out))}"
            f"{'none' * (not result.left_out)}. Fewer cells than planned: "
            f"{html.escape('; '.join(result.too_few))}{'none' * (not result.too_few)}.</p>",
        ]
    for name, topics in CHECKLISTS.items():
        rows = [[topic, answers.get(key, OPEN)] for topic, key in topics]
        pieces += [f"<h2>Checklist after {name}</h2>", html_table(rows, ["topic", "stated"], 2)]
    return html_page(f"Verification {plan.name}", pieces)
