"""What lies among photographs without being one: left by systems, or written beside them.

One rule for an import, for ``classify`` and for the pages: such files are passed over, and
whoever brought them is told which.
"""

import re
from collections.abc import Sequence
from pathlib import PurePosixPath

from bloodcell.data.imaging.decode import printable

__all__ = ["is_of_system", "passed_over_text", "sift"]


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


# Of macOS, Windows, Synology and QNAP; as folders, and as the files that lie in them.
_SYSTEM = _set(
    "__macosx thumbs.db ehthumbs.db ehthumbs_vista.db desktop.ini icon icon_ icon? @eadir @tmp "
    "@recycle #recycle #snapshot $recycle.bin recycler recycled lost+found __pycache__ thumbs "
    "thumbnails thumbnail folder.jpg albumart.jpg albumartsmall.jpg autorun.inf picasa.ini "
    "zbthumbnail.info pspbrwse.jbf"
) | {"icon\r", "icon\n", "system volume information", "temporary items", "network trash folder"}
_SYSTEM_PREFIXES = (".", "~$", "synophoto_", "synoindex_", "$recycle")
_DOCUMENTS = _set(
    "license licence copying copyright notice readme changelog citation authors contributing "
    "manifest makefile dockerfile md5sums sha256sums checksums"
)
# Written beside photographs: tables, texts, programs, settings, links, half of a download.
_NO_IMAGES = _set(
    ".txt .csv .tsv .json .jsonl .md .rst .xml .html .htm .pdf .ini .db .xls .xlsx .xlsm .xlsb "
    ".ods .doc .docx .odt .rtf .ppt .pptx .odp .yaml .yml .toml .cfg .conf .log .py .pyc "
    ".ipynb .m .r .rmd .sh .bat .ps1 .js .css .xmp .aae .thm .roi .sha256 .md5 .sqlite .bak "
    ".tmp .lnk .url .webloc .crdownload .part .download .numbers .pages .bib .tex .pkl .pt "
    ".pth .h5 .keras .tflite .onnx"
)
_IMAGES = _set(".jpg .jpeg .jpe .jfif .png .tif .tiff .bmp .dib .webp .gif")
_THUMBNAIL = re.compile(r"(?:thumb(?:nail)?[._-](.+)|(.+)[._-]thumb(?:nail)?)", re.IGNORECASE)
NAMED = 3


def sift(files: Sequence[str]) -> tuple[list[str], list[str]]:
    """(files that may be photographs, files passed over), each in the order given.

    Passed over are hidden files and folders, what systems keep in folders, documents, tables and
    programs, and a thumbnail that lies beside its original. A photograph in a format that is not
    read stays: it is refused by name.

    Args:
        files: "/"-separated paths.
    """
    there = {_stem(f) for f in files}
    kept: list[str] = []
    strays: list[str] = []
    for file in files:
        (strays if _is_stray(file, there) else kept).append(file)
    return kept, strays


def passed_over_text(strays: Sequence[str], n: int | None = None) -> str:
    """What was passed over as one sentence, or "" if nothing was; `n` if `strays` are the first."""
    n = len(strays) if n is None else n
    if not strays:
        return ""
    named = ", ".join(printable(f, 60) for f in strays[:NAMED])
    more = f" and {n - NAMED:,} more" if n > NAMED else ""
    files = "1 file that is" if n == 1 else f"{n:,} files that are"
    return f"Passed over {files} no photograph: {named}{more}."


def is_of_system(path: str) -> bool:
    """Whether a file or folder is, or lies in, what a system keeps in folders; or is hidden."""
    return any(_of_system(part) for part in PurePosixPath(path).parts)


def _stem(file: str) -> str:
    return str(PurePosixPath(file).with_suffix("")) if PurePosixPath(file).name else file


def _is_stray(file: str, there: set[str]) -> bool:
    path = PurePosixPath(file)
    if is_of_system(file):
        return True
    name, suffix = path.name.lower(), path.suffix.lower()
    if suffix in _NO_IMAGES or name.endswith("~"):
        return True
    if suffix not in _IMAGES and re.split(r"[._-]", name)[0] in _DOCUMENTS:
        return True
    thumbnail = _THUMBNAIL.fullmatch(path.stem)
    original = thumbnail and (thumbnail[1] or thumbnail[2])
    return bool(original) and str(path.with_name(original)) in there


def _of_system(part: str) -> bool:
    return part.lower() in _SYSTEM or part.lower().startswith(_SYSTEM_PREFIXES)
