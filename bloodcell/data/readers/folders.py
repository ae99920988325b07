"""Images in a folder a class, on disk or in an archive → a dataset."""

import os
import re
import stat
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any, Protocol

from bloodcell.classes import CLASS_NAMES, LABELS, OTHER, label_id
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
from bloodcell.data.readers.names import (
    SKIP,
    NameMap,
    is_no_photograph,
    is_origin,
    named_like_part,
    part_of,
    unknown_names,
)
from bloodcell.data.readers.sizing import (
    Darkness,
    choose_size,
    crop_text,
    listed,
    nothing_to_train_on,
    require_pairs,
    require_space,
    size_histogram,
)
from bloodcell.data.readers.strays import is_of_system, sift
from bloodcell.data.store.dataset import PARTS, Dataset, new_dataset, open_dataset
from bloodcell.errors import BadInput
from bloodcell.progress import Progress
from bloodcell.workspace import Workspace

__all__ = ["FileTree", "FolderFiles", "TreeItem", "TreePlan", "import_tree", "plan_tree"]

# Enough for the header of all but a few files, which are then read whole.
HEAD_BYTES = 64 * 2**10

DEEP = "if their files use 10, 12 or 14 of 16 bits, import again with --depth"
_ARCHIVES = frozenset([".zip", ".tar", ".tgz", ".gz", ".bz2", ".xz", ".7z", ".rar"])


class FileTree(Protocol):
    """Files and folders with "/"-separated paths relative to their top."""

    name: str
    files: list[str]
    folders: list[str]
    notes: list[str]

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


@dataclass(frozen=True)
class TreePlan:
    """What an import of a tree takes, and what it does not.

    Attributes:
        items: by class and name, whatever the order of the files.
        passed_over: files that are no photographs.
        left_out: images that a person said to leave out.
        notes: sentences for the person who imports.
    """

    items: list[TreeItem]
    passed_over: list[str]
    left_out: int
    notes: list[str]


@dataclass(frozen=True)
class _Meaning:
    """What a folder says of the images in it.

    Attributes:
        label: 0 to 7, or OTHER; None: left out.
        part: one of PARTS, or "".
        like_part: a folder named like a part that was not taken for one, or "".
        top: how many folders are above both the class and the part.
        above: names of the folders above the class that are no parts.
        below: those below it that only say whose cells they are.
        source: the label as the source has it, where that says more than the class.
    """

    label: int | None
    part: str = ""
    like_part: str = ""
    top: int = 0
    above: tuple[str, ...] = ()
    below: tuple[str, ...] = ()
    source: str = ""


def plan_tree(
    tree: FileTree, names: NameMap | None = None, parts: bool = True, level: str = ""
) -> TreePlan:
    """Which files are images, of which class and part: the folders that hold them say it.

    The class is the name of a folder, below which folders may say whose cells they are. A folder
    named train, Testing, val or the like, above the class or below it, is a part. Whatever lies
    below a folder ``other`` is none of the eight, and folders in it name what it is. Files that
    are no photographs are passed over (see :func:`bloodcell.data.readers.strays.sift`).

    Args:
        names: what a person says that folders mean.
        parts: whether folders may be parts.
        level: what the folder above a class folder (or the first one below it) is: a column of
            ORIGINS, or "" for nothing. The `origin` of an item is then (its name, source label),
            else (source label,).

    Raises:
        UnknownNames: folders are none of the eight classes.
        BadInput: a folder is of two classes or two parts or empty, some images are in parts and
            others are not, or there is no image at all.
    """
    names = names or NameMap()
    kept, strays = sift(tree.files)
    files = [PurePosixPath(f) for f in kept]
    for file in files:
        _check_place(file, tree.name)
    if not files:
        raise BadInput(
            f"{printable(tree.name)} holds no image, expected a folder for each class "
            f"({', '.join(CLASS_NAMES)}) with images in it: choose the folder above those."
        )
    _check_empty(tree, files)
    counts = Counter(file.parent for file in files)
    weak = _weak_parts(counts) if parts else {}
    meanings, unknown = {}, Counter()
    for folder, n in counts.items():
        try:
            meanings[folder] = _meaning(folder, names, parts, weak, tree.name)
        except _Unknown as found:
            unknown[str(found)] += n
    if unknown:
        example = next(str(f) for f in files if f.parent not in meanings)
        raise unknown_names(tree.name, unknown, "folders", example)
    names.require_used({k for f in counts for k in names.match(f.parts)}, tree.name)
    notes = _check_parts(counts, meanings, tree.name) if parts else []
    taken = [file for file in files if meanings[file.parent].label is not None]
    groups = _groups(meanings, level, tree.name) if level else {}
    shared = _shared_parts({file.parts[: meanings[file.parent].top] for file in taken})
    items = []
    for file in taken:
        found = meanings[file.parent]
        name = printable("/".join(file.parts[shared:]), 400)
        origin = (printable(found.source),)
        if level:
            origin = (printable(groups[file.parent]), *origin)
        items.append(TreeItem(str(file), name, found.label, found.part, origin))
    items.sort(key=lambda item: (item.label, item.name, item.file))
    return TreePlan(items, strays, len(files) - len(taken), notes)


class _Unknown(Exception):
    """A folder that is none of the eight classes."""


def _meaning(
    folder: PurePosixPath, names: NameMap, parts: bool, weak: dict[str, str], source: str
) -> _Meaning:
    """What a folder says; raises _Unknown with the path of the one that says nothing known."""
    chain = folder.parts
    chosen = names.match(chain)
    if SKIP in chosen.values():
        return _Meaning(None)
    part, like_part, part_at = _part(folder, chosen, parts, weak, source)

    def found(label: int, at: int, said: str) -> _Meaning:
        above, below = (
            tuple(n for n in some if part_of(n) is None and n not in weak)
            for some in (chain[:at], chain[at + 1 :])
        )
        whose = tuple(n for n in below if label_id(n) is None and is_origin(n))
        return _Meaning(label, part, like_part, min(at, part_at), above, whose, said)

    said = [(key, value) for key, value in chosen.items() if value not in PARTS]
    if said:
        key, value = said[-1]
        at = _place(chain, key)
        return found(label_id(value), at, "/".join(chain[at:]))
    labels = [label_id(name) for name in chain]
    if OTHER in labels and all(label in (None, OTHER) for label in labels[: labels.index(OTHER)]):
        at = labels.index(OTHER)
        return found(OTHER, at, "/".join(chain[at + 1 :]))
    drawn = [i for i, name in enumerate(chain) if is_no_photograph(name)]
    if drawn:
        raise _Unknown("/".join(chain[: drawn[0] + 1]))
    classes = [i for i, label in enumerate(labels) if label is not None]
    if not classes:
        telling = [i for i, n in enumerate(chain) if not is_origin(n) and part_of(n) is None]
        raise _Unknown("/".join(chain[: telling[-1] + 1] if telling else chain))
    if len({labels[i] for i in classes}) > 1:
        first, second = (chain[i] for i in (classes[0], classes[-1]))
        raise BadInput(
            f"The folder {printable(str(folder))!r} in {printable(source)} is of two classes, "
            f"{printable(first)!r} and {printable(second)!r}: rename one of them, or say which it "
            f"is with --map '{printable(str(folder))}={LABELS[labels[classes[-1]]].name}'."
        )
    for i in range(classes[0] + 1, len(chain)):
        if labels[i] is None and not is_origin(chain[i]) and part_of(chain[i]) is None:
            raise _Unknown("/".join(chain[: i + 1]))
    label, last = labels[classes[0]], chain[classes[-1]]
    return found(label, classes[0], "" if _says_no_more(last, label) else last)


def _says_no_more(name: str, label: int) -> bool:
    plain = re.sub(r"[^a-z]+", " ", name.lower()).strip().removesuffix("s")
    return plain in (LABELS[label].title.lower(), LABELS[label].aliases[0])


def _groups(
    meanings: dict[PurePosixPath, _Meaning], level: str, source: str
) -> dict[PurePosixPath, str]:
    """Folder → the laboratory, patient or slide (`level`) that its images are of.

    Raises:
        BadInput: there is no folder that says it.
    """
    used = {folder: m for folder, m in meanings.items() if m.label is not None}
    # With one folder above all classes, folders below every class are what is meant.
    above = {m.above[-1] for m in used.values() if m.above}
    deeper = len(above) < 2 and all(m.below for m in used.values())
    found = {}
    for folder, m in used.items():
        names = m.below[:1] if deeper else m.above[-1:]
        if not names:
            raise BadInput(
                f"{printable(source)} has the class folder {printable(str(folder))!r} at "
                f"its top, expected a folder for each {level} above the class folders: move "
                "them into such folders, or leave out --level."
            )
        found[folder] = names[0]
    return found


def _place(chain: tuple[str, ...], key: tuple[str, ...]) -> int:
    """Where in a chain of folders the one lies that an entry of a NameMap fits."""
    ends = (i for i in range(len(chain)) if key in NameMap({key: ""}).match(chain[: i + 1]))
    return next(ends, 0)


def _part(
    folder: PurePosixPath,
    chosen: dict[tuple[str, ...], str],
    parts: bool,
    weak: dict[str, str],
    source: str,
) -> tuple[str, str, int]:
    """(part or "", a folder named like one that is none or "", where the first of them lies)."""
    chain = folder.parts
    if not parts:
        return "", "", len(chain)
    said = [(_place(chain, key), value) for key, value in chosen.items() if value in PARTS]
    if said:
        return said[-1][1], "", min(at for at, _ in said)
    others = [(i, name) for i, name in enumerate(chain) if label_id(name) is None]
    found = [(i, part) for i, name in others if (part := part_of(name) or weak.get(name))]
    if not found:
        like = [name for _, name in others if named_like_part(name) is not None]
        return "", like[0] if like else "", len(chain)
    distinct = list(dict.fromkeys(part for _, part in found))
    # A train folder that is divided once more is usual; anything else contradicts itself.
    if len(distinct) > 2 or (len(distinct) == 2 and distinct[0] != PARTS[0]):
        raise BadInput(
            f"The folder {printable(str(folder))!r} in {printable(source)} is of two parts, "
            f"{' and '.join(distinct)}: say which it is with --map "
            f"'{printable(str(folder))}={distinct[-1]}', or import with --no-parts."
        )
    return distinct[-1], "", found[0][0]


def _weak_parts(folders: Iterable[PurePosixPath]) -> dict[str, str]:
    """Folders such as Raabin_train, if a tree has them for two parts at least."""
    chains = {name for folder in folders for name in folder.parts if label_id(name) is None}
    strong = {part_of(name) for name in chains} - {None}
    found = {name: named_like_part(name) for name in chains if part_of(name) is None}
    weak = {name: part for name, part in found.items() if part}
    return weak if len(strong | set(weak.values())) > 1 else {}


def _check_parts(
    counts: Counter[PurePosixPath], meanings: dict[PurePosixPath, _Meaning], source: str
) -> list[str]:
    """Sentences on parts that were not taken, or that leave nothing to train on.

    Raises:
        BadInput: some images are in parts, others are not, and it matters.
    """
    used = {folder: m for folder, m in meanings.items() if m.label is not None}
    inside = sorted({m.part for m in used.values()} - {""}, key=PARTS.index)
    outside = [folder for folder, m in used.items() if not m.part]
    if inside and outside:
        n = sum(counts[folder] for folder in outside)
        where = printable(str(min(outside)))
        sentence = (
            f"{printable(source)} has images in parts ({', '.join(inside)}) and {n:,} outside of "
            f"them (for example in {where!r})"
        )
        if len(inside) > 1:
            raise BadInput(
                f"{sentence}, expected all of them in parts or none: say what a folder is with "
                f"--map FOLDER=train, validation, test or {SKIP}, or import with --no-parts."
            )
        for folder in used:
            meanings[folder] = replace(meanings[folder], part="")
        return [f"{sentence}: its parts were not taken, say which with --map FOLDER=PART."]
    if inside and PARTS[0] not in inside:
        return [nothing_to_train_on(inside)]
    like = sorted({m.like_part for m in used.values()} - {""})
    if like:
        return [
            f"Folders named like parts were not taken for parts ({', '.join(map(printable, like))}"
            "): say which they are with --map FOLDER=train, validation or test."
        ]
    return []


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
    names: NameMap | None = None,
    parts: bool = True,
    depth: int | None = None,
) -> Dataset:
    """Import every image of `tree`: first all headers, then all pixels, one image at a time.

    Raises:
        BadInput: as :func:`plan_tree`; or an image is broken and `skip_broken` is False; or a
            class has fewer than two images.
    """
    plan, columns, matched = _plan(tree, given, names or NameMap(), parts)
    items = plan.items
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
    extra: dict[str, Any] = {
        "source_sizes": size_histogram(sizes),
        "passed_over": listed(plan.passed_over),
        "left_out": plan.left_out,
        **matched,
    }
    notes, dark = [*tree.notes, *plan.notes], Darkness()
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
                pixels = decode_image(tree.read(item.file), item.file, depth)
            except BadInput as error:
                _skip(item, error, tree.name, skipped, skip_broken)
                continue
            origin = dict(zip(columns, item.origin, strict=True))
            image = fit(pixels, side, crop)
            dark.look_at(image, item.name)
            writer.add(image, item.label, item.name, item.part, origin)
            counts[item.label] += 1
        progress(len(items), len(items), "images")
        left_out = " after broken images were left out" if skipped else ""
        require_pairs(counts, printable(tree.name), left_out)
        extra["skipped"] = [{"name": n, "reason": why} for n, why in sorted(skipped.items())]
        extra["notes"] = [*notes, *dark.notes(DEEP)]
    return open_dataset(workspace, str(workspace.datasets / name))


def _plan(
    tree: FileTree, given: Given, names: NameMap, parts: bool
) -> tuple[TreePlan, tuple[str, ...], dict[str, Any]]:
    """What to take, the columns that the `origin` of items is of, and what ``dataset.json`` says
    of a table."""
    inside = None if given.manifest is not None else find_manifest(tree.files)
    report: dict[str, Any] = {}
    if given.manifest is not None or inside is not None:
        plan, columns, report = _by_manifest(tree, given, names, parts, inside)
    else:
        plan = plan_tree(tree, names, parts, given.level)
        columns = (given.level, "source_label") if given.level else ("source_label",)
    items, columns = _filled(plan.items, columns, given.laboratory)
    return replace(plan, items=items), columns, report


def _by_manifest(
    tree: FileTree, given: Given, names: NameMap, parts: bool, inside: str | None
) -> tuple[TreePlan, tuple[str, ...], dict[str, Any]]:
    """As :func:`_plan`, where a table says the classes; folders may still be parts."""
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
    kept, strays = sift(tree.files)
    strays = [file for file in strays if file != inside]
    matched = match_files(manifest, kept)
    _check_matched(matched, manifest.name, tree.name)
    counts = Counter(PurePosixPath(file).parent for file, _ in matched.rows)
    weak = _weak_parts(counts) if parts else {}
    meanings = {}
    for folder in counts:
        part, like, at = _part(folder, names.match(folder.parts), parts, weak, tree.name)
        meanings[folder] = _Meaning(OTHER, part, like, at)
    names.require_used({k for f in counts for k in names.match(f.parts)}, tree.name)
    notes = _check_parts(counts, meanings, tree.name) if parts else []
    shared = _shared_parts({folder.parts[: meanings[folder].top] for folder in counts})
    items = [
        TreeItem(
            file,
            printable("/".join(PurePosixPath(file).parts[shared:]), 400),
            manifest.labels[row],
            meanings[PurePosixPath(file).parent].part,
            manifest.values[row],
        )
        for file, row in matched.rows
    ]
    items.sort(key=lambda item: (item.label, item.name, item.file))
    report = {"manifest": matched.to_json(manifest.name)}
    return TreePlan(items, strays, 0, notes), manifest.columns, report


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


def _check_place(file: PurePosixPath, source: str) -> None:
    shown = f"{printable(source)} holds {printable(str(file))!r}"
    if file.suffix.lower() in _ARCHIVES:
        raise BadInput(f"{shown}, an archive inside: unpack that one and import its folder.")
    if not file.parent.name:
        raise BadInput(
            f"{shown}, in no class folder, expected folders named {', '.join(CLASS_NAMES)}, or "
            "other: move or remove the file."
        )


def _check_empty(tree: FileTree, files: list[PurePosixPath]) -> None:
    filled = {parent for file in files for parent in file.parents}
    for folder in sorted(PurePosixPath(f) for f in sift(tree.folders)[0]):
        if label_id(folder.name) is not None and folder not in filled:
            raise BadInput(
                f"The folder {printable(str(folder))!r} in {printable(tree.name)} holds no image, "
                "expected at least 2: add images or remove the folder."
            )


def _shared_parts(folders: set[tuple[str, ...]]) -> int:
    """How many leading parts all the paths have in common."""
    shared = 0
    for column in zip(*folders, strict=False):
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
        self.notes: list[str] = []
        for parent, folders, files in os.walk(self._root, onerror=self._unreadable):
            here = Path(parent)
            for name in folders:
                if is_of_system(self._relative(here / name)):
                    continue
                if (here / name).is_symlink():
                    raise BadInput(
                        f"{self._relative(here / name)} in {self.name} is a link to a folder, "
                        "expected the folder itself: copy it there or remove the link."
                    )
                self.folders.append(self._relative(here / name))
            for name in files:
                if not is_of_system(self._relative(here / name)):
                    self._check_plain(here / name)
                self.files.append(self._relative(here / name))

    def _unreadable(self, error: OSError) -> None:
        # The bins of Windows may only be read by those whom they belong to.
        if not is_of_system(self._relative(Path(error.filename))):
            _unreadable(error)

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
