"""Vercel: `crons` and `schedules` of vercel.json.

Sources: vercel.com/docs/cron-jobs (fields, plans), vercel.com/docs/schedules/configuration (object
form), the CLI's own schema of vercel.json (list form, limits; npm package vercel 64.0.2).

JSON has no comments, so entries are known to be ours by their path: it lies under the trigger
route. The caller's header tells crons apart, so they need no slot.
"""

from __future__ import annotations

import json
import math

from .. import _durations
from . import _calls, _json_edit, _print
from ._plan import Dialect
from ._refusals import Refused
from ._target import Target

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ._plan import Entry, Plan
    from ._times import Times

MOST_ENTRIES = 100
MAX_JITTER = 15
"""Minutes."""
MAX_SECONDS = {"hobby": 300, "pro": 800}
"""For how long a function may run."""


def text(times: Times) -> str:
    """Raises `Refused` for two day fields. The longest text has fewer than the 256 characters that
    Vercel reads."""
    if times.rule == "either":
        raise Refused(
            "day of month and day of week are both set, and Vercel takes one of the two",
            "make two jobs of it, one with the dates and one with the weekdays",
        )
    return _print.numbers(times)


def crons_dialect(plan: str, cronie: bool) -> Dialect:
    least = 86_400 if plan == "hobby" else 60
    return Dialect("Vercel Cron", text, zoned=False, least=least)


def schedules_dialect(plan: str, cronie: bool) -> Dialect:
    least = MAX_JITTER * 60 if plan == "hobby" else 60
    return Dialect("Vercel Schedules", text, clock="wall", least=least)


def crons(plan: Plan) -> list[dict[str, str]]:
    _refuse_too_many(plan)
    return [{"path": _path(plan, entry), "schedule": entry.text} for entry in plan.entries]


def schedules(plan: Plan) -> dict[str, dict[str, Any]]:
    _refuse_too_many(plan)
    found: dict[str, dict[str, Any]] = {}
    for entry in plan.entries:
        value: dict[str, Any] = {"schedule": entry.text, "timezone": entry.zone}
        value["jitter"] = _jitter(plan, entry)
        value["path"] = _path(plan, entry)
        value["requestMethod"] = "POST"
        found[entry.name] = value
    return found


def render_crons(plan: Plan) -> str:
    return json.dumps({"crons": crons(plan)}, indent=2)


def render_schedules(plan: Plan) -> str:
    return json.dumps({"schedules": _shaped(plan)}, indent=2)


def merge_crons(old: str, plan: Plan) -> str:
    ours = crons(plan)
    if not old.strip():
        return render_crons(plan) + "\n"
    return _json_edit.replace_list(old, ["crons"], ours, lambda each: _is_ours(plan, each))


def merge_schedules(old: str, plan: Plan) -> str:
    shaped = _shaped(plan)
    if not old.strip():
        return render_schedules(plan) + "\n"
    if isinstance(shaped, dict):
        return _json_edit.replace_object(
            old, ["schedules"], shaped, lambda key, each: _is_ours(plan, each)
        )
    return _json_edit.replace_list(old, ["schedules"], shaped, lambda each: _is_ours(plan, each))


def _refuse_too_many(plan: Plan) -> None:
    for entry in plan.entries[MOST_ENTRIES:]:
        plan.refuse(
            entry.item,
            f"a project has {MOST_ENTRIES} at most",
            "merge jobs of the same schedule",
        )


def _shaped(plan: Plan) -> dict[str, Any] | list[Any]:
    found = schedules(plan)
    if plan.settings.shape == "object":
        return found
    return [{"name": name, **value} for name, value in found.items()]


def _is_ours(plan: Plan, value: Any) -> bool:
    path = value.get("path") if isinstance(value, dict) else None
    return isinstance(path, str) and path.startswith(f"{plan.settings.path}/")


def _path(plan: Plan, entry: Entry) -> str:
    most = MAX_SECONDS[plan.settings.plan]
    timeout = entry.item.timeout
    if timeout is not None and timeout > most:
        plan.warn(
            f"{entry.item.name}: its timeout is {_durations.words(int(timeout))}, and a function "
            f"of plan {plan.settings.plan} runs for {_durations.words(most)} at most"
        )
    return _calls.address(plan, entry.item, path=True)


def _jitter(plan: Plan, entry: Entry) -> int:
    """Minutes, 1 to 15 and at most the interval. Hobby always has 15."""
    if plan.settings.plan == "hobby":
        return MAX_JITTER
    most = min(MAX_JITTER, entry.times.gap() // 60)
    return min(max(math.ceil(entry.item.jitter / 60), 1), most)


CRONS = Target(
    name="vercel",
    help="vercel.json, crons",
    file="vercel.json",
    dialect=crons_dialect,
    render=render_crons,
    merge=merge_crons,
    url="path",
)
SCHEDULES = Target(
    name="vercel-schedules",
    help="vercel.json, schedules",
    file="vercel.json",
    dialect=schedules_dialect,
    render=render_schedules,
    merge=merge_schedules,
    url="path",
    shapes=("object", "array"),
)
