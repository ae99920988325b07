"""A sweep that looks for good values: its space, its trials, and which values come next.

``sweeps/NAME.json`` holds what was asked for. The trials are runs of the one queue, whose
``config.json`` names the sweep; all that a sweep knows of them it reads from their folders, so
that it goes on after any kill. The values come from Optuna (TPE), which is told nothing but the
validation losses that are in ``metrics.jsonl`` anyway; a trial that is worse at its epoch than
the median of the others is stopped. The test part is never looked at, and the split never varied.
"""

import dataclasses
import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from bloodcell.errors import BadInput, BloodCellError
from bloodcell.files import read_json, write_json
from bloodcell.locks import changing, locked
from bloodcell.people import who
from bloodcell.runs.labels import write_labels
from bloodcell.runs.launch import ask_to_stop, prepare
from bloodcell.runs.preflight import check_config
from bloodcell.runs.queue import cancel, check_engine, enqueue, read_order, settings, slots_of
from bloodcell.runs.run import ACTIVE, Run
from bloodcell.training.config import TrainConfig, make_config
from bloodcell.workspace import Workspace, check_name

if TYPE_CHECKING:
    import optuna

__all__ = [
    "MOST_TRIALS",
    "Axis",
    "Sweep",
    "Trial",
    "advance",
    "change_sweep",
    "importances",
    "is_sweeping",
    "list_sweeps",
    "make_sweep",
    "open_sweep",
    "parse_space",
    "remove_sweep",
    "resume_sweep",
    "stop_sweep",
    "trials_of",
]

MOST_TRIALS = 1000
# So many fail before anything else was seen: it is the sweep that is wrong.
FIRST_FAILURES = 3
PRUNED = "pruned: "
_NEVER = ("dataset", "preset", "time_budget")
_STATES = ("active", "stopped", "done")


@dataclass(frozen=True)
class Axis:
    """The values of one field of the config that a sweep may choose.

    Attributes:
        key: the field.
        choices: these; or, where there are none, any number from `low` to `high`.
        log: drawn by their logarithm.
        whole: whole numbers only.
    """

    key: str
    choices: tuple[Any, ...] = ()
    low: float = 0.0
    high: float = 0.0
    log: bool = False
    whole: bool = False

    def distribution(self) -> "optuna.distributions.BaseDistribution":
        from optuna.distributions import (
            CategoricalDistribution,
            FloatDistribution,
            IntDistribution,
        )

        if self.choices:
            return CategoricalDistribution(self.choices)
        if self.whole:
            return IntDistribution(int(self.low), int(self.high), log=self.log)
        return FloatDistribution(self.low, self.high, log=self.log)

    def ends(self) -> tuple[Any, ...]:
        """Values that have to be possible for all of them to be."""
        if self.choices:
            return self.choices
        return (int(self.low), int(self.high)) if self.whole else (self.low, self.high)


def parse_space(texts: Sequence[str]) -> tuple[Axis, ...]:
    """Read ``learning-rate=1e-4:1e-3:log``, ``epochs=4:12`` or ``policy=gentle,strong``.

    Raises:
        BadInput: there is no such field, it cannot be varied, or these are no values of it.
    """
    found: dict[str, Axis] = {}
    types = {f.name: f.type for f in dataclasses.fields(TrainConfig)}
    for text in texts:
        name, equals, values = text.partition("=")
        key = name.strip().replace("-", "_")
        if not equals or not values.strip():
            raise BadInput(
                f"--sweep {text!r} is no axis: expected KEY=LOW:HIGH, KEY=LOW:HIGH:log or "
                "KEY=VALUE,VALUE."
            )
        if key not in types or key in _NEVER or key.startswith("split_"):
            raise BadInput(
                f"A sweep cannot vary {name.strip()}: expected a setting of the training such as "
                "learning-rate, weight-decay, dropout, policy, backbone or seed. The split stays, "
                "so that all trials are judged on the same images."
            )
        if key in found:
            raise BadInput(f"--sweep {key} is given twice: give all of its values in one.")
        found[key] = _axis(key, types[key], values.strip())
    return tuple(found.values())


def _axis(key: str, kind: Any, text: str) -> Axis:
    whole = kind is int
    if kind in (int, float) and ":" in text:
        low, high, *how = text.split(":")
        try:
            ends = (float(low), float(high))
        except ValueError:
            ends = (math.nan, math.nan)
        log = how == ["log"]
        sound = ends[0] < ends[1] and (not how or log) and not (log and ends[0] <= 0)
        if not sound or (whole and not all(e.is_integer() for e in ends)):
            raise BadInput(
                f"{text!r} is no range of {key}: expected LOW:HIGH with LOW below HIGH, and with "
                ":log both above 0."
            )
        return Axis(key, (), *ends, log=log, whole=whole)
    try:
        read = int if whole else float if kind is float else str
        choices = tuple(read(part.strip()) for part in text.split(",") if part.strip())
    except ValueError as error:
        raise BadInput(
            f"{text!r} are no values of {key}: expected numbers such as 1,2,3 or LOW:HIGH."
        ) from error
    if len(set(choices)) < len(choices):
        raise BadInput(f"{text!r} has a value of {key} twice: give each once.")
    return Axis(key, choices)


@dataclass(frozen=True)
class Sweep:
    """What was asked for.

    Attributes:
        name: of the file, and a tag of its runs.
        axes: what is varied.
        base: the config of a trial but for that, by backbone ("" where that is not varied).
        trials: how many runs in all.
        grid: all combinations of choices one after the other, instead of what seems best.
        pruning: whether trials that are worse than the median are stopped.
        engine: what carries them out; "" for the workspace's.
        state: "active", "stopped" (by a person, or as it cannot go on) or "done".
        reason: why it was stopped.
        launched_by: the person, where it is known.
    """

    name: str
    axes: tuple[Axis, ...]
    base: Mapping[str, Mapping[str, Any]]
    trials: int
    grid: bool = False
    pruning: bool = True
    seed: int = 0
    engine: str = ""
    state: str = "active"
    reason: str = ""
    launched_by: str = ""
    created: float = field(default_factory=lambda: datetime.now(UTC).timestamp())

    def config(self, values: Mapping[str, Any]) -> TrainConfig:
        """The config of a trial with these values."""
        base = self.base[values["backbone"] if "" not in self.base else ""]
        return TrainConfig.from_json({**base, **values})


@dataclass(frozen=True)
class Trial:
    """A run of a sweep.

    Attributes:
        number: from 0, in the order they were made.
        values: of the axes.
        state: "waiting", "running", "complete", "pruned", "stopped" or "failed".
        losses: validation loss at its best temperature after each epoch.
    """

    run: Run
    number: int
    values: dict[str, Any]
    state: str
    losses: tuple[float, ...]
    accuracy: float | None

    @property
    def value(self) -> float | None:
        """The lowest validation loss so far: what a sweep makes small."""
        return min(self.losses, default=None)


def make_sweep(
    workspace: Workspace,
    axes: Sequence[Axis],
    dataset: str,
    preset: str = "fast",
    trials: int | None = None,
    *,
    name: str = "",
    pruning: bool = True,
    engine: str | None = None,
    **given: Any,
) -> Sweep:
    """Write down a sweep; the supervisor makes and queues its runs.

    Args:
        trials: how many; of choices alone, all combinations where none are given.
        given: as of :func:`bloodcell.training.config.make_config`.

    Raises:
        BadInput: a value is out of range, or Optuna is needed and missing.
        NameTaken: there is a sweep of that name.
    """
    if not axes:
        raise BadInput("A sweep varies nothing: give at least one line such as dropout=0:0.4.")
    if engine is not None:
        check_engine(engine)
    grid = trials is None and all(axis.choices for axis in axes)
    if trials is None and not grid:
        raise BadInput("A sweep over a range needs --trials: say how many runs it may take.")
    number = math.prod(len(axis.choices) for axis in axes) if grid else int(trials or 0)
    if not 1 <= number <= MOST_TRIALS:
        raise BadInput(f"A sweep of {number:,} trials: expected 1 to {MOST_TRIALS:,}.")
    if not grid:
        _optuna()
    backbones = next((axis.choices for axis in axes if axis.key == "backbone"), ("",))
    base = {
        b: make_config(dataset, preset, **{**given, **({"backbone": b} if b else {})}).to_json()
        for b in backbones
    }
    name = name or f"sweep-{datetime.now(UTC):%m%d-%H%M%S}"
    made = Sweep(
        check_name(name, "sweep"),
        tuple(axes),
        base,
        number,
        grid,
        pruning,
        engine=engine or "",
        launched_by=who(),
    )
    first = {axis.key: axis.ends()[0] for axis in axes}
    for axis in axes:
        for value in axis.ends():
            check_config(workspace, made.config({**first, axis.key: value}))
    path = workspace.new("sweeps", f"{name}.json")
    write_json(path, asdict(made))
    return made


def open_sweep(workspace: Workspace, name: str) -> Sweep:
    """Read a sweep.

    Raises:
        NotFound: there is none of that name.
        BadInput: its file is damaged.
    """
    path = workspace.find("sweeps", f"{name.removesuffix('.json')}.json")
    found = read_json(path)
    try:
        axes = tuple(Axis(**{**axis, "choices": tuple(axis["choices"])}) for axis in found["axes"])
        known = {f.name for f in dataclasses.fields(Sweep)}
        values = {k: v for k, v in found.items() if k in known}
        sweep = Sweep(**{**values, "axes": axes, "name": path.stem})
        sound = sweep.state in _STATES and 1 <= sweep.trials <= MOST_TRIALS
        sound = sound and all(isinstance(b, dict) for b in sweep.base.values())
    except (TypeError, KeyError, AttributeError, ValueError) as error:
        raise BadInput(f"{path} is no sweep ({error}): restore it from a copy or remove it.") from (
            error
        )
    if not sound:
        raise BadInput(f"{path} is no sweep: restore it from a copy or remove it.")
    return sweep


def list_sweeps(workspace: Workspace) -> list[Sweep]:
    """All sweeps that can be read, newest first."""
    found = []
    for name in workspace.names("sweeps"):
        try:
            found.append(open_sweep(workspace, name))
        except (BloodCellError, OSError):
            continue
    return sorted(found, key=lambda sweep: -sweep.created)


def is_sweeping(workspace: Workspace) -> bool:
    """Whether a sweep is to go on."""
    return any(sweep.state == "active" for sweep in list_sweeps(workspace))


def change_sweep(workspace: Workspace, name: str, **changes: Any) -> Sweep:
    """Stop a sweep, let it go on, or give it more trials; its runs stay as they are.

    Raises:
        NotFound: there is none of that name.
    """
    path = workspace.find("sweeps", f"{name}.json")
    with changing(path):
        new = dataclasses.replace(open_sweep(workspace, name), **changes)
        if new.grid:
            most = math.prod(len(axis.choices) for axis in new.axes)
            new = dataclasses.replace(new, trials=min(new.trials, most))
        if not 1 <= new.trials <= MOST_TRIALS:
            raise BadInput(f"A sweep of {new.trials:,} trials: expected 1 to {MOST_TRIALS:,}.")
        write_json(path, asdict(new))
    return new


def stop_sweep(workspace: Workspace, sweep: Sweep) -> None:
    """Make no more trials, and stop those that wait or run, with their state saved."""
    change_sweep(workspace, sweep.name, state="stopped", reason=f"stopped by {who() or 'a person'}")
    for trial in trials_of(workspace, sweep):
        if trial.state in ("waiting", "running"):
            cancel(workspace, trial.run)


def resume_sweep(workspace: Workspace, sweep: Sweep) -> None:
    """Let a sweep go on: trials that were stopped or failed are continued, pruned ones are not.

    The caller wakes the supervisor.
    """
    trials = trials_of(workspace, sweep)
    change_sweep(workspace, sweep.name, state="active", reason="")
    again = [trial.run for trial in trials if trial.state in ("stopped", "failed")]
    enqueue(workspace, again, engine=sweep.engine or None)


def remove_sweep(workspace: Workspace, name: str) -> None:
    """Forget a sweep; its runs stay."""
    workspace.find("sweeps", f"{name}.json").unlink(missing_ok=True)


def trials_of(workspace: Workspace, sweep: Sweep) -> list[Trial]:
    """The trials that were made, by number."""
    found = []
    for name in workspace.names("runs"):
        run = Run(workspace.runs / name)
        try:
            record = run.record().get("sweep") or {}
            if record.get("name") == sweep.name:
                found.append(_trial(run, record))
        except (BloodCellError, OSError, KeyError, TypeError):
            continue
    return sorted(found, key=lambda trial: trial.number)


def _trial(run: Run, record: Mapping[str, Any]) -> Trial:
    status, outline = run.status(), run.outline()
    words = {"queued": "waiting", "finished": "complete", "stopped": "stopped"}
    state = "running" if status["state"] in ACTIVE else words.get(status["state"], "failed")
    if state == "stopped" and status.get("reason", "").startswith(PRUNED):
        state = "pruned"
    return Trial(
        run,
        int(record["number"]),
        dict(record["values"]),
        state,
        outline.losses,
        outline.accuracy,
    )


def _optuna() -> Any:
    try:
        import optuna
    except ImportError as error:
        raise BadInput(
            "A sweep needs the library Optuna: install it with "
            "`pip install -r requirements-cluster.txt`, or give choices alone and no --trials."
        ) from error
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna


def _study(sweep: Sweep, trials: Sequence[Trial]) -> Any:
    """What Optuna may know: values and validation losses of the trials so far."""
    optuna = _optuna()
    states = optuna.trial.TrialState
    epochs = max(int(base["epochs"]) for base in sweep.base.values())
    study = optuna.create_study(
        direction="minimize",
        # Trials that still run count as bad ones, so that two at once are not alike.
        sampler=optuna.samplers.TPESampler(
            seed=sweep.seed + len(trials),
            constant_liar=True,
            n_startup_trials=min(10, max(3, sweep.trials // 3)),
        ),
        pruner=optuna.pruners.MedianPruner(n_startup_trials=3, n_warmup_steps=max(1, epochs // 4)),
    )
    distributions = {axis.key: axis.distribution() for axis in sweep.axes}
    for trial in trials:
        told = {"complete": states.COMPLETE, "pruned": states.PRUNED, "stopped": states.PRUNED}
        state = told.get(trial.state, states.RUNNING)
        if trial.state == "failed" or (state is not states.RUNNING and not trial.losses):
            state = states.FAIL
        study.add_trial(
            optuna.trial.create_trial(
                state=state,
                value=trial.value if state is states.COMPLETE else None,
                params=trial.values,
                distributions=distributions,
                intermediate_values=dict(enumerate(trial.losses, 1)),
            )
        )
    return study


def _next_values(sweep: Sweep, trials: Sequence[Trial]) -> dict[str, Any]:
    if sweep.grid:
        points = itertools.product(*(axis.choices for axis in sweep.axes))
        point = next(itertools.islice(points, len(trials), None))
        return dict(zip((axis.key for axis in sweep.axes), point, strict=True))
    asked = _study(sweep, trials).ask({axis.key: axis.distribution() for axis in sweep.axes})
    return dict(asked.params)


def importances(sweep: Sweep, trials: Sequence[Trial]) -> dict[str, float]:
    """How much of what the trials differ by is due to each axis; {} while nobody can tell."""
    if sum(trial.state == "complete" for trial in trials) < 4 or len(sweep.axes) < 2:
        return {}
    optuna = _optuna()
    try:
        return dict(
            optuna.importance.get_param_importances(
                _study(sweep, trials),
                evaluator=optuna.importance.PedAnovaImportanceEvaluator(),
            )
        )
    # All the same, or one value of an axis in all of the best: there is nothing to tell.
    except (ValueError, RuntimeError):
        return {}


def advance(workspace: Workspace) -> bool:
    """Stop hopeless trials and queue the next ones; whether a sweep goes on.

    Called by the supervisor every second, and where a sweep begins.
    """
    names = workspace.names("sweeps")
    if not names:
        return False
    going = False
    with locked(workspace.queue / "sweeps", 0) as got:
        if not got:
            # Somebody else does it just now.
            return True
        for name in names:
            try:
                sweep = open_sweep(workspace, name)
                going = (sweep.state == "active" and _advance(workspace, sweep)) or going
            except (BloodCellError, OSError) as error:
                _give_up(workspace, name, str(error))
    return going


def _give_up(workspace: Workspace, name: str, reason: str) -> None:
    try:
        change_sweep(workspace, name.removesuffix(".json"), state="stopped", reason=reason)
    except (BloodCellError, OSError):
        # Its file is what is wrong; whoever lists it is told.
        return


def _advance(workspace: Workspace, sweep: Sweep) -> bool:
    trials = trials_of(workspace, sweep)
    running = [trial for trial in trials if trial.state == "running"]
    if sweep.pruning and not sweep.grid and any(trial.losses for trial in running):
        study = _study(sweep, trials)
        for trial, told in zip(trials, study.trials, strict=True):
            hopeless = trial in running and trial.losses and study.pruner.prune(study, told)
            if hopeless and not trial.run.stop_path.exists():
                why = f"{PRUNED}worse than the median of {sweep.name} after epoch "
                ask_to_stop(trial.run, reason=f"{why}{len(trial.losses)}")
    failed = [trial for trial in trials if trial.state == "failed"]
    if len(trials) == len(failed) >= FIRST_FAILURES:
        raise BadInput(
            f"all of its first {len(failed)} trials failed, the last one with: "
            f"{failed[-1].run.status().get('reason', '')}"
        )
    engine = sweep.engine or settings(workspace).engine
    busy = sum(trial.state in ("waiting", "running") for trial in trials)
    while len(trials) < sweep.trials and busy < slots_of(workspace, engine):
        values = _next_values(sweep, trials)
        said = {"name": sweep.name, "number": len(trials), "values": values}
        by = {"launched_by": sweep.launched_by} if sweep.launched_by else {}
        run = prepare(workspace, sweep.config(values), sweep=said, **by)
        write_labels(run, tags=(sweep.name,))
        enqueue(workspace, [run], engine=sweep.engine or None)
        trials.append(_trial(run, said))
        busy += 1
    listed = read_order(workspace)
    for trial in trials:
        status = trial.run.status()
        if status["state"] == "queued" and not {"launched", *listed} & {*status, trial.run.id}:
            # Made and not queued: this process was killed in between.
            enqueue(workspace, [trial.run], engine=sweep.engine or None)
    if len(trials) < sweep.trials or busy:
        return True
    change_sweep(workspace, sweep.name, state="done")
    return False
