"""The lifespan: where the server tells that the process ends, on the servers that do.

It is the one moment that uvicorn, gunicorn, hypercorn and granian all offer. The shutdown is kept
from the app until all callbacks are over, so that they still have what the app opened at start-up.
"""

from __future__ import annotations

from . import _events
from ._closing import close
from ._loop import current_loop
from ._sigterm import SigtermGuard

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ._asgi import ASGIApp, Message, Receive, Scope, Send
    from ._loop import Loop
    from ._pipeline import Pipeline


class Lifespan:
    """Runs the app's lifespan and drains between the server's shutdown and the app's."""

    def __init__(self, app: ASGIApp, pipeline: Pipeline) -> None:
        self.app = app
        self.pipeline = pipeline
        self.running: object = None
        """Between start-up and the end of the drain the token of the loop that it runs on, else
        None. On that loop the end of the process will be told; others may end before it."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        asked = False
        guard = SigtermGuard(self.pipeline)
        if self.pipeline.dispatch is not None:
            self.pipeline.dispatch.look_at_store()

        async def receive_and_drain() -> Message:
            nonlocal asked
            asked = True
            message = await receive()
            if message["type"] == "lifespan.shutdown":
                guard.shutting_down = True
                await self._drain()
            return message

        async def send_and_note(message: Message) -> None:
            if message["type"] == "lifespan.startup.complete":
                loop = current_loop()
                self.running = None if loop is None else loop.token
                guard.arm()
                self._start_scheduler(loop)
                self._start_worker(loop)
            await send(message)

        try:
            try:
                await self.app(scope, receive_and_drain, send_and_note)
            except Exception as error:
                if asked:
                    raise
                # Django and others have no lifespan and say so by raising at once. Anything else
                # may be a start-up that failed, so it is not taken without a word.
                known = "lifespan" in str(error)
                level = _events.DEBUG if known else _events.WARNING
                _events.emit(level, "lifespan.unsupported", error)
            if not asked:
                await receive_and_drain()
                await send_and_note({"type": "lifespan.startup.complete"})
                await receive_and_drain()
                await send_and_note({"type": "lifespan.shutdown.complete"})
        finally:
            self.running = None
            guard.disarm()

    def _start_scheduler(self, loop: Loop | None) -> None:
        scheduler = self.pipeline.scheduler
        if loop is not None and scheduler is not None:
            scheduler.start(loop)

    def _start_worker(self, loop: Loop | None) -> None:
        dispatch = self.pipeline.dispatch
        if loop is not None and dispatch is not None:
            from ._serving import embed

            embed(dispatch, loop)

    async def _drain(self) -> None:
        loop = current_loop()
        if self.pipeline.scheduler is not None:
            self.pipeline.scheduler.stop()
        try:
            if loop is not None and self.pipeline.host.info.lifespan_is_process:
                await close(self.pipeline, loop, self.pipeline.settings.grace)
        finally:
            self.running = None
