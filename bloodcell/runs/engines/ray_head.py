"""The head of a Ray, as it is asked over HTTP: for jobs, packages of files, and files of nodes.

Nodes are never spoken to: of those of a cluster only the head can be reached from elsewhere.
Packages are those of runtime environments (docs.ray.io, *Environment Dependencies*); a file of a
node is one beneath the folder of its logs (*State API*, ``ray logs``).
"""

import hashlib
import http.client
import json
import os
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any
from urllib.parse import urlencode

from bloodcell.errors import BadInput, Offline

__all__ = ["CHANGE", "HERE", "Head", "last_line"]

ANSWER_S = 20.0
# Of files: a network that brings nothing for so long is gone.
SILENT_S = 120.0
# In which a node must have sent a file.
SEND_S = 3600
BLOCK = 2**20
# How a node says so; the head calls it a fault.
NO_FILE = "A file is not found at"
# What `ray start --head` gives.
HERE = "http://127.0.0.1:8265"
CHANGE = "`python -m bloodcell queue --engine ray --set KEY=VALUE`"


def last_line(text: str, most: int = 400) -> str:
    """The last line of a text that says something."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1][:most] if lines else ""


@dataclass(frozen=True)
class Head:
    """The dashboard of a Ray's head.

    Attributes:
        address: such as ``http://head:8265``.
    """

    address: str

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """What goes wrong on the way to it, in a sentence.

        Raises:
            BadInput: it refuses.
            FileNotFoundError: it knows no such thing.
            Offline: it does not answer, or not to the end.
        """
        try:
            yield
        except urllib.error.HTTPError as error:
            said = last_line(error.read().decode("utf-8", "replace")) or error.reason
            if error.code == 404 or NO_FILE in said:
                raise FileNotFoundError(said) from error
            if error.code in (401, 403):
                raise BadInput(
                    f"Ray at {self.address} lets nobody in without its token: set RAY_AUTH_TOKEN."
                ) from error
            if error.code < 500:
                raise BadInput(f"Ray refuses ({said}): change it with {CHANGE}.") from error
            raise Offline(f"Ray at {self.address} has a fault ({said}).") from error
        except (OSError, ValueError, http.client.HTTPException) as error:
            reason = getattr(error, "reason", error)
            raise Offline(
                f"No Ray answers at {self.address} ({reason}): start one with `ray start --head`, "
                "or give the address of its head with "
                "`python -m bloodcell queue --engine ray --set address=http://…:8265`."
            ) from error

    def _open(
        self,
        path: str,
        data: bytes | IO[bytes] | None = None,
        method: str | None = None,
        wait_s: float = ANSWER_S,
        **headers: str,
    ) -> http.client.HTTPResponse:
        """Its answer, to be read; raises as :meth:`_explained`."""
        if token := os.environ.get("RAY_AUTH_TOKEN"):
            headers["Authorization"] = f"Bearer {token}"
        url = f"{self.address.rstrip('/')}/{path}"
        request = urllib.request.Request(url, data, headers, method=method)
        with self._explained():
            return urllib.request.urlopen(request, timeout=wait_s)

    def ask(self, path: str, body: Any = None, method: str | None = None) -> Any:
        """What it answers, read from JSON; None where it knows no such thing.

        Raises:
            BadInput: it refuses.
            Offline: it does not answer.
        """
        data = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": "application/json"}
        try:
            with self._open(path, data, method, **headers) as told, self._explained():
                return json.load(told)
        except FileNotFoundError:
            return None

    def nodes(self) -> list[dict[str, Any]]:
        """The nodes that are at work.

        Raises:
            BadInput, Offline: as :meth:`ask`.
        """
        told = self.ask("api/v0/nodes?detail=true&limit=10000")
        try:
            return [n for n in told["data"]["result"]["result"] if n["state"] == "ALIVE"]
        except (KeyError, TypeError) as error:
            raise Offline(
                f"What answers at {self.address} is no Ray: give the address of its head's "
                "dashboard with `python -m bloodcell queue --engine ray --set address=http://…:8265`."
            ) from error

    def has(self, package: str) -> bool:
        """Whether it has a package; if so, it keeps it for the next ten minutes.

        Raises:
            BadInput, Offline: as :meth:`ask`.
        """
        try:
            self._open(f"api/packages/gcs/{package}").close()
        except FileNotFoundError:
            return False
        return True

    def take(self, package: str, file: IO[bytes], size: int) -> None:
        """Send it a package, from where the file is read now.

        Raises:
            BadInput, Offline: as :meth:`ask`.
        """
        headers = {"Content-Length": str(size), "Content-Type": "application/zip"}
        try:
            self._open(f"api/packages/gcs/{package}", file, "PUT", SILENT_S, **headers).close()
        except FileNotFoundError as error:
            raise BadInput(f"Ray at {self.address} takes no packages ({error}).") from error

    def read(self, node: str, name: str) -> bytes:
        """A small file beneath the logs of a node; arguments and errors as of :meth:`fetch`."""
        with self._file(node, name) as answer, self._explained():
            return answer.read()

    def fetch(self, node: str, name: str, target: Path) -> tuple[str, int]:
        """Bring a file beneath the logs of a node to `target`; its sha256 and size.

        Args:
            node: Ray's id of it.
            name: relative to the folder of its logs.

        Raises:
            BadInput: it refuses.
            FileNotFoundError: the node has no such file.
            Offline: it, or the node, does not answer to the end.
            OSError: `target` cannot be written.
        """
        digest, size = hashlib.sha256(), 0
        with target.open("wb") as file, self._file(node, name) as answer:
            while True:
                with self._explained():
                    block = answer.read(BLOCK)
                if not block:
                    return digest.hexdigest(), size
                file.write(block)
                digest.update(block)
                size += len(block)

    def _file(self, node: str, name: str) -> http.client.HTTPResponse:
        query = {"node_id": node, "filename": name, "lines": -1, "timeout": SEND_S}
        return self._open(f"api/v0/logs/file?{urlencode(query)}", wait_s=SILENT_S)
