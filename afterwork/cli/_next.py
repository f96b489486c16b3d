"""`afterwork next`: when a job, or any expression, fires next."""

from __future__ import annotations

import argparse
from datetime import UTC, datetime

from ._errors import OK, USAGE, Stop
from ._options import app_options, count, json_option, option, zone_option
from ._times import ago, moment, offset, rfc3339, zone_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from datetime import tzinfo
    from typing import Any

    from .._schedule import Schedule
    from ._changes import Mark
    from ._output import Output


def add(commands: Any) -> None:
    """Adds the command."""
    parser = commands.add_parser(
        "next",
        help="when a job or an expression fires next",
        description="Shows the coming times of a job, of a cron expression or of an interval, and "
        "what happens to them where the clocks change.",
        epilog='Examples: afterwork next nightly; afterwork next "30 2 * * *" --tz '
        "America/New_York --after 2026-03-07; afterwork next 90s",
    )
    parser.add_argument(
        "what", metavar="JOB|EXPRESSION", help="a job's name, '0 3 * * *', @daily, or 10m"
    )
    option(parser, "-n", "--count", read=count, default="5", metavar="N", about="how many; 5")
    option(parser, "--after", metavar="TIME", about="the times after this one; default: now")
    zone_option(parser, "the zone of the expression; for a job, the zone to show times in")
    json_option(parser)
    app_options(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace, out: Output) -> int:
    """Runs it."""
    from ._changes import marks

    name, schedule = _schedule(args)
    zone = zone_of(args.tz) or zone_of(getattr(schedule, "timezone", "UTC"))
    now = datetime.now(UTC).timestamp()
    start = now if args.after is None else moment("--after", args.after, now, zone)
    after = datetime.fromtimestamp(start, UTC)
    found = marks(schedule, schedule.upcoming(args.count, after), after)
    if out.json:
        out.document(
            job=name,
            schedule=str(schedule),
            timezone=getattr(schedule, "timezone", "UTC"),
            words=schedule.words(),
            times=[_entry(mark, zone) for mark in found if mark.kind != "skipped"],
            skipped=[_entry(mark, zone) for mark in found if mark.kind == "skipped"],
        )
        return OK
    out.say(f"{name or schedule}: {schedule.words()}", "bold")
    for mark in found:
        out.line(*_line(mark, zone, now))
    if not found:
        out.say("it does not fire any more")
    return OK


def _schedule(args: argparse.Namespace) -> tuple[str | None, Schedule]:
    """The job's name and its schedule, or the schedule that an expression means."""
    text = args.what.strip()
    if " " in text or text.startswith("@"):
        from .._cron import Cron

        return None, Cron(text, timezone=args.tz or "UTC")
    if text[:1].isdigit():
        from .._every import Every

        return None, Every(text)
    from . import _app

    jobs = _app.find(args).dispatch.jobs
    job = jobs.get(text)
    if job.schedule is None:
        raise Stop(USAGE, f"the job {text!r} has no schedule: it runs when something triggers it.")
    return job.name, job.schedule


def _entry(mark: Mark, zone: tzinfo | None) -> dict[str, Any]:
    """One time, or one hour that the clock skipped."""
    return {
        "at": mark.at.astimezone(zone).isoformat(timespec="seconds"),
        "utc": rfc3339(mark.at.timestamp()),
        "mark": mark.kind or None,
        "detail": mark.text or None,
    }


def _line(mark: Mark, zone: tzinfo | None, now: float) -> tuple[str, str]:
    at = mark.at.astimezone(zone)
    if mark.kind == "skipped":
        return f"{at:%Y-%m-%d %a} --:--:-- {offset(at):<6}  skipped: {mark.text}", "yellow"
    shown = f"{at:%Y-%m-%d %a %H:%M:%S} {offset(at)}"
    if mark.kind:
        return f"{shown}  {mark.kind}: {mark.text}", "yellow"
    return f"{shown}  {ago(at.timestamp() - now)}", ""
