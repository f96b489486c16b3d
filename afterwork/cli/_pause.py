"""`afterwork pause` and `resume`: kept in the store, so they hold in all processes and survive
restarts."""

from __future__ import annotations

from . import _app
from ._errors import NOT_FOUND, OK, USAGE, Stop
from ._options import app_options, json_option, option, zone_option
from ._times import local, moment, rfc3339, zone_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from typing import Any

    from ._output import Output


def add(commands: Any) -> None:
    """Adds both commands."""
    pause = commands.add_parser(
        "pause",
        help="keep a job from running on schedule",
        description="Pauses a job in all processes that have the same store. Slots that pass are "
        "recorded as skipped; runs by hand go on, and what runs already is not stopped.",
    )
    option(pause, "--note", metavar="TEXT", about="why, for others")
    option(
        pause,
        "--until",
        metavar="TIME",
        about="a duration such as 2h, or a time such as 2026-03-10T12:00; default: until resumed",
    )
    zone_option(pause, "the zone of a time without an offset; default: this machine's")
    pause.set_defaults(run=run_pause)
    resume = commands.add_parser(
        "resume",
        help="let a paused job run again",
        description="Ends a pause. What passed meanwhile is not made up for.",
    )
    resume.set_defaults(run=run_resume)
    for parser in (pause, resume):
        parser.add_argument("job", metavar="JOB", help="the job's name")
        json_option(parser)
        app_options(parser)


def run_pause(args: argparse.Namespace, out: Output) -> int:
    """`afterwork pause`."""
    dispatch = _app.find(args).dispatch
    job = dispatch.jobs.get(args.job)
    store = _shared(dispatch.store())
    zone = zone_of(args.tz)
    seconds = None
    if args.until is not None:
        now = store.now()
        seconds = moment("--until", args.until, now, zone) - now
        if seconds <= 0:
            raise Stop(USAGE, f"--until is over already: {args.until!r}.")
    store.pause(job.name, seconds=seconds, note=args.note)
    state = store.jobs()[job.name]
    until = None if state.pause is None else state.pause.until
    if out.json:
        out.document(job=job.name, paused=True, until=rfc3339(until), note=args.note)
    else:
        end = "it is resumed" if until is None else local(until, zone)
        out.line(f"{job.name} is paused until {end}")
    return OK


def run_resume(args: argparse.Namespace, out: Output) -> int:
    """`afterwork resume`. A job that is not in the code any more can be resumed, too."""
    dispatch = _app.find(args).dispatch
    store = _shared(dispatch.store())
    if args.job not in store.jobs():
        dispatch.jobs.get(args.job)
    resumed = store.resume(args.job)
    if out.json:
        out.document(job=args.job, paused=False, resumed=resumed)
    elif resumed:
        out.line(f"{args.job} runs again")
    else:
        raise Stop(NOT_FOUND, f"{args.job} was not paused.")
    return OK if resumed else NOT_FOUND


def _shared(store: Any) -> Any:
    if store.shared == "process":
        raise Stop(
            USAGE,
            "the store is in memory, and no other process would see it.\n"
            "Give the app one that lasts: Afterwork(store='sqlite:///afterwork.db')",
        )
    return store
