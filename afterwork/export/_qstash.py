"""QStash schedules: a script of proposals, one `curl` per schedule to create, update or delete.

Sources: upstash.com/docs/qstash/features/schedules (CRON_TZ, Upstash-Schedule-Id updates in place),
upstash.com/docs/qstash/api-reference/schedules (create, delete).

QStash signs its calls, so the script needs the token of the account and no secret of the app. Two
deliveries of one occurrence are told by the header Upstash-Message-Id; which occurrence it is, the
route finds from the schedule. `--known` is a file with what GET /v2/schedules answered: schedules
that call this route and are no job any more are proposed for deletion.
"""

from __future__ import annotations

import json
from pathlib import Path

from . import _calls, _print
from ._plan import Dialect
from ._refusals import UsageError
from ._target import Target

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ._plan import Entry, Plan

HEAD = """\
set -eu
: "${QSTASH_TOKEN:?the token of the QStash account}"
api="${QSTASH_URL:-https://qstash.upstash.io}"
call() {
  printf 'Authorization: Bearer %s' "$QSTASH_TOKEN" |
    curl --header @- --silent --show-error --fail-with-body "$@"
  echo
}
"""
PUT = """\
# {verb} {comment}
call --request POST "$api/v2/schedules/{url}" \\
  --header 'Upstash-Schedule-Id: {id}' \\
  --header 'Upstash-Cron: {cron}' \\
  --header 'Upstash-Method: POST' \\
  --header 'Upstash-Retries: 3'{timeout}
"""
DELETE = """\
# delete {id}: no job any more
call --request DELETE "$api/v2/schedules/{id}"
"""
CREATE, UPSERT = "create", "create or update"


def dialect(plan: str, cronie: bool) -> Dialect:
    return Dialect("QStash", _print.numbers, clock="unknown", either=False)


def render(plan: Plan) -> str:
    known = _known(plan)
    parts = [HEAD, *(_put(plan, entry, known) for entry in plan.entries)]
    names = {entry.name for entry in plan.entries}
    parts += [DELETE.format(id=each) for each in sorted(known or {}) if each not in names]
    return "\n".join(parts)


def cron_of(entry: Entry) -> str:
    """The expression with its zone."""
    return entry.text if entry.zone == "UTC" else f"CRON_TZ={entry.zone} {entry.text}"


def _put(plan: Plan, entry: Entry, known: dict[str, Any] | None) -> str:
    url = _calls.address(plan, entry.item)
    cron = cron_of(entry)
    verb = UPSERT
    if known is not None:
        same = known.get(entry.name)
        if same is None:
            verb = CREATE
        else:
            # One that is right already is not touched: an update starts its counting anew.
            if same.get("cron") == cron and same.get("destination") == url:
                return f"# unchanged {_calls.comment(entry)}"
            verb = "update"
    timeout = ""
    if entry.item.timeout is not None:
        timeout = f" \\\n  --header 'Upstash-Timeout: {_calls.seconds(entry.item)}s'"
    return PUT.format(
        verb=verb, comment=_calls.comment(entry), url=url, id=entry.name, cron=cron, timeout=timeout
    )


def _known(plan: Plan) -> dict[str, Any] | None:
    """The schedules of this route that exist, by id; None where nobody said. Raises
    `UsageError`."""
    if not plan.settings.known:
        return None
    try:
        answer = json.loads(Path(plan.settings.known).read_text())
        found = {each["scheduleId"]: each for each in answer}
    except (OSError, ValueError, TypeError, KeyError):
        raise UsageError(
            f"--known {plan.settings.known} does not hold the answer of GET /v2/schedules",
            "Make it with: curl -H 'Authorization: Bearer ...' "
            "https://qstash.upstash.io/v2/schedules > FILE",
        ) from None
    prefix = f"{plan.settings.url}/"
    safe = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-")
    return {
        name: each
        for name, each in found.items()
        if str(each.get("destination", "")).startswith(prefix) and set(name) <= safe
    }


TARGET = Target(
    name="qstash",
    help="QStash schedules, a script with curl",
    file="qstash.sh",
    dialect=dialect,
    render=render,
)
