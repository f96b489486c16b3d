"""Runs, as commands show them; and which run is meant."""

from __future__ import annotations

from ._errors import NOT_FOUND, USAGE, Stop
from ._output import outcome_cell, plain
from ._times import ago, lasted, local, rfc3339

TYPE_CHECKING = False
if TYPE_CHECKING:
    from datetime import tzinfo
    from typing import Any

    from .._store import RunRecord, Store
    from .._work import Work
    from ._output import Cell, Output

LAST = "last"
LAST_FAILED = "last-failed"
NEWLINE = "\n"
SHORT = 13
"""Characters of an id that are shown: those that hold its time."""
HIGHEST = "ffffffff-ffff-ffff-ffff-ffffffffffff"
HEADS = ("RUN", "JOB", "OUTCOME", "STARTED", "TOOK", "TRIGGER", "WHY")


def entry(record: RunRecord) -> dict[str, Any]:
    """A run for JSON: the same keys in every command."""
    return {
        "id": record.id,
        "job": record.job,
        "state": record.state,
        "trigger": record.trigger,
        "slot": rfc3339(record.slot),
        "delivery": record.delivery,
        "attempt": record.attempt,
        "worker": record.worker or None,
        "claimed_at": rfc3339(record.claimed_at),
        "started_at": rfc3339(record.started_at),
        "ended_at": rfc3339(record.ended_at),
        "duration_seconds": record.duration,
        "reason": record.reason,
        "error": record.error,
    }


def row(record: RunRecord, now: float, short: int) -> list[Cell]:
    """A run in the table of runs."""
    began = record.started_at or record.claimed_at
    why = record.error or record.reason or ""
    return [
        record.id[:short],
        record.job,
        outcome_cell(record.state),
        ago(began - now),
        "" if record.duration is None else lasted(record.duration),
        record.trigger,
        why.partition("\n")[0],
    ]


def short_length(records: list[RunRecord]) -> int:
    """How many characters of their ids tell these runs apart."""
    length = SHORT
    ids = {record.id for record in records}
    while len({each[:length] for each in ids}) < len(ids):
        length += 1
    return length


def details(record: RunRecord, zone: tzinfo | None, out: Output) -> None:
    """All of a run, one thing on each line."""
    out.line(f"run       {record.id}", "bold")
    lines = {
        "job": record.job,
        "outcome": record.state,
        "trigger": record.trigger,
        "slot": None if record.slot is None else local(record.slot, zone),
        "delivery": record.delivery,
        "attempt": str(record.attempt),
        "worker": record.worker or None,
        "claimed": local(record.claimed_at, zone),
        "started": None if record.started_at is None else local(record.started_at, zone),
        "ended": None if record.ended_at is None else local(record.ended_at, zone),
        "took": None if record.duration is None else lasted(record.duration),
        "reason": record.reason,
        "error": record.error,
    }
    for name, value in lines.items():
        if value is not None:
            colour = outcome_cell(value)[1] if name == "outcome" else ""
            out.line(f"{name:<10}{plain(value)}", colour)


def find(store: Store, text: str) -> RunRecord:
    """The run that is meant: `last`, `last-failed`, or an id or its beginning. Raises `Stop`."""
    if text == LAST:
        return _first(store.runs(limit=1), "there are no runs yet")
    if text == LAST_FAILED:
        from .._store import FAILURES

        failed = [run for state in FAILURES for run in store.runs(state=state, limit=1)]
        return _first(sorted(failed, key=lambda run: run.id)[-1:], "no run has failed")
    wanted = text.lower()
    if len(wanted) > len(HIGHEST) or not set(wanted) <= set("0123456789abcdef-") or not wanted:
        raise Stop(
            USAGE, f"a run is {LAST}, {LAST_FAILED}, or an id as `runs` shows it; not {text!r}."
        )
    exact = store.run(wanted) if len(wanted) == len(HIGHEST) else None
    if exact is not None:
        return exact
    # Ids sort by their text, so all that begin alike are neighbours.
    found = store.runs(before=wanted + HIGHEST[len(wanted) :], limit=2)
    matching = [run for run in found if run.id.startswith(wanted)]
    if len(matching) > 1:
        raise Stop(USAGE, f"several runs begin with {text!r}; give more of the id.")
    return _first(matching, f"there is no run {text!r}")


def _first(runs: list[RunRecord], problem: str) -> RunRecord:
    if not runs:
        raise Stop(NOT_FOUND, f"{problem}. See `afterwork runs`.")
    return runs[0]


def ended(work: Work) -> dict[str, Any]:
    """A run that ended in this process, for JSON."""
    from .._run_record import describe

    ticket: Any = work.ticket
    first = ticket.first
    return {
        "id": work.run_id if first is None else first.id,
        "job": ticket.job.name,
        "state": str(work.outcome),
        "status": ticket.status,
        "trigger": ticket.trigger,
        "slot": rfc3339(ticket.slot),
        "delivery": ticket.delivery,
        "attempt": ticket.earlier_attempts + work.attempt,
        "duration_seconds": work.duration,
        "reason": work.cut,
        "error": None if work.error is None else describe(work.error),
    }


def first_line(error: BaseException) -> str:
    """An error on one line: class and text."""
    from .._run_record import describe

    return plain(describe(error).partition("\n")[0])


def sentence(work: Work) -> str:
    """How a run ended, on one line."""
    run = ended(work)
    state = run["status"] or run["state"]
    took = "" if run["duration_seconds"] is None else f" in {lasted(run['duration_seconds'])}"
    why = run["error"] or run["reason"]
    reason = "" if not why else f": {plain(str(why).partition(NEWLINE)[0])}"
    return f"{run['job']} {state}{took}{reason}  (run {run['id']})"
