"""`--lifespan`: the app's start-up before the jobs and its shutdown after them, as on a server, for
jobs that need what the app opens: a database pool, a client.

The app's own scheduler and worker stay off: the command decides what runs.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager

from .. import _events
from ._errors import FAILED, USAGE, Stop

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from typing import Any

    from ._app import Found

Message = dict[str, object]


@asynccontextmanager
async def lived(found: Found, wanted: bool) -> AsyncIterator[None]:
    """The app between start-up and shutdown, if that is `wanted`. Raises `Stop` where it does not
    start. One without a lifespan, as Django's, goes on without."""
    if not wanted:
        yield
        return
    if found.app is None:
        raise Stop(USAGE, f"--lifespan needs the app: {found.target} is none. --app MODULE:APP")
    found.dispatch.pipeline.settings.scheduler = False
    found.dispatch.pipeline.may_embed = False
    told: asyncio.Queue[Message] = asyncio.Queue()
    answers: asyncio.Queue[Message] = asyncio.Queue()
    app: Any = found.app
    scope = {"type": "lifespan", "asgi": {"version": "3.0", "spec_version": "2.0"}, "state": {}}
    life = asyncio.create_task(_live(app, scope, told, answers))
    told.put_nowait({"type": "lifespan.startup"})
    answer = await answers.get()
    if answer["type"] == "lifespan.startup.failed":
        await life
        raise Stop(
            FAILED, f"the app did not start: {answer.get('message') or 'it did not say why'}"
        )
    try:
        yield
    finally:
        told.put_nowait({"type": "lifespan.shutdown"})
        await life


async def _live(
    app: Any, scope: dict[str, Any], told: asyncio.Queue[Message], answers: asyncio.Queue[Message]
) -> None:
    """The whole lifespan. Its end counts as an answer, so that nobody waits for one."""
    try:
        await app(scope, told.get, answers.put)
    except Exception as error:
        _events.emit(_events.WARNING, "lifespan.failed", error)
    finally:
        answers.put_nowait({"type": "lifespan.over"})
