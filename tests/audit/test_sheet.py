"""The contact sheet: the surest findings of an audit as one picture."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bloodcell.audit import Audit
from bloodcell.audit.sheet import GAP, HEAD, SIDE, contact_sheet, write_sheet
from bloodcell.data.store.dataset import Dataset
from bloodcell.errors import BadInput


def test_it_begins_with_the_most_doubtful_label(faulty: Dataset, audited: Audit, tmp_path: Path):
    write_sheet(faulty, audited, tmp_path / "sheet.png", each=5)
    sheet = np.asarray(Image.open(tmp_path / "sheet.png"))
    first = next(f for f in audited.findings if f.kind == "suspect_label")
    tile = sheet[HEAD : HEAD + SIDE, GAP : GAP + SIDE]
    there = Image.fromarray(np.ascontiguousarray(faulty.images[first.index]))
    np.testing.assert_array_equal(tile, there.resize((SIDE, SIDE), Image.Resampling.BICUBIC))


def test_a_repeated_picture_is_shown_once(faulty: Dataset, audited: Audit):
    outliers = [f for f in audited.findings if f.kind == "outlier"]
    strange = {faulty.hashes[f.index] for f in outliers}
    assert len(strange) < len(outliers)
    only = replace(audited, findings=tuple(outliers))
    heights = {n: contact_sheet(faulty, only, n).size[1] for n in (1, len(strange), 400)}
    assert heights[len(strange)] == heights[400]


def test_an_audit_without_findings_is_an_empty_sheet(demo_home: Path):
    from bloodcell.audit import audit
    from bloodcell.data.store.dataset import open_dataset
    from bloodcell.workspace import Workspace

    demo = open_dataset(Workspace(demo_home), "demo")
    assert contact_sheet(demo, audit(demo, kinds=["exact_duplicate"])).size[1] > 2 * HEAD


def test_another_format_is_refused_in_a_sentence(faulty: Dataset, audited: Audit, tmp_path: Path):
    with pytest.raises(BadInput, match=r"sheet\.gif .*\.png"):
        write_sheet(faulty, audited, tmp_path / "sheet.gif")
