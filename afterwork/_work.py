"""One piece of work, from the call that queued it to its end. It knows nothing of loops or
threads."""

from __future__ import annotations

from _thread import RLock

from . import _kinds

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Awaitable, Mapping
    from contextvars import Context
    from types import CodeType
    from typing import Any, Protocol

    from ._exchange import Exchange
    from ._loop import Timer
    from ._options import Options
    from ._outcome import Outcome
    from ._queue import Queue
    from ._retry import Retry
    from ._sites import Site
    from ._ticket import Ticket

    class Cancellable(Protocol):
        """A running async callback, as its loop gave it back."""

        def cancel(self) -> object: ...


QUEUED = 0
STARTED = 1
DONE = 2
"""The states of a work. `QUEUED` becomes `STARTED` or `DONE`, `STARTED` becomes `DONE`, or `QUEUED`
again while it waits for its next attempt."""

LOCK = RLock()
"""Guards every move of a work and of its queue, which may come from any thread. It is held for a
few instructions, and never while somebody's code is called, but the collector may run under it and
close a dropped request: so it can be taken twice."""


class Work:
    """What the pipeline runs: a callable with its arguments, its context and its options.

    Whoever makes one sets the first nine slots itself: with as many arguments a constructor would
    cost as much as all the rest of `after()`.
    """

    __slots__ = (
        "args",
        "attempt",
        "chain",
        "code",
        "context",
        "cut",
        "due",
        "ended",
        "entered",
        "error",
        "exchange",
        "fn",
        "id",
        "instruction",
        "kind",
        "kwargs",
        "options",
        "outcome",
        "queue",
        "retry",
        "returned",
        "started",
        "state",
        "task",
        "ticket",
        "timeout",
        "timer",
    )

    fn: Any
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    kind: int
    context: Context
    code: CodeType
    instruction: int
    options: Options
    queue: Queue

    def __init__(self) -> None:
        self.exchange: Exchange | None = None
        self.state = QUEUED
        self.chain: tuple[Site, ...] = ()
        self.attempt = 1
        self.timeout: float | None = None
        self.retry: Retry | None = None
        self.timer: Timer | None = None
        self.due: float | None = None
        self.started: float | None = None
        self.ended: float | None = None
        self.task: Cancellable | None = None
        self.returned: Awaitable[object] | None = None
        self.cut: str | None = None
        self.outcome: Outcome | None = None
        self.error: BaseException | None = None
        self.id: str | None = None
        self.ticket: Ticket | None = None
        self.entered = False

    @property
    def attempt_context(self) -> Context:
        """The context for the next attempt: where there may be several, a copy for each, so that
        none sees what the one before it set."""
        return self.context if self.retry is None else self.context.copy()

    @property
    def run_id(self) -> str:
        """The id of its run, made when it is first asked for."""
        if self.id is None:
            from ._ids import run_id

            self.id = run_id()
        return self.id

    @property
    def duration(self) -> float | None:
        """Seconds that its last attempt took; None where none has started and ended."""
        if self.started is None or self.ended is None:
            return None
        return round(self.ended - self.started, 6)

    @property
    def title(self) -> str:
        """The name that logs show."""
        return self.options.name or _kinds.name_of(self.fn)

    @property
    def site(self) -> str:
        """Where it was queued: `file:line in function`."""
        from ._sites import describe

        return describe((self.code, self.instruction))

    @property
    def sites(self) -> tuple[Site, ...]:
        """Where it was queued, then where its callers were queued."""
        from ._sites import extend

        return extend(self.chain, (self.code, self.instruction))


class Deferred(Work):
    """What `after()` returns: a handle on the callback that was queued.

    `fn`, `args` and `kwargs` are what was queued.
    """

    __slots__ = ()

    @property
    def name(self) -> str:
        """The name the callback goes by in logs: `options(name=...)`, else the function's own."""
        return self.title

    @property
    def key(self) -> str | None:
        """The key given with `options(key=...)`, or None."""
        return self.options.key

    @property
    def done(self) -> bool:
        """True once the callback ended, was cancelled, replaced or skipped, or was given up."""
        return self.state == DONE

    def cancel(self) -> bool:
        """Takes the callback back: True if it will not run (again), False if it runs or is over.

        One that waits for its next attempt ends as cancelled. Safe to call from any thread, and
        more than once.
        """
        return self.queue.withdraw(self, "cancelled")

    def __repr__(self) -> str:
        state = ("queued", "started", "done")[self.state]
        return f"<Deferred {self.name} {self.outcome or state}>"
