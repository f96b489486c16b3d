"""`afterwork run` and `afterwork retry`: one run of a job in this process.

1. It goes the way of every other run: claim, lease, timeout, retries, record. A run by hand takes
   no slot and asks for no pause.
2. Started by Vercel's scheduler, which says so in `VERCEL_SCHEDULE_*`, it is the run of that slot
   and delivery: a second one is a duplicate, and pauses and conditions hold.
3. The exit code says how it ended.
"""

from __future__ import annotations

import os
import sys
from contextlib import nullcontext, redirect_stdout

from . import _app, _log, _records
from ._errors import FAILED, OK, SKIPPED, TIMED_OUT, USAGE, Stop
from ._options import app_options, flag, json_option, lifespan_option, option
from ._output import outcome_cell

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from typing import Any

    from .._job import Job
    from .._loop import Loop
    from .._occurrence import Occurrence
    from .._work import Work
    from ._app import Found
    from ._output import Output

NAME, SLOT, DELIVERY = (
    f"VERCEL_SCHEDULE_{each}" for each in ("NAME", "SCHEDULED_AT", "EXECUTION_ID")
)
PROGRESS_SECONDS = 10.0
"""How often somebody who watches is told that it still runs."""


def add(commands: Any) -> None:
    """Adds both commands."""
    run = commands.add_parser(
        "run",
        help="run a job here, now",
        description="Runs a job in this process and prints how it ended. Exit codes: 0 succeeded, "
        "1 failed, 4 skipped or a duplicate, 124 timed out, 130 and 143 stopped by SIGINT and "
        "SIGTERM.",
        epilog=f"Where Vercel's scheduler starts it, JOB, slot and delivery are those of {NAME}, "
        f"{SLOT} and {DELIVERY}.",
    )
    run.add_argument("job", nargs="?", metavar="JOB", help=f"the job's name; default: ${NAME}")
    run.set_defaults(run=run_job)
    retry = commands.add_parser(
        "retry",
        help="run the job of an earlier run again",
        description="Runs the job of a run again, by hand and in this process, as a run of its "
        "own. Records keep no arguments: give them anew.",
    )
    retry.add_argument("id", metavar="RUN", help="last, last-failed, or the beginning of an id")
    retry.set_defaults(run=run_again)
    for parser in (run, retry):
        parser.add_argument(
            "values",
            nargs="*",
            metavar="KEY=VALUE",
            help="an argument of the job: its value as JSON, else as text",
        )
        option(
            parser, "--json-args", metavar="OBJECT", about="arguments of the job as a JSON object"
        )
        flag(parser, "--ok-if-skipped", about="exit with 0 where the run was skipped")
        _log.log_option(parser)
        lifespan_option(parser)
        json_option(parser)
        app_options(parser)


def run_job(args: argparse.Namespace, out: Output) -> int:
    """`afterwork run`."""
    found = _app.find(args)
    jobs = found.dispatch.jobs
    name = args.job or os.environ.get(NAME)
    if not name:
        names = ", ".join(job.name for job in jobs) or "none; register one with @work.job"
        raise Stop(USAGE, f"which job? There are: {names}.")
    if "=" in name:
        raise Stop(USAGE, f"the job's name goes first: afterwork run JOB {name}")
    return _execute(found, jobs.get(name), _occurrence(), args, out)


def run_again(args: argparse.Namespace, out: Output) -> int:
    """`afterwork retry`."""
    from .._occurrence import Occurrence

    found = _app.find(args)
    record = _records.find(found.dispatch.store(), args.id)
    if record.job not in found.dispatch.jobs and record.trigger == "after":
        raise Stop(
            USAGE,
            f"run {record.id} was the callback {record.job!r} of a request, and no job. What it "
            "was given is gone with the request: only jobs can be run again.",
        )
    job = found.dispatch.jobs.get(record.job)
    if record.live and job.policy.overlap != "allow":
        raise Stop(
            FAILED,
            f"run {record.id} of {record.job} is {record.state} and not over.\n"
            f"Stop it first: afterwork cancel {record.id}",
        )
    return _execute(found, job, Occurrence("retry"), args, out)


def exit_code(work: Work, *, ok_if_skipped: bool) -> int:
    """What a run's end means for the shell."""
    outcome = str(work.outcome)
    if outcome == "skipped":
        return OK if ok_if_skipped else SKIPPED
    if outcome == "timed_out":
        return TIMED_OUT
    return OK if outcome == "succeeded" else FAILED


def _occurrence() -> Occurrence:
    """What sets it off: a person, or Vercel's scheduler."""
    from .._callers import BadCallError, read_instant
    from .._occurrence import Occurrence

    slot, delivery = os.environ.get(SLOT), os.environ.get(DELIVERY)
    if not slot and not delivery:
        return Occurrence("manual")
    try:
        seconds = None if not slot else int(read_instant(SLOT, slot))
    except BadCallError as error:
        raise Stop(USAGE, f"{error}; it is {slot!r}.") from None
    return Occurrence(
        "schedule",
        slot=seconds,
        delivery=delivery or None,
        caller="vercel-schedule",
        filtered=True,
    )


def _execute(
    found: Found,
    job: Job[..., Any],
    occurrence: Occurrence,
    args: argparse.Namespace,
    out: Output,
) -> int:
    import asyncio

    from ._here import Here

    here = Here(found, lifespan=args.lifespan)
    work = found.dispatch.order(job, occurrence, (), _arguments(job, args))

    async def main(loop: Loop) -> None:
        watching = asyncio.create_task(_watch(work, out))
        await here.see(work, loop)
        watching.cancel()

    # What the job prints is no part of the document.
    printed = redirect_stdout(sys.stderr) if out.json else nullcontext()
    with _log.streaming(args.log_level), printed:
        here.run(main)
    if out.json:
        out.document(run=_records.ended(work))
    else:
        out.line(_records.sentence(work), _colour(work))
    if here.signalled is not None and work.outcome != "succeeded":
        return here.signalled
    return exit_code(work, ok_if_skipped=args.ok_if_skipped)


async def _watch(work: Work, out: Output) -> None:
    """Tells somebody who watches that a long run is still on its way."""
    import asyncio

    seconds = 0.0
    while True:
        await asyncio.sleep(PROGRESS_SECONDS)
        seconds += PROGRESS_SECONDS
        if out.interactive:
            state = "waiting" if work.started is None else "running"
            out.say(f"{work.title} {state} for {seconds:g} s", "dim")


def _arguments(job: Job[..., Any], args: argparse.Namespace) -> dict[str, Any]:
    """The job's arguments. Raises `Stop` for those it does not take."""
    import inspect
    import json

    given: dict[str, Any] = {}
    if args.json_args is not None:
        try:
            given = json.loads(args.json_args)
        except ValueError as error:
            raise Stop(USAGE, f"--json-args is no JSON: {error}.") from None
        if not isinstance(given, dict):
            raise Stop(USAGE, "--json-args is an object, such as '{\"account_id\": 7}'.")
    for text in args.values:
        key, equals, value = text.partition("=")
        if not equals or not key.isidentifier():
            raise Stop(USAGE, f"an argument of a job is KEY=VALUE; this is {text!r}.")
        try:
            given[key] = json.loads(value)
        except ValueError:
            given[key] = value
    signature = inspect.signature(job.fn)
    try:
        signature.bind(**given)
    except TypeError as error:
        raise Stop(USAGE, f"{error}. The job is {job.name}{signature}") from None
    return given


def _colour(work: Work) -> str:
    return outcome_cell(str(work.outcome))[1]
