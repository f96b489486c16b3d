"""`afterwork list`: the jobs, when they run, and how they are."""

from __future__ import annotations

from . import _app, _reading
from ._errors import OK
from ._options import app_options, flag, json_option, zone_option
from ._output import outcome_cell
from ._times import ago, local, rfc3339, zone_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from datetime import tzinfo
    from typing import Any

    from .._dispatch import Dispatch
    from .._job import Job
    from .._store import JobState
    from ._output import Cell, Output

HEADS = ("JOB", "SCHEDULE", "LAST", "NEXT", "STATE")


def add(commands: Any) -> None:
    """Adds the command."""
    parser = commands.add_parser(
        "list",
        help="the jobs: schedule, last and next run, state",
        description="Lists the jobs with their schedule in words, their last and next run, and "
        "whether they are paused, failing or late.",
    )
    flag(parser, "--next", about="sort by the next run")
    flag(parser, "--failing", about="only jobs that fail or are late")
    zone_option(parser, "show times in this zone; default: this machine's")
    json_option(parser)
    app_options(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace, out: Output) -> int:
    """Runs it."""
    found = _app.find(args)
    dispatch = found.dispatch
    states, problem = _states(dispatch)
    now = dispatch.clock.now()
    entries = [(job, entry(job, states.get(job.name), now)) for job in dispatch.jobs]
    if args.failing:
        entries = [each for each in entries if each[1]["failing"] or each[1]["late"]]
    if args.next:
        entries.sort(key=lambda each: each[1]["next"] or "9999")
    if out.json:
        out.document(app=found.target, jobs=[each for _, each in entries], store_error=problem)
        return OK
    if problem is not None:
        out.complain(f"without the last runs: {problem}", "yellow")
    if entries:
        zone = zone_of(args.tz)
        out.table(
            HEADS, [_row(job, states.get(job.name), each, now, zone) for job, each in entries]
        )
    else:
        what = "no job fails or is late" if args.failing else "no jobs are registered"
        out.say(f"{what} in {found.target} ({found.source})")
    return OK


def entry(job: Job[..., Any], state: JobState | None, now: float) -> dict[str, Any]:
    """A job for JSON; every key is always there."""
    from .. import _health

    known = _health.entry(job, state, now)
    failures = known.get("failures_in_a_row", 0)
    pause = None if state is None else state.pause
    names = ("description", "schedule", "timezone", "words", "next")
    last = ("last_run", "last_outcome", "last_ended", "last_success")
    return {
        "job": job.name,
        **{name: known.get(name) for name in names},
        "tags": list(job.tags),
        "overlap": job.policy.overlap,
        **{name: known.get(name) for name in last},
        "failures_in_a_row": failures,
        "failing": failures > 0,
        "late": bool(known.get("late")),
        "paused": pause is not None,
        "paused_until": None if pause is None else rfc3339(pause.until),
        "pause_note": None if pause is None else pause.note,
    }


def _states(dispatch: Dispatch) -> tuple[dict[str, JobState], str | None]:
    """What the store knows, and why it does not. The schedule is in the code, and shown anyway."""
    from ..errors import StoreError

    try:
        store = _reading.opened(dispatch)
        return ({} if store is None else store.jobs()), None
    except StoreError as error:
        return {}, str(error)


def _row(
    job: Job[..., Any],
    state: JobState | None,
    entry: dict[str, Any],
    now: float,
    zone: tzinfo | None,
) -> list[Cell]:
    from .._slots import after

    slot = None if job.schedule is None else after(job.schedule, now)
    last = None if state is None else state.last_run
    if last is None or last.ended_at is None:
        ended: Cell = "never"
    else:
        ended = (f"{last.state} {ago(last.ended_at - now)}", outcome_cell(last.state)[1])
    return [
        job.name,
        entry["words"] or "by hand",
        ended,
        "-" if slot is None else f"{local(slot, zone)} ({ago(slot - now)})",
        _state(entry),
    ]


def _state(entry: dict[str, Any]) -> Cell:
    words: list[str] = []
    if entry["paused"]:
        words.append("paused")
        if entry["paused_until"]:
            words.append(f"until {entry['paused_until']}")
        if entry["pause_note"]:
            words.append(f"({entry['pause_note']})")
    if entry["failing"]:
        times = entry["failures_in_a_row"]
        words.append("failing" if times == 1 else f"failing, {times} in a row")
    if entry["late"]:
        words.append("late")
    if not words:
        return "ok", "green"
    return " ".join(words), "red" if entry["failing"] or entry["late"] else "yellow"
