"""What Vercel's Python builder asks for the crons of a service whose schedule is `"<dynamic>"`.

It imports the entry point `module:object`, calls `object.get_crons()`, and takes pairs of
`"module:function"` and an expression. Source: templates/vc_cron_detect.py of the npm package
@vercel/python 25.0.0. Its schedules are those of Vercel Cron: UTC, numbers, one day field.
"""

from __future__ import annotations

import sys
import time
from typing import Any

from . import _vercel
from ._items import Item
from ._options import Settings
from ._plan import Plan
from ._refusals import ExportRefusedError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .._afterwork import Afterwork
    from .._job import Job


class VercelCrons:
    """The crons of an app for Vercel's Python builder: `crons = VercelCrons(work)`, and in
    vercel.json `"entrypoint": "main:crons"` with `"schedule": "<dynamic>"`.

    That runtime calls the function itself, past afterwork: without claim, record, timeout and
    retry. Where these matter, mount `work.routes` and use `afterwork export vercel`.

    `plan`
        `"pro"` (default) or `"hobby"`, which allows no more than one run a day.
    """

    def __init__(self, work: Afterwork, *, plan: str = "pro") -> None:
        self._work = work
        self._plan = plan

    def get_crons(self) -> list[tuple[str, str]]:
        """Pairs of `module:function` and an expression, for all jobs with a schedule. Raises
        `ExportRefusedError` for the first that Vercel cannot run: its schedule, or a function that
        is no name of a module."""
        plan = Plan(Settings(plan=self._plan), _vercel.crons_dialect(self._plan, False))
        found: list[tuple[str, str]] = []
        for job in self._work.jobs:
            schedule: Any = job.schedule
            if schedule is None:
                continue
            item = Item(job.name, schedule)
            plan.add(item, time.time())
            if plan.refusals:
                raise plan.refusals[0]
            where = _where(job)
            found += [(where, entry.text) for entry in plan.entries if entry.item is item]
        return found


def _where(job: Job[..., Any]) -> str:
    """The name by which the builder's runtime imports the function."""
    module = getattr(job.fn, "__module__", "")
    name = getattr(job.fn, "__name__", "")
    found = getattr(sys.modules.get(module), name, None)
    if found is not job and found is not job.fn:
        raise ExportRefusedError(
            job.name,
            "Vercel's Python builder",
            "its function is no name at the top of a module, and only such are imported",
            "define it at the top of a module",
        )
    return f"{module}:{name}"
