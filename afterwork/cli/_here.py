"""Runs jobs in this process, on a loop of its own, and ends them when somebody wants it to end.

1. The first SIGINT or SIGTERM asks what runs to stop: async jobs are cancelled, sync ones see it in
   `current_run().stop_reason`. What is still there after `STOP_SECONDS` is cut, as a second signal
   does at once. Each end is recorded, before the process ends.
2. Whatever the jobs queued and whatever reporters still have is waited for.
"""

from __future__ import annotations

import signal
import threading

from ._errors import INTERRUPTED, TERMINATED

TYPE_CHECKING = False
if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Coroutine, Iterator
    from types import FrameType
    from typing import Any, TypeVar

    from .._loop import Loop
    from .._work import Work
    from ._app import Found

    T = TypeVar("T")

STOP_SECONDS = 2.0
"""How long what runs may take to stop. Vercel kills the process three seconds after its SIGTERM,
and the record has to be written before that."""
CODES = {signal.SIGINT: INTERRUPTED, signal.SIGTERM: TERMINATED}


class Here:
    """This process while it runs jobs. `lifespan`: with the app's start-up and shutdown."""

    def __init__(self, found: Found, *, lifespan: bool) -> None:
        self.dispatch = found.dispatch
        self._found = found
        self._lifespan = lifespan
        self.signalled: int | None = None
        """The exit code of the signal that came, if one did."""
        self.on_signal: Callable[[], None] = lambda: None
        """What else is to be told that it ends."""
        self.on_cut: Callable[[], object] = lambda: None
        """What else is to be told at a second signal."""
        self.was_cut = False
        """A second signal came."""
        self.patience = STOP_SECONDS
        self._loop: asyncio.AbstractEventLoop | None = None

    def run(self, main: Callable[[Loop], Coroutine[Any, Any, T]]) -> T:
        """Runs `main` on a new loop; then waits for what the jobs left."""
        import asyncio

        return asyncio.run(self._main(main))

    async def _main(self, main: Callable[[Loop], Coroutine[Any, Any, T]]) -> T:
        import asyncio

        from .._closing import close
        from .._loop import current_loop
        from ._lifespan import lived

        loop = current_loop()
        assert loop is not None, "asyncio runs"
        self._loop = asyncio.get_running_loop()
        pipeline = self.dispatch.pipeline
        with self._handlers():
            async with lived(self._found, self._lifespan):
                try:
                    return await main(loop)
                finally:
                    await close(pipeline, loop, 0 if self.signalled else pipeline.settings.grace)

    @property
    def stopping(self) -> bool:
        """Whether nothing new is to be started."""
        return self.signalled is not None

    async def see(self, work: Work, loop: Loop) -> Work:
        """Runs one ordered work to its end, and returns it."""
        self.dispatch.begin(work, loop, None)
        await self.dispatch.see_through(work, loop)
        return work

    # -- signals

    def _handlers(self) -> Any:
        from contextlib import contextmanager

        @contextmanager
        def installed() -> Iterator[None]:
            before: dict[signal.Signals, Any] = {}
            if threading.current_thread() is threading.main_thread():
                before = {each: signal.signal(each, self._on_signal) for each in CODES}
            try:
                yield
            finally:
                for each, handler in before.items():
                    signal.signal(each, handler)

        return installed()

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        assert self._loop is not None, "the handlers are installed on it"
        self._loop.call_soon_threadsafe(self._end, signal.Signals(number))

    def _end(self, number: signal.Signals) -> None:
        """Asks everything to stop; the second time, cuts it."""
        if self.signalled is not None:
            self.was_cut = True
            self._cut(number.name)
            self.on_cut()
            return
        self.signalled = CODES[number]
        self.on_signal()
        assert self._loop is not None
        if not self.patience:
            return  # somebody else waits for what runs
        from .._closing import stop

        pipeline = self.dispatch.pipeline
        for queue in list(pipeline.queues):
            for work in queue.unfinished():
                stop(pipeline, work, number.name)
        self._loop.call_later(self.patience, self._cut, number.name)

    def _cut(self, reason: str) -> None:
        from .._closing import cut

        pipeline = self.dispatch.pipeline
        for queue in list(pipeline.queues):
            cut(pipeline, queue, reason)
