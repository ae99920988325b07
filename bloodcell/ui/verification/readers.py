"""Readers of the same cells: kappas, disagreements side by side, and what was decided on them."""

import hashlib
from pathlib import Path

import numpy as np
import pandas as pd
import streamlit as st

from bloodcell.agreement.readers import (
    STAGES,
    Readings,
    consensus,
    costs,
    describe_agreement,
    disagreements,
    machine_verdict,
    read_readings,
)
from bloodcell.csv_files import csv_text
from bloodcell.figures.agreement import kappa_matrix
from bloodcell.figures.theme import CONFIG
from bloodcell.files import read_json, write_json
from bloodcell.ui.common.format import plain, thumbnail
from bloodcell.ui.common.state import active_dataset, workspace
from bloodcell.ui.common.uploads import drop_zone

__all__ = ["show_readers"]

NOBODY = "no machine"
SHOWN = 200
EXAMPLE = (
    "file,reader,label,patient\ncell_001.png,anna,neutrophil,p1\ncell_001.png,ben,monocyte,p1\n"
)


@st.cache_data(show_spinner=False, max_entries=8)
def _read(content: bytes, name: str) -> Readings:
    return read_readings((name, content))


@st.cache_data(show_spinner="Computing kappas and their intervals", max_entries=16)
def _described(readings: Readings, machine: str | None, staged: bool) -> dict:
    return describe_agreement(readings, machine, staged)


def _number(found: dict) -> str:
    if found["value"] is None:
        return "undefined (one class only)"
    return f"{found['value']:.3f} ({found['low']:.3f} to {found['high']:.3f})"


def show_readers() -> None:
    """Upload a table of labels by several readers, and see how far they agree."""
    files = drop_zone(
        "Labels of several readers (CSV with the columns file, reader, label and perhaps patient)",
        type="csv",
        key="readings",
    )
    if not files:
        st.info(
            "Each reader has a line for each cell. A label is one of the eight classes or other; "
            "an ensemble's answers may stand among them as a reader.",
            icon=":material/info:",
        )
        st.download_button(
            "Example (CSV)", EXAMPLE, "labels.csv", "text/csv", icon=":material/download:"
        )
        return
    content = files[0].getvalue()
    readings = _read(content, files[0].name)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        machine = st.selectbox(
            "Machine among the readers", [NOBODY, *readings.readers], key="readings_machine"
        )
        staged = st.toggle(
            "Weigh stages",
            key="readings_staged",
            help="Mistaking "
            + "; ".join(" for ".join(line).replace("_", " ") for line in STAGES)
            + " counts as half an error.",
        )
    found = _described(readings, None if machine == NOBODY else machine, staged)
    _show_kappas(readings, found)
    if found["machine"]:
        _show_machine(found["machine"], machine)
    _show_disagreements(readings, content, staged)


def _show_kappas(readings: Readings, found: dict) -> None:
    places = {r: i for i, r in enumerate(readings.readers)}
    values = np.full((len(places), len(places)), np.nan)
    for pair in found["pairs"]:
        a, b = (places[r] for r in pair["readers"])
        if pair["value"] is not None:
            values[a, b] = values[b, a] = pair["value"]
    left, right = st.columns([1, 1.4])
    with left:
        st.subheader("Cohen's kappa", anchor=False)
        st.plotly_chart(
            kappa_matrix(readings.readers, values),
            config=CONFIG,
            key="kappas",
            alt="Cohen's kappa of every two readers",
        )
    with right:
        st.subheader("With 95 % intervals", anchor=False)
        rows = [
            {
                "Readers": " and ".join(p["readers"]),
                "Cells": p["n"],
                "The same": f"{p['agreed']:.1%}",
                "Kappa": _number(p),
            }
            for p in found["pairs"]
        ]
        if found["fleiss"]:
            rows.append(
                {
                    "Readers": "all (Fleiss)",
                    "Cells": found["fleiss"]["n"],
                    "The same": f"{found['fleiss']['agreed']:.1%}",
                    "Kappa": _number(found["fleiss"]),
                }
            )
        st.dataframe(pd.DataFrame(rows), hide_index=True, alt="Kappas")
        over = "patients" if readings.patients else "cells"
        st.caption(f"Percentiles of 2,000 bootstrap samples over {over}.")
    if found["classes"]:
        with st.expander("Per class (Fleiss' kappa of one class against the others)"):
            st.dataframe(
                pd.DataFrame(
                    {"Class": name.replace("_", " "), "Kappa": _number(k)}
                    for name, k in found["classes"].items()
                ),
                hide_index=True,
                alt="Kappa of each class",
            )


def _show_machine(found: dict, name: str) -> None:
    low, high = found["interval"]
    verdict = machine_verdict(found, f"**{plain(name)}**")
    st.markdown(
        f"{verdict[:1].upper()}{verdict[1:]}: mean kappa {found['machine']:.3f}, among readers "
        f"{found['readers']:.3f}, difference {found['difference']:+.3f} "
        f"({low:+.3f} to {high:+.3f}), n\N{NO-BREAK SPACE}=\N{NO-BREAK SPACE}{found['n']:,}."
    )


def _show_disagreements(readings: Readings, content: bytes, staged: bool) -> None:
    table = disagreements(readings, costs(readings.classes, STAGES if staged else ()))
    st.subheader(f"Disagreements ({len(table):,})", anchor=False)
    if table.empty:
        st.success("No cell was called differently.", icon=":material/check:")
        return
    mark = hashlib.sha256(content).hexdigest()[:16]
    path = workspace().verifications / "adjudications" / f"{mark}.json"
    decided = read_json(path) if path.exists() else {}
    shown = table.head(SHOWN).copy()
    shown["decided"] = [decided.get(c, {}).get("label", "") for c in shown["cell"]]
    shown["reason"] = [decided.get(c, {}).get("reason", "") for c in shown["cell"]]
    pictures = _pictures(list(shown["cell"]))
    if any(pictures):
        shown.insert(0, "image", pictures)
    by = st.text_input("Who decides", key="adjudicator", placeholder="name of the third reader")
    edited = st.data_editor(
        shown,
        hide_index=True,
        key=f"disagreements_{mark}",
        disabled=[c for c in shown.columns if c not in ("decided", "reason")],
        column_config={
            "image": st.column_config.ImageColumn("", width="small"),
            "cost": st.column_config.NumberColumn("cost", format="%.2f"),
            "decided": st.column_config.SelectboxColumn(
                "decided", options=["", *readings.classes], required=False
            ),
        },
    )
    chosen = {
        row["cell"]: {"label": row["decided"], "reason": row["reason"] or "", "by": by}
        for _, row in edited.iterrows()
        if row["decided"]
    }
    before = {c: d for c, d in decided.items() if c in set(shown["cell"])}
    with st.container(horizontal=True):
        changed = {c: (d["label"], d["reason"]) for c, d in chosen.items()} != {
            c: (d["label"], d["reason"]) for c, d in before.items()
        }
        if st.button("Save decisions", disabled=not (changed and by.strip()), type="primary"):
            kept = {c: d for c, d in decided.items() if c not in set(shown["cell"])}
            for cell, decision in chosen.items():
                same = before.get(cell, {}).get("label") == decision["label"]
                kept[cell] = decision | {"by": before[cell]["by"] if same else by.strip()}
            write_json(path, kept)
            st.rerun()
        labels = consensus(readings, {c: d["label"] for c, d in decided.items()})
        lines = [
            [
                c,
                label,
                decided.get(c, {}).get("by", "majority"),
                decided.get(c, {}).get("reason", ""),
            ]
            for c, label in labels.items()
        ]
        st.download_button(
            f"Consensus (CSV, {len(labels):,} of {len(readings.cells):,} cells)",
            csv_text(["file", "label", "decided_by", "reason"], lines),
            "consensus.csv",
            "text/csv",
            icon=":material/download:",
            on_click="ignore",
        )
    if len(table) > SHOWN:
        st.caption(f"The {SHOWN} dearest of {len(table):,} are shown; decide them to see others.")
    elif changed and not by.strip():
        st.caption("Name who decides to save the decisions.")


def _pictures(cells: list[str]) -> list[str | None]:
    """Pictures of cells that the active dataset has under the same name."""
    dataset = active_dataset()
    if dataset is None:
        return [None] * len(cells)
    names = pd.Index(dataset.items["name"].map(lambda n: Path(str(n)).name))
    if not names.is_unique:
        return [None] * len(cells)
    places = names.get_indexer([Path(c).name for c in cells])
    return [thumbnail(dataset.images[p]) if p >= 0 else None for p in places]
