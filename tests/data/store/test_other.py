"""What is labelled as none of the eight (-1) is kept, and is never taken for a class."""

import numpy as np
import pytest

from bloodcell.audit import audit
from bloodcell.classes import LABEL_NAMES, OTHER, class_id, label_id, title
from bloodcell.data.split import make_split
from bloodcell.data.store.dataset import new_dataset, open_dataset
from bloodcell.data.store.decisions import decisions_csv, import_decisions
from bloodcell.data.store.pixels import class_pixels
from bloodcell.data.synthetic.drawing.draw import draw_cell
from bloodcell.workspace import Workspace

EACH = 12
PLATELET = 7


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    """Twelve monocytes, platelets and others, drawn; the others are drawn as basophils."""
    workspace = Workspace(tmp_path_factory.mktemp("other"))
    with new_dataset(workspace, "d", (32, 32), "drawn", "none") as writer:
        for label, looks in ((5, 5), (PLATELET, 7), (OTHER, 0)):
            for i in range(EACH):
                image = draw_cell(looks, np.random.default_rng([looks, i]), 32)
                writer.add(image, label, f"{LABEL_NAMES[label]}/{i}")
    return open_dataset(workspace, "d")


def test_it_has_a_name_and_is_no_class():
    assert (label_id("Other"), class_id("other")) == (OTHER, None)
    assert (LABEL_NAMES[OTHER], title(OTHER)) == ("other", "Other")


def test_it_is_counted_beside_the_classes(dataset):
    assert dataset.counts()["other"] == EACH
    assert dataset.counts()["platelet"] == EACH


def test_it_has_parts_but_is_in_none_that_is_trained_or_judged(dataset):
    split = make_split(dataset)
    for part in ("train", "validation", "test", "all"):
        assert (dataset.labels[split.indices(part)] >= 0).all()
        assert set(dataset.labels[split.others(part)]) == {OTHER}
    assert len(split.others("all")) + len(split.indices("all")) == len(dataset)


def test_the_colours_of_a_class_are_without_it(dataset):
    found = class_pixels(dataset)
    assert found.n.tolist() == [0, 0, 0, 0, 0, EACH, 0, EACH]
    alike = dataset.images[dataset.labels == PLATELET].sum(axis=0, dtype=np.int64)
    np.testing.assert_array_equal(found.sums[PLATELET], alike)


def test_the_audit_neither_doubts_it_nor_learns_from_it(dataset):
    found = audit(dataset)
    others = set(np.flatnonzero(dataset.labels == OTHER).tolist())
    doubted = {f.index for f in found.findings if f.kind in ("outlier", "suspect_label")}
    assert not doubted & others
    assert all(not others & set(typical) for typical in found.typical.values())


def test_a_cell_can_be_given_the_label_and_the_decision_travels(dataset, tmp_path):
    workspace = Workspace(tmp_path)
    for name in ("a", "b"):
        with new_dataset(workspace, name, (32, 32), "drawn", "none") as writer:
            for i in range(3):
                writer.add(dataset.images[i], 5, str(i))
    a, b = (open_dataset(workspace, name) for name in ("a", "b"))
    a.curation.relabel([1], OTHER, "a blast")
    import_decisions(b, decisions_csv(a), "a.csv")
    assert open_dataset(workspace, "b").labels.tolist() == [5, OTHER, 5]
