"""How a member was trained: every run behind it, as a command and its figures."""

import contextlib
import shlex
from dataclasses import fields
from pathlib import Path
from typing import Any

from bloodcell.errors import BadInput, NotFound
from bloodcell.runs.run import Run, open_run
from bloodcell.training.config import InitialWeights, TrainConfig, preset_values
from bloodcell.workspace import Workspace

__all__ = ["command_of", "recipe_of", "recipe_text"]

# Given by a run's name, a file's name or a number of their own, or not by the verb at all.
APART = ("dataset", "preset", "backbone", "weights", "teacher", "split_shares", "split_fold")
MOST_STAGES = 20


def command_of(run: Run) -> str:
    """The command that trains a run again; of a path, only the last part.

    It does not tell shares of the split other than the usual ones, nor a fold.
    """
    config, record = run.config(), run.record()
    values = config.to_json()
    usual = {f.name: f.default for f in fields(TrainConfig)}
    usual |= preset_values(config.preset, config.backbone)
    weights = record.get("started_from") or Path(config.weights).name
    words = ["--dataset", Path(config.dataset).name, "--backbone", config.backbone]
    if config.preset != usual["preset"]:
        words += ["--preset", config.preset]
    words += ["--weights", weights]
    if "taught_by" in record:
        words += ["--teacher", record["taught_by"]]
    for name, value in values.items():
        # A split chosen for the dataset would take the place of the usual seed.
        if name == "split_seed" or (name not in APART and value != usual[name]):
            text = Path(value).name if name == "policy" else str(value)
            words += [f"--{name.replace('_', '-')}", text]
    return "python -m bloodcell train " + shlex.join(words)


def recipe_of(workspace: Workspace, run: Run) -> list[dict[str, Any]]:
    """The runs that a run started from, the first ones first, and the run itself.

    Each has ``run``, ``command``, ``policy`` (steps), ``commit``, ``seconds``, and by epoch
    ``validation_accuracy`` and ``validation_loss``. Where one is gone, those before it are too.
    """
    found: dict[str, dict[str, Any]] = {}

    def add(run: Run, later: int) -> None:
        if run.id in found or later >= MOST_STAGES:
            return
        stage = _stage(run)
        for name in InitialWeights.of_record(run.record().get("started_from", "")).sources:
            with contextlib.suppress(NotFound, BadInput, OSError):
                add(open_run(workspace, name), later + 1)
        found[run.id] = stage

    add(run, 0)
    return list(found.values())


def _stage(run: Run) -> dict[str, Any]:
    record, metrics = run.record(), run.metrics()
    return {
        "run": run.id,
        "command": command_of(run),
        "policy": record["policy"].get("steps", []),
        "commit": record.get("environment", {}).get("git_commit", ""),
        "seconds": round(sum(m["seconds"] for m in metrics)),
        "validation_accuracy": [round(m["val_accuracy"], 5) for m in metrics],
        "validation_loss": [round(m["val_loss"], 5) for m in metrics],
    }


def recipe_text(members: list[dict[str, Any]]) -> str:
    """The part of a card that says how the members were trained, in Markdown."""
    parts = []
    for member in members:
        stages = member.get("recipe", [])
        if not stages:
            continue
        lines = [f"### {member['name']}", ""]
        for stage in stages:
            curve = ", ".join(f"{100 * a:.1f}" for a in stage["validation_accuracy"])
            lines += [
                f"`{stage['run']}`, {stage['seconds']:,} s of training:",
                "",
                f"    {stage['command']}",
                "",
                f"Validation accuracy by epoch, in per cent: {curve}.",
                "",
            ]
        parts.append("\n".join(lines))
    if not parts:
        return ""
    words = (
        "The steps of every augmentation policy stand in `ensemble.json`, under `recipe`. Runs, "
        "policies\nand files are called what they are called where it was trained.\n"
    )
    return "\n".join(["## Training", "", words, *parts])
