"""A crontab. Each line runs the command, or with `--url` calls the route.

Sources: crontab(5) of Debian and of cronie. Debian's cron has one zone, the machine's (`--zone`);
cronie reads CRON_TZ (`--cronie`).
"""

from __future__ import annotations

from . import _calls, _print
from ._plan import Dialect
from ._target import Target

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ._plan import Entry, Plan

ENVIRONMENT = "/etc/afterwork.env"


def dialect(plan: str, cronie: bool) -> Dialect:
    return Dialect("crontab", _print.vixie, clock="vixie", zoned=cronie, both=True)


def render(plan: Plan) -> str:
    lines = [f"# {ENVIRONMENT} sets and exports {plan.settings.secret} and AFTERWORK_STORE."]
    zone = None
    for entry in sorted(plan.entries, key=lambda entry: entry.zone):
        if plan.settings.cronie and entry.zone != zone:
            zone = entry.zone
            lines.append(f"CRON_TZ={zone}")
        lines.append(f"# {_calls.comment(entry)}")
        lines.append(f"{entry.text} . {ENVIRONMENT}; {_command(plan, entry)}")
    return "\n".join(lines)


def _command(plan: Plan, entry: Entry) -> str:
    if not plan.settings.url:
        return f"afterwork {entry.item.command}"
    # In a crontab, % is the end of the line.
    return _calls.curl(plan, entry).replace("%", "\\%")


TARGET = Target(
    name="crontab",
    help="crontab lines",
    file="afterwork.crontab",
    dialect=dialect,
    render=render,
    url="optional",
)
