"""Dataset page, about: where the images are from, and what identifies them."""

from typing import Any

import pandas as pd
import streamlit as st

from bloodcell.data.readers.manifest import manifest_text
from bloodcell.data.readers.strays import passed_over_text
from bloodcell.data.store.dataset import Dataset
from bloodcell.data.store.merge import merge_text
from bloodcell.ui.common.format import plain

__all__ = ["show_about"]


def show_about(dataset: Dataset) -> None:
    """Source, sizes before the import, fingerprints."""
    info = dataset.info
    height, width = dataset.size
    shown = {
        "Source": str(info.get("source", "")),
        "Imported": str(info.get("created", ""))[:16].replace("T", " "),
        "Images": f"{len(dataset):,} of {width}×{height} pixels, RGB, 8 bits a channel",
        "Crop": str(info.get("crop", "")),
        "Folder": str(dataset.path),
        "On disk": f"{(dataset.path / 'images.npy').stat().st_size / 2**20:,.0f} MiB, "
        "read piece by piece",
    }
    if values := info.get("source_values"):
        shown["Pixel values in the source"] = str(values)
    st.table(
        pd.DataFrame({"": shown.values()}, index=list(shown)), border="horizontal", hide_header=True
    )
    _show_sizes(info.get("source_sizes") or {})
    _show_skipped(info.get("skipped") or [])
    if matched := info.get("manifest"):
        st.markdown(f"**Manifest** {plain(manifest_text(matched), 2000)}")
    if merged := info.get("merged"):
        st.markdown("**Merged** from " + plain(merge_text(merged), 2000))
    _show_notes(info)
    st.markdown(
        "**Fingerprint of the images and labels**, the same wherever this dataset is imported"
    )
    st.code(dataset.fingerprint, language=None, wrap_lines=True)
    st.markdown("**Fingerprint of the decisions**")
    st.code(dataset.curation.fingerprint, language=None, wrap_lines=True)
    with st.expander("dataset.json"):
        st.json(info, expanded=1)


def _show_sizes(sizes: dict[str, int]) -> None:
    if not sizes:
        return
    st.markdown("**Original sizes**, the most frequent first")
    if len(sizes) == 1:
        st.caption(f"All {next(iter(sizes.values())):,}: {next(iter(sizes)).replace('x', '×')}")
        return
    total = sum(sizes.values())
    table = pd.DataFrame(
        {
            "width×height": [size.replace("x", "×") for size in sizes],
            "images": sizes.values(),
            "share": [100 * n / total for n in sizes.values()],
        }
    )
    st.dataframe(
        table,
        hide_index=True,
        key="source_sizes",
        column_config={
            "share": st.column_config.ProgressColumn(format="%.1f %%", min_value=0, max_value=100)
        },
    )


def _show_notes(info: dict[str, Any]) -> None:
    """What the import noticed, and what it did not take for photographs."""
    for note in info.get("notes") or []:
        st.info(plain(str(note)), icon=":material/info:")
    passed = info.get("passed_over") or {}
    if passed.get("n"):
        st.caption(plain(passed_over_text(passed["names"], passed["n"])))
    if info.get("left_out"):
        st.caption(f"Left out on request: {info['left_out']:,} images.")


def _show_skipped(skipped: list[dict[str, str]]) -> None:
    if not skipped:
        return
    with st.expander(f"Skipped at import: {len(skipped):,} files that could not be decoded"):
        st.dataframe(pd.DataFrame(skipped), hide_index=True, key="skipped")
