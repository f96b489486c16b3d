"""The pipeline: the one way in which work runs here.

1. A work runs once (or once per attempt), in the context that was captured when it was queued, as a
   task of its own or in a thread of our own, and ends exactly once. Who is first to end it wins.
2. Nothing that a work, a reporter or a hook does reaches the caller or another work. The exceptions
   are `KeyboardInterrupt` and `SystemExit`, which are for the process.
3. At most `limit` works run at a time, over all requests of the process. One that waits for its
   next attempt does not count.
"""

from __future__ import annotations

from contextvars import Context
from weakref import WeakSet

from . import _events, _kinds, _report
from ._admission import Admission
from ._around import surround
from ._clock import SYSTEM_CLOCK
from ._closing import cut
from ._current import current_work
from ._detect import chosen, detect
from ._hosts import PlainHost
from ._limit import Limit
from ._loop import current_loop
from ._notices import Notices
from ._options import DEFAULT, Unset
from ._outcome import Outcome
from ._queue import CLOSED, Queue
from ._report import fields
from ._run import Run
from ._threadless import after_head_start, has_threads, look_every, new_hands
from ._work import DONE, LOCK, QUEUED, STARTED
from .errors import CallbackTimeoutError, LimitReachedError, PermanentFailure, RetryLater

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager
    from typing import Any

    from ._clock import Clock
    from ._dispatch import Dispatch
    from ._exchange import Exchange
    from ._hosts import Host
    from ._loop import Loop, Signal, Timer
    from ._scheduler import Scheduler
    from ._serving import Worker
    from ._settings import Settings
    from ._ticket import Ticket
    from ._work import Work


PIPELINES: WeakSet[Pipeline] = WeakSet()
"""All that there are in the process, for the test kit."""


class Pipeline:
    """Runs the works of one `Afterwork`."""

    def __init__(self, settings: Settings, clock: Clock = SYSTEM_CLOCK) -> None:
        self.settings = settings
        self.host: Host = detect() if settings.host is None else chosen(settings.host)
        self.clock = clock
        self.queues: dict[Queue, None] = {}
        self.ends: float | None = None
        """While the pipeline is closing: when it will be closed, by the monotonic clock."""
        self._limit = Limit(settings.limit)
        self._threads = new_hands(settings.threads)
        self.idle_listeners: dict[Signal, None] = {}
        self.host_may_be_missing = hasattr(self.host, "unavailable")
        self.endless = (
            isinstance(self.host, PlainHost)
            and self.host.info.max_seconds is None
            and settings.budget is None
        )
        """No drain on the app's own host has a deadline: known without asking it each time."""
        self._plain = settings.timeout is None and settings.retry is None
        self.rejects_at = settings.limit if settings.at_limit == "reject" else None
        self.gives_way = not has_threads()
        """Callbacks start only after a head start for their response."""
        self._look_every = look_every()
        self.notices = Notices(clock)
        self.admission = Admission(self)
        self.ticket_for: Callable[[Work], Ticket | None] | None = None
        """Gives a finished callback a ticket if it is to be recorded."""
        self.dispatch: Dispatch | None = None
        """Set by the dispatch itself, where the app has jobs or a store."""
        self.scheduler: Scheduler | None = None
        """Set where the app has jobs with a schedule; the lifespan starts and stops it."""
        self.worker: Worker | None = None
        """While one runs in this process."""
        self.may_embed = True
        """Whether the lifespan may start one: a command that runs the app decides itself."""
        PIPELINES.add(self)

    @property
    def jobs(self) -> Dispatch:
        """The dispatch of an app that has jobs."""
        assert self.dispatch is not None, "a job has registered itself there"
        return self.dispatch

    # -- taking work in

    def check_limit(self, fn: object) -> None:
        """Raises `LimitReachedError` where the policy is to reject and the limit is reached."""
        unfinished = sum(len(queue.live) + len(queue.pending) for queue in list(self.queues))
        if self.rejects_at is not None and unfinished >= self.rejects_at:
            _kinds.discard(fn)
            raise LimitReachedError(self.rejects_at)

    def queue_of(self, exchange: Exchange) -> Queue:
        """The queue of a request, made by the first `after()`, of which there may be two at
        once."""
        queue = Queue(self)
        with LOCK:
            if exchange.queue is None:
                exchange.queue = queue
                self.queues[queue] = None
            return exchange.queue

    def start_soon(self, works: list[Work]) -> None:
        """Starts works of a queue that drains already; not within this call."""
        for work in works:
            self.soon(self.submit, work)

    def begin(
        self,
        queue: Queue,
        loop: Loop,
        deadline: float | None,
        eager: bool = False,
        give_way: bool = False,
    ) -> None:
        """Starts a drain: the response of this queue's request is over, or as good as. `deadline`
        is by the monotonic clock. `give_way`: the response itself has yet to leave."""
        works = queue.begin(loop, deadline)
        if works is None:
            return
        if deadline is not None:
            left = deadline - self.clock.monotonic()
            queue.timer = loop.later(left, cut, self, queue, "deadline")
        if give_way:
            after_head_start(loop, self._start_all, queue, works, False)
        else:
            self._start_all(queue, works, eager)
        if not queue.live:
            queue.settle()

    def begin_early(self, queue: Queue, loop: Loop) -> None:
        """Starts the callbacks marked early: the final message is out."""
        queue.loop = loop
        works = queue.begin_early()
        if self.gives_way:
            after_head_start(loop, self._start_all, queue, works, False)
        else:
            self._start_all(queue, works, False)

    # -- running

    def _start_all(self, queue: Queue, works: list[Work], eager: bool) -> None:
        for work in queue.admit(works) if queue.sequential else works:
            self.submit(work, eager)

    def _admits(self, work: Work) -> bool:
        """Whether a work's condition is met. One whose condition is not is over."""
        if work.state != QUEUED:
            return False
        try:
            exchange = work.exchange
            if work.options.admits(None if exchange is None else exchange.response()):
                return True
        except Exception as error:
            self.finish(work, Outcome.FAILED, error, inside=False)
            return False
        self.finish(work, Outcome.SKIPPED, None, inside=False)
        return False

    def submit(self, work: Work, eager: bool = False) -> None:
        if work.options is not DEFAULT and work.attempt == 1 and not work.entered:
            if not (work.ticket is not None and work.ticket.admitted) and not self._admits(work):
                return
            if work.ticket is not None:
                self.admission.enter(work)
                return
        with LOCK:
            if work.state != QUEUED:
                return
            entered = self._limit.enter(work)
        if entered:
            self._start(work, eager)
        else:
            self.notices.say_each_minute(
                "after.saturated",
                limit=self.settings.limit,
                waiting=len(self._limit.waiting),
            )
            if self._look_every:
                _loop_of(work).later(self._look_every, self._look, work)

    def _look(self, work: Work) -> None:
        """One that waits for a place sees whether it has been given one."""
        if work.state == STARTED:
            self._start(work)
        elif work.state == QUEUED:
            _loop_of(work).later(self._look_every, self._look, work)

    def _start(self, work: Work, eager: bool = False) -> None:
        if work.state != STARTED:
            return  # it was cut before the loop came to it
        if work.options is not DEFAULT or not self._plain:
            self._apply_options(work)
        loop = _loop_of(work)
        try:
            if work.kind != _kinds.SYNC:
                work.started = self.clock.monotonic()
                loop.spawn(self._run, work, eager)
            else:
                self._threads.submit(self._run_in_thread, work)
        except Exception as error:  # no thread to be had, or the loop is closing
            self.finish(work, Outcome.FAILED, error, inside=False)

    def _apply_options(self, work: Work) -> None:
        options, settings = work.options, self.settings
        work.timeout = settings.timeout if isinstance(options.timeout, Unset) else options.timeout
        work.retry = settings.retry if isinstance(options.retry, Unset) else options.retry

    async def _run(self, work: Work) -> None:
        """Runs an async work as the whole of a task."""
        current_work.set(work)
        try:
            if work.kind == _kinds.ASYNC and work.timeout is None and not self.settings.around:
                await work.fn(*work.args, **work.kwargs)
            else:
                await self._run_with_care(work)
        except BaseException as error:
            self._ended(work, error)
        else:
            self.finish(work, Outcome.SUCCEEDED, None)

    async def _run_with_care(self, work: Work) -> None:
        with self._surroundings(work):
            if work.returned is not None:
                awaitable, work.returned = work.returned, None
            elif work.kind == _kinds.ASYNC:
                awaitable = work.fn(*work.args, **work.kwargs)
            else:
                awaitable = work.fn
            if work.timeout is None or work.kind == _kinds.SYNC:
                await awaitable  # a sync work's timer runs since it was called
            elif not await _loop_of(work).limit(awaitable, work.timeout):
                raise CallbackTimeoutError(work.title, work.timeout)

    def _run_in_thread(self, work: Work) -> None:
        with LOCK:
            if work.state != STARTED:
                return  # it was cut while it waited for a thread
            work.started = self.clock.monotonic()
            context = work.attempt_context
        if work.timeout is not None:
            self.soon(self._arm, work, work.attempt)
        context.run(self._call, work)
        if work.returned is not None:
            # Only now: no task can enter the context while this thread is in it.
            self.soon(self._await_returned, work)

    def _arm(self, work: Work, attempt: int) -> None:
        """Sets the timer of a sync work, from the loop."""
        if work.state == STARTED and work.started is not None and work.timeout is not None:
            left = work.started + work.timeout - self.clock.monotonic()
            work.timer = _loop_of(work).later(left, self._time_out, work, attempt)

    def _call(self, work: Work) -> None:
        """Runs a sync work in a thread of ours."""
        current_work.set(work)
        try:
            with self._surroundings(work):
                result = work.fn(*work.args, **work.kwargs)
        except BaseException as error:
            self._ended(work, error)
            return
        if hasattr(result, "__await__"):
            # A plain function that returns a coroutine, such as a lambda: the rest is the loop's.
            work.returned = result
        else:
            self.finish(work, Outcome.SUCCEEDED, None)

    def _disarm(self, work: Work) -> None:
        if work.timer is not None:
            timer, work.timer = work.timer, None
            self.soon(_cancel, work, timer)

    def _await_returned(self, work: Work) -> None:
        if work.state == STARTED:
            _loop_of(work).spawn(self._run, work, False)
        else:
            _kinds.discard(work.returned)

    def _surroundings(self, work: Work) -> AbstractContextManager[object]:
        return surround(self.settings.around, Run(work, self.clock))

    def run_here(self, work: Work) -> None:
        """Runs a work at once, for the test kit: a sync one in this very thread, an async one as a
        task of the loop that runs here or, without one, on a loop of its own until it is over."""
        loop = current_loop()
        with LOCK:
            work.state = STARTED
            work.queue.live[work] = None
            self._limit.running.add(work)
        work.started = self.clock.monotonic()
        if work.kind == _kinds.SYNC:
            work.queue.loop = loop
            self._run_in_thread(work)
            if isinstance(work.error, (KeyboardInterrupt, SystemExit)):
                raise work.error
            if loop is None and work.returned is not None:
                import asyncio

                asyncio.run(self._run_on_own_loop(work))
        elif loop is not None:
            work.queue.loop = loop
            loop.spawn(self._run, work, True)
        else:
            import asyncio

            asyncio.run(self._run_on_own_loop(work))

    async def _run_on_own_loop(self, work: Work) -> None:
        work.queue.loop = current_loop()
        await self._run(work)

    # -- ending

    def _ended(self, work: Work, error: BaseException) -> None:
        """A work raised: decides what that means."""
        _strip(error)
        if isinstance(error, (KeyboardInterrupt, SystemExit)):
            self.soon(_raise, work, error)
        if work.task is not None and _loop_of(work).cancelled(error):
            work.cut = work.cut or "cancelled"
            self.finish(work, Outcome.CANCELLED, None)
        elif isinstance(error, CallbackTimeoutError):
            if not self._retry(work, error):
                self.finish(work, Outcome.TIMED_OUT, error)
        elif not self._retry(work, error):
            self.finish(work, Outcome.FAILED, error)

    def _retry(self, work: Work, error: BaseException) -> bool:
        """Plans the next attempt, if there is to be one."""
        policy = work.retry
        if policy is None or work.kind == _kinds.AWAITABLE or work.cut is not None:
            return False
        failures = work.attempt + (0 if work.ticket is None else work.ticket.earlier_failures)
        if isinstance(error, PermanentFailure) or not policy.again(failures, error):
            return False
        delay = error.seconds if isinstance(error, RetryLater) else policy.wait(failures)
        if work.ticket is not None and work.ticket.again(work, delay, error):
            work.error = error
            _say_retrying(work, error, delay)
            self.part_with(work)
            return True
        due = self.clock.monotonic() + delay
        if any(end is not None and due >= end for end in (work.queue.deadline, self.ends)):
            return False
        with LOCK:
            if work.state != STARTED:
                return False
            work.state = QUEUED
            work.due = due
            work.error = error
        _say_retrying(work, error, delay)
        work.attempt += 1
        self._disarm(work)
        self._release(work)
        self.soon(self._wait, work, delay)
        return True

    def part_with(self, work: Work) -> None:
        """A work goes on elsewhere, or later: here it is over, without an outcome."""
        with LOCK:
            if work.state == DONE:
                return
            if work.state == STARTED:
                work.ended = self.clock.monotonic()
            work.state = DONE
        self._release(work)
        self.admission.leave(work)

    def _wait(self, work: Work, delay: float) -> None:
        _loop_of(work).later(delay, self.submit, work)

    def _time_out(self, work: Work, attempt: int) -> None:
        """A sync work's time is over. Its thread cannot be stopped; only its result is let go."""
        if work.attempt == attempt and work.state == STARTED and work.timeout is not None:
            error = CallbackTimeoutError(work.title, work.timeout)
            if work.task is not None:
                work.task.cancel()
            self.finish(work, Outcome.TIMED_OUT, error, inside=False)

    def finish(
        self, work: Work, outcome: Outcome, error: BaseException | None, inside: bool = True
    ) -> None:
        """Ends a work, if nobody has yet. `inside`: called in the work's own context."""
        with LOCK:
            if work.state == DONE:
                return
            started = work.state == STARTED
            work.state = DONE
        if started:
            work.ended = self.clock.monotonic()
        else:
            _kinds.discard(work.fn)
        work.outcome = outcome
        if error is not None:
            work.error = error
        try:
            if (
                outcome is not Outcome.SUCCEEDED
                or self.settings.reporters
                or _report.observer is not None
                or _events.wanted(_events.DEBUG)
            ):
                self._report(work, inside)
        finally:
            if self.ticket_for is not None and work.ticket is None:
                work.ticket = self.ticket_for(work)
            if work.ticket is None:
                self.leave(work)
            else:
                # A store that is slow to take down how it ended keeps no other work waiting.
                self._release(work)
                self.admission.leave(work)

    def _report(self, work: Work, inside: bool) -> None:
        if inside:
            _report.report(work, self.settings, self.clock)
        else:
            work.context.copy().run(_report.report, work, self.settings, self.clock)

    def leave(self, work: Work) -> None:
        """Everything is said of a work: what it kept is given back."""
        work.task = None
        work.context = NO_CONTEXT  # it holds the work, and both would wait for the collector
        self._disarm(work)
        following = work.queue.leave(work)
        self._release(work)
        if following is not None:
            self.start_soon(following)

    def _release(self, work: Work) -> None:
        """A place under the limit is free: the next in line takes it."""
        following = self._limit.leave(work)
        if self._look_every:
            return  # whose place it is now will see it
        while following is not None and not self._try_soon(self._start, following):
            # Not through `finish` alone, which would come back here: the line may be long.
            ended, following = following, self._limit.leave(following)
            self._end_without_loop(ended)

    def soon(self, call: Callable[..., object], work: Work, *args: Any) -> None:
        if not self._try_soon(call, work, *args):
            self._end_without_loop(work)

    def _try_soon(self, call: Callable[..., object], work: Work, *args: Any) -> bool:
        """Calls from the work's loop; returns False where that is closed."""
        loop = work.queue.loop
        if loop is not None:  # else `run_here` runs it without one, and does the rest itself
            try:
                loop.soon(call, work, *args)
            except RuntimeError:
                return False
        return True

    def _end_without_loop(self, work: Work) -> None:
        work.cut = "the event loop is closed"
        self.finish(work, Outcome.CANCELLED, None, inside=False)

    # -- told by queues

    def withdrawn(self, work: Work, reason: str) -> bool:
        """A callback was taken back while it did not run. Returns whether it will leave its queue
        by itself, once its ticket is given back."""
        _kinds.discard(work.fn)
        if work.attempt > 1:  # it was a run already, and waited for its next attempt
            work.cut = reason
            work.outcome = Outcome.CANCELLED
            work.context.copy().run(_report.report, work, self.settings, self.clock)
        elif _events.wanted(_events.DEBUG):
            work.cut = reason
            _events.emit(_events.DEBUG, "after.withdrawn", None, **fields(work))
        if work.ticket is None:
            return False
        work.cut = reason
        work.outcome = Outcome.CANCELLED
        self.admission.leave(work)
        return True

    def settled(self, queue: Queue) -> None:
        """The last callback of a drain has left."""
        if queue.timer is not None:
            timer, queue.timer = queue.timer, None
            assert queue.loop is not None, "what set the timer"
            try:
                queue.loop.soon(timer.cancel)
            except RuntimeError:
                pass  # the loop is closed, and its timers with it
        if queue.state is CLOSED:
            self.forget(queue)

    # -- the end of everything

    def forget(self, queue: Queue) -> None:
        """Stops tracking a queue."""
        self.queues.pop(queue, None)
        if self.idle_listeners and not self.queues:
            for idle in list(self.idle_listeners):
                idle.set()


NO_CONTEXT = Context()


def _say_retrying(work: Work, error: BaseException, delay: float) -> None:
    _events.emit(
        _events.WARNING,
        "run.retrying",
        error,
        delay_seconds=round(delay, 6),
        **fields(work),
    )


def _loop_of(work: Work) -> Loop:
    loop = work.queue.loop
    assert loop is not None, "a work is started only by a drain, which has a loop"
    return loop


def _strip(error: BaseException) -> None:
    """Takes our own frames off a traceback: it reads better, and no longer holds the work."""
    trace = error.__traceback__
    while trace is not None and trace.tb_frame.f_globals.get("__package__") == __package__:
        trace = trace.tb_next
    error.__traceback__ = trace


def _cancel(work: Work, timer: Timer) -> None:
    timer.cancel()


def _raise(work: Work, error: BaseException) -> None:
    """Raises from the loop itself what no task or thread must keep to itself."""
    raise error
