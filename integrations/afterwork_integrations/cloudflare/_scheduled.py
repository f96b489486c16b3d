"""Cron Triggers as runs of jobs.

1. A trigger says its expression and its time, and names no job. Which jobs it means is what
   `afterwork export cloudflare` has written for them: Cloudflare reads expressions in UTC and
   counts Sunday as 1, so a job's own expression may be another text.
2. Its time is the slot, which runs once. That a trigger may come twice does no harm.
3. The Worker is told to wait for the runs, and what it waits for fails where a job failed: that is
   what Cloudflare's list of past events shows. The handler waits too, and raises the same.

Facts: https://developers.cloudflare.com/workers/configuration/cron-triggers/ and
https://developers.cloudflare.com/workers/runtime-apis/handlers/scheduled/
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, MutableMapping
from datetime import UTC, datetime
from typing import Any

from afterwork import Afterwork, HostInfo
from afterwork.errors import InvalidHostError
from afterwork.export import cloudflare_triggers

from .._door import Door
from ._host import hand_over

SECONDS = 870.0
"""For the jobs of one trigger: Cloudflare gives 15 minutes."""
MINUTE_MS = 60_000


class CronEventError(Exception):
    """Jobs of a Cron Trigger did not succeed, or it means none. Raised for Cloudflare to show."""


class Invocation:
    """The host of one trigger: its call goes on until everything that it set off is over."""

    def __init__(self, seconds: float | None) -> None:
        self.info = HostInfo("cloudflare", "inline", lifespan_is_process=False, max_seconds=seconds)

    def wait_until(self, scope: MutableMapping[str, Any], work: Awaitable[None]) -> None:
        raise InvalidHostError("a Cron Trigger for the mode 'handover', which it has not")

    def deadline(self, scope: MutableMapping[str, Any]) -> float | None:
        return None


async def scheduled(
    work: Afterwork, controller: Any, ctx: Any = None, *, max_seconds: float | None = SECONDS
) -> list[dict[str, Any]]:
    """Runs the jobs that a Cron Trigger means, all at once, each once for the trigger's minute.

    ```
    async def scheduled(self, controller, env, ctx):
        await scheduled(work, controller)
    ```

    Have the triggers written into the configuration: `afterwork export cloudflare --shape json
    --write wrangler.jsonc`. They go the way of the trigger route: claim, lease, conditions, pause,
    retries and a record. Returns its answer about each job.

    `controller`
        What Cloudflare gives the handler: `cron` and `scheduledTime`, milliseconds.
    `ctx`
        The handler's context, for an SDK without `wait_until`. Default None.
    `max_seconds`
        The most seconds that the jobs may take, after which they are cut and reported; default 870.

    Raises `CronEventError` where a job failed, after all are over, and where the trigger means no
    job.
    """
    cron = str(controller.cron)
    jobs = cloudflare_triggers(work).get(" ".join(cron.split()).upper())
    if not jobs:
        raise CronEventError(
            f"no job has the trigger {cron!r}. Have wrangler's triggers written from the jobs: "
            "afterwork export cloudflare --shape json --write wrangler.jsonc"
        )
    door = Door(work, "cloudflare")
    running = asyncio.ensure_future(
        _run(door, jobs, cron, _slot(controller.scheduledTime), Invocation(max_seconds))
    )
    try:
        hand_over(running, ctx)
    except InvalidHostError:
        pass  # an SDK that is too old: the handler waits, too
    return await running


async def _run(
    door: Door, jobs: list[str], cron: str, slot: str, host: Invocation
) -> list[dict[str, Any]]:
    runs = (door.run(job, slot=slot, host=host) for job in jobs)
    answers = await asyncio.gather(*runs, return_exceptions=True)
    failures = [str(answer) for answer in answers if isinstance(answer, BaseException)]
    if failures:
        raise CronEventError(f"of the trigger {cron!r}, {'; '.join(failures)}")
    return [answer for answer in answers if isinstance(answer, dict)]


def _slot(milliseconds: float) -> str:
    """The minute of a trigger. `wrangler dev` gives the time of the call, seconds included."""
    minute = int(milliseconds) // MINUTE_MS * (MINUTE_MS // 1000)
    return datetime.fromtimestamp(minute, UTC).isoformat()
