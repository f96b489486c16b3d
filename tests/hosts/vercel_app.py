"""The app under Vercel's runtime. Its query says what to do; what it did is in the journal."""

from __future__ import annotations

import asyncio
import json
import os
import time
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

from afterwork import AfterMiddleware, after, current_run

if TYPE_CHECKING:
    from afterwork._asgi import Receive, Scope, Send


def note(event: str, name: str = "") -> None:
    line = {"event": event, "name": name, "pid": os.getpid(), "at": time.monotonic()}
    descriptor = os.open(os.environ["JOURNAL"], os.O_CREAT | os.O_APPEND | os.O_WRONLY, 0o600)
    os.write(descriptor, json.dumps(line).encode() + b"\n")
    os.close(descriptor)


async def work(name: str, seconds: float) -> None:
    remaining = current_run().remaining()
    note("remaining", "none" if remaining is None else f"{remaining:.3f}")
    try:
        await asyncio.sleep(seconds)
    except asyncio.CancelledError:
        note("cut", name)
        raise
    note("done", name)
    after(note, "nested", name)


def blocking(name: str, seconds: float) -> None:
    time.sleep(seconds)
    note("done", name)


def fail(message: str) -> None:
    raise RuntimeError(message)


async def lifespan(receive: Receive, send: Send) -> None:
    while True:
        message = await receive()
        note(message["type"])
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return


async def inner(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "lifespan":
        await lifespan(receive, send)
        return
    query: dict[str, Any] = dict(parse_qsl(scope["query_string"].decode()))
    if "work" in query:
        after(work, query["work"], float(query.get("seconds", 0)))
    if "thread" in query:
        after(blocking, query["thread"], float(query.get("seconds", 0)))
    if "fail" in query:
        after(fail, query["fail"])
    if "crash" in query:
        raise RuntimeError(query["crash"])
    headers = [(b"content-type", b"text/plain"), (b"content-length", b"10")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"thank ", "more_body": True})
    await send({"type": "http.response.body", "body": b"you\n"})


app = AfterMiddleware(inner)
