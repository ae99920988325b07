"""Seed and shares that a person chose for a dataset: the default of the runs on it.

They lie in ``DATASET/split.json``. A run records what it was split with, so that a later choice
changes nothing about it.
"""

from collections.abc import Sequence

from bloodcell.data.split import SHARES, check_shares
from bloodcell.data.store.dataset import Dataset
from bloodcell.errors import BadInput, ReadOnly
from bloodcell.files import read_json, write_json

__all__ = ["choose_split", "chosen_split"]

LARGEST_SEED = 2**31 - 1


def _sound_seed(seed: object) -> bool:
    return type(seed) is int and 0 <= seed <= LARGEST_SEED


def choose_split(dataset: Dataset, seed: int, shares: Sequence[float]) -> None:
    """Keep seed and shares (train, validation, test) beside the dataset.

    Raises:
        BadInput: the seed or the shares cannot be used, or the dataset may only be read.
    """
    check_shares(shares)
    if not _sound_seed(seed):
        raise BadInput(f"The split seed {seed!r} cannot be used: give 0 to {LARGEST_SEED}.")
    try:
        chosen = {"seed": seed, "shares": list(shares)}
        write_json(dataset.path / "split.json", chosen, dataset.path)
    except ReadOnly as error:
        raise BadInput(
            f"{dataset.path} may only be read: give seed and shares when a run is started."
        ) from error


def chosen_split(dataset: Dataset) -> tuple[int, tuple[float, float, float]]:
    """(seed, shares) as chosen for this dataset; 0 and SHARES until then.

    Raises:
        BadInput: ``split.json`` holds something else.
    """
    path = dataset.path / "split.json"
    if not path.exists():
        return 0, SHARES
    found = read_json(path)
    if not isinstance(found, dict) or not _sound_seed(found.get("seed")):
        raise BadInput(
            f"{path} holds {found!r}, expected a seed from 0 to {LARGEST_SEED} and three shares: "
            "mend or remove it."
        )
    check_shares(found.get("shares"))
    return found["seed"], tuple(found["shares"])
