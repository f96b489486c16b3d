"""`after()`: queue work on the request that is being answered, from anywhere in its code."""

from __future__ import annotations

from contextvars import copy_context
from sys import _getframe

from ._current import current_exchange, current_work
from ._hosts import IN_PROCESS
from ._kinds import ASYNC, AWAITABLE, COROUTINE_FLAG, GENERATOR_FLAGS, SYNC, discard, kind_of
from ._options import DEFAULT, Options, Unset
from ._run import Run
from ._work import Deferred
from .errors import (
    HostUnavailableError,
    InvalidCallbackError,
    InvalidJobError,
    InvalidOptionError,
    NoRequestError,
    NoRunError,
    QueueClosedError,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from contextvars import Context
    from types import FrameType
    from typing import Any, ParamSpec, Protocol, TypeVar, Unpack, overload

    from ._exchange import Exchange
    from ._job import Job
    from ._options import OptionValues
    from ._sites import Site
    from ._ticket import Ticket
    from ._work import Work

    P = ParamSpec("P")
    T = TypeVar("T")

    class Interceptor(Protocol):
        """Takes the place of queueing, for the test kit."""

        def __call__(
            self,
            fn: Any,
            args: tuple[Any, ...],
            kwargs: dict[str, Any],
            kind: int,
            context: Context,
            site: Site,
            options: Options,
        ) -> Deferred: ...
else:

    def overload(function: Any) -> Any:
        return function


interceptor: Interceptor | None = None
"""Set by the test kit, while it collects or runs at once. Process-wide, since the app under test
may run in another thread."""


class After:
    """`after` itself, and `after.options(...)`, which is the same with options."""

    __slots__ = ("_options",)

    def __init__(self, options: Options = DEFAULT) -> None:
        self._options = options

    @overload
    def __call__(self, awaitable: Awaitable[object], /) -> Deferred: ...

    @overload
    def __call__(  # noqa: F811
        self, fn: Callable[P, object], /, *args: P.args, **kwargs: P.kwargs
    ) -> Deferred: ...

    # ruff does not see that these are overloads, since `overload` is only imported for type checks.
    def __call__(self, fn: Any, /, *args: Any, **kwargs: Any) -> Deferred:  # noqa: F811
        """Runs `fn(*args, **kwargs)` once the response to the current request is out.

        Use it for what the client need not wait for: mail, audit logs, cache warming. It may be
        called from handlers, dependencies, exception handlers, middleware, sync endpoints in
        threads, and from callbacks themselves. As a decorator (`@after`) it queues the function
        below it.

        What may be given: a sync callable (runs in a thread of afterwork's own), an async callable,
        a coroutine (it starts only after the response, and is closed unused if it is cancelled), or
        a Task or Future, which is running already: it is kept alive, waited for, and its failure is
        reported. Each of them counts as one callback; the host's `wait_until` is called once per
        request, however many there are.

        What is guaranteed:

        - It runs once, after the response, whatever the response was: also after an error or
          for a client that left. `options(on=...)` narrows that.
        - It sees every ContextVar as it was at this call. What it sets is seen by nobody else.
        - Callbacks of a request start in the order queued and run concurrently
          (`sequential=True`: one after the other). One that fails is logged, with the place of this
          call, and disturbs neither the others nor the connection.
        - Called inside a callback, it joins the drain that is running, at once.
        - With a `key`, the last call with that key wins and takes the later place, as long as the
          earlier one has not started; if it has, both run.

        It does not survive its process: SIGKILL or a power cut loses what is queued.

        Raises `NoRequestError` outside a request (and in lifespan code: there is no response),
        `InvalidCallbackError` (a `TypeError`) for what cannot be called, `QueueClosedError` once
        the request and all its callbacks are over, `LimitReachedError` at the limit with
        `at_limit="reject"`, `HostUnavailableError` where the host cannot run anything after this
        response. Nothing is queued then.
        """
        # What `kind_of` does, for the two usual cases, without the call.
        try:
            flags = fn.__code__.co_flags
            kind = ASYNC if flags & COROUTINE_FLAG else SYNC
            if flags & GENERATOR_FLAGS:
                kind = kind_of(fn)
        except AttributeError:
            kind = kind_of(fn)
        options = self._options
        ticket = None
        if kind == SYNC and hasattr(type(fn), "__afterwork__"):  # a job brings its own policy
            fn, options, ticket = fn.__afterwork__(options, args, kwargs)
            kind = kind_of(fn)
        elif options.durable_only is not None:
            discard(fn)
            raise InvalidOptionError(options.durable_only, ONLY_DURABLE, fn)
        if kind == AWAITABLE:
            _check_awaitable(fn, args, kwargs, options)
        frame = _getframe(1)
        if interceptor is not None:
            site = (frame.f_code, frame.f_lasti)
            return interceptor(fn, args, kwargs, kind, copy_context(), site, options)
        exchange = current_exchange.get()
        if exchange is None:
            parent = current_work.get()
            if parent is None or parent.exchange is not None:
                discard(fn)
                raise NoRequestError
            if options.on != "always":
                discard(fn)
                expected = "'always' inside a job, which has no response"
                raise InvalidOptionError("on", expected, options.on)
            return _join_job(parent, fn, args, kwargs, kind, options, ticket, frame)
        pipeline = exchange.pipeline
        if pipeline.rejects_at is not None:
            pipeline.check_limit(fn)
        queue = exchange.queue
        if queue is None:
            if exchange.host is not pipeline.host or pipeline.host_may_be_missing:
                _check_host(exchange, fn)
            queue = pipeline.queue_of(exchange)
        work = Deferred()
        work.fn = fn
        work.args = args
        work.kwargs = kwargs
        work.kind = kind
        work.context = copy_context()
        work.code = frame.f_code
        work.instruction = frame.f_lasti
        work.options = options
        work.queue = queue
        work.exchange = exchange
        if ticket is not None:
            work.ticket = ticket
            work.id = ticket.call_id
        parent = current_work.get()
        if parent is not None:
            work.chain = parent.sites
        try:
            starting = queue.add(work)
        except QueueClosedError:
            discard(fn)
            raise
        if starting is not None:
            pipeline.start_soon(starting)
        if ticket is not None and ticket.unwritten:
            from . import _hold

            _hold.watch(exchange)
        if options.early or exchange.finished:
            from . import _drain

            if options.early:
                _drain.watch_early(exchange)
            if exchange.finished:
                _drain.begin_late(work, exchange)
        return work

    def options(self, **options: Unpack[OptionValues]) -> After:
        """The same `after`, with options for the calls made with it.

        `on`
            `"always"` (default), `"success"` (status below 400 and no error), `"error"` (the
            opposite), or a function of the `ResponseInfo` that says whether to run. It is called
            once the response is over; if it raises, the callback counts as failed.
        `timeout`
            Seconds, more than zero, or None for no limit. The default is the app's setting. An
            async callback is cancelled then; a thread cannot be, so a sync one is reported and
            left to end by itself.
        `retry`
            A `Retry`, or None for none. The default is the app's setting.
        `name`
            What logs call it. The default is the function's name.
        `key`
            The last call with a key replaces earlier ones that have not started.
        `early`
            True: starts when the final message was sent, even if the app is not done.

        For jobs registered with `durable=True` only, whose `name` and `timeout` are the job's own,
        as are the classes that its `retry` counts (`on`):

        `key`
            Means more for them: as long as a call of the job with this key waits, or runs where
            the engine knows, another one is not added.
        `delay`
            Not before: seconds, a text such as `"5m"`, a timedelta, or an aware datetime.
        `priority`
            From -1000 to 1000, default 0; of those that are due the highest goes first.
        `when`
            `"recorded"` (default): the response waits until the call is written, and if that fails
            the app's `send` raises. `"sent"`: it is written after the response, which waits for
            nothing; what a crash takes in between is lost.
        `commit`
            A SQLAlchemy `Session` or `AsyncSession`, or the alias of a Django database such as
            `"default"`: written only once its transaction has committed, dropped if it is rolled
            back. `after(job, ..., commit=session)` is the same.
        `connection`
            A database connection, for an engine that can write in its transaction.

        Raises `UnknownOptionError` and `InvalidOptionError`. The result may be kept and used for
        any number of calls; `.options(...)` on it adds to what it has.
        """
        return After(Options(**{**self._options.given, **options}))

    async def enqueue(self, job: Job[P, object], /, *args: P.args, **kwargs: P.kwargs) -> str:
        """Writes down a call of a durable job now, and returns the run's id once that is done:
        from start-up code, scripts, other jobs, and handlers that want to catch the failure.

        `run_id = await after.options(delay="5m").enqueue(send_invoice, order.id)`. It does not wait
        for a response. With a `key` that a call has already, it returns that one's id. Raises
        `StoreError` or `EngineError` where it could not be written, `InvalidJobError` for a job
        that is not durable, and what `after(job)` raises for its arguments.
        """
        enqueue: Any = getattr(type(job), "__afterwork_enqueue__", None)
        if enqueue is None:
            raise InvalidJobError(f"enqueue() takes a job; it was given {job!r}")
        run_id: str = await enqueue(job, self._options, args, kwargs)
        return run_id

    def cancel(self, key: str) -> bool:
        """Takes back what was queued on this request with that key and has not started. Returns
        whether there was any. Raises `NoRequestError` outside a request."""
        exchange = current_exchange.get()
        if exchange is None:
            raise NoRequestError
        return exchange.queue is not None and exchange.queue.cancel(key, "cancelled")

    def __repr__(self) -> str:
        return "<afterwork.after>"


ONLY_DURABLE = "left out, or the call be one of a job registered with durable=True"

after = After()


def current_run() -> Run:
    """The run that this code is part of: its id, attempt, deadline, and the response it runs after.

    For use inside callbacks, at any depth. Raises `NoRunError` elsewhere.
    """
    work = current_work.get()
    if work is None:
        raise NoRunError
    return Run(work, work.queue.owner.clock)


def _check_awaitable(
    thing: Any, args: tuple[Any, ...], kwargs: dict[str, Any], options: Options
) -> None:
    if args or kwargs:
        discard(thing)
        raise InvalidCallbackError(
            f"{type(thing).__name__} and arguments for it", "It takes none: it is called already."
        )
    if not (options.retry is None or isinstance(options.retry, Unset)):
        discard(thing)
        raise InvalidCallbackError(
            f"{type(thing).__name__} with retry=",
            "It can run only once; give the function and its arguments instead.",
        )


def _join_job(
    parent: Work,
    fn: Any,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    kind: int,
    options: Options,
    ticket: Ticket | None,
    frame: FrameType,
) -> Deferred:
    """`after()` inside a job for which no request waits: it joins the job's own queue."""
    work = Deferred()
    work.fn = fn
    work.args = args
    work.kwargs = kwargs
    work.kind = kind
    work.context = copy_context()
    work.code = frame.f_code
    work.instruction = frame.f_lasti
    work.options = options
    work.queue = parent.queue
    if ticket is not None:
        work.ticket = ticket
        work.id = ticket.call_id
    work.chain = parent.sites
    try:
        starting = work.queue.add(work)
    except QueueClosedError:
        discard(fn)
        raise
    work.queue.owner.start_soon(starting or [])
    return work


def _check_host(exchange: Exchange, fn: Any) -> None:
    """Asks the host, at the first `after()` of a request, whether it can run anything after it."""
    host = exchange.host
    unavailable = getattr(host, "unavailable", None)
    reason = None if unavailable is None else unavailable(exchange.scope)
    if reason is None:
        return
    if exchange.pipeline.settings.on_missing == "raise":
        discard(fn)
        raise HostUnavailableError(host.info.name, reason)
    exchange.pipeline.notices.say_once("host.unavailable", host.info.name, reason)
    exchange.host = IN_PROCESS
