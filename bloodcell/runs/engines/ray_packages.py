"""Files as packages of a Ray: zips that are named by what is in them, so that none is sent twice.

A head takes 100 MiB a request. A larger file is cut into pieces, each in a package of its own; a
node puts them together again by a plan: file → pieces, in order, and the packages they are in.
"""

import hashlib
import os
import shutil
import tempfile
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from io import BytesIO
from pathlib import Path
from typing import IO

from bloodcell.errors import BadInput
from bloodcell.runs.engines.ray_head import Head
from bloodcell.runs.remembered import remembered

__all__ = ["PIECE", "Package", "Piece", "Plan", "cut", "plan_of", "put_together", "send"]

# Bytes of a package's files at most.
PIECE = 80_000_000
BLOCK = 2**20
# The first moment that a zip knows: the same files are always the same zip.
LONG_AGO = (1980, 1, 1, 0, 0, 0)

Plan = dict[str, list[list[str]]]
"""File → (package, name in it) of its pieces."""


@dataclass(frozen=True)
class Piece:
    """A file, or `PIECE` bytes of it.

    Attributes:
        target: what the file is called on the node.
        source: where it is, or its bytes.
        number: of the piece, from 0.
        length: of this piece.
    """

    target: str
    source: Path | bytes
    number: int
    length: int

    @property
    def name(self) -> str:
        """In its package."""
        return f"{self.target}.{self.number}" if self.number else self.target

    @cached_property
    def digest(self) -> str:
        """sha256 of its bytes."""
        if isinstance(self.source, bytes):
            return hashlib.sha256(self.source).hexdigest()
        return remembered(self.source, _digests)[self.number]

    @contextmanager
    def opened(self) -> Iterator[IO[bytes]]:
        with (
            BytesIO(self.source)
            if isinstance(self.source, bytes)
            else self.source.open("rb") as file
        ):
            file.seek(self.number * PIECE)
            yield file


def _digests(path: Path) -> list[str]:
    """sha256 of each `PIECE` bytes of a file."""
    found = []
    with path.open("rb") as file:
        # Also of an empty file there is one piece.
        for _ in range(0, max(os.fstat(file.fileno()).st_size, 1), PIECE):
            digest = hashlib.sha256()
            for block in _blocks(file, PIECE):
                digest.update(block)
            found.append(digest.hexdigest())
    return found


def _blocks(file: IO[bytes], length: int) -> Iterator[bytes]:
    """The next bytes of a file, so many at most."""
    while block := file.read(min(BLOCK, length)):
        yield block
        length -= len(block)


@dataclass(frozen=True)
class Package:
    """Files, or pieces of them, that are sent together."""

    pieces: tuple[Piece, ...]

    @cached_property
    def name(self) -> str:
        """By which Ray knows it: the same for the same content, whatever the zip looks like."""
        digest = hashlib.sha256()
        for piece in self.pieces:
            digest.update(f"{piece.name}\0{piece.length}\0{piece.digest}\n".encode())
        return f"_ray_pkg_{digest.hexdigest()[:32]}.zip"

    @property
    def address(self) -> str:
        """As a runtime environment has it."""
        return f"gcs://{self.name}"

    def write(self, file: IO[bytes]) -> None:
        """Write the zip.

        Raises:
            BadInput: a file is not as it was a moment ago.
        """
        with zipfile.ZipFile(file, "w") as packed:
            for piece in self.pieces:
                info = zipfile.ZipInfo(piece.name, LONG_AGO)
                info.external_attr = 0o644 << 16
                digest = hashlib.sha256()
                with piece.opened() as source, packed.open(info, "w") as target:
                    for block in _blocks(source, piece.length):
                        target.write(block)
                        digest.update(block)
                if digest.hexdigest() != piece.digest:
                    raise BadInput(
                        f"{piece.source} was changed while it was sent: queue the run again."
                    )


def cut(files: Mapping[str, Path | bytes]) -> list[Package]:
    """Put files into packages of at most `PIECE` bytes.

    A file larger than that shares its packages with no other, so that they stay the same whatever
    the others become.

    Args:
        files: what each is called on the node, and where it is.

    Raises:
        OSError: a file cannot be read.
    """
    packages: list[list[Piece]] = []
    together: list[Piece] = []
    for target, source in sorted(files.items()):
        size = len(source) if isinstance(source, bytes) else source.stat().st_size
        if size > PIECE:
            starts = range(0, size, PIECE)
            pieces = [Piece(target, source, s // PIECE, min(PIECE, size - s)) for s in starts]
            packages += [[piece] for piece in pieces]
            continue
        if together and sum(p.length for p in together) + size > PIECE:
            packages.append(together)
            together = []
        together.append(Piece(target, source, 0, size))
    return [Package(tuple(pieces)) for pieces in (*packages, together) if pieces]


def plan_of(packages: Sequence[Package]) -> Plan:
    """How a node puts the files together."""
    plan: Plan = {}
    for package in packages:
        for piece in package.pieces:
            plan.setdefault(piece.target, []).append([package.name, piece.name])
    return plan


def put_together(plan: Plan, folders: Mapping[str, Path], into: Path) -> None:
    """Make the files of a plan.

    Args:
        folders: where each package was unpacked.
    """
    for target, pieces in plan.items():
        path = into / target
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as file:
            for package, name in pieces:
                with (folders[package] / name).open("rb") as piece:
                    shutil.copyfileobj(piece, file, BLOCK)


def send(head: Head, packages: Sequence[Package]) -> int:
    """Have the head keep packages until a job refers to them; the bytes that were sent.

    Raises:
        BadInput: it refuses.
        Offline: it does not answer.
    """
    sent = 0
    # Twice: of a long list, what was there at first may be gone when the last one is sent.
    for _ in range(2):
        for package in packages:
            if head.has(package.name):
                continue
            with tempfile.TemporaryFile() as file:
                package.write(file)
                size = file.tell()
                file.seek(0)
                head.take(package.name, file, size)
                sent += size
    return sent
