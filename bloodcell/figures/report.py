"""An evaluation as one HTML file: interactive, and whole without a network."""

import html

import numpy as np
import pandas as pd

from bloodcell import __version__
from bloodcell.classes import CLASS_NAMES, CLASSES
from bloodcell.data.store.dataset import Dataset
from bloodcell.ensemble.description import Description
from bloodcell.evaluation.checklist import checklist
from bloodcell.evaluation.corruptions import CORRUPTIONS
from bloodcell.evaluation.curves import precision_recall_curves, roc_curves
from bloodcell.evaluation.evaluate import Evaluation
from bloodcell.evaluation.metrics import confusion_matrix, reliability
from bloodcell.evaluation.origins import refusal_curve, worst_words
from bloodcell.evaluation.review import refer, review_curve
from bloodcell.evaluation.stress import Study
from bloodcell.evaluation.tables import (
    METRIC_NAMES,
    class_table,
    member_table,
    pair_table,
    set_table,
)
from bloodcell.figures.confusion import confusion
from bloodcell.figures.evaluation import (
    members_figure,
    precision_recall_figure,
    reliability_diagram,
    review_figure,
    roc_figure,
)
from bloodcell.figures.html import html_figure, html_page, html_table
from bloodcell.figures.origins import refusal_figure
from bloodcell.figures.robustness import corruption_curves

__all__ = ["evaluation_report"]

# The threshold that the page begins with too.
REVIEWED_BELOW = 0.9
MOST_GROUPS = 200


def _share(value: float | None, digits: int = 2) -> str:
    return "" if value is None or pd.isna(value) else f"{100 * value:.{digits}f} %"


def _range(low: float | None, high: float | None, digits: int = 2) -> str:
    if low is None or high is None or pd.isna(low):
        return ""
    return f"{100 * low:.{digits}f} to {100 * high:.{digits}f} %"


def _headline(found: Evaluation) -> str:
    j, document = found.judgement, found.to_json()
    # Log loss is no share: it has a row of its own.
    names = {k: words for k, words in METRIC_NAMES.items() if k != "log_loss"}
    names["recognised"] = "Recognised (novelty below the threshold)"
    rows = [
        [words, _share(document[key]), _range(*document["intervals"][key]), f"{j.n:,}"]
        for key, words in names.items()
        if key in document["intervals"]
    ]
    low, high = j.intervals["log_loss"]
    rows.append(
        [METRIC_NAMES["log_loss"], f"{j.log_loss:.4f}", f"{low:.4f} to {high:.4f}", f"{j.n:,}"]
    )
    return html_table(rows, ["metric", "value", "95 % interval", "n"])


def _members(found: Evaluation, description: Description) -> str:
    rows = [
        [
            m.member,
            m.verdict,
            f"{m.weight:.3f}",
            _share(m.accuracy),
            _range(m.low, m.high),
            f"{100 * m.difference:+.2f} ({100 * m.difference_low:+.2f} to "
            f"{100 * m.difference_high:+.2f})",
            f"{m.p_value:.2g}",
            _share(m.without),
        ]
        for m in member_table(found, description).itertuples()
    ]
    text = html_table(
        rows,
        [
            *("member", "paired test", "weight", "accuracy", "95 % interval"),
            *("ensemble better by (points)", "McNemar p", "ensemble without it"),
        ],
        texts=2,
    )
    agreement = [
        [
            f"{p.a} and {p.b}",
            _share(p.differ),
            _range(p.low, p.high),
            p.both_wrong,
            f"{p.kappa:.3f}",
            "" if pd.isna(p.q) else f"{p.q:.3f}",
        ]
        for p in pair_table(found).itertuples()
    ]
    if agreement:
        head = ["members", "disagree on", "95 % interval", "both wrong", "kappa", "Q"]
        text += "<h3>Agreement between members</h3>" + html_table(agreement, head)
    return text


def _classes(found: Evaluation) -> str:
    titles = {c.name: c.title for c in CLASSES}
    rows = []
    for c in class_table(found.judgement).to_dict("records"):
        row = [titles[c["class"]], c["n"]]
        for key in ("recall", "precision", "f1", "auc"):
            row += [_share(c[key], 1), _range(c[f"{key}_low"], c[f"{key}_high"], 1)]
        rows.append(row)
    head = ["class", "n"]
    for key in ("recall", "precision", "F1", "AUC"):
        head += [key, "95 % interval"]
    return html_table(rows, head)


def _origins(found: Evaluation) -> str:
    """Each laboratory, the worst first, and the refusal of what is none of the eight."""
    text = ""
    for column in found.origin:
        scores = found.by(column)
        if not scores:
            continue
        rows = [
            [
                s.name or "not known",
                f"{s.n:,}",
                s.classes,
                _share(s.balanced_accuracy, 1),
                _range(*s.intervals["balanced_accuracy"], digits=1),
                _share(s.accuracy, 1),
                _range(*s.intervals["accuracy"], digits=1),
                _share(s.recognised, 1),
                _range(*s.intervals["recognised"], digits=1),
            ]
            for s in scores[:MOST_GROUPS]
        ]
        head = [column, "n", "classes"]
        for words in ("balanced accuracy", "accuracy", "recognised"):
            head += [words, "95 % interval"]
        text += f"<h2>By {column}</h2><p>{html.escape(worst_words(scores, column))}</p>"
        text += html_table(rows, head)
    if found.others is None:
        return text
    other = found.others.to_json() or {}
    cells = 1 - float(found.answers.recognised.mean())
    return (
        f"{text}<h2>None of the eight</h2><p>Of {other['n']:,} cells labelled as none of the "
        f"eight, {_share(other['refused'], 1)} ({_range(*other['interval'], digits=1)}) are "
        f"refused; of the proper cells {_share(cells, 1)}.</p>"
        + html_figure(
            "refusal",
            refusal_figure(
                refusal_curve(found.answers.novelty, found.others.novelty), cells, other["refused"]
            ),
            "Others refused against proper cells refused",
        )
    )


def _errors(found: Evaluation, dataset: Dataset) -> str:
    answers = found.answers
    wrong = np.flatnonzero(answers.labels != found.labels)
    wrong = wrong[np.argsort(-answers.probabilities[wrong].max(1), kind="stable")][:200]
    names = dataset.items["name"].to_numpy(dtype=str)
    titles = [c.title for c in CLASSES]
    rows = [
        [
            names[found.indices[i]],
            titles[found.labels[i]],
            titles[answers.labels[i]],
            _share(answers.probabilities[i].max(), 1),
            ", ".join(
                f"{name}: {CLASS_NAMES[p[i].argmax()]}"
                for (name, _), p in zip(found.members, answers.members, strict=True)
            ),
        ]
        for i in wrong
    ]
    if not rows:
        return "<p>None.</p>"
    return html_table(rows, ["image", "true", "predicted", "probability", "votes"], texts=3)


def _robustness(study: Study) -> str:
    rows = []
    for place, name in enumerate(study.networks):
        value, pair = study.mean(place)
        rows.append([name, _share(value, 1), _range(*pair, digits=1), f"{study.n:,}"])
    part = "" if study.complete else " The study is incomplete."
    return (
        "<h2>Robustness</h2><p>Mean accuracy over eleven image corruptions at five severities."
        f"{part}</p>{html_table(rows, ['model', 'mean accuracy', '95 % interval', 'n'])}"
        + html_figure(
            "robustness",
            corruption_curves(study.table(), CORRUPTIONS, columns=3),
            "Accuracy against severity of each corruption",
        )
    )


def evaluation_report(
    found: Evaluation, dataset: Dataset, description: Description, study: Study | None = None
) -> str:
    """The whole evaluation as HTML; it loads nothing from anywhere.

    Each figure's toolbar saves it as SVG or PNG. No photograph is in it: names only.

    Args:
        found: the evaluation.
        dataset: what it was evaluated on.
        description: the content of ``ensemble.json``.
        study: the corruption study, if there is one.
    """
    j, answers = found.judgement, found.answers
    aucs = {c["name"]: f"AUC {c['auc']:.4f}" for c in j.per_class if c["auc"] is not None}
    curve = review_curve(found.labels, answers.probabilities, answers.recognised)
    at = refer(found.labels, answers.probabilities, REVIEWED_BELOW, answers.recognised)
    sets = [
        [
            *(_share(s.aimed, 1), _share(s.covered, 1), _range(s.low, s.high, 1)),
            *(f"{s.mean_size:.2f}", _share(s.single, 1)),
        ]
        for s in set_table(found, description).itertuples()
    ]
    known = [
        f"<tr><td class=text>{html.escape(i.section)}</td><td class=text>{html.escape(i.topic)}"
        f"</td><td class=text>{html.escape(i.answer)}</td><td class=text>"
        + ("stated" if i.known else '<span class="open">open</span>')
        + "</td></tr>"
        for i in checklist(description, dataset, found)
    ]
    title = f"{found.ensemble} on {found.dataset}, {found.part} part"
    warning = (
        f'<p class="open">{found.seen:,} of these images were used in training or validation: '
        "this is not a result on unseen cells.</p>"
        if found.seen
        else ""
    )
    table = reliability(found.labels, answers.probabilities)
    pieces = [
        f"<h1>{html.escape(title)}</h1>",
        f"<p>{j.n:,} images; {found.set_aside:,} excluded because a member saw them. "
        "<strong>For research use only. Not a medical device.</strong></p>" + warning,
        _headline(found),
        f'<p class="note">{html.escape(found.limits())}</p>',
        _origins(found),
        "<h2>Confusion matrix</h2>",
        html_figure("confusion", confusion(j.confusion_matrix), "Confusion matrix"),
        "<h2>Ensemble and members</h2>",
        html_figure("members", members_figure(found), "Accuracy of each model"),
        _members(found, description),
        "<h2>Metrics per class</h2>",
        _classes(found),
        html_figure(
            "roc", roc_figure(roc_curves(found.labels, answers.probabilities), aucs), "ROC"
        ),
        html_figure(
            "precision_recall",
            precision_recall_figure(precision_recall_curves(found.labels, answers.probabilities)),
            "Precision and recall",
        ),
        "<h2>Calibration</h2>",
        html_figure(
            "reliability",
            reliability_diagram(table, j.ece, j.intervals["ece"], j.n),
            "Reliability diagram",
        ),
        "<h2>Review by a person</h2>",
        html_figure(
            "review",
            review_figure(
                curve,
                at.referred / at.n,
                at.caught / at.errors if at.errors else 1.0,
                at.errors,
            ),
            "Errors caught against cells reviewed",
        ),
        f"<p>With a confidence threshold of {100 * REVIEWED_BELOW:.0f} %, "
        f"{at.referred:,} of {at.n:,} cells ({_range(*at.referred_interval, digits=1)}) are "
        f"reviewed: below the threshold or not recognised. Among them are {at.caught:,} of the "
        f"{at.errors:,} errors "
        f"({_range(*at.caught_interval, digits=1)}).</p>",
        "<h3>Prediction sets</h3><p>The target coverage was fitted on validation images and holds "
        "only for similar data.</p>",
        html_table(
            sets,
            ["target coverage", "coverage", "95 % interval", "mean set size", "one class"],
            texts=0,
        ),
        _robustness(study) if study is not None and len(study.done) > 1 else "",
        "<h2>Errors, most confident first</h2>",
        _errors(found, dataset),
        "<h2>Confusion matrix of each member</h2>",
        *(
            f"<h3>{html.escape(name)}</h3>"
            + html_figure(
                f"confusion-{place}",
                confusion(confusion_matrix(found.labels, answers.members[place].argmax(1))),
                f"Confusion matrix of {name}",
            )
            for place, (name, _) in enumerate(found.members)
        ),
        "<h2>CLAIM checklist</h2><div class=wide><table>" + "".join(known) + "</table></div>",
        f'<p class="note">BloodCell Lab {__version__}; ensemble created '
        f"{html.escape(description.created)}, dataset {html.escape(dataset.fingerprint[:12])}.</p>",
    ]
    return html_page(title, pieces)
