"""The head of a Ray of one node, as far as files are sent to it and fetched from it."""

import io
import threading
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from json import dumps, loads
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

__all__ = ["LIMIT", "NODE", "FakeHead", "fake_head"]

NODE = "f" * 56
# Of a request to the real one.
LIMIT = 100 * 2**20


@dataclass
class FakeHead:
    """What it has, and how it answers.

    Attributes:
        logs: the folder whose files it gives.
        packages: name → zip.
        jobs: id → what is told of it.
        stopped: ids of jobs that were to be stopped.
        alive: whether its node is.
        cuts: only so many bytes of a file come, then the connection ends.
        refuses: jobs, with this status.
        full: it can keep no package more.
    """

    logs: Path
    address: str = ""
    packages: dict[str, bytes] = field(default_factory=dict)
    jobs: dict[str, dict[str, Any]] = field(default_factory=dict)
    stopped: list[str] = field(default_factory=list)
    alive: bool = True
    cuts: int | None = None
    refuses: int | None = None
    full: bool = False

    def unpacked(self, into: Path) -> dict[str, Path]:
        """Each package as a node has it."""
        for name, content in self.packages.items():
            with zipfile.ZipFile(io.BytesIO(content)) as packed:
                packed.extractall(into / name)
        return {name: into / name for name in self.packages}

    def answer(  # noqa: PLR0911, PLR0912
        self, method: str, path: str, query: dict[str, str], body: bytes
    ) -> tuple[int, Any]:
        match path.strip("/").split("/"):
            case ["api", "version"]:
                return 200, {"ray_version": "2.60.0"}
            case ["api", "v0", "nodes"]:
                resources = {"CPU": 2.0, "memory": 2**34}
                nodes = [{"node_id": NODE, "state": "ALIVE", "resources_total": resources}]
                return 200, {"data": {"result": {"result": nodes if self.alive else []}}}
            case ["api", "packages", "gcs", name] if method == "PUT":
                if self.full or len(body) > LIMIT:
                    return 500, "no room"
                self.packages[name] = body
                return 200, ""
            case ["api", "packages", "gcs", name]:
                return (200, "") if name in self.packages else (404, "does not exist")
            case ["api", "jobs"] if method == "POST":
                if self.refuses:
                    return self.refuses, "not now"
                job = loads(body)
                self.jobs[job["submission_id"]] = {**job, "status": "PENDING"}
                return 200, {"submission_id": job["submission_id"]}
            case ["api", "jobs"]:
                return 200, list(self.jobs.values())
            case ["api", "jobs", job, "stop"]:
                self.stopped.append(job)
                return 200, {"stopped": True}
            case ["api", "jobs", job] if job in self.jobs:
                return 200, self.jobs[job]
            case ["api", "v0", "logs", "file"]:
                if not self.alive:
                    return 500, f"Agent for node id: {NODE} doesn't exist."
                asked = self.logs / query["filename"]
                if not asked.is_file():
                    return 500, f"A file is not found at: {asked}"
                return 200, asked.read_bytes()
        return 404, "not found"

    def begins(self, job: str) -> None:
        self.jobs[job] |= {"status": "RUNNING", "driver_node_id": NODE}

    def ends(self, job: str, status: str, **more: Any) -> None:
        self.jobs[job] |= {"status": status, **more}


@contextmanager
def fake_head(logs: Path) -> Iterator[FakeHead]:
    """A head that answers at its `address`."""
    head = FakeHead(logs)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle_any(self) -> None:
            asked = urlsplit(self.path)
            query = {k: v[0] for k, v in parse_qs(asked.query).items()}
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            code, said = head.answer(self.command, asked.path, query, body)
            data = said if isinstance(said, bytes) else dumps(said).encode()
            self.send_response(code)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            file = isinstance(said, bytes) and not asked.query.count("files.json")
            if file and head.cuts is not None and len(data) > head.cuts:
                self.wfile.write(data[: head.cuts])
                self.close_connection = True
                return
            self.wfile.write(data)

        do_GET = do_PUT = do_POST = handle_any  # noqa: N815

        def log_message(self, *words: Any) -> None:
            """Nothing is printed."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    head.address = f"http://127.0.0.1:{server.server_address[1]}"
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    try:
        yield head
    finally:
        server.shutdown()
        server.server_close()
