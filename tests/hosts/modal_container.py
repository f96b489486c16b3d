"""A container of Modal: a stand-in for what is around the wrapper. The wrapper is Modal's own.

What is played here: the requests, as messages of an input; and the lifespan, which Modal begins
before the first input and ends with the container. Not played: Modal's queues and scaling.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from types import SimpleNamespace
from typing import Any

from modal._runtime import execution_context
from modal._runtime.asgi import asgi_app_wrapper


class Container:
    """Runs an ASGI app. For an `async with`, which is its lifespan; without, it has none."""

    def __init__(self, app: Callable[..., Any]) -> None:
        manager: Any = SimpleNamespace(get_data_in=SimpleNamespace(aio=self._data_in))
        function, lifespan = asgi_app_wrapper(app, manager)
        self._function = function
        self._lifespan: Any = lifespan
        self._numbers = itertools.count(1)
        self._life: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Container:
        self._life = asyncio.create_task(self._lifespan.background_task())
        await self._lifespan.lifespan_startup()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._lifespan.lifespan_shutdown()
        assert self._life is not None
        await self._life

    async def call(
        self, path: str, method: str = "GET", query: bytes = b"", **headers: str
    ) -> AsyncGenerator[dict[str, Any], None]:
        """One input: the messages that go to the client, as they come. It is over when this is."""
        number = f"fc-{next(self._numbers)}"
        scope: dict[str, Any] = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": method,
            "scheme": "https",
            "path": path,
            "raw_path": path.encode(),
            "query_string": query,
            "root_path": "",
            "headers": [(name.lower().encode(), text.encode()) for name, text in headers.items()],
            "client": ("192.0.2.1", 1),
            "server": ("shop.modal.run", 443),
        }
        reset = execution_context._set_current_context_ids([number], [number], ["attempt"])
        try:
            outputs = self._function(scope)
            first = asyncio.ensure_future(anext(outputs, None))
        finally:
            reset()
        message = await first
        while message is not None:
            yield message
            message = await anext(outputs, None)

    async def _data_in(self, call: str, attempt: str) -> AsyncIterator[dict[str, Any]]:
        yield {"type": "http.request", "body": b"", "more_body": False}
        await asyncio.Event().wait()
