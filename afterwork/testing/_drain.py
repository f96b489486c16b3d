"""Waiting for callbacks, and failing when they fail or are left."""

from __future__ import annotations

import time

from .. import _report
from .._loop import current_loop
from .._outcome import Outcome
from .._pipeline import PIPELINES
from .._queue import DRAINING, OPEN

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType

    from .._queue import Queue
    from .._work import Work

_strict: list[strict] = []


async def drain(timeout: float = 10.0) -> None:  # noqa: ASYNC109 - it reports, and does not cancel
    """Waits until no callback of the process is running or waiting, at most `timeout` seconds.

    After it a test can assert on what callbacks did. Callbacks of a request (or `scope()`) that is
    still open have not started and are not waited for. Inside `strict()` it raises what failed.
    Raises `TimeoutError` naming what is unfinished.
    """
    loop = current_loop()
    assert loop is not None
    end = time.monotonic() + timeout
    for queue in iter(_draining, None):
        drained = loop.signal()
        queue.when_drained(drained.set)
        if not await drained.wait(max(end - time.monotonic(), 0)) or time.monotonic() > end:
            raise TimeoutError(_unfinished(timeout))
    _raise_strict()


def wait_for_drain(timeout: float = 10.0) -> None:
    """As `drain()`, for sync tests: blocks this thread while the app runs in another, as it does
    with Starlette's TestClient."""
    import threading

    end = time.monotonic() + timeout
    for queue in iter(_draining, None):
        drained = threading.Event()
        queue.when_drained(drained.set)
        if not drained.wait(max(end - time.monotonic(), 0)) or time.monotonic() > end:
            raise TimeoutError(_unfinished(timeout))
    _raise_strict()


class strict:
    """Raises what callbacks raised: an `ExceptionGroup`, at the end of the block or of a `drain()`
    inside it, whichever comes first. The response is not touched.

    Leaving the block waits for running callbacks first: `async with` where an event loop is
    running, else `with`. An exception that leaves the block by itself is not replaced.
    """

    def __init__(self) -> None:
        self._errors: list[BaseException] = []

    def __enter__(self) -> strict:
        _strict.append(self)
        _report.observer = _observe
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            if error is None and current_loop() is None:
                wait_for_drain()
        finally:
            self._leave()
        if error is None:
            self._raise()

    async def __aenter__(self) -> strict:
        return self.__enter__()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            if error is None:
                await drain()
        finally:
            self._leave()
        if error is None:
            self._raise()

    def _leave(self) -> None:
        _strict.remove(self)
        if not _strict:
            _report.observer = None

    def _raise(self) -> None:
        errors, self._errors = self._errors, []
        if errors:
            raise BaseExceptionGroup(f"{len(errors)} callbacks failed", errors)


class leak_guard:
    """Fails, with `AssertionError`, if the block leaves a callback that is queued or running."""

    def __enter__(self) -> leak_guard:
        self._before = set(_all_unfinished())
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        left = [work for work in _all_unfinished() if work not in self._before]
        if left and error is None:
            names = ", ".join(f"{work.title} ({work.site})" for work in left)
            raise AssertionError(
                f"{len(left)} callbacks are unfinished: {names}. Wait for them: await drain()"
            )


def _draining() -> Queue | None:
    for pipeline in list(PIPELINES):
        for queue in list(pipeline.queues):
            if queue.state is DRAINING or (queue.state is OPEN and queue.due):
                return queue
    return None


def _all_unfinished() -> list[Work]:
    return [
        work
        for pipeline in list(PIPELINES)
        for queue in list(pipeline.queues)
        for work in queue.unfinished()
    ]


def _unfinished(timeout: float) -> str:
    names = ", ".join(work.title for work in _all_unfinished())
    return f"callbacks are unfinished after {timeout:g} s: {names}"


def _observe(work: Work) -> None:
    failed = work.outcome in (Outcome.FAILED, Outcome.TIMED_OUT)
    if failed and work.error is not None and _strict:
        _strict[-1]._errors.append(work.error)


def _raise_strict() -> None:
    if _strict:
        _strict[-1]._raise()
