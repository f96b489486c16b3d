"""Azure Functions: timer triggers of the Python v2 model, as a blueprint that calls the route.

Source: learn.microsoft.com/azure/azure-functions/functions-bindings-timer (NCRONTAB, six fields
with seconds first; one zone for the app, WEBSITE_TIME_ZONE, default UTC).
"""

from __future__ import annotations

from . import _calls, _names, _print
from ._plan import Dialect
from ._target import Target

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ._plan import Entry, Plan

MOST_SECONDS = 230
"""Azure's front door closes a call that waits longer, and functions have five minutes."""
HEAD = '''\
"""Timers that set off the jobs of an app. In function_app.py:
app.register_functions(blueprint)"""

import os
import urllib.request

import azure.functions as func

blueprint = func.Blueprint()


def call(url: str, seconds: int) -> None:
    secret = os.environ["{secret}"]
    headers = {{"Authorization": f"Bearer {{secret}}"}}
    request = urllib.request.Request(url, data=b"", headers=headers, method="POST")
    with urllib.request.urlopen(request, timeout=seconds) as answer:
        answer.read()
'''
FUNCTION = """

# {comment}
@blueprint.function_name("{name}")
@blueprint.timer_trigger(arg_name="timer", schedule="{schedule}", use_monitor={monitor})
def {function}(timer: func.TimerRequest) -> None:
    call("{url}", {seconds})
"""


def dialect(plan: str, cronie: bool) -> Dialect:
    # Whether both day fields have to match is not documented, so only one is ever set.
    return Dialect(
        "Azure Functions",
        _print.ncrontab,
        clock="unknown",
        zoned=False,
        either=False,
        seconds=True,
        least=1,
    )


def render(plan: Plan) -> str:
    if plan.settings.zone != "UTC":
        plan.warn(f"set WEBSITE_TIME_ZONE={plan.settings.zone} in the app's settings")
    parts = [HEAD.format(secret=plan.settings.secret)]
    parts += [FUNCTION.format(**_facts(plan, entry)) for entry in plan.entries]
    return "".join(parts)


def _facts(plan: Plan, entry: Entry) -> dict[str, object]:
    name = _names.fitting(f"job_{entry.name}", _names.WORD | {"_"}, 100, "_")
    return {
        "comment": _calls.comment(entry),
        "name": name,
        "function": name,
        "schedule": entry.text,
        # The monitor makes up for a missed occurrence, and is not for intervals below a minute.
        "monitor": entry.item.misfire != "skip" and entry.times.seconds == 1,
        "url": _calls.address(plan, entry.item, most=MOST_SECONDS),
        "seconds": min(_calls.seconds(entry.item), MOST_SECONDS),
    }


TARGET = Target(
    name="azure",
    help="Azure Functions, timer triggers",
    file="afterwork_timers.py",
    dialect=dialect,
    render=render,
    shares=False,
)
