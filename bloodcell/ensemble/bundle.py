"""An ensemble on disk: a folder, or a single ``.zip`` of it, that needs nothing else.

It holds ``ensemble.json`` (members with weights, temperature, novelty, where it was trained and
measured), ``members/NAME.tflite``, ``members/NAME.features.npy`` (known cells in the member's
feature space) and ``known.npy`` (their identities), ``seen.npy`` (identities of all images that a
member saw in training or validation) and ``card.md``; where it can be adapted to a laboratory also
``home.npz``, and where it was ``adapted.npz`` (see :mod:`bloodcell.ensemble.adapt`). A zip is read
in memory and never unpacked to disk.
"""

import hashlib
import io
import lzma
import re
import struct
import tempfile
import zipfile
import zlib
from pathlib import Path

import numpy as np

from bloodcell.ensemble.description import read_description
from bloodcell.errors import BadInput, NameTaken
from bloodcell.files import load_array, replacing
from bloodcell.workspace import Workspace

__all__ = ["Bundle", "file_checksums", "new_ensemble", "write_zip", "zipped"]

MAX_FILE_BYTES = 512 * 2**20
# Of all files together; what was measured of honest ensembles is below 200 MiB and twice.
MAX_TOTAL_BYTES = 2**30
MAX_RATIO = 50
RATIO_MATTERS_ABOVE = 64 * 2**20
# In one array: known cells become double precision, four times the size that they are kept in.
MOST_VALUES = 2**24
# Of all tables of a ``.npz``; what was measured is below 8 MiB.
MAX_TABLES_BYTES = 128 * 2**20
# Nothing else in a bundle is ever opened, whatever ensemble.json says.
_KNOWN = re.compile(
    r"ensemble\.json|card\.md|(seen|known)\.npy|members/[A-Za-z0-9._-]+\.(tflite|(features|basis|detector)\.npy)"
    r"|(home|adapted)\.npz"
)
# A damaged or hostile zip makes zipfile and its decompressors raise all of these.
_ZIP_ERRORS = (
    OSError,
    KeyError,
    EOFError,
    ValueError,
    RuntimeError,
    MemoryError,
    struct.error,
    zlib.error,
    lzma.LZMAError,
    zipfile.BadZipFile,
)


def file_checksums(folder: Path) -> dict[str, str]:
    """The sha256 of every file in a folder, by its path there: ``files`` of ensemble.json."""
    return {
        file.relative_to(folder).as_posix(): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in sorted(folder.rglob("*"))
        if file.is_file()
    }


class Bundle:
    """Reads the files of an ensemble from a folder or a zip.

    Args:
        path: the folder or the zip.
        content: the zip's bytes if it does not lie on disk.

    Raises:
        BadInput: it is damaged, foreign, or of another version.
    """

    def __init__(self, path: Path, content: bytes | None = None):
        self.path = path
        self._zip: zipfile.ZipFile | None = None
        self._top = ""
        if content is not None or path.is_file():
            self._open_zip(io.BytesIO(content) if content is not None else path)
        self.description = read_description(self.read("ensemble.json"), str(path))

    def _open_zip(self, source: io.BytesIO | Path) -> None:
        try:
            self._zip = zipfile.ZipFile(source)
        except _ZIP_ERRORS as error:
            raise BadInput(
                f"{self.path} is not a readable zip of an ensemble ({error}): "
                "give the .zip or the folder that `python -m bloodcell ensemble` wrote."
            ) from error
        # Zipped from outside, the files lie in a folder of the ensemble's name.
        tops = [n for n in self._zip.namelist() if n.split("/")[-1] == "ensemble.json"]
        if tops:
            self._top = min(tops, key=len).removesuffix("ensemble.json")
        self._check_whole()

    def _check_whole(self) -> None:
        """Refuse a zip that unpacks to more than an ensemble does, before anything is unpacked."""
        top = len(self._top)
        files = [f for f in self._zip.infolist() if _KNOWN.fullmatch(f.filename[top:])]
        total = sum(f.file_size for f in files)
        ratio = total / max(1, sum(f.compress_size for f in files))
        if total > MAX_TOTAL_BYTES or (total > RATIO_MATTERS_ABOVE and ratio > MAX_RATIO):
            largest = max(files, key=lambda f: f.file_size).filename[top:]
            raise BadInput(
                f"{self.path} would unpack to {total / 2**20:,.0f} MiB, {ratio:,.0f} times its "
                f"size, most of it {largest}; expected at most {MAX_TOTAL_BYTES // 2**20:,} MiB "
                f"and {MAX_RATIO} times: do not use it unless you know who made it."
            )

    def read(self, name: str) -> bytes:
        """The bytes of a file of the bundle.

        Raises:
            BadInput: it is missing, too large, damaged, or none that a bundle has.
        """
        missing = BadInput(
            f"{self.path} lacks {name!r} or it is damaged: restore the ensemble from a copy or "
            "make it again with `python -m bloodcell ensemble`."
        )
        if not _KNOWN.fullmatch(name):
            raise missing
        try:
            if self._zip is None:
                file = self.path / name
                if file.stat().st_size > MAX_FILE_BYTES:
                    raise missing
                return file.read_bytes()
            if self._zip.getinfo(self._top + name).file_size > MAX_FILE_BYTES:
                raise missing
            return self._zip.read(self._top + name)
        except _ZIP_ERRORS as error:
            raise missing from error

    def read_checked(self, name: str) -> bytes:
        """Like :meth:`read`, and the bytes are what was written when the bundle was made."""
        content = self.read(name)
        wanted = self.description.files.get(name)
        found = hashlib.sha256(content).hexdigest()
        if found != wanted:
            raise BadInput(
                f"{self.path}: {name} has the checksum {found[:12]}, expected "
                f"{str(wanted)[:12]}: restore the ensemble from a copy or make it again."
            )
        return content

    def arrays(self, name: str) -> dict[str, np.ndarray]:
        """The tables of a checked ``.npz`` file of the bundle, by their names."""
        content = self.read_checked(name)
        again = "restore the ensemble from a copy or make it again."
        try:
            with zipfile.ZipFile(io.BytesIO(content)) as packed:
                size = sum(f.file_size for f in packed.infolist())
            if size > MAX_TABLES_BYTES:
                raise BadInput(
                    f"{self.path}: {name} would unpack to {size / 2**20:,.0f} MiB, expected at "
                    f"most {MAX_TABLES_BYTES // 2**20}: {again}"
                )
            with np.load(io.BytesIO(content), allow_pickle=False) as found:
                return {key: found[key] for key in found.files}
        except BadInput:
            raise
        # As in `array`.
        except Exception as error:
            raise BadInput(
                f"{self.path}: {name} is not readable as arrays ({error}): {again}"
            ) from error

    def array(self, name: str) -> np.ndarray:
        """A checked ``.npy`` file of the bundle."""
        content = self.read_checked(name)
        try:
            found = load_array(io.BytesIO(content))
        except (OSError, ValueError, MemoryError) as error:
            raise BadInput(
                f"{self.path}: {name} is not readable as an array ({error}): "
                "restore the ensemble from a copy or make it again."
            ) from error
        if max(found.size, found.nbytes // 8) > MOST_VALUES:
            raise BadInput(
                f"{self.path}: {name} holds {found.size:,} values, expected at most "
                f"{MOST_VALUES:,}: make the ensemble again."
            )
        return found


def new_ensemble(workspace: Workspace, name: str) -> tuple[Path, Path]:
    """Where an ensemble of a new name may be made: its folder, and the zip beside it.

    Raises:
        BadInput: the name is unusable.
        NameTaken: there is a folder, or a zip that would be taken for this one's.
    """
    path = workspace.new("ensembles", name)
    packed = path.with_name(f"{name}.zip")
    if packed.exists():
        raise NameTaken(
            f"There is a {packed} without a folder {name}: choose another name or move the zip."
        )
    return path, packed


def write_zip(folder: Path, target: Path) -> None:
    """Pack an ensemble's folder into one zip file, the same bytes for the same content."""
    with (
        replacing(target) as temporary,
        zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as packed,
    ):
        for file in sorted(p for p in folder.rglob("*") if p.is_file()):
            name = file.relative_to(folder).as_posix()
            if _KNOWN.fullmatch(name):
                entry = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
                # Weights hardly shrink: packing them is most of the time. A ``.npz`` is packed, so
                # that in a zip that was cut off it is not taken for the zip itself.
                stored = name.endswith(".tflite")
                entry.compress_type = zipfile.ZIP_STORED if stored else zipfile.ZIP_DEFLATED
                packed.writestr(entry, file.read_bytes())


def zipped(folder: Path) -> bytes:
    """An ensemble as one file: the zip beside its folder, or one made now."""
    ready = folder.parent / f"{folder.name}.zip"
    if ready.is_file():
        return ready.read_bytes()
    with tempfile.TemporaryDirectory() as temporary:
        target = Path(temporary) / "ensemble.zip"
        write_zip(folder, target)
        return target.read_bytes()
