"""How a person chose to divide a dataset: the default of the runs on it.

They lie in ``DATASET/split.json``. A run records what it was split with, so that a later choice
changes nothing about it.
"""

from collections.abc import Sequence

from bloodcell.data.split import BY, SHARES, SplitRule, check_by, check_shares
from bloodcell.data.store.dataset import Dataset
from bloodcell.errors import BadInput, ReadOnly
from bloodcell.files import read_json, write_json

__all__ = ["choose_split", "chosen_rule", "chosen_split"]

LARGEST_SEED = 2**31 - 1


def _sound_seed(seed: object) -> bool:
    return type(seed) is int and 0 <= seed <= LARGEST_SEED


def choose_split(
    dataset: Dataset, seed: int, shares: Sequence[float], by: str = BY[0], hold_out: str = ""
) -> None:
    """Keep how a dataset is divided beside it.

    Args:
        shares: of train, validation and test.
        by, hold_out: see :class:`bloodcell.data.split.SplitRule`.

    Raises:
        BadInput: a value cannot be used, the dataset does not know such groups, or it may only be
            read.
    """
    check_shares(shares)
    check_by(by, hold_out)
    if not _sound_seed(seed):
        raise BadInput(f"The split seed {seed!r} cannot be used: give 0 to {LARGEST_SEED}.")
    chosen = {"seed": seed, "shares": list(shares)}
    if by != BY[0] or hold_out:
        SplitRule(seed, tuple(shares), by=by, hold_out=hold_out).split(dataset)
        chosen |= {"by": by, "hold_out": hold_out}
    try:
        write_json(dataset.path / "split.json", chosen, dataset.path)
    except ReadOnly as error:
        raise BadInput(
            f"{dataset.path} may only be read: give seed and shares when a run is started."
        ) from error


def chosen_split(dataset: Dataset) -> tuple[int, tuple[float, float, float]]:
    """(seed, shares) as chosen for this dataset, see :func:`chosen_rule`."""
    rule = chosen_rule(dataset)
    return rule.seed, rule.shares


def chosen_rule(dataset: Dataset) -> SplitRule:
    """How this dataset is to be divided; by image with seed 0 and SHARES until it is chosen.

    Raises:
        BadInput: ``split.json`` holds something else.
    """
    path = dataset.path / "split.json"
    if not path.exists():
        return SplitRule(0, SHARES)
    found = read_json(path)
    if not isinstance(found, dict) or not _sound_seed(found.get("seed")):
        raise BadInput(
            f"{path} holds {found!r}, expected a seed from 0 to {LARGEST_SEED} and three shares: "
            "mend or remove it."
        )
    check_shares(found.get("shares"))
    by, hold_out = found.get("by", BY[0]), found.get("hold_out", "")
    check_by(by, hold_out)
    return SplitRule(found["seed"], tuple(found["shares"]), by=by, hold_out=hold_out)
