"""GitHub Actions: one workflow with a schedule per job.

Sources: docs.github.com/actions/reference/workflows-and-actions/events-that-trigger-workflows
#schedule (POSIX fields, five minutes, `timezone`, best effort, skipped hours),
docs.github.com/actions/reference/security/oidc (id tokens).
"""

from __future__ import annotations

from zlib import crc32

from . import _calls, _names, _print, _yaml
from ._items import TICK_NAME
from ._plan import Dialect
from ._target import Target
from ._yaml import Block, Comment

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ._plan import Entry, Plan

LEAST = 300
SETUP_MINUTES = 5
"""What a job may take beside the call."""
TOKEN = """\
token=$(curl --silent --show-error --fail \\
  --header "Authorization: bearer $ACTIONS_ID_TOKEN_REQUEST_TOKEN" \\
  "$ACTIONS_ID_TOKEN_REQUEST_URL&audience=$AUDIENCE" | jq --raw-output .value)
echo "::add-mask::$token"
"""
CALL = """\
curl --silent --show-error --fail-with-body --request POST --max-time {seconds} \\
  --header "Authorization: Bearer {bearer}" \\
  --header "Afterwork-Delivery: github-{id}" \\
  "{url}"
"""


def dialect(plan: str, cronie: bool) -> Dialect:
    return Dialect("GitHub Actions", _print.numbers, clock="late", least=LEAST)


def render(plan: Plan) -> str:
    _refuse_look_alikes(plan)
    if not plan.entries:
        return ""
    plan.warn(
        "GitHub Actions starts schedules late or not at all under load (best effort), and switches "
        "them off after 60 days without activity in a public repository; use it for what may be "
        "missed"
    )
    oidc = plan.settings.auth == "oidc"
    workflow: dict[Any, Any] = {
        "name": "afterwork",
        "on": {
            "schedule": [_schedule(plan, entry) for entry in plan.entries],
            "workflow_dispatch": {
                "inputs": {
                    "job": {
                        "description": "the job to run now",
                        "required": True,
                        "type": "choice",
                        "options": list({entry.item.name: None for entry in plan.entries}),
                    }
                }
            },
        },
        "permissions": {"id-token": "write"} if oidc else {},
        # With its name given, bash fails where a pipe fails.
        "defaults": {"run": {"shell": "bash"}},
        "jobs": {_id(entry): _job(plan, entry, oidc) for entry in plan.entries},
    }
    return _yaml.dump(workflow)


def _refuse_look_alikes(plan: Plan) -> None:
    """A run knows the expression that started it and not the zone, so an expression in two zones
    would start each job at the other's times too."""
    zones: dict[str, str] = {}
    for entry in list(plan.entries):
        if zones.setdefault(entry.text, entry.zone) != entry.zone:
            plan.refuse(
                entry.item,
                f"another job has the same expression in another time zone, "
                f"{zones[entry.text]}, and a workflow cannot tell the two apart",
                "move it by a minute",
            )


def _schedule(plan: Plan, entry: Entry) -> dict[Any, Any]:
    if entry.times.minutes == 1 and entry.item.name != TICK_NAME:
        minute = 1 + crc32(entry.item.name.encode()) % 59
        plan.warn(
            f"{entry.item.name}: minute 0 is when GitHub is late the most; minute {minute}, say, "
            "is better"
        )
    found: dict[Any, Any] = {Comment(_calls.comment(entry)): None, "cron": entry.text}
    if entry.zone != "UTC":
        found["timezone"] = entry.zone
    return found


def _job(plan: Plan, entry: Entry, oidc: bool) -> dict[str, Any]:
    url = _calls.address(plan, entry.item)
    wait = _calls.seconds(entry.item)
    script = CALL.format(
        seconds=wait,
        url=f"{url}?attempt=$GITHUB_RUN_ATTEMPT",
        id=f"$GITHUB_RUN_ID-{entry.item.name}",
        bearer="$token" if oidc else f"${plan.settings.secret}",
    )
    env: dict[str, str] = {}
    if oidc:
        env["AUDIENCE"] = plan.settings.origin
        script = TOKEN + script
    else:
        env[plan.settings.secret] = f"${{{{ secrets.{plan.settings.secret} }}}}"
    # Manual runs are no occurrence of the schedule.
    script = script.replace(f"{url}?attempt", f"{url}?${{MANUAL:+slot=manual&}}attempt")
    env["MANUAL"] = "${{ github.event_name == 'workflow_dispatch' && '1' || '' }}"
    return {
        "if": (
            f"github.event.schedule == '{entry.text}' || "
            f"(github.event_name == 'workflow_dispatch' && inputs.job == '{entry.item.name}')"
        ),
        "runs-on": "ubuntu-latest",
        "timeout-minutes": -(-wait // 60) + SETUP_MINUTES,
        "steps": [{"name": f"call {entry.item.name}", "env": env, "run": Block(script)}],
    }


def _id(entry: Entry) -> str:
    """A job's id begins with a letter."""
    return _names.fitting(f"job-{entry.name}", _names.WORD | {"-", "_"}, 100)


TARGET = Target(
    name="github",
    help="GitHub Actions workflow",
    file=".github/workflows/afterwork.yml",
    dialect=dialect,
    render=render,
    shares=False,
)
