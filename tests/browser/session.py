"""A visitor without a browser: the messages that a browser exchanges with Streamlit's server.

What many visitors do to the server can be seen without drawing the page for each of them, which
costs a hundred times what the server does.
"""

import urllib.request
import uuid
from contextlib import ExitStack
from types import TracebackType
from typing import Any, Self

from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.Common_pb2 import FileURLs, UploadedFileInfo
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from streamlit.proto.WidgetStates_pb2 import WidgetState
from websockets.sync.client import connect

XSRF = "_streamlit_xsrf"


class Session:
    """One session of the server at `address`, its first page drawn.

    Attributes:
        elements: what the last run of the script has drawn: of each kind, in order.
    """

    def __init__(self, address: str, patience_s: float):
        self._address, self._patience_s = address, patience_s
        with urllib.request.urlopen(f"{address}/_stcore/health", timeout=patience_s) as answer:
            cookies = [h.split(";")[0] for h in answer.headers.get_all("Set-Cookie", [])]
        self._cookie = next((c for c in cookies if c.startswith(XSRF)), "")
        self._widgets: dict[str, WidgetState] = {}
        self._stack = ExitStack()
        self.elements: dict[str, list[Any]] = {}

    def __enter__(self) -> Self:
        connection = connect(
            f"{self._address.replace('http', 'ws')}/_stcore/stream",
            subprotocols=["streamlit"],
            additional_headers={"Cookie": self._cookie},
            max_size=None,
            ping_interval=None,  # the whole machine may be busy
        )
        self._socket = self._stack.enter_context(connection)
        self.rerun()
        self.wait()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stack.close()

    def _receive(self) -> ForwardMsg:
        return ForwardMsg.FromString(self._socket.recv(timeout=self._patience_s))

    def rerun(self, *changed: WidgetState) -> None:
        """Ask for a run of the script in which these widgets have changed."""
        self._widgets |= {widget.id: widget for widget in changed}
        message = BackMsg()
        message.rerun_script.widget_states.widgets.extend(self._widgets.values())
        self._socket.send(message.SerializeToString())

    def wait(self) -> None:
        """Take in what is drawn until the script has come to its end."""
        self.elements = {}
        while True:
            message = self._receive()
            kind = message.WhichOneof("type")
            if kind == "new_session":
                self.elements = {}
            elif kind == "delta" and message.delta.WhichOneof("type") == "new_element":
                name = message.delta.new_element.WhichOneof("type")
                drawn = getattr(message.delta.new_element, name)
                self.elements.setdefault(name, []).append(drawn)
            elif kind == "script_finished":
                return

    def _places(self, files: list[tuple[str, bytes]]) -> list[FileURLs]:
        message = BackMsg()
        message.file_urls_request.request_id = uuid.uuid4().hex
        message.file_urls_request.file_names.extend(name for name, _ in files)
        self._socket.send(message.SerializeToString())
        while (answer := self._receive()).WhichOneof("type") != "file_urls_response":
            pass
        return list(answer.file_urls_response.file_urls)

    def upload(self, files: list[tuple[str, bytes]]) -> WidgetState:
        """Put files into the first drop zone; returns its new state, to `rerun` with."""
        state = WidgetState(id=self.elements["file_uploader"][0].id)
        for (name, data), place in zip(files, self._places(files), strict=True):
            edge = uuid.uuid4().hex
            head = (
                f'--{edge}\r\nContent-Disposition: form-data; name="{name}"; filename="{name}"'
                "\r\nContent-Type: image/png\r\n\r\n"
            )
            request = urllib.request.Request(
                self._address + place.upload_url,
                data=head.encode() + data + f"\r\n--{edge}--\r\n".encode(),
                method="PUT",
                headers={
                    "Content-Type": f"multipart/form-data; boundary={edge}",
                    "Cookie": self._cookie,
                    "X-Xsrftoken": self._cookie.partition("=")[2],
                },
            )
            urllib.request.urlopen(request, timeout=self._patience_s).close()
            state.file_uploader_state_value.uploaded_file_info.append(
                UploadedFileInfo(name=name, size=len(data), file_id=place.file_id, file_urls=place)
            )
        return state

    def offers(self, label: str) -> bool:
        """Whether there is a download button of that label."""
        return any(b.label == label for b in self.elements.get("download_button", []))

    def download(self, label: str) -> bytes:
        """What the download button of that label hands out."""
        (button,) = [b for b in self.elements["download_button"] if b.label == label]
        with urllib.request.urlopen(self._address + button.url, timeout=self._patience_s) as file:
            return file.read()
