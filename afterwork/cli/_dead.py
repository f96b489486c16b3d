"""`afterwork dead` and `status`: durable calls that were given up, and where a call stands."""

from __future__ import annotations

from . import _app, _reading
from ._errors import FAILED, NOT_FOUND, OK, USAGE, Stop
from ._options import app_options, count, flag, json_option, option
from ._times import ago, rfc3339

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from collections.abc import Coroutine
    from typing import Any, TypeVar

    from .._dead_letters import DeadLetter
    from .._dispatch import Dispatch
    from ._output import Output

    T = TypeVar("T")

MOST = 10_000
"""Dead letters that are looked at together."""
HEADS = ("RUN", "JOB", "ATTEMPTS", "GIVEN UP", "WHY")


def add(commands: Any) -> None:
    """Adds both commands."""
    dead = commands.add_parser(
        "dead",
        help="durable calls that were given up: list, show, retry, delete",
        description="Looks after dead letters: durable calls that are over without success. They "
        "are kept until somebody retries or deletes them.",
    )
    actions = dead.add_subparsers(title="actions", metavar="ACTION", required=True)
    for name, run, about in (
        ("list", run_list, "the newest first"),
        ("show", run_show, "all of one, with its arguments; what looks secret is hidden"),
        ("retry", run_retry, "make new calls of them, with new ids and all attempts before them"),
        ("delete", run_delete, "delete them for good"),
    ):
        action = actions.add_parser(name, help=about, description=f"Dead letters: {about}.")
        action.set_defaults(run=run)
        if name == "show":
            action.add_argument("id", metavar="RUN", help="the id of its run")
        elif name == "list":
            action.add_argument("job", nargs="?", metavar="JOB", help="only of this job")
            option(action, "--limit", read=count, default="20", metavar="N", about="default 20")
            option(action, "--before", metavar="RUN", about="only those before: for the next page")
        else:
            action.add_argument("id", nargs="*", metavar="RUN", help="the ids of their runs")
            option(action, "--job", metavar="JOB", about="all of this job")
            flag(action, "--all", about="all there are")
        json_option(action)
        app_options(action)
    status = commands.add_parser(
        "status",
        help="where a durable call stands",
        description="Tells where a run stands: waiting, running, or how it ended.",
    )
    status.add_argument("id", metavar="RUN", help="the id of the run")
    status.set_defaults(run=run_status)
    json_option(status)
    app_options(status)


def entry(letter: DeadLetter) -> dict[str, Any]:
    """A dead letter for JSON."""
    return {
        "id": letter.id,
        "job": letter.job,
        "attempts": letter.attempts,
        "arguments": letter.arguments,
        "error": letter.error,
        "enqueued_at": rfc3339(letter.enqueued_at.timestamp()),
        "died_at": None if letter.died_at is None else rfc3339(letter.died_at.timestamp()),
    }


def run_list(args: argparse.Namespace, out: Output) -> int:
    """`afterwork dead list`."""
    dispatch = _existing(args)
    letters = _letters(dispatch, args.job, args.before, args.limit)
    if out.json:
        out.document(dead=[entry(letter) for letter in letters])
    elif letters:
        now = dispatch.store().now()
        out.table(
            HEADS,
            [
                [
                    letter.id,
                    letter.job,
                    str(letter.attempts),
                    "" if letter.died_at is None else ago(letter.died_at.timestamp() - now),
                    (letter.error or "").partition("\n")[0],
                ]
                for letter in letters
            ],
        )
    else:
        out.say("there are no dead letters")
    return OK


def run_show(args: argparse.Namespace, out: Output) -> int:
    """`afterwork dead show`."""
    dispatch = _existing(args)
    found = [each for each in _all(dispatch, None) if each.id == args.id]
    if not found:
        raise Stop(NOT_FOUND, f"there is no dead letter {args.id!r}.")
    if out.json:
        out.document(letter=entry(found[0]))
    else:
        for name, value in entry(found[0]).items():
            out.line(f"{name:<12}{'' if value is None else value}")
    return OK


def run_retry(args: argparse.Namespace, out: Output) -> int:
    """`afterwork dead retry`."""
    from .._dead_letters import revive

    dispatch = _existing(args)
    ids = _meant(args, dispatch)
    revived = ask(args, revive(dispatch, ids))
    if out.json:
        out.document(retried=len(revived), runs=revived)
    else:
        out.line(f"{len(revived)} of {len(ids)} wait to run again")
        for each in revived:
            out.line(each)
    return OK if len(revived) == len(ids) else FAILED


def run_delete(args: argparse.Namespace, out: Output) -> int:
    """`afterwork dead delete`."""
    from .._dead_letters import delete

    dispatch = _existing(args)
    ids = _meant(args, dispatch)
    deleted = ask(args, delete(dispatch, ids))
    if out.json:
        out.document(deleted=deleted)
    else:
        out.line(f"{deleted} of {len(ids)} deleted")
    return OK if deleted == len(ids) else FAILED


def run_status(args: argparse.Namespace, out: Output) -> int:
    """`afterwork status`."""
    from .._status import status_of

    dispatch = _existing(args)
    status = ask(args, status_of(dispatch, args.id))
    if status is None:
        raise Stop(NOT_FOUND, f"nobody knows a run {args.id!r}.")
    if out.json:
        out.document(run=status.view())
    else:
        for name, value in {**status.view(), "error": status.error}.items():
            out.line(f"{name:<18}{'' if value is None else value}")
    return OK


def _existing(args: argparse.Namespace) -> Dispatch:
    """The app's dispatch, whose store has to exist. Raises `Stop`."""
    dispatch = _app.find(args).dispatch
    if _reading.opened(dispatch) is None:
        place = _reading.place_of(dispatch.chosen_store())
        raise Stop(NOT_FOUND, f"there is no store yet: {place} does not exist.")
    return dispatch


def _letters(
    dispatch: Dispatch, job: str | None, before: str | None, limit: int
) -> list[DeadLetter]:
    from .._dead_letters import listed

    return listed(dispatch, job, before, limit)


def _all(dispatch: Dispatch, job: str | None) -> list[DeadLetter]:
    return _letters(dispatch, job, None, MOST)


def _meant(args: argparse.Namespace, dispatch: Dispatch) -> list[str]:
    """The ids that are meant. Raises `Stop` where it is not said which."""
    if bool(args.id) + bool(args.job) + args.all != 1:
        raise Stop(USAGE, "say which: their ids, --job JOB or --all.")
    if args.id:
        ids: list[str] = args.id
        return ids
    return [letter.id for letter in _all(dispatch, args.job)]


def ask(args: argparse.Namespace, work: Coroutine[Any, Any, T]) -> T:
    """Asks the engine, on a loop of its own, and lets go of it."""
    import asyncio

    dispatch = args.found.dispatch

    async def ask() -> T:
        try:
            return await work
        finally:
            engine = dispatch.durable.used_engine
            if engine is not None:
                await engine.close()

    return asyncio.run(ask())
