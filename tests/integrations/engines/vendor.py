"""A stand-in for a vendor that takes messages over HTTP and posts them to an app.

No vendor's own server can be had on this side of its cloud. What is checked here is what the vendor
documents: the form of a request, field by field, and what it makes of it. A subclass says what that
is, and what proof a delivery brings.
"""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socket import create_server, socket
from typing import Any

import httpx
import uvicorn


class Refusal(Exception):
    """What a vendor answers to a request that it does not take."""

    def __init__(self, status: int, said: Any) -> None:
        super().__init__(status, said)
        self.status = status
        self.said = said


@dataclass
class Message:
    """One message on its way to the app."""

    id: str
    url: str
    body: bytes
    due: float = 0.0
    retries: int = 3
    headers: dict[str, str] = field(default_factory=dict)
    delivered: int = 0
    under_way: bool = False


class Vendor:
    """Takes requests on a thread of its own; `deliver` posts to the app from the test's loop."""

    retry_seconds = 0.05
    """Between two deliveries of the same message. A vendor waits longer."""
    more_headers = ("Server", "a stand-in")
    """One header of all its answers."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.messages: dict[str, Message] = {}
        self.dead: list[Message] = []
        self.requests: list[tuple[str, str, dict[str, str], bytes]] = []
        self.answers: list[int] = []
        """What the app said to each delivery."""
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Any:
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    # -- what a subclass says

    def answer(self, method: str, path: str, headers: dict[str, str], body: bytes) -> Any:
        """What it answers with 200. Raises `Refusal`. Runs under the lock."""
        raise NotImplementedError

    def proof(self, message: Message) -> dict[str, str]:
        """The headers of a delivery."""
        raise NotImplementedError

    # -- deliveries

    async def deliver(self, *, stop: Awaitable[object], concurrency: int = 10) -> None:
        """Posts what is due to the app until `stop` is done, and what is under way to its end."""
        stopping = asyncio.ensure_future(stop)
        running: set[asyncio.Task[None]] = set()
        async with httpx.AsyncClient(timeout=30, trust_env=False) as client:
            try:
                while not stopping.done():
                    for message in self._take(concurrency - len(running)):
                        running.add(asyncio.create_task(self._post(client, message)))
                    await asyncio.wait(
                        {stopping, *running}, timeout=0.01, return_when="FIRST_COMPLETED"
                    )
                    running = {task for task in running if not task.done()}
                if running:
                    await asyncio.wait(running)
            finally:
                stopping.cancel()
                for task in running:
                    task.cancel()

    def _take(self, most: int) -> list[Message]:
        with self.lock:
            now = time.time()
            waiting = [each for each in self.messages.values() if not each.under_way]
            due = [each for each in waiting if each.due <= now][:most]
            for message in due:
                message.under_way = True
            return due

    async def _post(self, client: httpx.AsyncClient, message: Message) -> None:
        try:
            answer = await client.post(
                message.url,
                content=message.body,
                headers={**message.headers, **self.proof(message)},
            )
            status = answer.status_code
        except httpx.HTTPError:
            status = 0
        with self.lock:
            self.answers.append(status)
            message.under_way = False
            message.delivered += 1
            if 200 <= status < 300:
                del self.messages[message.id]
            elif message.delivered > message.retries:
                self.dead.append(self.messages.pop(message.id))
            else:
                message.due = time.time() + self.retry_seconds

    # -- the server

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        vendor = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            wbufsize = -1  # an answer in two packets waits for the other side's acknowledgement

            def do(self) -> None:
                body = self.rfile.read(int(self.headers.get("content-length") or 0))
                headers = {name.lower(): value for name, value in self.headers.items()}
                with vendor.lock:
                    vendor.requests.append((self.command, self.path, headers, body))
                    try:
                        status, said = 200, vendor.answer(self.command, self.path, headers, body)
                    except Refusal as refusal:
                        status, said = refusal.status, refusal.said
                answer = json.dumps(said).encode()
                self.send_response(status)
                self.send_header("content-type", "application/json")
                self.send_header(*vendor.more_headers)
                self.send_header("content-length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            do_GET = do_POST = do_DELETE = do

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002
                """Nothing."""

            def handle(self) -> None:
                try:
                    super().handle()
                except ConnectionError:
                    pass  # the other side has given up

        return Handler


class Door:
    """A port that is open before anybody serves on it, so that its address is known."""

    def __init__(self) -> None:
        self._socket: socket = create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"

    def close(self) -> None:
        self._socket.close()

    @asynccontextmanager
    async def serving(self, app: Callable[..., Awaitable[Any]]) -> AsyncIterator[None]:
        """uvicorn on it, on the loop that runs here."""
        config = uvicorn.Config(
            app, lifespan="off", log_level="warning", timeout_graceful_shutdown=5
        )
        server = uvicorn.Server(config)
        task = asyncio.create_task(server.serve(sockets=[self._socket.dup()]))
        try:
            while not server.started:
                assert not task.done(), "uvicorn ended"
                await asyncio.sleep(0.005)
            yield
        finally:
            server.should_exit = True
            await task
