"""`afterwork runs`, `show` and `cancel`: what ran, and what runs."""

from __future__ import annotations

import argparse
import time
from dataclasses import replace

from . import _app, _reading, _records
from ._dead import ask
from ._errors import FAILED, NOT_FOUND, OK, USAGE, Stop
from ._options import app_options, count, duration, json_option, option, zone_option
from ._times import zone_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .._dispatch import Dispatch
    from .._status import RunStatus
    from .._store import RunRecord, Store
    from ._output import Output

STATES = (
    *("claimed", "running", "succeeded", "failed", "timed_out", "cancelled", "skipped"),
    *("missed", "abandoned"),
)
POLL_SECONDS = 0.1
REASON = "cancelled by hand"


def add(commands: Any) -> None:
    """Adds the commands."""
    runs = commands.add_parser(
        "runs", help="the runs, the newest first", description="Lists runs, the newest first."
    )
    runs.add_argument("job", nargs="?", metavar="JOB", help="only runs of this job")
    option(runs, "--state", read=state, metavar="STATE", about=f"only {', '.join(STATES)}")
    option(runs, "--limit", read=count, default="20", metavar="N", about="how many; default 20")
    option(runs, "--before", metavar="RUN", about="only those before this one: for the next page")
    runs.set_defaults(run=run_runs)

    show = commands.add_parser("show", help="one run", description="Shows all of one run.")
    show.set_defaults(run=run_show)
    zone_option(show, "show times in this zone; default: this machine's")

    cancel = commands.add_parser(
        "cancel",
        help="ask a run to stop",
        description="Asks a run to stop, in whichever process it is. That process sees it when it "
        "next renews the run in the store, after a third of the setting `lease` at most. An async "
        "job is cancelled then; a sync one has to look at current_run().stop_reason. A durable "
        "call that waits is taken back: give its whole id.",
    )
    option(cancel, "--reason", metavar="TEXT", default=REASON, about="why, for the record")
    option(
        cancel,
        "--wait",
        read=duration,
        default="0",
        metavar="DURATION",
        about="wait so long for its end, and exit with 1 if it does not end; default 0",
    )
    cancel.set_defaults(run=run_cancel)
    for parser in (show, cancel):
        parser.add_argument("id", metavar="RUN", help="last, last-failed, or the start of an id")
    for parser in (runs, show, cancel):
        json_option(parser)
        app_options(parser)


def state(text: str) -> str:
    """A state that a run can have."""
    if text not in STATES:
        raise argparse.ArgumentTypeError(f"{text!r} is none of {', '.join(STATES)}")
    return text


def run_runs(args: argparse.Namespace, out: Output) -> int:
    """`afterwork runs`."""
    dispatch = _app.find(args).dispatch
    store = _reading.opened(dispatch)
    found: list[RunRecord] = []
    if store is not None:
        before = None if args.before is None else _records.find(store, args.before).id
        found = store.runs(job=args.job, state=args.state, before=before, limit=args.limit)
    if not found and args.job is not None and (store is None or args.job not in store.jobs()):
        dispatch.jobs.get(args.job)  # no runs of a job, or no such job
    if out.json:
        out.document(runs=[_records.entry(record) for record in found])
    elif found and store is not None:
        short = _records.short_length(found)
        now = store.now()
        out.table(_records.HEADS, [_records.row(record, now, short) for record in found])
    else:
        out.say(f"there are no such runs in {_reading.place_of(dispatch.chosen_store())}")
    return OK


def run_show(args: argparse.Namespace, out: Output) -> int:
    """`afterwork show`."""
    record = _records.find(_store(args), args.id)
    if out.json:
        out.document(run=_records.entry(record))
    else:
        _records.details(record, zone_of(args.tz), out)
    return OK


def run_cancel(args: argparse.Namespace, out: Output) -> int:
    """`afterwork cancel`."""
    dispatch = _app.find(args).dispatch
    store = _reading.opened(dispatch)
    if store is None:
        raise Stop(NOT_FOUND, _none(dispatch.chosen_store()))
    dispatch.reap()  # whose process died cannot be asked any more
    call = _durable_call(args, store)
    if call is not None and call.state == "waiting" and _take_back(args, call, out):
        return OK
    record = _records.find(store, args.id) if call is None else _as_record(call)
    if not record.live:
        raise Stop(FAILED, f"run {record.id} is over: it is {record.state}.")
    if store.shared == "process":
        raise Stop(USAGE, "the store is in memory: no other process can be asked through it.")
    dispatch.cancel(record.id, args.reason)
    within = dispatch.lease_seconds / 3
    out.say(f"asked run {record.id} of {record.job} to stop; it sees that within {within:g} s")
    end = time.monotonic() + args.wait
    while record.live and time.monotonic() < end:
        time.sleep(POLL_SECONDS)
        record = store.run(record.id) or record
    if out.json:
        out.document(run=_records.entry(record))
    elif args.wait:
        out.line(f"{record.job} {record.state}  (run {record.id})")
    return FAILED if args.wait and record.live else OK


def _durable_call(args: argparse.Namespace, store: Store) -> RunStatus | None:
    """The durable call that is meant and not over. Only the engine knows of most of them."""
    from .._status import status_of

    dispatch: Dispatch = args.found.dispatch
    record = store.run(args.id)
    if (record is not None and record.live) or not any(job.policy.durable for job in dispatch.jobs):
        return None
    status = ask(args, status_of(dispatch, args.id))
    return None if status is None or status.over else status


def _take_back(args: argparse.Namespace, call: RunStatus, out: Output) -> bool:
    """Takes back a call that waits. Returns whether it still did."""
    dispatch: Dispatch = args.found.dispatch
    if not ask(args, dispatch.durable.cancel(call.id, args.reason)):
        return False
    if out.json:
        out.document(run=_records.entry(replace(_as_record(call), state="cancelled")))
    else:
        out.line(f"{call.job} cancelled before it ran  (run {call.id})")
    return True


def _as_record(call: RunStatus) -> RunRecord:
    from .._store import RunRecord

    return RunRecord(
        id=call.id, job=call.job or "", trigger="after", state="running", attempt=call.attempt
    )


def _store(args: argparse.Namespace) -> Store:
    """The store, which has to exist. Raises `Stop`."""
    dispatch = _app.find(args).dispatch
    store = _reading.opened(dispatch)
    if store is None:
        raise Stop(NOT_FOUND, _none(dispatch.chosen_store()))
    return store


def _none(store: Store) -> str:
    return f"there are no runs yet: {_reading.place_of(store)} does not exist."
