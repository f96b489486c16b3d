"""One execution of a callback or job, as its own code and reporters see it; and what a reporter
is."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from datetime import datetime
    from typing import Any, Literal, Protocol

    from ._asgi import Scope
    from ._clock import Clock
    from ._job import Job
    from ._outcome import Outcome
    from ._response import ResponseInfo
    from ._work import Work
else:
    Protocol = object


class Run:
    """One execution of a callback or job, with all its attempts.

    `current_run()` gives it to the callback while it runs; reporters and `on_abandon` get it when
    it is over. It is a view: what it shows is the state of the moment, and two runs are equal if
    they show the same execution.
    """

    __slots__ = ("_clock", "_work")

    def __init__(self, work: Work, clock: Clock) -> None:
        self._work = work
        self._clock = clock

    @property
    def id(self) -> str:
        """A UUIDv7, made when it is first asked for; the same for all attempts."""
        return self._work.run_id

    @property
    def name(self) -> str:
        """The name that logs show."""
        return self._work.title

    @property
    def job(self) -> Job[..., Any] | None:
        """The job that it is a run of, with its schedule, tags and description; None for a
        callback."""
        ticket = self._work.ticket
        return None if ticket is None else ticket.job

    @property
    def trigger(self) -> Literal["after", "schedule", "http", "manual", "retry"]:
        """What set it off: `after` for callbacks."""
        ticket = self._work.ticket
        return "after" if ticket is None else ticket.trigger

    @property
    def attempt(self) -> int:
        """1 for the first try. It counts on where an outside caller delivers a failed run again."""
        ticket = self._work.ticket
        return self._work.attempt + (0 if ticket is None else ticket.earlier_attempts)

    @property
    def scheduled_for(self) -> datetime | None:
        """The slot of a scheduled job (UTC); None for a callback and for a run by hand."""
        ticket = self._work.ticket
        return None if ticket is None or ticket.slot is None else _utc(ticket.slot)

    @property
    def lag(self) -> float | None:
        """Seconds by which the scheduler started it later than its slot, with the job's jitter
        taken off; None for all that the scheduler did not start."""
        ticket = self._work.ticket
        return None if ticket is None else ticket.lag_seconds

    @property
    def last_success(self) -> datetime | None:
        """When the job last succeeded (UTC), as known when this run began; None for a callback."""
        ticket = self._work.ticket
        last = None if ticket is None else ticket.last_success_at
        return None if last is None else _utc(last)

    @property
    def payload(self) -> Any:
        """What the trigger's body held: parsed JSON, or bytes of another content type; None without
        a body, and for a callback."""
        ticket = self._work.ticket
        return None if ticket is None else ticket.payload

    @property
    def delivery(self) -> str | None:
        """The id that an outside caller gave to this delivery, such as QStash's message id."""
        ticket = self._work.ticket
        return None if ticket is None else ticket.delivery

    @property
    def fencing_token(self) -> int | None:
        """A number that grows with every run of the job that holds its lease. Give it to what the
        job writes to, and let that refuse smaller ones: so a run that lost its lease without
        noticing cannot overwrite its successor. None where runs may overlap."""
        ticket = self._work.ticket
        return None if ticket is None else ticket.token

    @property
    def stop_reason(self) -> str | None:
        """Why the run should end, or has been ended: its lease is lost, another run replaces it,
        the process shuts down. None while nobody wants that. An async run is cancelled then; a sync
        one cannot be, and asks this from time to time."""
        return self._work.cut

    @property
    def started_at(self) -> datetime | None:
        """When the current attempt started (UTC); None before."""
        return _moment(self._work.started, self._clock)

    @property
    def duration(self) -> float | None:
        """Seconds the current attempt has taken, or took; None before it started."""
        started = self._work.started
        if started is None:
            return None
        ended = self._work.ended
        return (self._clock.monotonic() if ended is None else ended) - started

    @property
    def deadline(self) -> datetime | None:
        """When the run is cut at the latest (UTC): by its timeout or by the host; None if never."""
        return _moment(self._deadline(), self._clock)

    def remaining(self) -> float | None:
        """Seconds left until the deadline, 0 once it has passed; None if there is none.

        A sync callback cannot be stopped from outside: a long one asks this and stops by itself.
        """
        deadline = self._deadline()
        return None if deadline is None else max(deadline - self._clock.monotonic(), 0.0)

    @property
    def response(self) -> ResponseInfo | None:
        """The response it ran after; None for a job that did not run after one."""
        exchange = self._work.exchange
        return None if exchange is None else exchange.response()

    @property
    def scope(self) -> Scope | None:
        """The ASGI scope of the request that queued it: method, path, headers, client."""
        exchange = self._work.exchange
        return None if exchange is None else exchange.scope

    @property
    def queued_at(self) -> tuple[str, ...]:
        """Where `after()` was called, as `file:line in function`; for a nested callback followed by
        where its callers were queued."""
        from ._sites import describe

        return tuple(describe(site) for site in self._work.sites)

    @property
    def outcome(self) -> Outcome | None:
        """How it ended; None while it is not over."""
        return self._work.outcome

    @property
    def error(self) -> BaseException | None:
        """What the last attempt raised, or None."""
        return self._work.error

    def _deadline(self) -> float | None:
        work = self._work
        ends = [] if work.queue.deadline is None else [work.queue.deadline]
        if work.started is not None and work.timeout is not None:
            ends.append(work.started + work.timeout)
        return min(ends, default=None)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Run) and other._work is self._work

    def __hash__(self) -> int:
        return hash(self._work)

    def __repr__(self) -> str:
        return f"<Run {self.name} {self.outcome or 'unfinished'}>"


class Reporter(Protocol):
    """A callable that is given every finished run: for metrics, alerts, error trackers.

    It is called once per run, in the thread or on the loop where the run ended, inside the
    callback's context. So it must be quick, must not block, and may be called from several threads
    at once. If it raises, that is logged, and nothing else is touched. Skipped and withdrawn
    callbacks are not runs; a job's slot that was missed and a run whose process died are given to
    it too.

    A reporter that hands its work to a thread of its own may have a method `flush(seconds)`, which
    waits for that at most so long. It is called in a thread when the process shuts down, after all
    runs.
    """

    def __call__(self, run: Run, /) -> object:
        """Takes a finished run."""
        ...


def _moment(monotonic: float | None, clock: Clock) -> datetime | None:
    """A monotonic time as a wall clock time."""
    if monotonic is None:
        return None
    return _utc(clock.now() + monotonic - clock.monotonic())


def _utc(seconds: float) -> datetime:
    from datetime import UTC, datetime

    return datetime.fromtimestamp(seconds, UTC)
