"""Images from wherever they are → a dataset in the workspace.

    python -m bloodcell import SOURCE --name NAME

A source is recognised by what it holds, not by its name: a folder with a folder for each class,
a zip archive of such folders, or an ``.npz`` archive with ``images`` and ``labels`` or with
MedMNIST's ``train_images``, ``train_labels`` and so on.
"""

import os
import zipfile
from collections.abc import Iterable
from pathlib import Path

from bloodcell.data.imaging.decode import MIN_SIDE, looks_like, printable
from bloodcell.data.readers.archive import ZipFiles, open_archive
from bloodcell.data.readers.arrays import import_arrays
from bloodcell.data.readers.folders import FolderFiles, import_tree
from bloodcell.data.readers.manifest import Given, check_given
from bloodcell.data.readers.names import NameMap
from bloodcell.data.readers.strays import sift
from bloodcell.data.store.dataset import Dataset
from bloodcell.errors import BadInput, NoSpace, NotFound, is_out_of_space
from bloodcell.progress import Progress, silent
from bloodcell.workspace import Workspace

__all__ = ["import_source"]

LARGEST_SIDE = 1024


def import_source(
    workspace: Workspace,
    source: str | Path,
    name: str,
    *,
    size: int | None = None,
    crop: int | None = None,
    skip_broken: bool = False,
    given: Given = Given(),  # noqa: B008
    mapped: Iterable[str] = (),
    parts: bool = True,
    depth: int | None = None,
    progress: Progress = silent,
) -> Dataset:
    """Import images with their classes as the dataset `name`.

    Memory does not grow with the source, and on any failure nothing is left in the workspace.

    Args:
        source: a folder a class, a zip of one, or an ``.npz``.
        size: side of the images in pixels, 8 to 1024; None keeps squares of one size up to 256
            and makes everything else 96.
        crop: side in source pixels of the centre square to cut; None takes the largest one.
        skip_broken: leave out image files that do not decode and list them under ``skipped`` in
            ``dataset.json`` instead of failing at the first.
        given: laboratory, level and manifest of the import.
        mapped: what folders or class names mean, as ``blast=skip`` or ``Set2=test``: one of the
            eight classes, other, skip, or a part (:class:`bloodcell.data.readers.names.NameMap`).
        parts: keep the parts (train, validation, test) that the source gives.
        depth: how many bits, 9 to 16, are used in image files of 16; None: what they say, else all.
        progress: called with (done, total, what), ``what`` being "images" while they are written;
            raises Stopped to end the import.

    What was passed over, skipped or is worth knowing stands in ``dataset.json`` under
    ``passed_over``, ``skipped`` and ``notes``.

    Raises:
        UnknownNames: folders or class names are none of the eight and not mapped.
        BadInput: the source, the name or a value cannot be used.
        NameTaken: there is a dataset of that name.
        NotFound: there is no such source.
        NoSpace: the disk is too full.
    """
    workspace.new("datasets", name)
    for value, what in ((size, "size"), (crop, "crop")):
        if value is not None and not MIN_SIDE <= value <= LARGEST_SIDE:
            raise BadInput(
                f"The {what} of {value} pixels cannot be used: give {MIN_SIDE} to {LARGEST_SIDE}."
            )
    check_given(given)
    if depth is not None and not 9 <= depth <= 16:
        raise BadInput(f"The depth of {depth} bits cannot be used: give 9 to 16.")
    path = _existing(source)
    choices = {
        "size": size,
        "crop": crop,
        "progress": progress,
        "names": NameMap.parse(mapped),
        "parts": parts,
        "given": given,
    }
    of_files = {"skip_broken": skip_broken, "depth": depth}
    try:
        if path.is_dir():
            tree = FolderFiles(path)
            return import_tree(workspace, tree, name, **of_files, **choices)
        _require_zip(path)
        with open_archive(path) as archive:
            tree = ZipFiles(archive)
            if _holds_arrays(tree):
                return import_arrays(workspace, archive, name, **choices)
            return import_tree(workspace, tree, name, **of_files, **choices)
    except OSError as error:
        if is_out_of_space(error):
            raise NoSpace(
                f"{workspace.home} ran out of space during the import: free some and repeat."
            ) from error
        raise


def _existing(source: str | Path) -> Path:
    # os.path leaves "~nobody" as it is where pathlib fails.
    path = Path(os.path.expanduser(source))
    try:
        found = bool(str(source)) and path.exists()
    except OSError:  # a name too long for the file system
        found = False
    if not found:
        raise NotFound(f"There is no file or folder {printable(str(source))!r}: check the path.")
    return path


def _holds_arrays(tree: ZipFiles) -> bool:
    names = sift(tree.files)[0]
    return bool(names) and all(name.endswith(".npy") for name in names)


def _require_zip(path: Path) -> None:
    """Raise BadInput unless the file begins, or can be read, as a zip archive."""
    shown = printable(str(path))
    if not path.is_file():
        raise BadInput(f"{shown} is no plain file, expected a folder, a .zip or an .npz.")
    try:
        with path.open("rb") as handle:
            head = handle.read(512)
    except OSError as error:
        raise BadInput(
            f"{shown} cannot be read ({error.strerror}): check its permissions."
        ) from error
    what = looks_like(head)
    if what in ("zip archive", "empty zip archive") or zipfile.is_zipfile(path):
        return
    if not head:
        found, remedy = "is empty (0 bytes)", "copy or download it again"
    elif what == "Python pickle":
        found, remedy = "is a Python pickle, which can run code and is never opened", "save it anew"
    elif what is not None and what.endswith(" image"):
        found, remedy = f"is a single {what}", "give the folder that holds the class folders"
    elif what == "single NumPy array (.npy)":
        found = f"is a {what}"
        remedy = "save images and labels together with numpy.savez"
    elif what is not None:
        found, remedy = f"is a {what}", "unpack or convert it first"
    else:
        found = f"is none of these (it begins with {printable(repr(head[:16]))})"
        remedy = "check that it is the right file"
    raise BadInput(
        f"{shown} {found}, expected a folder a class, a .zip of one, or an .npz with images and "
        f"labels: {remedy}."
    )
