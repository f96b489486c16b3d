"""The app under test, run by real servers: a job that is due each second and writes down its runs.

It imports nothing of the tests, since it runs in the servers' processes, under their rules. What
happened is one JSON line each in the file `$SHOP_JOURNAL`: `started` and `ran`, with the run's slot
as the name. The variables that begin with `CLOCKWORK_` say how the job behaves.
"""

from __future__ import annotations

import json
import os
import time
from typing import TYPE_CHECKING, Any, Literal, cast

import anyio

from afterwork import Afterwork, current_run

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, MutableMapping

    Message = MutableMapping[str, Any]
    Receive = Callable[[], Awaitable[Message]]
    Send = Callable[[Message], Awaitable[None]]


def setting(name: str, default: str) -> str:
    return os.environ.get(f"CLOCKWORK_{name}", default)


SECONDS = float(setting("SECONDS", "0"))
"""How long one run takes."""


def new_work() -> Afterwork:
    """The app's settings, with the job."""
    work = Afterwork(
        store=setting("STORE", "sqlite:///clockwork.db"),
        lease=float(setting("LEASE", "60")),
        grace=float(setting("GRACE", "25")),
    )
    overlap = cast(Literal["skip", "allow"], setting("OVERLAP", "allow"))
    misfire = cast(Literal["once", "all"], setting("MISFIRE", "all"))
    work.every("1s", overlap=overlap, misfire=misfire)(beat)
    return work


async def beat() -> None:
    moment = current_run().scheduled_for
    slot = "by hand" if moment is None else str(int(moment.timestamp()))
    write("started", slot)
    if SECONDS:
        await anyio.sleep(SECONDS)
    write("ran", slot)


def write(event: str, name: str) -> None:
    line = {"event": event, "name": name, "pid": os.getpid(), "at": time.monotonic()}
    # One write to a file opened for appending: the lines of several workers do not mix.
    journal = os.open(os.environ["SHOP_JOURNAL"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    try:
        os.write(journal, json.dumps(line).encode() + b"\n")
    finally:
        os.close(journal)


async def site(scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
    if scope["type"] == "lifespan":
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.complete"})
        return
    length = (b"content-length", b"2")
    await send({"type": "http.response.start", "status": 200, "headers": [length]})
    await send({"type": "http.response.body", "body": b"ok"})


app = new_work().wrap(site)
