"""Fetch BloodMNIST from its official record.

    python -m bloodcell download bloodmnist --size 64

BloodMNIST is part of MedMNIST v2 (Yang et al., Scientific Data 10, 41, 2023; Zenodo record
10519652, CC BY 4.0), made from the photographs of Acevedo et al. (Data in Brief 30, 2020).
"""

import hashlib
import http.client
import re
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path

from bloodcell.data.readers.sizing import require_space
from bloodcell.errors import BadInput, NoSpace, Offline, is_out_of_space
from bloodcell.progress import Progress, silent
from bloodcell.workspace import Workspace

__all__ = ["BLOODMNIST", "RECORD", "Release", "download_bloodmnist", "fetch"]

RECORD = "https://zenodo.org/records/10519652"
CHUNK_BYTES = 2**20
TIMEOUT_SECONDS = 30.0
# In a row without a byte gained; a slow line that drops often still gets there.
ATTEMPTS = 4

_RANGE = re.compile(r"bytes (\d+)-\d+/(\d+)")


@dataclass(frozen=True)
class Release:
    """One published file and its MD5, 32 hex digits."""

    file: str
    md5: str


# Side of the images in pixels → file; checksums as published with MedMNIST 3.
BLOODMNIST: dict[int, Release] = {
    28: Release("bloodmnist.npz", "7053d0359d879ad8a5505303e11de1dc"),
    64: Release("bloodmnist_64.npz", "2b94928a2ae4916078ca51e05b6b800b"),
    128: Release("bloodmnist_128.npz", "adace1e0ed228fccda1f39692059dd4c"),
    224: Release("bloodmnist_224.npz", "b718ff6835fcbdb22ba9eacccd7b2601"),
}


def download_bloodmnist(
    workspace: Workspace,
    size: int = 64,
    *,
    progress: Progress = silent,
    base_url: str = f"{RECORD}/files",
    pause: float = 1.0,
) -> Path:
    """Download BloodMNIST to the workspace, to be imported with ``import_source``.

    What was interrupted is continued; what is there already is checked and not fetched again.

    Args:
        size: 28, 64, 128 or 224 pixels a side.
        progress: called with (done, total, "bytes").
        base_url: folder of the files, for a mirror.
        pause: seconds before the second attempt; doubles with each further one.

    Returns:
        The path of the ``.npz``.

    Raises:
        BadInput: there is no such size, or the file arrived altered.
        Offline: the server cannot be reached; the message says how to do it by hand.
        NoSpace: the disk is too full.
    """
    release = BLOODMNIST.get(size)
    if release is None:
        sizes = ", ".join(map(str, BLOODMNIST))
        raise BadInput(f"BloodMNIST has no size of {size!r} pixels, expected one of {sizes}.")
    by_hand = (
        f"get {release.file} from {RECORD} by other means and bring it in with "
        f"`python -m bloodcell import {release.file} --name bloodmnist`"
    )
    url = f"{base_url.rstrip('/')}/{release.file}"
    target = workspace.downloads / release.file
    return fetch(url, target, release.md5, by_hand=by_hand, progress=progress, pause=pause)


def fetch(
    url: str,
    target: Path,
    md5: str,
    *,
    by_hand: str,
    progress: Progress = silent,
    pause: float = 1.0,
) -> Path:
    """Download `url` to `target`, continuing ``target.part`` where there is one.

    Args:
        md5: 32 hex digits that the whole file must have.
        by_hand: what a person without a connection can do instead, for the error.

    Returns:
        `target`.

    Raises:
        BadInput: the checksum differs (the file is removed), or the URL is not http(s).
        Offline: the server cannot be reached or does not have the file.
        NoSpace: the disk is too full.
    """
    if not url.lower().startswith(("http://", "https://")):
        raise BadInput(f"{url!r} cannot be downloaded: expected an http or https address.")
    if target.exists() and _md5(target) == md5:
        return target
    part = target.with_name(target.name + ".part")
    try:
        part.parent.mkdir(parents=True, exist_ok=True)
        _fetch_part(url, part, by_hand, progress, pause)
        found = _md5(part)
        if found != md5:
            part.unlink()
            raise BadInput(
                f"{target.name} from {url} arrived with the MD5 {found}, expected {md5}: it was "
                "removed, so download it again."
            )
        part.replace(target)
    except OSError as error:
        if is_out_of_space(error):
            raise NoSpace(
                f"{part} could not be written because the disk is full: free some space and "
                "repeat, the download will continue."
            ) from error
        raise
    return target


def _fetch_part(url: str, part: Path, by_hand: str, progress: Progress, pause: float) -> None:
    """Bring `part` to its full length, over as many connections as it takes."""
    failures = 0
    furthest = _length(part)
    while True:
        try:
            _continue(url, part, _length(part), progress)
            return
        except (urllib.error.URLError, http.client.HTTPException, OSError) as error:
            if is_out_of_space(error):
                raise
            # Only what was never reached before counts: so this comes to an end even where
            # the server begins anew each time.
            failures = 1 if _length(part) > furthest else failures + 1
            furthest = max(furthest, _length(part))
            if failures >= ATTEMPTS or _is_final(error):
                raise Offline(
                    f"{url} could not be downloaded ({_reason(error)}): check the connection and "
                    f"repeat, or {by_hand}."
                ) from error
            time.sleep(pause * 2 ** (failures - 1))


def _length(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _continue(url: str, part: Path, have: int, progress: Progress) -> None:
    """Fetch what is missing over one connection; raises ConnectionError if it ends early."""
    headers = {"User-Agent": "bloodcell-lab"}
    if have:
        headers["Range"] = f"bytes={have}-"
    request = urllib.request.Request(url, headers=headers)
    try:
        response = urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS)
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE and have:
            if error.headers.get("Content-Range", "").endswith(f"/{have}"):
                return  # it was complete
            part.unlink()
            raise ConnectionError("the server has a shorter file than was begun") from error
        raise
    with response:
        start, total = _extent(response, have)
        if total is not None:
            require_space(part.parent, total - start)
        with part.open("r+b" if start else "wb") as file:
            file.seek(start)
            done = start
            progress(done, total or done, "bytes")
            while chunk := response.read(CHUNK_BYTES):
                file.write(chunk)
                done += len(chunk)
                progress(done, max(total or 0, done), "bytes")
        if total is not None and done != total:
            raise ConnectionError(f"the connection ended after {done:,} of {total:,} bytes")


def _extent(response: http.client.HTTPResponse, have: int) -> tuple[int, int | None]:
    """(offset at which the answer begins, length of the whole file if the server tells)."""
    if response.status == http.HTTPStatus.PARTIAL_CONTENT:
        match = _RANGE.fullmatch(response.headers.get("Content-Range", ""))
        if match is None or int(match[1]) != have:
            raise http.client.HTTPException("the server answered with another range than asked")
        return have, int(match[2])
    length = response.headers.get("Content-Length", "")
    return 0, int(length) if length.isdigit() else None


def _is_final(error: Exception) -> bool:
    """Whether asking again is useless: the server answered, and its answer is no."""
    return (
        isinstance(error, urllib.error.HTTPError)
        and 400 <= error.code < 500
        and (error.code not in (http.HTTPStatus.REQUEST_TIMEOUT, http.HTTPStatus.TOO_MANY_REQUESTS))
    )


def _reason(error: Exception) -> str:
    if isinstance(error, urllib.error.HTTPError):
        return f"the server answered {error.code} {error.reason}"
    reason = getattr(error, "reason", None) or error
    return str(getattr(reason, "strerror", None) or reason).rstrip(".") or type(error).__name__


def _md5(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
