"""A machine against readers, smear by smear: the plan, its lock, and what was found."""

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import streamlit as st

from bloodcell.agreement.counts import MEASURED, Counts, read_counts
from bloodcell.agreement.verification import (
    Plan,
    Result,
    load_plan,
    lock_plan,
    samples_needed,
    save_plan,
    verify,
)
from bloodcell.csv_files import csv_text
from bloodcell.errors import BadInput
from bloodcell.figures.agreement import bland_altman_figure, regression_figure
from bloodcell.figures.theme import CONFIG
from bloodcell.figures.verification_report import HEAD, comparison_rows, verification_report
from bloodcell.ui.common.errors import show_errors
from bloodcell.ui.common.state import active_ensemble, workspace
from bloodcell.ui.common.uploads import drop_zone
from bloodcell.workspace import check_name

__all__ = ["show_plan", "show_results"]

NEW = "New plan"
SAVED = "verification_saved"


def _path(name: str) -> Path:
    return workspace().verifications / name / "plan.json"


def _names() -> list[str]:
    folder = workspace().verifications
    return sorted(p.parent.name for p in folder.glob("*/plan.json")) if folder.is_dir() else []


def _title(name: str) -> str:
    return name.replace("_", " ").capitalize()


def show_plan() -> None:
    """Plan a verification, see how likely it succeeds, and lock it."""
    names = _names()
    # What was saved just now is what is looked at, here and among the results.
    if (saved := st.session_state.pop(SAVED, None)) in names:
        st.session_state["verification_plan"] = saved
        st.session_state["verification_result"] = saved
    chosen = st.selectbox("Verification", [NEW, *names], key="verification_plan")
    plan = None if chosen == NEW else load_plan(_path(chosen))
    if plan is not None and plan.locked:
        _show_locked(plan)
        return
    mark = chosen if plan else "new"
    with st.container(border=True):
        name = plan.name if plan else st.text_input("Name", key="plan_name", value="verification")
        question = st.text_input(
            "Question",
            value=plan.question
            if plan
            else "Does the machine count the white cells of a smear as two readers do?",
            key=f"plan_question_{mark}",
        )
        left, right = st.columns(2)
        machine = left.text_input(
            "Machine",
            value=plan.machine if plan else active_ensemble() or "machine",
            key=f"plan_machine_{mark}",
            help="As it stands in the column reader of the counts.",
        )
        readers = right.text_input(
            "Readers, separated by commas",
            value=", ".join(plan.readers) if plan else "reader 1, reader 2",
            key=f"plan_readers_{mark}",
        )
        a, b, c = st.columns(3, vertical_alignment="bottom")
        smears = a.number_input(
            "Smears", 3, 5000, plan.smears if plan else 74, key=f"plan_smears_{mark}"
        )
        cells = b.number_input(
            "White cells a reader counts",
            1,
            5000,
            plan.cells if plan else 200,
            key=f"plan_cells_{mark}",
        )
        deviation = c.number_input(
            "Expected standard deviation of differences",
            0.1,
            50.0,
            plan.expected_deviation if plan else 2.0,
            key=f"plan_deviation_{mark}",
            help="In cells of 100 white cells, from a pilot or from Rümke's table.",
        )
        classes = st.multiselect(
            "Classes with an accepted difference",
            MEASURED,
            default=list(plan.limits) if plan else ["neutrophil", "lymphocyte"],
            format_func=_title,
            key=f"plan_classes_{mark}",
        )
        limits = {}
        for place, column in enumerate(st.columns(max(1, min(4, len(classes))))):
            for own in classes[place :: max(1, min(4, len(classes)))]:
                limits[own] = column.number_input(
                    f"{_title(own)} ±",
                    0.1,
                    100.0,
                    plan.limits.get(own, 5.0) if plan else 5.0,
                    key=f"plan_limit_{mark}_{own}",
                    help="Cells of 100 white cells.",
                )
    with show_errors():
        made = Plan(
            check_name(name, "verification"),
            question,
            machine.strip(),
            tuple(r.strip() for r in readers.split(",") if r.strip()),
            int(smears),
            int(cells),
            {c: float(limits[c]) for c in classes},
            expected_deviation=float(deviation),
            created=plan.created if plan else datetime.now(UTC).isoformat(timespec="seconds"),
        )
        if plan is None and name in names:
            raise BadInput(
                f"There is a verification {name!r} already: choose it above, or another name."
            )
        _show_power(made)
        with st.container(horizontal=True):
            if st.button("Save plan", key="plan_save", icon=":material/save:"):
                save_plan(_path(name), made)
                st.session_state[SAVED] = name
                st.rerun()
            if st.button(
                "Lock plan",
                key="plan_lock",
                type="primary",
                icon=":material/lock:",
                help="It cannot be changed afterwards. Figures are shown for a locked plan only.",
            ):
                save_plan(_path(name), made)
                lock_plan(_path(name))
                st.session_state[SAVED] = name
                st.rerun()


def _show_power(plan: Plan) -> None:
    rows = []
    for name, limit in plan.limits.items():
        needed = samples_needed(plan, limit)
        rows.append(
            {
                "Class": _title(name),
                "Accepted": f"± {limit:g}",
                "Chance to succeed": f"{100 * plan.power(limit):.0f} %",
                "Smears for 80 %": "no number suffices" if needed is None else f"{needed:,}",
            }
        )
    if rows:
        st.dataframe(pd.DataFrame(rows), hide_index=True, alt="Sample size")
        st.caption(
            "Limits of agreement with their 95 % intervals inside the accepted difference, without "
            "bias (Lu et al. 2016)."
        )
    else:
        st.info("Without an accepted difference nothing can pass.", icon=":material/info:")


def _show_locked(plan: Plan) -> None:
    st.success(f"Locked on {plan.locked}.", icon=":material/lock:")
    limits = ", ".join(f"{_title(k)} ± {v:g}" for k, v in plan.limits.items()) or "none"
    st.markdown(
        f"**{plan.question}**\n\n{plan.machine} against {', '.join(plan.readers)}; {plan.smears} "
        f"smears, {plan.cells} white cells each. Accepted of 100 white cells: {limits}."
    )
    _show_power(plan)
    st.caption(f"sha256 {plan.seal}")


@st.cache_data(show_spinner=False, max_entries=8)
def _read(content: bytes, name: str) -> Counts:
    return read_counts((name, content))


@st.cache_data(show_spinner="Comparing", max_entries=8)
def _verified(plan: Plan, counts: Counts, seal: str) -> Result:
    return verify(plan, counts)


def show_results() -> None:
    """Measure a locked plan on counts, and take the report along."""
    locked = [n for n in _names() if load_plan(_path(n)).locked]
    if not locked:
        st.info(
            "Lock a plan first: what is accepted is written down before figures are seen.",
            icon=":material/info:",
        )
        return
    if st.session_state.get("verification_result") not in locked:
        st.session_state.pop("verification_result", None)
    name = st.selectbox("Verification", locked, key="verification_result")
    plan = load_plan(_path(name))
    files = drop_zone(
        "Counts (CSV with the columns smear, reader and one for each class)",
        type="csv",
        key="counts",
    )
    if not files:
        st.download_button(
            "Form for the counts (CSV)",
            _form(plan),
            "counts.csv",
            "text/csv",
            icon=":material/download:",
        )
        return
    counts = _read(files[0].getvalue(), files[0].name)
    result = _verified(plan, counts, plan.seal)
    _show_verdict(result)
    st.dataframe(
        pd.DataFrame(comparison_rows(result), columns=[h[:1].upper() + h[1:] for h in HEAD]),
        hide_index=True,
        alt="The machine against the readers in each class",
    )
    st.caption(
        "Cells of 100 white cells, by smear; erythroblasts beside them. Explored: not planned, so "
        "no claim rests on it."
    )
    _show_class(result, counts)
    _show_flag(result)
    st.download_button(
        "Report (HTML)",
        verification_report(result, counts),
        f"{name}.html",
        "text/html",
        icon=":material/download:",
        on_click="ignore",
        type="primary",
    )


def _form(plan: Plan) -> str:
    from bloodcell.classes import CLASS_NAMES

    head = ["smear", "reader", *CLASS_NAMES, "other"]
    lines = [["smear 1", who, *[""] * (len(head) - 2)] for who in (plan.machine, *plan.readers)]
    return csv_text(head, lines)


def _show_verdict(result: Result) -> None:
    plan = result.plan
    if result.passed:
        st.success(result.verdict, icon=":material/check_circle:")
    else:
        st.error(result.verdict, icon=":material/cancel:")
    if result.left_out:
        st.warning(
            f"{len(result.left_out)} smears were not counted by all: "
            f"{', '.join(result.left_out[:8])}{'…' * (len(result.left_out) > 8)}.",
            icon=":material/warning:",
        )
    if result.too_few:
        st.warning(
            f"{len(result.too_few)} differentials have fewer than {plan.cells} white cells: "
            f"{'; '.join(result.too_few[:4])}{'…' * (len(result.too_few) > 4)}.",
            icon=":material/warning:",
        )


def _show_class(result: Result, counts: Counts) -> None:
    plan = result.plan
    name = st.selectbox(
        "Class", [c.name for c in result.comparisons], format_func=_title, key="verified_class"
    )
    c = next(c for c in result.comparisons if c.name == name)
    machine, *readers = counts.common_shares((plan.machine, *plan.readers))
    smears = list(machine.index)
    reference = np.mean([r[name] for r in readers], axis=0)
    own = machine[name].to_numpy()
    left, right = st.columns(2)
    left.markdown("**Bland–Altman**")
    left.plotly_chart(
        bland_altman_figure(reference, own, c.agreement, smears, c.limit),
        config=CONFIG,
        key="bland_altman",
        alt=f"Differences of {name} against their mean, with limits of agreement",
    )
    right.markdown("**Regression**")
    right.plotly_chart(
        regression_figure(reference, own, smears, c.passing_bablok, c.deming),
        config=CONFIG,
        key="regression",
        alt=f"Machine against readers in {name}",
    )


def _show_flag(result: Result) -> None:
    f = result.flag

    def words(value: float | None, pair: tuple[float, float] | None) -> str:
        if value is None or pair is None:
            return "no smear decides it"
        return f"{100 * value:.0f} % ({100 * pair[0]:.0f} to {100 * pair[1]:.0f} %)"

    rule = ", ".join(f"{_title(k).lower()} from {v:g}" for k, v in result.plan.flag.items())
    st.markdown(
        f"**Smears that need a person** (by {rule} of 100 white cells): {f.needed} of {f.n} by the "
        f"readers, {f.flagged} by the machine. Sensitivity "
        f"{words(f.sensitivity, f.sensitivity_interval)}, specificity "
        f"{words(f.specificity, f.specificity_interval)}."
    )
