"""Railway and Render: cron services, which run the command.

Sources: docs.railway.com/reference/cron-jobs (UTC, five minutes, the process has to exit),
docs.railway.com/config-as-code/reference, render.com/docs/cronjobs (UTC),
render.com/docs/blueprint-spec.

The command exits non-zero when the job failed, and zero when it was skipped.
"""

from __future__ import annotations

import json

from . import _json_edit, _print, _yaml
from ._items import TICK_NAME
from ._plan import Dialect
from ._target import Target
from ._yaml import Comment

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ._plan import Plan

RAILWAY_SCHEMA = "https://railway.com/railway.schema.json"


def railway_dialect(plan: str, cronie: bool) -> Dialect:
    return Dialect(
        "Railway", _print.numbers, zoned=False, either=False, halves=False, splits=False, least=300
    )


def render_dialect(plan: str, cronie: bool) -> Dialect:
    return Dialect("Render", _print.numbers, zoned=False, either=False, halves=False)


def railway(plan: Plan) -> dict[str, Any]:
    """A service of Railway has one schedule, so this takes one job."""
    for entry in plan.entries[1:]:
        plan.refuse(
            entry.item,
            f"a service has one schedule, and {plan.entries[0].item.name} has it",
            f"export it for a service of its own, with --only {entry.item.name}",
        )
    if not plan.entries:
        return {}
    entry = plan.entries[0]
    return {
        "startCommand": f"afterwork {entry.item.command}",
        "cronSchedule": entry.text,
        "restartPolicyType": "NEVER",
    }


def render_railway(plan: Plan) -> str:
    deploy = railway(plan)
    return json.dumps({"$schema": RAILWAY_SCHEMA, "deploy": deploy}, indent=2) if deploy else ""


def merge_railway(old: str, plan: Plan) -> str:
    """The three keys are ours; the rest of `deploy` is not."""
    deploy = railway(plan)
    if not old.strip():
        return render_railway(plan) + "\n"
    return _json_edit.replace_object(old, ["deploy"], deploy, lambda key, value: key in deploy)


def render_render(plan: Plan) -> str:
    services: list[dict[Any, Any]] = []
    for entry in plan.entries:
        name = entry.name if entry.item.name == TICK_NAME else f"job-{entry.name}"
        services.append(
            {
                Comment(f"{entry.item.name}: {entry.words}"): None,
                "type": "cron",
                "name": f"afterwork-{name}",
                "runtime": "python",
                "schedule": entry.text,
                "buildCommand": "pip install -r requirements.txt",
                "startCommand": f"afterwork {entry.item.command}",
                "envVars": [{"key": "AFTERWORK_STORE", "sync": False}],
            }
        )
    return _yaml.dump({"services": services}) if services else ""


RAILWAY = Target(
    name="railway",
    help="Railway, a cron service (one job)",
    file="railway.json",
    dialect=railway_dialect,
    render=render_railway,
    merge=merge_railway,
    url="none",
)
RENDER = Target(
    name="render",
    help="Render, cron services of a blueprint",
    file="render.yaml",
    dialect=render_dialect,
    render=render_render,
    shares=False,
    url="none",
)
