"""Images in a folder a class, on disk or in an archive → a dataset."""

import os
import stat
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any, Protocol

from bloodcell.classes import CLASS_NAMES, OTHER, label_id
from bloodcell.data.imaging.decode import MAX_BYTES, decode_image, fit, image_size, printable
from bloodcell.data.readers.manifest import (
    MANIFEST,
    Given,
    Matched,
    find_manifest,
    match_files,
    read_manifest,
    read_manifest_file,
)
from bloodcell.data.readers.sizing import (
    choose_size,
    crop_text,
    require_pairs,
    require_space,
    size_histogram,
)
from bloodcell.data.store.dataset import Dataset, new_dataset, open_dataset
from bloodcell.errors import BadInput
from bloodcell.progress import Progress
from bloodcell.workspace import Workspace

__all__ = ["FileTree", "FolderFiles", "TreeItem", "import_tree", "plan_tree"]

# Enough for the header of all but a few files, which are then read whole.
HEAD_BYTES = 64 * 2**10

_NO_IMAGES = frozenset([".txt", ".csv", ".json", ".md", ".xml", ".html", ".pdf", ".ini", ".db"])
_ARCHIVES = frozenset([".zip", ".tar", ".tgz", ".gz", ".bz2", ".xz", ".7z", ".rar"])
_PARTS = {
    "train": "train",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
    "test": "test",
}


class FileTree(Protocol):
    """Files and folders with "/"-separated paths relative to their top."""

    name: str
    files: list[str]
    folders: list[str]

    def read(self, file: str, limit: int | None = None) -> bytes: ...


@dataclass(frozen=True)
class TreeItem:
    """One image to import.

    Attributes:
        file: its path in the tree. name: what it is called in the dataset.
        label: 0 to 7, or OTHER.
        part: "" or given.
        origin: a value for each column of the plan.
    """

    file: str
    name: str
    label: int
    part: str
    origin: tuple[str, ...] = ()


def plan_tree(tree: FileTree, level: str = "") -> list[TreeItem]:
    """Which files are images, and of which class: the folder that holds them says it.

    Folders named train, val, valid, validation or test right above all class folders are kept
    as parts. Hidden files, Thumbs.db, __MACOSX and texts are passed over. Whatever lies below a
    folder ``other`` is none of the eight, and folders in it name what it is.

    Args:
        level: what the folder above a class folder (and above its part) is: a column of ORIGINS,
            or "" for nothing. The `origin` of an item is then (its name, source label), else
            (source label,).

    Returns:
        Items by class and name, whatever the order of the files.

    Raises:
        BadInput: a folder is none of the eight classes or is empty, or there is no image at all.
    """
    files = [PurePosixPath(f) for f in tree.files if not _passed_over(PurePosixPath(f))]
    for file in files:
        _check_place(file, tree.name)
    if not files:
        raise BadInput(
            f"{printable(tree.name)} holds no image, expected a folder for each class "
            f"({', '.join(CLASS_NAMES)}) with images in it: choose the folder above those."
        )
    _check_empty(tree, files)
    of_class = [_class_folder(file) for file in files]
    above = [folder.parent for folder in of_class]
    given = all(p.name.lower() in _PARTS for p in above)
    tops = [p.parent if given else p for p in above]
    shared = _shared_parts(set(tops))
    items = []
    for file, folder, top in zip(files, of_class, tops, strict=True):
        part = _PARTS[folder.parent.name.lower()] if given else ""
        name = "/".join(file.parts[shared:])
        origin: tuple[str, ...] = (printable("/".join(file.parent.parts[len(folder.parts) :])),)
        if level:
            if not top.name:
                raise BadInput(
                    f"{printable(tree.name)} has the class folder {printable(str(folder))!r} at "
                    f"its top, expected a folder for each {level} above the class folders: move "
                    "them into such folders, or leave out --level."
                )
            origin = (printable(top.name), *origin)
        label = label_id(folder.name)
        items.append(TreeItem(str(file), printable(name, 400), label, part, origin))
    return sorted(items, key=lambda item: (item.label, item.name, item.file))


def import_tree(
    workspace: Workspace,
    tree: FileTree,
    name: str,
    *,
    size: int | None,
    crop: int | None,
    skip_broken: bool,
    progress: Progress,
    given: Given = Given(),  # noqa: B008
) -> Dataset:
    """Import every image of `tree`: first all headers, then all pixels, one image at a time.

    Raises:
        BadInput: as :func:`plan_tree`; or an image is broken and `skip_broken` is False; or a
            class has fewer than two images.
    """
    items, columns, matched = _plan(tree, given)
    require_pairs(Counter(item.label for item in items), printable(tree.name))
    skipped: dict[str, str] = {}
    sizes: Counter[tuple[int, int]] = Counter()
    for done, item in enumerate(items):
        progress(done, len(items), "image headers")
        try:
            sizes[_header_size(tree, item)] += 1
        except BadInput as error:
            _skip(item, error, tree.name, skipped, skip_broken)
    progress(len(items), len(items), "image headers")

    side = size or choose_size(sizes, crop)
    require_space(workspace.datasets, len(items) * side * side * 3)
    extra: dict[str, Any] = {"source_sizes": size_histogram(sizes), **matched}
    counts = Counter(dict.fromkeys({item.label for item in items}, 0))
    cut = crop_text(sizes, crop)
    with new_dataset(
        workspace, name, (side, side), printable(tree.name), cut, extra, columns
    ) as writer:
        for done, item in enumerate(items):
            progress(done, len(items), "images")
            if item.name in skipped:
                continue
            try:
                pixels = decode_image(tree.read(item.file), item.file)
            except BadInput as error:
                _skip(item, error, tree.name, skipped, skip_broken)
                continue
            origin = dict(zip(columns, item.origin, strict=True))
            writer.add(fit(pixels, side, crop), item.label, item.name, item.part, origin)
            counts[item.label] += 1
        progress(len(items), len(items), "images")
        left_out = " after broken images were left out" if skipped else ""
        require_pairs(counts, printable(tree.name), left_out)
        extra["skipped"] = [{"name": n, "reason": why} for n, why in sorted(skipped.items())]
    return open_dataset(workspace, str(workspace.datasets / name))


def _plan(tree: FileTree, given: Given) -> tuple[list[TreeItem], tuple[str, ...], dict[str, Any]]:
    """Items, the columns that their `origin` is of, and what ``dataset.json`` says of them."""
    inside = None if given.manifest is not None else find_manifest(tree.files)
    report: dict[str, Any] = {}
    if given.manifest is not None or inside is not None:
        if given.level:
            raise BadInput(
                f"{printable(tree.name)} has a table {MANIFEST}, which says where each cell comes "
                f"from: put the {given.level} into the table, or leave out --level."
            )
        if given.manifest is not None:
            manifest = read_manifest_file(given.manifest)
        else:
            base = str(PurePosixPath(inside).parent)
            manifest = read_manifest(tree.read(inside), inside, "" if base == "." else base)
        files = [f for f in tree.files if not _passed_over(PurePosixPath(f))]
        matched = match_files(manifest, files)
        _check_matched(matched, manifest.name, tree.name)
        shared = _shared_parts({PurePosixPath(f).parent for f, _ in matched.rows})
        items = [
            TreeItem(
                file,
                printable("/".join(PurePosixPath(file).parts[shared:]), 400),
                manifest.labels[row],
                "",
                manifest.values[row],
            )
            for file, row in matched.rows
        ]
        items.sort(key=lambda item: (item.label, item.name, item.file))
        columns, report = manifest.columns, {"manifest": matched.to_json(manifest.name)}
    else:
        items = plan_tree(tree, given.level)
        columns = (given.level, "source_label") if given.level else ("source_label",)
    return *_filled(items, columns, given.laboratory), report


def _filled(
    items: list[TreeItem], columns: tuple[str, ...], laboratory: str
) -> tuple[list[TreeItem], tuple[str, ...]]:
    """The items with the laboratory of the whole import where none is known, and without the
    columns that nothing is known in."""
    if laboratory and "laboratory" not in columns:
        columns = ("laboratory", *columns)
        items = [replace(item, origin=(laboratory, *item.origin)) for item in items]
    elif laboratory:
        at = columns.index("laboratory")
        items = [
            replace(item, origin=(*item.origin[:at], laboratory, *item.origin[at + 1 :]))
            if not item.origin[at]
            else item
            for item in items
        ]
    used = [k for k in range(len(columns)) if any(item.origin[k] for item in items)]
    if len(used) < len(columns):
        items = [replace(item, origin=tuple(item.origin[k] for k in used)) for item in items]
    return items, tuple(columns[k] for k in used)


def _check_matched(matched: Matched, manifest: str, source: str) -> None:
    if not matched.rows:
        raise BadInput(
            f"None of the {len(matched.without_file):,} files that {manifest} names (the first is "
            f"{printable(matched.without_file[0])!r}) is in {printable(source)}, expected paths "
            "relative to the table or to the top of the images: mend the column file."
        )


def _class_folder(file: PurePosixPath) -> PurePosixPath:
    """The folder that says the class: ``other``, if a file lies anywhere below it."""
    for folder in file.parents:
        if label_id(folder.name) == OTHER:
            return folder
    return file.parent


def _passed_over(file: PurePosixPath) -> bool:
    return (
        any(part.startswith(".") or part == "__MACOSX" for part in file.parts)
        or file.name.lower() == "thumbs.db"
        or file.suffix.lower() in _NO_IMAGES
    )


def _check_place(file: PurePosixPath, source: str) -> None:
    shown = f"{printable(source)} holds {printable(str(file))!r}"
    if file.suffix.lower() in _ARCHIVES:
        raise BadInput(f"{shown}, an archive inside: unpack that one and import its folder.")
    folder = file.parent.name
    if label_id(_class_folder(file).name) is not None:
        return
    where, remedy = "in no class folder", "move or remove the file"
    if folder:
        where, remedy = f"in the folder {printable(folder)!r}", "rename or remove the folder"
    raise BadInput(
        f"{shown}, {where}, expected folders named {', '.join(CLASS_NAMES)}, or other: {remedy}."
    )


def _check_empty(tree: FileTree, files: list[PurePosixPath]) -> None:
    filled = {parent for file in files for parent in file.parents}
    for folder in sorted(PurePosixPath(f) for f in tree.folders):
        if label_id(folder.name) is not None and folder not in filled:
            if _passed_over(folder):
                continue
            raise BadInput(
                f"The folder {printable(str(folder))!r} in {printable(tree.name)} holds no image, "
                "expected at least 2: add images or remove the folder."
            )


def _shared_parts(folders: set[PurePosixPath]) -> int:
    """How many leading parts all the paths have in common."""
    columns = zip(*(folder.parts for folder in folders), strict=False)
    shared = 0
    for column in columns:
        if len(set(column)) > 1:
            break
        shared += 1
    return shared


def _header_size(tree: FileTree, item: TreeItem) -> tuple[int, int]:
    head = tree.read(item.file, HEAD_BYTES)
    try:
        return image_size(head, item.file)
    except BadInput:
        if len(head) < HEAD_BYTES:
            raise
        return image_size(tree.read(item.file), item.file)


def _skip(
    item: TreeItem, error: BadInput, source: str, skipped: dict[str, str], skip_broken: bool
) -> None:
    if not skip_broken:
        raise BadInput(
            f"In {printable(source)}, {str(error).rstrip('.')}, remove it, or import with "
            "--skip-broken."
        ) from error
    skipped[item.name] = str(error)


class FolderFiles:
    """The files under a folder, as a tree of images.

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
