"""`afterwork due`: runs what is due once, for the system's cron and Kubernetes.

It reads the same ledger as the scheduler and `/tick`: it finds what nobody ran since it was last
called, and two at once run each slot once. Jobs run beside each other, the slots of one job in
their order.
"""

from __future__ import annotations

import sys
from contextlib import nullcontext, redirect_stdout

from . import _app, _log, _records
from ._errors import FAILED, OK
from ._options import app_options, json_option, lifespan_option
from ._output import outcome_cell
from ._times import ago

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from typing import Any

    from .._dispatch import Dispatch
    from .._job import Job
    from .._loop import Loop
    from .._work import Work
    from ._output import Output


def add(commands: Any) -> None:
    """Adds the command."""
    parser = commands.add_parser(
        "due",
        help="run what is due, once",
        description="Runs what is due and exits: for a crontab line or a Kubernetes CronJob that "
        "calls it every minute. Exits with 1 if one of the runs failed.",
    )
    _log.log_option(parser)
    lifespan_option(parser)
    json_option(parser)
    app_options(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace, out: Output) -> int:
    """Runs it."""
    import asyncio

    from ._here import Here

    found = _app.find(args)
    dispatch = found.dispatch
    here = Here(found, lifespan=args.lifespan)
    works: list[Work] = []

    async def main(loop: Loop) -> None:
        due = await dispatch.ask(loop, lambda: _sweep(dispatch))
        await asyncio.gather(*(run_slots(job, slots, loop) for job, slots in due))

    async def run_slots(job: Job[..., Any], slots: list[int], loop: Loop) -> None:
        for slot in slots:
            if here.stopping:
                return
            work = dispatch.order(job, dispatch.occurrence(job, slot))
            await here.see(work, loop)
            works.append(work)
            if not out.json:
                out.line(_records.sentence(work), outcome_cell(str(work.outcome))[1])

    printed = redirect_stdout(sys.stderr) if out.json else nullcontext()
    with _log.streaming(args.log_level), printed:
        here.run(main)
    if out.json:
        out.document(runs=[_records.ended(work) for work in works])
    elif not works:
        out.say(_nothing(dispatch))
    if here.signalled is not None:
        return here.signalled
    failed = any(work.outcome not in ("succeeded", "skipped") for work in works)
    return FAILED if failed else OK


def _sweep(dispatch: Dispatch) -> list[tuple[Job[..., Any], list[int]]]:
    """What is due. Does the household, too: where this is what runs the jobs, nobody else does."""
    from .. import _due

    due = _due.sweep(dispatch, dispatch.clock.now())
    settings = dispatch.pipeline.settings
    dispatch.reap()
    dispatch.store().prune(age=settings.keep_for, keep=settings.keep)
    return due


def _nothing(dispatch: Dispatch) -> str:
    from .. import _slots

    now = dispatch.clock.now()
    coming = [
        (slot, job.name)
        for job in dispatch.jobs
        if job.schedule is not None and (slot := _slots.after(job.schedule, now)) is not None
    ]
    if not coming:
        return "nothing is due: no job has a schedule"
    slot, name = min(coming)
    return f"nothing is due; next is {name} {ago(slot - now)}"
