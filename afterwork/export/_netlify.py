"""Netlify: a scheduled function per job that calls the route.

Source: docs.netlify.com/build/functions/scheduled-functions (UTC, 30 seconds, `config.schedule`).
Only functions of the site itself can be scheduled, so each is a few lines that make the call.
"""

from __future__ import annotations

import json

from . import _calls, _names, _print
from ._plan import Dialect
from ._target import Target, block

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ._plan import Entry, Plan

MOST_SECONDS = 25
"""A scheduled function has 30."""
ALLOWED = _names.WORD | {"-", "_"}
FUNCTION = """\
// {comment}
export default async () => {{
  const answer = await fetch({url}, {{
    method: "POST",
    redirect: "manual",
    headers: {{ Authorization: `Bearer ${{process.env.{secret}}}` }},
  }});
  if (!answer.ok) throw new Error(`{name} answered ${{answer.status}}`);
}};

export const config = {{ schedule: {schedule} }};
"""


def dialect(plan: str, cronie: bool) -> Dialect:
    return Dialect("Netlify", _print.numbers, zoned=False, either=False)


def files(plan: Plan) -> dict[str, str]:
    """The modules by their names."""
    return {
        f"afterwork-{_names.fitting(entry.name, ALLOWED, 50)}.mjs": block(
            TARGET, _function(plan, entry)
        )
        for entry in plan.entries
    }


def render(plan: Plan) -> str:
    return "\n".join(f"// {name}\n{text}" for name, text in files(plan).items())


def _function(plan: Plan, entry: Entry) -> str:
    return FUNCTION.format(
        comment=_calls.comment(entry),
        name=entry.item.name,
        url=json.dumps(_calls.address(plan, entry.item, most=MOST_SECONDS)),
        secret=plan.settings.secret,
        schedule=json.dumps(entry.text),
    )


TARGET = Target(
    name="netlify",
    help="Netlify scheduled functions",
    file="netlify/functions",
    dialect=dialect,
    render=render,
    files=files,
    comment="//",
)
