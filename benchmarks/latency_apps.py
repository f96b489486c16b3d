"""The apps of latency.py."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from afterwork import AfterMiddleware, after


async def async_callback() -> None:
    await asyncio.sleep(0.02)


def sync_callback() -> None:
    time.sleep(0.02)


def app(function: Any) -> AfterMiddleware:
    async def answer(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            raise ValueError("no lifespan here")
        if function is not None:
            after(function)
        headers = [(b"content-length", b"2")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"ok"})

    return AfterMiddleware(answer)


without = app(None)
with_async = app(async_callback)
with_sync = app(sync_callback)
