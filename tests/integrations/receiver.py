"""A real HTTP server that answers, fails, hangs, hangs up or redirects, and keeps what it got."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

PATIENCE = 10.0


@dataclass
class Request:
    method: str
    target: str
    headers: dict[str, str]
    body: bytes

    @property
    def path(self) -> str:
        return urlsplit(self.target).path

    @property
    def query(self) -> dict[str, str]:
        return {name: value for name, (value,) in parse_qs(urlsplit(self.target).query).items()}


@dataclass
class Receiver:
    """`answers` are used up one by one, and the last one for all that follow: a status, "hang" or
    "close". A status of 3xx redirects to `location`."""

    answers: list[int | str]
    location: str = "http://127.0.0.1:9/elsewhere"
    url: str = ""
    got: list[Request] = field(default_factory=list)
    released: threading.Event = field(default_factory=threading.Event)
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def paths(self) -> list[str]:
        return [request.path for request in self.got]

    def take(self, request: Request) -> int | str:
        with self.lock:
            self.got.append(request)
            return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


@contextmanager
def receiving(*answers: int | str) -> Iterator[Receiver]:
    receiver = Receiver([*(answers or (200,))])

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self) -> None:
            length = int(self.headers.get("content-length") or 0)
            headers = {name.lower(): value for name, value in self.headers.items()}
            request = Request(self.command, self.path, headers, self.rfile.read(length))
            answer = receiver.take(request)
            self.close_connection = True
            if answer == "close":
                return
            if answer == "hang":
                receiver.released.wait(PATIENCE)
                return
            assert isinstance(answer, int)
            self.send_response(answer)
            if 300 <= answer < 400:
                self.send_header("location", receiver.location)
            self.send_header("content-length", "2")
            # Said, or a client sends its next message on a connection that is about to be closed.
            self.send_header("connection", "close")
            self.end_headers()
            self.wfile.write(b"OK")

        do_GET = do_POST = answer

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            """Nothing."""

        def handle(self) -> None:
            try:
                super().handle()
            except ConnectionError:
                pass  # the other side has given up

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    receiver.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield receiver
    finally:
        receiver.released.set()
        server.shutdown()
        server.server_close()
        thread.join()
