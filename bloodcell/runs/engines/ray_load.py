"""What a job of a Ray has to be sent where its node does not see the workspace.

The program, the dataset, and of the run what it goes on from. Whatever it learns from besides
(weights, a teacher) is sent too, and its config names it relative to the workspace on the node.
"""

import json
import os
from dataclasses import dataclass, replace
from pathlib import Path

from bloodcell.data.store.dataset import open_dataset
from bloodcell.errors import BadInput
from bloodcell.runs.engines.ray_packages import Package, cut, plan_of
from bloodcell.runs.preflight import DOWNLOADED
from bloodcell.runs.process import ROOT
from bloodcell.runs.run import Run
from bloodcell.training.checkpoint import best_epoch
from bloodcell.training.config import InitialWeights, TrainConfig
from bloodcell.workspace import Workspace

__all__ = ["PLAN", "Load", "load_of"]

PLAN = "plan.json"
# Of a dataset, beside its images; what was derived from it is not trained on.
ABOUT = ("labels.npy", "items.csv", "dataset.json", "curation.json")
# Of a run, beside its config and its checkpoint.
RUN = ("status.json", "metrics.jsonl", "train.log")
# Any of them goes on without initial weights.
STATES = ("next", "state", "previous")
# What shows a run's metrics elsewhere is fed from here.
NOT_SENT = ("trackers", "mirrors")

Files = dict[str, Path | bytes]


@dataclass(frozen=True)
class Load:
    """What is sent for a job.

    Attributes:
        program: the package that it begins in.
        plan: the package that says what the others become.
        files: the others.
    """

    program: Package
    plan: Package
    files: tuple[Package, ...]

    @property
    def packages(self) -> tuple[Package, ...]:
        return (self.program, *self.files, self.plan)


def load_of(workspace: Workspace, run: Run) -> Load:
    """What a run needs on a node that has the libraries, and nothing else of ours.

    Raises:
        BadInput: something that it needs is not there.
        NotFound: its dataset is gone.
    """
    try:
        config, needs = _needs(run, run.config())
        dataset = open_dataset(workspace, config.dataset)
        name = dataset.path.name
        config = replace(config, dataset=f"datasets/{name}")
        about = {f: p for f in ABOUT if (p := dataset.path / f).is_file()}
        # Apart: a decision more does not have all images sent again.
        images = cut({"images.npy": dataset.path / "images.npy"})
        data_packages, packages = [*images, *cut(about)], cut({**needs, **_of_run(run, config)})
        said = {
            "run": f"runs/{run.id}",
            "dataset": f"datasets/{name}",
            "dataset_files": plan_of(data_packages),
            "files": plan_of(packages),
        }
        (program,) = cut(_program())
    except FileNotFoundError as error:
        raise BadInput(
            f"{error.filename}, which run {run.id} needs, is not there to be sent to Ray: restore "
            "it, or start another run."
        ) from error
    (plan,) = cut({PLAN: json.dumps(said).encode()})
    return Load(program, plan, (*data_packages, *packages))


def _program() -> Files:
    found = (ROOT / "bloodcell").rglob("*")
    sources = [p for p in found if p.is_file() and "__pycache__" not in p.parts]
    return {p.relative_to(ROOT).as_posix(): p for p in sources}


def _of_run(run: Run, config: TrainConfig) -> Files:
    record = {k: v for k, v in run.record().items() if k not in NOT_SENT}
    found: Files = {"config.json": json.dumps({**record, "config": config.to_json()}).encode()}
    found |= {name: path for name in RUN if (path := run.path / name).is_file()}
    found |= {f"checkpoint/{p.name}": p for p in run.checkpoint.glob("[!.]*.npz")}
    return {f"runs/{run.id}/{name}": source for name, source in found.items()}


def _needs(run: Run, config: TrainConfig) -> tuple[TrainConfig, Files]:
    """A config that names what it learns from as the node has it, and these files."""
    found: Files = {}
    # A continued training has its weights in the checkpoint.
    saved = any((run.checkpoint / f"{name}.npz").exists() for name in STATES)
    start = InitialWeights.parse("none" if saved else config.weights)
    if start.kind == "imagenet":
        folder = Path(os.environ.get("KERAS_HOME") or "~/.keras").expanduser() / "models"
        here = folder.glob(DOWNLOADED.get(config.backbone, "nothing"))
        found |= {f"keras/models/{path.name}": path for path in here}
    elif start.sources:
        paths = [_present(Path(text).expanduser()) for text in start.sources]
        names = tuple(f"needs/{i}/{path.name}" for i, path in enumerate(paths))
        found |= dict(zip(names, paths, strict=True))
        config = replace(config, weights=InitialWeights(start.kind, names).text)
    if config.teacher:
        found["needs/teacher/model.keras"] = Path(config.teacher)
        config = replace(config, teacher="needs/teacher/model.keras")
    return config, found


def _present(path: Path) -> Path:
    """The file that is meant: the other run may have gone on since, and found a better epoch."""
    if path.suffix == ".npz" and not path.exists():
        return best_epoch(path.parent) or path
    return path
