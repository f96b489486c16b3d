"""An app's lifespan where no server runs it: once per process, started and ended by hand."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

Message = MutableMapping[str, Any]

__all__ = ["Lifespan"]

_log = logging.getLogger("afterwork.lifespan")


class Lifespan:
    """Runs on the app's loop. `state` is what the app put there for its requests."""

    def __init__(self, app: Callable[..., Awaitable[Any]], host: object) -> None:
        self._app = app
        self.state: dict[str, Any] = {}
        self._scope: dict[str, Any] = {
            "type": "lifespan",
            "asgi": {"version": "3.0", "spec_version": "2.0"},
            "state": self.state,
        }
        if host is not None:
            self._scope["afterwork"] = host
        self._told: asyncio.Queue[Message] = asyncio.Queue()
        self._answers: asyncio.Queue[Message] = asyncio.Queue()
        self._task: asyncio.Task[Any] | None = None

    async def startup(self) -> None:
        """Raises `RuntimeError` where the app says that its start-up failed. An app without a
        lifespan is left alone."""
        self._task = asyncio.create_task(self._run())
        answer = await self._tell("lifespan.startup")
        if answer is not None and answer["type"] == "lifespan.startup.failed":
            raise RuntimeError(
                "the app's start-up failed, so it cannot serve: "
                + str(answer.get("message") or "it gave no reason")
            )

    async def shutdown(self) -> None:
        """Does nothing where the app's lifespan is over already."""
        await self._tell("lifespan.shutdown")

    async def _tell(self, kind: str) -> Message | None:
        """The app's answer, or None where its lifespan ended without one."""
        assert self._task is not None, "started first"
        self._told.put_nowait({"type": kind})
        answer = asyncio.ensure_future(self._answers.get())
        await asyncio.wait((answer, self._task), return_when=asyncio.FIRST_COMPLETED)
        if answer.done():
            return answer.result()
        answer.cancel()
        return None

    async def _run(self) -> None:
        try:
            await self._app(self._scope, self._told.get, self._answers.put)
        except Exception as error:
            # Many apps say so by raising that they have none.
            _log.debug("the app has no lifespan, or it failed: %r", error)
