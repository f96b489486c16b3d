"""`afterwork work`: the scheduler as a process of its own, in the foreground.

It is the same scheduler that runs inside a server, so one may run beside it or beside others: with
one store each slot runs once. It prints a line for each run that ends. The first SIGINT or SIGTERM
lets running jobs end within the setting `grace`; a second one cuts them.
"""

from __future__ import annotations

import sys
from contextlib import nullcontext, redirect_stdout

from . import _app, _log, _records
from ._errors import FAILED, Stop
from ._options import app_options, json_option, lifespan_option
from ._output import outcome_cell
from ._times import lasted, local, zone_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from typing import Any

    from .._dispatch import Dispatch
    from .._loop import Loop
    from .._run import Run
    from ._output import Output


def add(commands: Any) -> None:
    """Adds the command."""
    parser = commands.add_parser(
        "work",
        help="run the scheduler here until it is stopped",
        description="Runs the scheduler in the foreground, with a line for each run that ends. "
        "SIGINT and SIGTERM let what runs end within the setting `grace`; again, and it is cut. "
        "With --json: one document on each line.",
    )
    _log.log_option(parser)
    lifespan_option(parser)
    json_option(parser)
    app_options(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace, out: Output) -> int:
    """Runs it."""
    import asyncio

    from .._scheduler import Scheduler, Shift
    from ._here import Here

    found = _app.find(args)
    dispatch = found.dispatch
    refusal = Scheduler(dispatch).refusal()
    if refusal is not None:
        raise Stop(FAILED, f"the scheduler cannot run here: {refusal}")
    count = sum(job.schedule is not None for job in dispatch.jobs)
    if not count:
        raise Stop(
            FAILED,
            f"no job of {found.target} has a schedule, so there is nothing to wait for.\n"
            'Give one to a job: @work.cron("0 3 * * *") or @work.every("10m")',
        )
    settings = dispatch.pipeline.settings
    settings.reporters = (*settings.reporters, lambda run: tell(run, out))
    here = Here(found, lifespan=args.lifespan)
    here.patience = 0

    async def main(loop: Loop) -> None:
        shift = Shift(dispatch, loop)
        here.on_signal = shift.stop
        jobs = "1 job" if count == 1 else f"{count} jobs"
        out.say(f"running {jobs} of {found.target}; stop with Ctrl+C", "dim")
        turning = asyncio.create_task(shift.run())
        await turning
        unfinished = sum(len(queue.unfinished()) for queue in dispatch.pipeline.queues)
        if unfinished:
            out.say(f"waiting up to {settings.grace:g} s for {unfinished} to end", "dim")
        from .._closing import close

        await close(dispatch.pipeline, loop, settings.grace)
        await dispatch.ask(loop, lambda: _sign_off(dispatch))

    printed = redirect_stdout(sys.stderr) if out.json else nullcontext()
    with _log.streaming(args.log_level), printed:
        here.run(main)
    return FAILED if here.signalled is None else here.signalled


def _sign_off(dispatch: Dispatch) -> None:
    """Once more, and waited for: this process ends before the threads of the scheduler do."""
    from .._housekeeping import BEAT_PREFIX
    from ..errors import StoreError

    try:
        dispatch.store().delete(BEAT_PREFIX + dispatch.worker)
    except StoreError:
        pass  # the note ends by itself


def tell(run: Run, out: Output) -> None:
    """One line about a run that ended."""
    if run.job is None:
        return  # a callback that a job queued; the log has it if it failed
    if out.json:
        out.document(compact=True, run=_records.ended(run._work))
        return
    took = "" if run.duration is None else f" in {lasted(run.duration)}"
    why = "" if run.error is None else f": {_records.first_line(run.error)}"
    reason = "" if run.stop_reason is None else f" ({run.stop_reason})"
    at = local(run._clock.now(), zone_of(None))
    colour = outcome_cell(str(run.outcome))[1]
    out.line(f"{at}  {run.name} {run.outcome}{took}{why}{reason}", colour)
