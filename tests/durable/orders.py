"""The app under test, run by real servers: it takes orders and promises that they are worked.

It imports nothing of the tests, since it runs in the servers' processes. What was worked is a line
each in the file `$SHOP_JOURNAL`. `/order/7` is a promise, `/refused/7` is none, and `/log` says
whether there is anything left to do.
"""

from __future__ import annotations

import asyncio
import json
import os
import time
from typing import TYPE_CHECKING, Any

from afterwork import Afterwork, Retry, after, current_run

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, MutableMapping

    Message = MutableMapping[str, Any]
    Receive = Callable[[], Awaitable[Message]]
    Send = Callable[[Message], Awaitable[None]]

work = Afterwork(
    store=os.environ.get("ORDERS_STORE", "sqlite:///orders.db"),
    lease=float(os.environ.get("ORDERS_LEASE", "1.5")),
    grace=5,
)


@work.job(durable=True, retry=Retry(20, delay=0.05, max_delay=0.2))
async def fulfil(number: str) -> None:
    await asyncio.sleep(0.02)
    if number.endswith("3") and current_run().attempt == 1:
        raise ConnectionError("the warehouse does not answer")
    line = {"event": "worked", "name": number, "pid": os.getpid(), "at": time.monotonic()}
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
    kind, _, number = scope["path"].strip("/").partition("/")
    status = 200
    if kind == "order":
        after(fulfil, number)
    elif kind == "refused":
        after.options(on="success")(fulfil, number)
        status = 409
    length = (b"content-length", b"2")
    await send({"type": "http.response.start", "status": status, "headers": [length]})
    await send({"type": "http.response.body", "body": b"ok"})


app = work.wrap(site)
