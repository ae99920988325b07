"""The checklist says of the judged cells only what the files can know."""

from pathlib import Path

from bloodcell.data.store.dataset import Dataset, new_dataset, open_dataset
from bloodcell.data.synthetic.demo import make_demo
from bloodcell.ensemble.ensemble import Ensemble
from bloodcell.evaluation.checklist import Item, checklist
from bloodcell.evaluation.evaluate import evaluate
from bloodcell.workspace import Workspace


def away(first: Ensemble, dataset: Dataset, part: str = "all") -> Item:
    items = checklist(first.description, dataset, evaluate(first, dataset, part))
    return next(i for i in items if i.topic == "Cells from another laboratory")


def test_the_cells_of_the_training_are_home(first: Ensemble, own: Dataset):
    found = away(first, own, "test")
    assert not found.known
    assert "home, not away" in found.answer


def test_the_same_source_with_other_pixels_is_left_open(first: Ensemble, tmp_path: Path):
    make_demo(Workspace(tmp_path), "small", per_class=4, size=32)
    found = away(first, open_dataset(Workspace(tmp_path), "small"))
    assert not found.known
    assert "whether it shows other cells cannot be told" in found.answer


def test_another_source_is_away_as_far_as_pixels_tell(first: Ensemble, own: Dataset, tmp_path):
    workspace = Workspace(tmp_path)
    with new_dataset(workspace, "other", own.size, "elsewhere.zip", "none") as writer:
        for i in range(0, len(own), 8):
            writer.add(own.images[i] // 2, int(own.labels[i]), f"{i}.png")
    found = away(first, open_dataset(workspace, "other"))
    assert found.known
    assert "no member saw an image with the same pixels" in found.answer
