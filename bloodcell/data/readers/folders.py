"""A folder on disk as a tree of image files."""

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bloodcell.data.imaging.decode import MAX_BYTES, printable
from bloodcell.errors import BadInput

__all__ = ["FolderFiles"]


class FolderFiles:
    """The files under a folder, as a tree of images (see bloodcell.data.readers.tree).

    Links are followed only to files inside the folder: an import must not take in what its
    owner never meant to give.

    Raises:
        BadInput: there is a link that leaves the folder, a special file, or something unreadable.
    """

    def __init__(self, root: Path):
        self._root = root.resolve()
        self.name = self._root.name or str(self._root)
        self.files: list[str] = []
        self.folders: list[str] = []
        for parent, folders, files in os.walk(self._root, onerror=_unreadable):
            here = Path(parent)
            for name in folders:
                if (here / name).is_symlink():
                    raise BadInput(
                        f"{self._relative(here / name)} in {self.name} is a link to a folder, "
                        "expected the folder itself: copy it there or remove the link."
                    )
                self.folders.append(self._relative(here / name))
            for name in files:
                self._check_plain(here / name)
                self.files.append(self._relative(here / name))

    def _relative(self, path: Path) -> str:
        return path.relative_to(self._root).as_posix()

    def _check_plain(self, path: Path) -> None:
        shown = f"{printable(self._relative(path))} in {printable(self.name)}"
        if path.is_symlink():
            target = path.resolve()
            if not target.is_relative_to(self._root) or not target.exists():
                raise BadInput(
                    f"{shown} is a link that leads out of the folder or nowhere, expected an "
                    "image: copy the image there or remove the link."
                )
        if not stat.S_ISREG(path.stat().st_mode):
            raise BadInput(f"{shown} is no plain file, expected an image: remove it.")

    def read(self, file: str, limit: int | None = None) -> bytes:
        """The first `limit` bytes of a file, or all of it.

        Raises:
            BadInput: it cannot be read, or is too large for an image.
        """
        with _readable(file), (self._root / file).open("rb") as handle:
            size = os.fstat(handle.fileno()).st_size
            if size > MAX_BYTES:
                raise BadInput(
                    f"{printable(file)} has {size / 2**20:,.0f} MiB, expected an image of at most "
                    f"{MAX_BYTES // 2**20} MiB: save a smaller cut of it."
                )
            return handle.read(MAX_BYTES if limit is None else limit)


@contextmanager
def _readable(file: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise BadInput(
            f"{printable(file)} cannot be read ({error.strerror}): check its permissions."
        ) from error


def _unreadable(error: OSError) -> None:
    raise BadInput(
        f"The folder {printable(str(error.filename))} cannot be read ({error.strerror}): "
        "check its permissions."
    ) from error
