"""Compare runs: learning curves, metrics, paired tests and settings."""

import html
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

from bloodcell.errors import BloodCellError
from bloodcell.evaluation.compare import RunScore, Shared, compare_runs, paired_test
from bloodcell.figures import CONFIG, RUN_COLOURS, learning_curves, metric_intervals
from bloodcell.runs.run import Run
from bloodcell.ui.common.errors import show_errors
from bloodcell.ui.common.format import interval, no_pictures, percent
from bloodcell.ui.training.run_list import (
    COLUMNS,
    filter_rows,
    list_run_rows,
    name_run,
    table_height,
)
from bloodcell.ui.training.sweeps import show_sweeps

__all__ = ["describe_difference", "describe_spread", "name_runs", "score_table", "show_comparison"]

# As many as there are colours that can be told apart.
MOST = 6
CURVES = (
    ("Validation loss", ("val_loss",), ("loss", "val_loss")),
    ("Validation accuracy", ("val_accuracy",), ("accuracy", "val_accuracy")),
    ("Validation macro recall", ("val_macro_recall",), ("macro_recall", "val_macro_recall")),
)
DASHES = ("solid", "dash", "dot", "dashdot", "longdash", "longdashdot")
PARTS = ("test", "validation")
SHORT = {"test": "test", "validation": "val"}


def name_runs(runs: list[Run]) -> list[str]:
    """A name for each run that no other of them has."""
    names = [name_run(run) for run in runs]
    return [
        name if names.count(name) == 1 else f"{name} ({run.id[-4:]})"
        for name, run in zip(names, runs, strict=True)
    ]


def score_table(names: list[str], rows: list[RunScore], part: str) -> pd.DataFrame:
    """Accuracy and macro recall in a part; a run without answers has no row.

    Returns:
        Columns name, metric, value, low, high, n, as `figures.metric_intervals` takes them, with
        macro recall (0 to 1) beside.
    """
    found = [
        (name, "accuracy", s.accuracy, s.low, s.high, s.n, s.macro_recall)
        for name, row in zip(names, rows, strict=True)
        if (s := row.scores.get(part)) is not None
    ]
    columns = ["name", "metric", "value", "low", "high", "n", "macro recall"]
    return pd.DataFrame(found, columns=columns)


def describe_difference(a: str, b: str, shared: Shared) -> str:
    """The result of the paired test of two runs, as a sentence."""
    d = shared.difference
    only_a, only_b, low, high = d.only_a, d.only_b, d.low, d.high
    if d.difference < 0:
        # Told from the better one's side, so that a gain has no minus.
        a, b, only_a, only_b, low, high = b, a, only_b, only_a, -high, -low
    p = "p < 0.001" if d.p_value < 0.001 else f"p = {d.p_value:.3f}"
    found = (
        f"Of {d.n:,} test images {only_a:,} are correct only with {a} and {only_b:,} only with "
        f"{b}: {100 * abs(d.difference):.2f} points, 95 % interval {100 * low:+.2f} to "
        f"{100 * high:+.2f}, {p}."
    )
    if d.p_value >= 0.05:
        return f"**{a}** and **{b}**: no measurable difference. {found}"
    return f"**{a}** is measurably better than **{b}**. {found}"


def describe_spread(rows: list[RunScore]) -> str:
    """Mean and standard deviation over runs that differ by seed or fold alone; "" otherwise."""
    keys = set().union(*(row.values for row in rows))
    scores = [row.scores["test"] for row in rows if "test" in row.scores]
    if len(scores) < 2 or not keys or not keys <= {"seed", "split_fold"}:
        return ""
    what = "folds" if "split_fold" in keys else "seeds"
    values = np.array([s.accuracy for s in scores])
    return (
        f"Over {len(values)} {what}: test accuracy {percent(values.mean(), 2)} on average, "
        f"standard deviation {100 * values.std(ddof=1):.2f} points, "
        f"from {percent(values.min(), 2)} to {percent(values.max(), 2)}."
    )


def _default_rows(table: pd.DataFrame) -> list[int]:
    """The rows chosen at first: of the address, else the newest finished ones on one dataset."""
    asked = st.query_params.get("compare", "").split(",")
    found = [i for i, run_id in enumerate(table["id"]) if run_id in asked]
    if found:
        return found[:MOST]
    done = table[table["state"] == "finished"]
    if done.empty:
        return []
    same = done[done["dataset"] == done["dataset"].iloc[0]]
    return list(same.index[:3])


def _choose_runs(runs: list[Run]) -> list[Run]:
    table = filter_rows(list_run_rows(runs), "compare")
    if table.empty:
        st.caption("No run matches: remove a filter.")
        return []
    ids = list(table["id"])
    default = _default_rows(table)
    chosen = st.dataframe(
        table,
        hide_index=True,
        placeholder="–",
        height=table_height(len(table)),
        column_config=COLUMNS,
        on_select="rerun",
        selection_mode="multi-row",
        selection_default={"selection": {"rows": default}},
        key=f"compare_{hash(tuple(ids))}",
    ).selection.rows
    by_id = {run.id: run for run in runs}
    found = [by_id[ids[i]] for i in chosen if i < len(ids)]
    if len(found) > MOST:
        st.caption(f"The first {MOST} of the {len(found)} selected runs are shown.")
    found = found[:MOST]
    if found:
        st.query_params["compare"] = ",".join(run.id for run in found)
    return found


def _show_curves(names: list[str], runs: list[Run]) -> None:
    metrics = {name: run.metrics() for name, run in zip(names, runs, strict=True)}
    metrics = {name: lines for name, lines in metrics.items() if lines}
    if not metrics:
        st.caption("None of these runs has finished an epoch yet.")
        return
    training = st.toggle("Show training", key="compare_training", persist_state="session")
    _show_legend(list(metrics))
    for column, (title, plain, both) in zip(st.columns(3), CURVES, strict=True):
        with column:
            figure = learning_curves(metrics, both if training else plain, title=title)
            # One legend above the three: the names would run into the titles.
            figure.update_layout(showlegend=False)
            if not training:
                # Two runs of one seed lie on each other: a dashed line shows the one beneath.
                for trace, dash in zip(figure.data, DASHES, strict=False):
                    trace.line.dash = dash
            st.plotly_chart(figure, config=CONFIG, key=f"compare_{plain[0]}", alt=title)
    if training:
        st.caption("Solid: training (augmented images). Dotted: validation.")


def _show_legend(names: list[str]) -> None:
    dots = (
        f'<span style="white-space:nowrap;margin-right:1.2em"><span style="display:inline-block;'
        f"width:0.7em;height:0.7em;border-radius:50%;margin-right:0.4em;background:{colour}"
        f'"></span>{html.escape(name)}</span>'
        for name, colour in zip(names, RUN_COLOURS, strict=False)
    )
    st.html(f"<div>{' '.join(dots)}</div>")


def _show_metrics(names: list[str], rows: list[RunScore]) -> None:
    tables = {part: score_table(names, rows, part) for part in PARTS}
    if all(table.empty for table in tables.values()):
        st.caption("None of these runs is finished. Test metrics are computed when a run finishes.")
        return
    for part, column in zip(PARTS, st.columns(2), strict=True):
        with column:
            title = f"{part.capitalize()} accuracy"
            st.plotly_chart(
                metric_intervals(tables[part], title=title),
                config=CONFIG,
                key=f"compare_scores_{part}",
                alt=f"{title} with 95 % intervals",
            )
    shown = []
    for name, row in zip(names, rows, strict=True):
        line: dict[str, object] = {"run": name, "state": row.state}
        for part in PARTS:
            s = row.scores.get(part)
            line[f"{SHORT[part]} accuracy (95 % interval, n)"] = s and (
                f"{percent(s.accuracy, 2)} ({interval((s.low, s.high))}, {s.n:,})"
            )
            line[f"{SHORT[part]} macro recall"] = s and percent(s.macro_recall, 2)
        shown.append(line)
    table = pd.DataFrame(shown)
    st.dataframe(table, hide_index=True, placeholder="–", height=table_height(len(table)))
    st.caption(
        "Validation metrics are slightly optimistic, because validation chose the epoch. Training "
        "never used the test part; choosing the best of many runs by it makes it optimistic, too."
    )
    if spread := describe_spread(rows):
        st.markdown(spread)


def _show_paired_tests(names: list[str], runs: list[Run], rows: list[RunScore]) -> None:
    done = [i for i, row in enumerate(rows) if "test" in row.scores]
    if len(done) < 2:
        st.caption("A paired test needs two finished runs.")
        return
    reference = done[0]
    if len(done) > 2:
        best = max(done, key=lambda i: rows[i].scores["validation"].accuracy)
        reference = st.selectbox(
            "Baseline",
            done,
            index=done.index(best),
            format_func=names.__getitem__,
            key=f"compare_reference_{hash(tuple(names))}",
            width=320,
            help="By default the run with the highest validation accuracy.",
        )
    for i in done:
        if i == reference:
            continue
        try:
            shared = paired_test(runs[reference], runs[i])
        except BloodCellError as error:
            st.warning(no_pictures(str(error)), icon=":material/link_off:")
            continue
        st.markdown(describe_difference(names[reference], names[i], shared))
        if shared.left_out:
            st.caption(
                f"{shared.left_out:,} test images are left out: not in both runs, or labelled "
                "differently."
            )
    several = len(done) > 2
    st.caption(
        "McNemar's exact test on the same test images, with the interval of Bonett and Price. "
        "Measurable: p < 0.05."
        + (" One of twenty comparisons is measurable by chance alone." if several else "")
    )


def _format_value(value: Any) -> str:
    """A setting as text; of a path only the last part, which is what tells files apart."""
    text = str(value)
    return Path(text).name if isinstance(value, str) and "/" in text else text


def show_comparison(runs: list[Run]) -> None:
    """Draw the choice of runs and their comparison."""
    if not runs:
        st.info("No runs yet. Start some, then compare them here.", icon=":material/info:")
        return
    show_sweeps()
    chosen = _choose_runs(runs)
    if len(chosen) < 2:
        st.caption("Select two or more runs in the table.")
        return
    with show_errors():
        names, rows = name_runs(chosen), compare_runs(chosen)
        st.subheader("Learning curves", anchor=False)
        _show_curves(names, chosen)
        st.subheader("Metrics", anchor=False)
        _show_metrics(names, rows)
        st.subheader("Is the difference measurable?", anchor=False)
        _show_paired_tests(names, chosen, rows)
        st.subheader("Settings that differ", anchor=False)
        keys = list(rows[0].values)
        if not keys:
            st.caption("None: the settings are the same.")
            return
        table = pd.DataFrame(
            {
                name: [_format_value(row.values[k]) for k in keys]
                for name, row in zip(names, rows, strict=True)
            }
        )
        table.insert(0, "setting", [k.replace("_", " ") for k in keys])
        st.dataframe(table, hide_index=True, height=table_height(len(table), 600))
