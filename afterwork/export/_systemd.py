"""systemd: a timer and a service per job. The service runs the command, or with `--url` calls the
route.

Sources: systemd.time(7), systemd.timer(5), systemd.service(5). A service never runs twice at once.
"""

from __future__ import annotations

from . import _calls, _names, _print
from ._plan import Dialect
from ._target import Target, block

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ._plan import Entry, Plan
    from ._times import Times

ALLOWED = _names.WORD | {"-", "_", "."}
MAX_NAME = 200
TIMER = """\
[Unit]
Description=When {comment}

[Timer]
{calendars}
AccuracySec=1s
RandomizedDelaySec={jitter}s
Persistent={persistent}

[Install]
WantedBy=timers.target
"""
SERVICE = """\
[Unit]
Description={comment}
Wants=network-online.target
After=network-online.target

[Service]
Type=oneshot
# {secret} and AFTERWORK_STORE go there.
EnvironmentFile=-/etc/afterwork.env
ExecStart={command}
TimeoutStartSec={timeout}
"""


def text(times: Times) -> str:
    """The calendar events without their zone, one for each day field."""
    return "\n".join(_print.calendar(half, "").rstrip() for half in times.halves())


def dialect(plan: str, cronie: bool) -> Dialect:
    return Dialect("systemd", text, clock="wall", both=True, seconds=True, least=1)


def files(plan: Plan) -> dict[str, str]:
    """The units by their names."""
    found: dict[str, str] = {}
    for entry in plan.entries:
        name = f"afterwork-{_names.fitting(entry.name, ALLOWED, MAX_NAME)}"
        found[f"{name}.timer"] = block(TARGET, _timer(entry))
        found[f"{name}.service"] = block(TARGET, _service(plan, entry))
    return found


def render(plan: Plan) -> str:
    return "\n".join(f"# {name}\n{text}" for name, text in files(plan).items())


def _timer(entry: Entry) -> str:
    zone = entry.zone
    return TIMER.format(
        comment=_escaped(_calls.comment(entry)),
        calendars="\n".join(f"OnCalendar={line} {zone}" for line in entry.text.splitlines()),
        jitter=int(entry.item.jitter),
        persistent=str(entry.item.misfire != "skip").lower(),
    )


def _service(plan: Plan, entry: Entry) -> str:
    timeout = entry.item.timeout
    command = f"/usr/bin/env afterwork {entry.item.command}"
    if plan.settings.url:
        # In a unit, % and $ are systemd's own.
        call = _calls.curl(plan, entry).replace("\\", "\\\\").replace('"', '\\"')
        command = f'/bin/sh -c "{_escaped(call).replace("$", "$$")}"'
    return SERVICE.format(
        comment=_escaped(_calls.comment(entry)),
        secret=plan.settings.secret,
        command=command,
        timeout="infinity" if timeout is None else f"{_calls.seconds(entry.item) + 10}s",
    )


def _escaped(text: str) -> str:
    return text.replace("%", "%%")


TARGET = Target(
    name="systemd",
    help="systemd timers and services",
    file="systemd",
    dialect=dialect,
    render=render,
    files=files,
    url="optional",
)
