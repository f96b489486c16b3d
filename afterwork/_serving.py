"""A worker in this process: takes durable calls out of the engine and runs them, from its start
until it is told to stop.

1. `afterwork worker` is one, and so is a web process with `worker=True` between its start-up and
   its shutdown. With `"auto"` a web process serves the journal of its own store, and no engine.
2. It takes no more as soon as it is told to stop. What runs then has the process' `grace`, like
   all other work; what is cut is given back to the engine.
3. In a web process a worker never gives up, and never costs a request anything: an engine that
   fails is said, and served again after a pause.
"""

from __future__ import annotations

from . import _events
from .errors import EngineError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ._dispatch import Dispatch
    from ._loop import Loop

FAILED_SECONDS = 1.0
"""The pause after an engine failed; it doubles up to `MOST_FAILED_SECONDS`."""
MOST_FAILED_SECONDS = 30.0
CANCELLED_SECONDS = 2.0
"""How long an engine may take to end once it is cancelled."""


class Worker:
    """`serve` of an app's engine, under way on asyncio. `patient`: it serves again after a failure;
    without it the failure is that of `task`."""

    def __init__(
        self, dispatch: Dispatch, loop: Loop, concurrency: int, *, patient: bool = False
    ) -> None:
        import asyncio

        self.engine = dispatch.durable.engine
        self.concurrency = concurrency
        self._pipeline = dispatch.pipeline
        self._patient = patient
        self._stop = loop.signal()
        self._stopped = False
        self._pipeline.worker = self
        self.task = asyncio.ensure_future(self._run())

    def stop(self) -> None:
        """It takes no more from now on. Only from its loop."""
        self._stopped = True
        self._stop.set_here()

    async def over(self, seconds: float | None) -> bool:
        """Waits until it is over, at most so long. Returns whether it is."""
        import asyncio

        done, _ = await asyncio.wait({self.task}, timeout=seconds)
        return bool(done)

    def cancel(self) -> None:
        """Ends it; the engine gives back what it has."""
        self.stop()
        self.task.cancel()

    async def end(self) -> None:
        """Cancels it, if it is not over, and waits for a moment."""
        if not self.task.done():
            self.cancel()
            if not await self.over(CANCELLED_SECONDS):
                _events.emit(_events.WARNING, "worker.not_stopped", None, engine=self.engine.name)

    async def _run(self) -> None:
        facts = {"engine": self.engine.name, "concurrency": self.concurrency}
        _events.emit(_events.INFO, "worker.started", None, **facts)
        try:
            await self._serve_until_stopped()
        finally:
            self._pipeline.worker = None
            _events.emit(_events.INFO, "worker.stopped", None, engine=self.engine.name)

    async def _serve_until_stopped(self) -> None:
        pause = FAILED_SECONDS
        clock = self._pipeline.clock
        while True:
            began = clock.monotonic()
            try:
                await self._serve()
                return
            except Exception as error:
                if not self._patient:
                    raise
                _events.emit(_events.ERROR, "worker.failed", error, engine=self.engine.name)
            if clock.monotonic() - began > MOST_FAILED_SECONDS:
                pause = FAILED_SECONDS
            if await self._stop.wait(pause):
                return
            pause = min(2 * pause, MOST_FAILED_SECONDS)

    async def _serve(self) -> None:
        import asyncio

        stopping = asyncio.ensure_future(self._stop.wait(None))
        try:
            await self.engine.serve(concurrency=self.concurrency, stop=stopping)
        finally:
            stopping.cancel()
        if not self._stopped:
            problem = "its serve() returned although nobody told it to stop"
            raise EngineError(self.engine.name, "go on", problem)


def embed(dispatch: Dispatch, loop: Loop) -> None:
    """Starts a worker in this web process, if its settings want one. Where it cannot run that is
    said, and the app starts all the same."""
    pipeline = dispatch.pipeline
    setting = pipeline.settings.worker
    if not _is_wanted(dispatch):
        return
    try:
        reason = refusal(dispatch, loop)
        if reason is None:
            Worker(dispatch, loop, pipeline.settings.concurrency, patient=True)
            return
    except Exception as error:  # a store or an engine that is none
        reason = str(error)
    level = _events.ERROR if setting is True else _events.WARNING
    dispatch.notices.say_each_minute("worker.refused", level, reason=reason)


def _is_wanted(dispatch: Dispatch) -> bool:
    pipeline = dispatch.pipeline
    settings = pipeline.settings
    if settings.worker is False or not pipeline.may_embed or pipeline.worker is not None:
        return False
    if settings.worker == "auto" and settings.engine is not None:
        return False
    return any(job.policy.durable for job in dispatch.jobs)


def refusal(dispatch: Dispatch, loop: Loop) -> str | None:
    """Why no worker can run in this web process, or None. Raises what the engine's own property
    raises."""
    host, engine = dispatch.pipeline.host, dispatch.durable.engine
    if engine.capabilities.mode == "push":
        return push_note(engine.name)
    if host.info.mode != "detached" or not host.info.lifespan_is_process:
        return (
            f"the host {host.info.name!r} stops or freezes the process between requests, so "
            "calls would not run on time. Run workers elsewhere: afterwork worker"
        )
    if not loop.detaches:
        return "it needs asyncio, and this server runs trio. Run it beside: afterwork worker"
    return None


def push_note(engine: str) -> str:
    """What to do where somebody wants to serve an engine that is not served."""
    return (
        f"the engine {engine} is not served: it calls the trigger route, so that has to be "
        "mounted where the engine can reach it: work.routes(verify=...)"
    )
