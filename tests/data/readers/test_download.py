"""A download that survives dropped connections and trusts nothing that arrives."""

import hashlib
import http.server
import re
import socket
import threading
from contextlib import contextmanager

import pytest

from bloodcell.data.readers import sizing
from bloodcell.data.readers.download import BLOODMNIST, download_bloodmnist, fetch
from bloodcell.errors import BadInput, NoSpace, Offline, Stopped
from bloodcell.workspace import Workspace

CONTENT = bytes(range(256)) * 16_000  # 4 MB
MD5 = hashlib.md5(CONTENT).hexdigest()
BY_HAND = "fetch it by hand"


class Server(http.server.ThreadingHTTPServer):
    """Serves CONTENT at /file, with what can go wrong set as attributes."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.content = CONTENT
        self.ranges = True
        self.says_length = True
        self.cuts: list[int] = []  # bytes after which each of the next connections drops
        self.statuses: list[int] = []  # answers of the next connections in place of the file
        self.asked: list[str | None] = []  # the Range header of each request

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/file"


class Handler(http.server.BaseHTTPRequestHandler):
    server: Server

    def do_GET(self):
        server, wanted = self.server, self.headers.get("Range")
        server.asked.append(wanted)
        if server.statuses and (status := server.statuses.pop(0)) != 200:
            self.send_error(status)
            return
        start = 0
        if wanted and server.ranges:
            start = int(re.fullmatch(r"bytes=(\d+)-", wanted)[1])
            total = len(server.content)
            if start >= total:
                self.send_response(416)
                self.send_header("Content-Range", f"bytes */{total}")
                self.end_headers()
                return
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start}-{total - 1}/{total}")
        else:
            self.send_response(200)
        body = server.content[start:]
        if server.says_length:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if server.cuts:
            self.wfile.write(body[: server.cuts.pop(0)])
            self.close_connection = True
            return
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@contextmanager
def running():
    server = Server()
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with running() as server:
        yield server


@pytest.fixture
def target(tmp_path):
    return tmp_path / "downloads" / "cells.npz"


def get(server, target, md5=MD5, **options):
    return fetch(server.url, target, md5, by_hand=BY_HAND, pause=0.01, **options)


def names(target):
    return sorted(p.name for p in target.parent.iterdir())


def test_the_file_arrives_whole_under_its_name_alone(server, target):
    assert get(server, target) == target
    assert target.read_bytes() == CONTENT
    assert names(target) == ["cells.npz"]


def test_what_is_there_is_not_fetched_again(server, target):
    get(server, target)
    get(server, target)
    assert len(server.asked) == 1


def test_a_damaged_file_is_fetched_again(server, target):
    get(server, target)
    target.write_bytes(b"damaged")
    get(server, target)
    assert target.read_bytes() == CONTENT


def test_a_cut_connection_is_continued_where_it_broke(server, target):
    server.cuts = [1_000_000, 2_000_000]
    get(server, target)
    assert target.read_bytes() == CONTENT
    assert server.asked == [None, "bytes=1000000-", "bytes=3000000-"]


def test_a_line_that_drops_often_but_moves_on_gets_there(server, target):
    server.cuts = [300_000] * 12
    get(server, target)
    assert target.read_bytes() == CONTENT


def test_a_stopped_download_is_continued_by_the_next(server, target):
    def stop(done, total, what):
        if done > 1_000_000:
            raise Stopped("stopped")

    with pytest.raises(Stopped):
        get(server, target, progress=stop)
    assert names(target) == ["cells.npz.part"]
    begun = (target.parent / "cells.npz.part").stat().st_size
    get(server, target)
    assert server.asked[1] == f"bytes={begun}-"
    assert target.read_bytes() == CONTENT


def test_a_server_that_ignores_ranges_is_read_from_the_start(server, target):
    server.ranges = False
    server.cuts = [1_000_000]
    get(server, target)
    assert target.read_bytes() == CONTENT


def test_a_server_that_never_sends_it_whole_is_given_up(server, target):
    server.ranges = False
    server.cuts = [1_000_000] * 50
    with pytest.raises(Offline, match=r"ended after 1,000,000 of 4,096,000 bytes"):
        get(server, target)
    assert len(server.asked) < 10


def test_a_server_that_does_not_say_the_length(server, target):
    server.says_length = False
    get(server, target)
    assert target.read_bytes() == CONTENT


def test_a_part_that_was_complete_is_taken(server, target):
    target.parent.mkdir()
    (target.parent / "cells.npz.part").write_bytes(CONTENT)
    get(server, target)
    assert target.read_bytes() == CONTENT


def test_a_part_longer_than_the_file_is_begun_anew(server, target):
    target.parent.mkdir()
    (target.parent / "cells.npz.part").write_bytes(CONTENT + b"more")
    get(server, target)
    assert target.read_bytes() == CONTENT


def test_a_busy_server_is_asked_again(server, target):
    server.statuses = [503, 429]
    get(server, target)
    assert len(server.asked) == 3


def test_a_wrong_checksum_removes_the_file_and_says_so(server, target):
    with pytest.raises(BadInput, match=f"arrived with the MD5 {MD5}, expected {'0' * 32}"):
        get(server, target, md5="0" * 32)
    assert names(target) == []


def test_a_part_of_another_file_is_found_by_the_checksum(server, target):
    target.parent.mkdir()
    (target.parent / "cells.npz.part").write_bytes(b"another file")
    with pytest.raises(BadInput, match="download it again"):
        get(server, target)
    get(server, target)
    assert target.read_bytes() == CONTENT


def test_a_missing_file_is_said_at_once(server, target):
    server.statuses = [404]
    with pytest.raises(Offline, match="the server answered 404") as caught:
        get(server, target)
    assert BY_HAND in str(caught.value)
    assert len(server.asked) == 1


def test_progress_counts_bytes(server, target):
    calls = []
    server.cuts = [1_000_000]
    get(server, target, progress=lambda *call: calls.append(call))
    assert calls[0] == (0, len(CONTENT), "bytes")
    assert calls[-1] == (len(CONTENT), len(CONTENT), "bytes")
    assert [done for done, _, _ in calls] == sorted(done for done, _, _ in calls)


def test_too_small_a_disk_is_noticed_before_the_download(server, target, monkeypatch):
    monkeypatch.setattr(sizing, "SPARE_BYTES", 2**62)
    with pytest.raises(NoSpace):
        get(server, target)
    assert names(target) == []


def test_only_web_addresses_are_fetched(target):
    with pytest.raises(BadInput, match="expected an http or https address"):
        fetch("file:///etc/hostname", target, MD5, by_hand=BY_HAND)


class TestBloodMNIST:
    def test_without_a_connection_it_says_how_to_do_it_by_hand(self, tmp_path, monkeypatch):
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        with socket.socket() as taken:  # bound but not listening: refuses every connection
            taken.bind(("127.0.0.1", 0))
            base = f"http://127.0.0.1:{taken.getsockname()[1]}"
            with pytest.raises(Offline) as caught:
                download_bloodmnist(Workspace(tmp_path), 64, base_url=base, pause=0.01)
        message = str(caught.value)
        assert "Connection refused" in message
        assert "zenodo.org/records/10519652" in message
        assert "python -m bloodcell import bloodmnist_64.npz --name bloodmnist" in message
        assert message.isprintable()

    @pytest.mark.parametrize("size", BLOODMNIST)
    def test_what_arrives_must_be_the_published_file(self, server, tmp_path, size):
        with pytest.raises(BadInput, match=BLOODMNIST[size].md5):
            download_bloodmnist(
                Workspace(tmp_path), size, base_url=server.url.removesuffix("/file"), pause=0.01
            )
        assert list((tmp_path / "downloads").iterdir()) == []

    @pytest.mark.parametrize("size", [0, 27, 32, 256])
    def test_other_sizes_do_not_exist(self, tmp_path, size):
        with pytest.raises(BadInput, match="expected one of 28, 64, 128, 224"):
            download_bloodmnist(Workspace(tmp_path), size)
