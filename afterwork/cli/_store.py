"""`afterwork store`: where the store is, what is in it, and making it smaller."""

from __future__ import annotations

import os

from . import _app, _reading
from ._errors import NOT_FOUND, OK, USAGE, Stop
from ._options import app_options, count, duration, json_option, option
from ._times import rfc3339

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from typing import Any

    from .._store import Store
    from ._app import Found
    from ._output import Output

LIVE_AT_ONCE = 500
"""Records of live runs that are read at a time."""


def add(commands: Any) -> None:
    """Adds the command with its four actions."""
    parser = commands.add_parser(
        "store", help="the store: path, stats, prune, vacuum", description="Looks after the store."
    )
    actions = parser.add_subparsers(title="actions", metavar="ACTION", required=True)
    for name, run, about in (
        ("path", run_path, "where it is"),
        ("stats", run_stats, "how much is in it"),
        ("prune", run_prune, "delete records of old runs"),
        ("vacuum", run_vacuum, "give the space of deleted records back to the disk"),
    ):
        action = actions.add_parser(name, help=about, description=f"The store: {about}.")
        action.set_defaults(run=run)
        if name == "prune":
            option(
                action,
                "--older-than",
                read=duration,
                metavar="DURATION",
                about="of runs that ended so long ago; default: the app's setting keep_for",
            )
            option(
                action,
                "--keep",
                read=count,
                metavar="N",
                about="and of each job all but the newest N; default: the app's setting keep",
            )
        json_option(action)
        app_options(action)


def run_path(args: argparse.Namespace, out: Output) -> int:
    """`afterwork store path`: the file alone where it is one, for use in scripts."""
    store = _app.find(args).dispatch.chosen_store()
    path = _reading.file_of(store)
    if out.json:
        place = _reading.place_of(store)
        exists = None if path is None else os.path.exists(path)
        out.document(store=place, path=path, shared=store.shared, exists=exists)
    else:
        out.line(path or _reading.place_of(store))
    return OK


def run_stats(args: argparse.Namespace, out: Output) -> int:
    """`afterwork store stats`."""
    store = _existing(_app.find(args))
    states = store.jobs()
    ended: dict[str, int] = {}
    for state in states.values():
        for outcome, number in state.counts.items():
            ended[outcome] = ended.get(outcome, 0) + number
    live = {state: len(store.runs(state=state, limit=LIVE_AT_ONCE)) for state in LIVE_STATES}
    path = _reading.file_of(store)
    size = None if path is None else _size(path)
    oldest = min((state.registered_at for state in states.values()), default=None)
    if out.json:
        out.document(
            store=_reading.place_of(store),
            size_bytes=size,
            jobs=len(states),
            ended=ended,
            live=live,
            first_registered=rfc3339(oldest),
        )
        return OK
    out.line(f"store     {_reading.place_of(store)}", "bold")
    out.line(f"shared    by the whole {store.shared}")
    if size is not None:
        out.line(f"size      {size / 1024:.0f} KiB")
    out.line(f"jobs      {len(states)}")
    for name, number in sorted({**ended, **live}.items()):
        out.line(f"{name:<10}{number}")
    return OK


LIVE_STATES = ("claimed", "running")


def run_prune(args: argparse.Namespace, out: Output) -> int:
    """`afterwork store prune`."""
    found = _app.find(args)
    store = _existing(found)
    settings = found.dispatch.pipeline.settings
    age = settings.keep_for if args.older_than is None else args.older_than
    keep = settings.keep if args.keep is None else args.keep
    deleted = 0
    while number := store.prune(age=age, keep=keep):
        deleted += number
        if out.interactive:
            out.say(f"{deleted} records deleted so far", "dim")
    if out.json:
        out.document(deleted=deleted)
    else:
        out.line(f"{deleted} records deleted")
    return OK


def run_vacuum(args: argparse.Namespace, out: Output) -> int:
    """`afterwork store vacuum`."""
    from .._store_sqlite import SQLiteStore

    store = _existing(_app.find(args))
    if not isinstance(store, SQLiteStore):
        raise Stop(
            USAGE,
            f"only a SQLite file needs that; this is {_reading.place_of(store)}, which looks after "
            "its space itself.",
        )
    before = _size(store.path)
    store.vacuum()
    after = _size(store.path)
    if out.json:
        out.document(size_bytes_before=before, size_bytes=after)
    else:
        out.line(f"{before / 1024:.0f} KiB before, {after / 1024:.0f} KiB now")
    return OK


def _existing(found: Found) -> Store:
    store = _reading.opened(found.dispatch)
    if store is None:
        place = _reading.place_of(found.dispatch.chosen_store())
        raise Stop(NOT_FOUND, f"there is no store yet: {place} does not exist.")
    return store


def _size(path: str) -> int:
    """Bytes of a SQLite file and of what it has not written back."""
    return sum(os.path.getsize(each) for each in (path, f"{path}-wal") if os.path.exists(each))
