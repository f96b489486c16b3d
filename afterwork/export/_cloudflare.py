"""Cloudflare: cron triggers of wrangler.toml or wrangler.jsonc, and the Worker that calls us.

Sources: developers.cloudflare.com/workers/configuration/cron-triggers (1 is Sunday there, so days
have names; UTC), developers.cloudflare.com/workers/runtime-apis/handlers/scheduled (`cron` and
`scheduledTime`), config-schema.json of wrangler.

A trigger is no request: a Worker in front of the app has to make one. It names the slot,
`scheduledTime`. It serves this export alone, so in wrangler.jsonc the whole list `triggers.crons`
is ours. An app that is a Python Worker itself asks `triggers` which jobs an expression means.
"""

from __future__ import annotations

import json

from . import _calls, _json_edit, _print
from ._items import items
from ._options import Settings
from ._plan import Dialect, Plan
from ._refusals import UsageError
from ._target import Target, merged

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .._afterwork import Afterwork

MOST_SECONDS = 15 * 60
WORKER = """\
const JOBS = {jobs};

export default {{
  async scheduled(controller, env) {{
    const slot = new Date(controller.scheduledTime).toISOString();
    const calls = (JOBS[controller.cron] ?? []).map(async (url) => {{
      const answer = await fetch(`${{url}}${{url.includes("?") ? "&" : "?"}}slot=${{slot}}`, {{
        method: "POST",
        redirect: "manual",
        headers: {{ Authorization: `Bearer ${{env.{secret}}}` }},
      }});
      if (!answer.ok) throw new Error(`${{url}} answered ${{answer.status}}`);
    }});
    const failed = (await Promise.allSettled(calls)).filter((each) => each.status === "rejected");
    if (failed.length) throw new AggregateError(failed.map((each) => each.reason));
  }},
}};
"""


def dialect(plan: str, cronie: bool) -> Dialect:
    return Dialect("Cloudflare", _print.names, zoned=False, either=False)


def crons(plan: Plan) -> list[str]:
    return list({entry.text: None for entry in plan.entries})


def render(plan: Plan) -> str:
    if plan.settings.shape == "worker":
        return worker(plan)
    if plan.settings.shape == "json":
        return json.dumps({"triggers": {"crons": crons(plan)}}, indent=2)
    listed = "".join(
        f"  {json.dumps(text)}, # {', '.join(_names(plan, text))}\n" for text in crons(plan)
    )
    return f"[triggers]\ncrons = [\n{listed}]"


def merge(old: str, plan: Plan) -> str:
    if plan.settings.shape == "json":
        if not old.strip():
            return render(plan) + "\n"
        return _json_edit.replace_list(old, ["triggers", "crons"], crons(plan), lambda each: True)
    if plan.settings.shape == "worker":
        return merged(WORKER_BLOCK, old, plan)
    new = merged(BLOCK, old, plan)
    if new.count("\n[triggers]") + new.startswith("[triggers]") > 1:
        raise UsageError(
            "the file has a table [triggers] already, and TOML allows one",
            "Move its crons into jobs, or delete it",
        )
    return new


def worker(plan: Plan) -> str:
    """The Worker's module."""
    jobs = {
        text: [
            _calls.address(plan, entry.item, most=MOST_SECONDS)
            for entry in plan.entries
            if entry.text == text
        ]
        for text in crons(plan)
    }
    return WORKER.format(jobs=json.dumps(jobs, indent=2), secret=plan.settings.secret)


def triggers(work: Afterwork) -> dict[str, list[str]]:
    """The jobs that each trigger sets off, by the trigger's expression as it is exported. A job
    that the export refuses has none."""
    settings = Settings()
    plan = Plan(settings, dialect(settings.plan, settings.cronie))
    now = work.dispatch.clock.now()
    for item in items(work, settings):
        plan.add(item, now)
    return {text: _names(plan, text) for text in crons(plan)}


def _names(plan: Plan, text: str) -> list[str]:
    """Once each: both halves of a job that fires on either of two days may be one text."""
    return list({entry.item.name: None for entry in plan.entries if entry.text == text})


TARGET = Target(
    name="cloudflare",
    help="Cloudflare cron triggers (wrangler) and the Worker",
    file="wrangler.toml",
    dialect=dialect,
    render=render,
    merge=merge,
    url="worker",
    shapes=("toml", "json", "worker"),
)
BLOCK = Target("cloudflare", "", "wrangler.toml", dialect, render)
WORKER_BLOCK = Target("cloudflare", "", "worker.mjs", dialect, render, comment="//", shares=False)
