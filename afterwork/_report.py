"""What is said of a finished run: one closing line, then the reporters."""

from __future__ import annotations

from . import _events
from ._outcome import Outcome
from ._run import Run
from ._sites import describe

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from ._clock import Clock
    from ._settings import Settings
    from ._work import Work

LEVELS = {
    # Some frameworks show INFO by default, and a line per callback would bury the rest.
    Outcome.SUCCEEDED: _events.DEBUG,
    Outcome.FAILED: _events.ERROR,
    Outcome.TIMED_OUT: _events.ERROR,
    Outcome.CANCELLED: _events.WARNING,
    Outcome.ABANDONED: _events.ERROR,
    Outcome.SKIPPED: _events.DEBUG,
    Outcome.MISSED: _events.WARNING,
}
EVENTS = {outcome: f"run.{outcome}" for outcome in LEVELS}


observer: Callable[[Work], object] | None = None
"""Set by the test kit, which wants to see every run of the process."""


def report(work: Work, settings: Settings, clock: Clock) -> None:
    """Says how a work ended: its one closing line, then every reporter."""
    outcome = work.outcome
    assert outcome is not None
    level = LEVELS[outcome]
    if outcome == Outcome.SKIPPED and work.ticket is not None:
        level = _events.INFO  # a job that does not run when it should have is worth a line
    if _events.wanted(level):
        _events.emit(level, EVENTS[outcome], work.error, **fields(work))
    if outcome == Outcome.SKIPPED:
        return
    if observer is not None:
        observer(work)
    for reporter in settings.reporters:
        try:
            reporter(Run(work, clock))
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:
            _events.emit(
                _events.ERROR, "reporter.failed", error, reporter=repr(reporter), run=work.title
            )


def fields(work: Work) -> dict[str, Any]:
    """What every event about a work tells. Never its arguments: they may be secret."""
    sites = work.sites
    ticket = work.ticket
    attempt = work.attempt + (0 if ticket is None else ticket.earlier_attempts)
    job = None
    if ticket is not None:
        from ._slots import text

        slot = ticket.slot
        job = {
            "trigger": ticket.trigger,
            "slot": None if slot is None else text(slot),
            "lag_seconds": ticket.lag_seconds,
        }
    exchange = work.exchange
    scope = {} if exchange is None else exchange.scope
    return {
        "callback" if ticket is None else "job": work.title,
        "run_id": work.run_id,
        **(job or {}),
        "attempt": attempt if attempt > 1 else None,
        "duration_seconds": work.duration,
        "method": scope.get("method"),
        "path": scope.get("path"),
        "reason": work.cut,
        "queued_at": describe(sites[0]),
        "called_from": [describe(site) for site in sites[1:]] or None,
    }
