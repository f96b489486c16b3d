"""`afterwork check`: the doctor. It looks at the app, its jobs, the store and the trigger route,
and tells each problem with its fix.

It runs no job, starts no app and calls nothing over the network but the store.
"""

from __future__ import annotations

from . import _app
from ._errors import FAILED, OK, Stop
from ._options import app_options, json_option
from ._output import plain

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from typing import Any

    from ._output import Output
    from ._point import Point

COLOURS = {"ok": "green", "note": "yellow", "problem": "red"}


def add(commands: Any) -> None:
    """Adds the command."""
    parser = commands.add_parser(
        "check",
        help="look for problems, each with its fix",
        description="Checks the app, its jobs, the store, the trigger route and the host. Exits "
        "with 1 if there are problems.",
    )
    json_option(parser)
    app_options(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace, out: Output) -> int:
    """Runs it."""
    points = list(_points(args))
    problems = [point for point in points if point.verdict == "problem"]
    if out.json:
        out.document(
            ok=not problems,
            points=[
                {"what": each.what, "verdict": each.verdict, "text": each.text, "fix": each.fix}
                for each in points
            ],
        )
        return FAILED if problems else OK
    for point in points:
        head, *more = point.text.split("\n")
        out.line(f"{point.verdict:<8} {point.what}: {plain(head)}", COLOURS[point.verdict])
        for line in more:
            out.line(f"         {plain(line)}")
        if point.fix is not None:
            first, *rest = point.fix.split("\n")
            out.line(f"         fix: {first}")
            for line in rest:
                out.line(f"              {line}")
    notes = sum(point.verdict == "note" for point in points)
    out.say(f"problems: {len(problems)}, notes: {notes}", "bold")
    return FAILED if problems else OK


def _points(args: argparse.Namespace) -> list[Point]:
    from . import _check_app, _check_durable, _check_export, _check_jobs, _check_store
    from ._point import Point

    try:
        found = _app.find(args)
    except Stop as stop:
        text, _, fix = str(stop).partition("\n")
        before = f"\n{stop.before}" if stop.before else ""
        return [Point("app", "problem", text + before, fix or "see above")]
    return [
        Point("app", "ok", f"{found.target}, from {found.source}"),
        *_check_jobs.points(found),
        *_check_store.points(found),
        *_check_durable.points(found),
        *_check_app.points(found),
        *_check_export.points(found),
    ]
