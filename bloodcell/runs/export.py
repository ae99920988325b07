"""A run's folder as a zip, written piece by piece so that its size does not matter."""

import zipfile
from pathlib import Path
from typing import IO

from bloodcell.errors import NameTaken
from bloodcell.files import replacing
from bloodcell.runs.run import Run

__all__ = ["export_run", "write_run_zip"]

CHUNK = 1 << 20
# What belongs to a process and not to the run.
LEFT_OUT = {"lock", "stop", "job.json", "slurm"}


def write_run_zip(run: Run, file: IO[bytes], *, checkpoint: bool = True) -> None:
    """Write a run's folder as a zip to an open file, which need not be seekable.

    Args:
        checkpoint: with the training state, without which it cannot be continued elsewhere.
    """
    # The clock may have been wrong when a file was written: zip knows no time before 1980.
    with zipfile.ZipFile(
        file, "w", zipfile.ZIP_DEFLATED, compresslevel=1, strict_timestamps=False
    ) as packed:
        for path in sorted(run.path.rglob("*")):
            inside = path.relative_to(run.path)
            hidden = any(part.startswith(".") for part in inside.parts)
            if hidden or inside.parts[0] in LEFT_OUT or not path.is_file() or path.is_symlink():
                continue
            if inside.parts[0] == "checkpoint" and not checkpoint:
                continue
            info = zipfile.ZipInfo.from_file(
                path, f"{run.id}/{inside.as_posix()}", strict_timestamps=False
            )
            info.compress_type = zipfile.ZIP_DEFLATED
            # A checkpoint that is replaced meanwhile is read to its end as it was.
            with path.open("rb") as source, packed.open(info, "w", force_zip64=True) as target:
                while block := source.read(CHUNK):
                    target.write(block)


def export_run(run: Run, path: Path, *, checkpoint: bool = True) -> Path:
    """Write a run's folder to a new zip at `path`, whole or not at all.

    Raises:
        NameTaken: there is something at `path`.
        NoSpace: the disk is full.
    """
    if path.exists():
        raise NameTaken(f"{path} is there already: choose another name or remove it first.")
    with replacing(path) as temporary, temporary.open("wb") as file:
        write_run_zip(run, file, checkpoint=checkpoint)
    return path
