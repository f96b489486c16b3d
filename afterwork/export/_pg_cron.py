"""PostgreSQL and Supabase: pg_cron calls the route with pg_net.

Sources: github.com/citusdata/pg_cron (cron.schedule with a name replaces; GMT unless cron.timezone
is set), supabase.github.io/pg_net (net.http_post; its own default time-out is short, so one is
given), supabase.com/docs/guides/database/vault (the secret).

A call names its slot, the minute in which the transaction began.
"""

from __future__ import annotations

from . import _calls, _print
from ._plan import Dialect
from ._target import Target

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ._plan import Entry, Plan

ACCEPT_SECONDS = 5
MOST_SECONDS = 300
JOB = """\
-- {comment}
SELECT cron.schedule(
  {name},
  {schedule},
  {command}
);
"""
CALL = """\
SELECT net.http_post(
    url := {url},
    headers := jsonb_build_object(
      'Content-Type', 'application/json',
      'Authorization', 'Bearer ' || (
        SELECT decrypted_secret FROM vault.decrypted_secrets WHERE name = {secret}
      )
    ),
    body := jsonb_build_object(
      'slot', to_char(
        date_trunc('minute', now()) AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'
      )
    ),
    timeout_milliseconds := {milliseconds}
  )"""
PREFIX = "afterwork:"
"""Names of ours begin with it, so that those which are no job any more are known."""
GONE = """\
-- what is no job any more
SELECT cron.unschedule(jobid) FROM cron.job
WHERE starts_with(jobname, {prefix}){keep};
"""


def dialect(plan: str, cronie: bool) -> Dialect:
    return Dialect("pg_cron", _print.vixie, clock="unknown", zoned=False, both=True)


def render(plan: Plan) -> str:
    jobs = [_job(plan, entry) for entry in plan.entries]
    names = ", ".join(quoted(PREFIX + entry.name) for entry in plan.entries)
    keep = f"\n  AND jobname NOT IN ({names})" if names else ""
    return "\n".join([*jobs, GONE.format(prefix=quoted(PREFIX), keep=keep)])


def quoted(text: str) -> str:
    """A literal of SQL."""
    return "'" + text.replace("'", "''") + "'"


def _job(plan: Plan, entry: Entry) -> str:
    item = entry.item
    short = item.timeout is None or item.timeout > MOST_SECONDS
    seconds = ACCEPT_SECONDS if short else _calls.seconds(item)
    call = CALL.format(
        url=quoted(_calls.address(plan, item, most=seconds)),
        secret=quoted(plan.settings.secret),
        milliseconds=seconds * 1000,
    )
    return JOB.format(
        comment=_calls.comment(entry),
        name=quoted(PREFIX + entry.name),
        schedule=quoted(entry.text),
        command=f"$afterwork$\n  {call}\n  $afterwork$",
    )


TARGET = Target(
    name="pg-cron",
    help="PostgreSQL or Supabase, pg_cron with pg_net",
    file="afterwork.sql",
    dialect=dialect,
    render=render,
    comment="--",
)
