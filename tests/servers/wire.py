"""An HTTP/1.1 client on a bare socket, which sees every byte and may hang up in any manner."""

from __future__ import annotations

import socket
import struct
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlencode

if TYPE_CHECKING:
    from types import TracebackType

TIMEOUT_SECONDS = 10.0


@dataclass(frozen=True)
class Reply:
    """A response. `seconds` lie between the request's first byte and the response's last."""

    status: int
    body: bytes
    seconds: float


class Connection:
    """One connection to the server, kept alive until it is closed in one way or the other."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), TIMEOUT_SECONDS)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.unread = b""
        self.sent = 0.0

    def __enter__(self) -> Connection:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.socket.close()

    def get(self, path: str = "/", **query: object) -> Reply:
        """A request and its whole response."""
        self.ask(path, **query)
        return self.reply()

    def ask(self, path: str = "/", **query: object) -> None:
        """Sends a request and does not wait for its response."""
        self._ask(path, query, "keep-alive")

    def last(self, **query: object) -> tuple[Reply, bytes]:
        """The last request of the connection: its response, and what the server has sent after
        that until it closed."""
        self._ask("/", query, "close")
        reply = self.reply()
        while self._more(ends=True):
            pass
        return reply, self.unread

    def reply(self) -> Reply:
        """Reads one response with a Content-Length, and not a byte more than has come with it."""
        head, headers = self._head()
        body = self._exactly(int(headers[b"content-length"]))
        seconds = time.perf_counter() - self.sent
        return Reply(int(head.split()[1]), body, seconds)

    def first_chunk(self) -> bytes:
        """Reads up to the first byte of a body."""
        self._head()
        return self.unread or self._more()

    def fin(self) -> None:
        """Hangs up politely."""
        self.socket.close()

    def rst(self) -> None:
        """Hangs up with a reset, as a client does that crashes."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    def _ask(self, path: str, query: dict[str, object], connection: str) -> None:
        target = f"{path}?{urlencode(query)}" if query else path
        request = f"GET {target} HTTP/1.1\r\nHost: shop\r\nConnection: {connection}\r\n\r\n"
        self.sent = time.perf_counter()
        self.socket.sendall(request.encode())

    def _head(self) -> tuple[bytes, dict[bytes, bytes]]:
        while b"\r\n\r\n" not in self.unread:
            self._more()
        head, _, self.unread = self.unread.partition(b"\r\n\r\n")
        first, *lines = head.split(b"\r\n")
        pairs = (line.split(b":", 1) for line in lines)
        return first, {name.lower(): value.strip() for name, value in pairs}

    def _exactly(self, length: int) -> bytes:
        while len(self.unread) < length:
            self._more()
        body, self.unread = self.unread[:length], self.unread[length:]
        return body

    def _more(self, ends: bool = False) -> bytes:
        data = self.socket.recv(65536)
        if not data and not ends:
            raise ConnectionError(f"the server closed the connection after {self.unread!r}")
        self.unread += data
        return data
