"""The app under test, run by real servers: a bare ASGI app that writes down what happens to it.

It imports nothing of the tests, since it runs in the servers' processes, under their rules. What
happened is one JSON line each in the file `$SHOP_JOURNAL`. `startup` and `shutdown` are the app's
own lifespan. The others belong to one request and its callback, which `name` tells: `queued`, then
`answered` or, where the handler was not allowed to finish, `cut`; `started` and `done`.
"""

from __future__ import annotations

import json
import os
import time
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

import anyio

from afterwork import AfterMiddleware, after

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, MutableMapping

    Message = MutableMapping[str, Any]
    Receive = Callable[[], Awaitable[Message]]
    Send = Callable[[Message], Awaitable[None]]

CHUNKS = 20
CHUNK_SECONDS = 0.02


def write(event: str, name: str = "") -> None:
    line = {"event": event, "name": name, "pid": os.getpid(), "at": time.monotonic()}
    # One write to a file opened for appending: the lines of several workers do not mix.
    journal = os.open(os.environ["SHOP_JOURNAL"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    try:
        os.write(journal, json.dumps(line).encode() + b"\n")
    finally:
        os.close(journal)


async def work(name: str, seconds: float, fails: bool) -> None:
    write("started", name)
    await anyio.sleep(seconds)
    _end(name, fails)


def work_in_thread(name: str, seconds: float, fails: bool) -> None:
    write("started", name)
    time.sleep(seconds)
    _end(name, fails)


def _end(name: str, fails: bool) -> None:
    write("done", name)
    if fails:
        raise RuntimeError(f"{name} fails on purpose")


async def shop(scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
    if scope["type"] == "lifespan":
        await _live(receive, send)
        return
    assert scope["type"] == "http", scope["type"]
    query = dict(parse_qsl(scope["query_string"].decode()))
    name = query.get("name", "")
    if "seconds" in query:
        fn = work_in_thread if query.get("thread") else work
        after.options(name=name)(fn, name, float(query["seconds"]), bool(query.get("fails")))
    write("queued", name)
    try:
        await anyio.sleep(float(query.get("handler", 0)))
        if scope["path"] == "/stream":
            await _stream(send)
        else:
            await _answer(send, query.get("body", "ok").encode())
    except BaseException:
        write("cut", name)
        raise
    write("answered", name)


async def _live(receive: Receive, send: Send) -> None:
    await receive()
    write("startup")
    await send({"type": "lifespan.startup.complete"})
    await receive()
    write("shutdown")
    await send({"type": "lifespan.shutdown.complete"})


async def _answer(send: Send, body: bytes) -> None:
    length = str(len(body)).encode()
    await send(_start((b"content-type", b"text/plain"), (b"content-length", length)))
    await send({"type": "http.response.body", "body": body})


async def _stream(send: Send) -> None:
    await send(_start((b"content-type", b"text/plain")))
    for _ in range(CHUNKS):
        await send({"type": "http.response.body", "body": b"chunk", "more_body": True})
        await anyio.sleep(CHUNK_SECONDS)
    await send({"type": "http.response.body", "body": b""})


def _start(*headers: tuple[bytes, bytes]) -> Message:
    return {"type": "http.response.start", "status": 200, "headers": list(headers)}


app = AfterMiddleware(shop, grace=float(os.environ.get("SHOP_GRACE", "25")))
