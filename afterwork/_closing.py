"""Ending what is unfinished: at a deadline, and at the end of the process.

1. A work that is cut is cancelled and given `ALLOWANCE_SECONDS` to end; what is still there then is
   reported as abandoned. A thread cannot be stopped and is abandoned at once.
2. What was cut is told to `on_abandon` once, when its drain is over; not the run of a durable call,
   which goes back to where it is kept.
3. Closing waits for everything that is unfinished, but not for ever.
"""

from __future__ import annotations

from contextlib import contextmanager

from . import _events
from ._outcome import Outcome
from ._queue import DRAINING
from ._run import Run
from ._work import DONE, QUEUED

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from ._loop import Loop, Signal
    from ._pipeline import Pipeline
    from ._queue import Queue
    from ._serving import Worker
    from ._work import Work

ALLOWANCE_SECONDS = 0.25
LEAVE_SECONDS = 5.0
"""How long the store may take to write down what was cut."""
FLUSH_SECONDS = 5.0


def cut(pipeline: Pipeline, queue: Queue, reason: str) -> None:
    """Ends what is left of a queue, says so, and tells `on_abandon`. Only from the loop."""
    works = []
    for work in queue.unfinished():
        if work.ticket is not None and work.ticket.gone and work.ticket.admitted:
            queue.forget(work)  # it was written down, so nothing of it is lost
            pipeline.part_with(work)
        else:
            works.append(work)
    if not works:
        return
    kept: list[Work] = []
    lost: list[Work] = []
    for work in works:
        again = work.ticket is not None and work.ticket.comes_again
        (kept if again else lost).append(work)
    _say_cut(pipeline, _events.ERROR, "after.dropped", lost, reason)
    _say_cut(pipeline, _events.WARNING, "after.given_back", kept, reason)
    for work in works:
        work.cut = reason
        if not _end(pipeline, work):
            pipeline.finish(work, Outcome.ABANDONED, None, inside=False)
    if queue.loop is not None and any(work.state != DONE for work in works):
        # Told when the drain ends, or the request it belongs to is still open and it is over.
        telling = [lost]
        if queue.state is DRAINING:
            queue.when_drained(lambda: _tell_abandoned(pipeline, telling))
        queue.loop.later(ALLOWANCE_SECONDS, _abandon, pipeline, works, telling)
    else:
        _tell_abandoned(pipeline, [lost])


def _say_cut(pipeline: Pipeline, level: int, event: str, works: list[Work], reason: str) -> None:
    if not works:
        return
    now = pipeline.clock.monotonic()
    works[0].context.copy().run(
        _events.emit,
        level,
        event,
        None,
        reason=reason,
        count=len(works),
        callbacks=[work.title for work in works],
        ages_seconds=[None if work.started is None else now - work.started for work in works],
    )


def stop(pipeline: Pipeline, work: Work, reason: str) -> None:
    """Asks one work to end: an async one is cancelled, a thread can only see it (`stop_reason`).
    Only from the loop."""
    if work.state == DONE or work.cut is not None:
        return
    work.cut = reason
    _end(pipeline, work)


def _end(pipeline: Pipeline, work: Work) -> bool:
    """Ends a work that does not run yet, and cancels one that can be. False: it is in a thread."""
    if work.state == QUEUED or (work.started is None and work.task is None):
        work.queue.forget(work)
        pipeline.finish(work, Outcome.CANCELLED, work.error, inside=False)
        return True
    if work.task is None:
        return False
    work.task.cancel()
    return True


def _abandon(pipeline: Pipeline, works: list[Work], telling: list[list[Work]]) -> None:
    """The time that cut works had to end is over."""
    for work in works:
        pipeline.finish(work, Outcome.ABANDONED, None, inside=False)
    _tell_abandoned(pipeline, telling)


def _tell_abandoned(pipeline: Pipeline, telling: list[list[Work]]) -> None:
    """Tells the hook of cut works, once: what is told is taken out of the list."""
    works = telling.pop() if telling else []
    hook = pipeline.settings.on_abandon
    dropped = [work for work in works if work.outcome in (Outcome.CANCELLED, Outcome.ABANDONED)]
    if hook is None or not dropped:
        return
    try:
        hook([Run(work, pipeline.clock) for work in dropped])
    except Exception as error:
        _events.emit(_events.ERROR, "on_abandon.failed", error)


async def close(pipeline: Pipeline, loop: Loop, grace: float) -> None:
    """Waits for everything that is unfinished, at most `grace` seconds, and cuts the rest."""
    pipeline.ends = pipeline.clock.monotonic() + grace
    worker = pipeline.worker
    if worker is not None:
        worker.stop()
    try:
        _give_up_waiting(pipeline, pipeline.ends)
        if not await _quiet(pipeline, worker, loop, grace):
            _cut_all(pipeline, "shutdown")
            ticketed = worker is not None or any(
                work.ticket is not None for queue in pipeline.queues for work in queue.unfinished()
            )
            seconds = LEAVE_SECONDS if ticketed else 2 * ALLOWANCE_SECONDS
            await _quiet(pipeline, worker, loop, seconds)
        if worker is not None:
            await worker.end()
        await _let_go(pipeline, loop)
        await _flush(pipeline, loop)
    except BaseException:
        _cut_all(pipeline, "shutdown, cancelled by the server")
        raise
    finally:
        pipeline.ends = None


async def _quiet(pipeline: Pipeline, worker: Worker | None, loop: Loop, seconds: float) -> bool:
    """Waits until nothing runs, and the worker of this process has told its engine so, at most so
    long. Returns whether that is so."""
    end = pipeline.clock.monotonic() + seconds
    if worker is not None and not await worker.over(seconds):
        return False
    with _idle(pipeline, loop) as idle:
        return await idle.wait(max(end - pipeline.clock.monotonic(), 0.0))


async def _let_go(pipeline: Pipeline, loop: Loop) -> None:
    """Lets the journal write what is left to write, and an engine close its connections."""
    dispatch = pipeline.dispatch
    engine = None if dispatch is None else dispatch.durable.used_engine
    if engine is None:
        return
    try:
        closed = await loop.limit(engine.close(), LEAVE_SECONDS)
    except Exception as error:
        _events.emit(_events.ERROR, "engine.not_closed", error)
        return
    if not closed:
        _events.emit(_events.WARNING, "engine.not_closed", None, seconds=LEAVE_SECONDS)


async def _flush(pipeline: Pipeline, loop: Loop) -> None:
    """Lets reporters send what they still have."""
    reporters: tuple[Any, ...] = pipeline.settings.reporters
    flushes = [reporter.flush for reporter in reporters if hasattr(reporter, "flush")]
    if not flushes:
        return
    flushed = loop.signal()

    def flush(nothing: None) -> None:
        for each in flushes:
            try:
                each(FLUSH_SECONDS)
            except Exception as error:
                _events.emit(_events.ERROR, "reporter.failed", error, reporter=repr(each))
        flushed.set()

    pipeline.admission.threads.submit(flush, None)
    await flushed.wait(FLUSH_SECONDS)


def _give_up_waiting(pipeline: Pipeline, end: float) -> None:
    """Ends the works whose next attempt would come after the end."""
    for queue in list(pipeline.queues):
        for work in queue.unfinished():
            if work.state == QUEUED and work.due is not None and work.due >= end:
                pipeline.finish(work, Outcome.FAILED, work.error, inside=False)


def _cut_all(pipeline: Pipeline, reason: str) -> None:
    for queue in list(pipeline.queues):
        cut(pipeline, queue, reason)


async def outlast(pipeline: Pipeline, loop: Loop, seconds: float) -> None:
    """Waits until no queue is left, at most so long, however often the waiter is cancelled."""
    with _idle(pipeline, loop) as idle:
        await loop.outlast(idle, seconds)


@contextmanager
def _idle(pipeline: Pipeline, loop: Loop) -> Iterator[Signal]:
    """A signal that is set once no queue is left, at once if there is none."""
    idle = loop.signal()
    pipeline.idle_listeners[idle] = None
    if not pipeline.queues:
        idle.set()
    try:
        yield idle
    finally:
        pipeline.idle_listeners.pop(idle, None)
