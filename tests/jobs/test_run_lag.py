"""How late a scheduled run started, as the run itself and reporters see it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from afterwork import after, current_run
from afterwork.testing import FakeClock, drain
from tests.jobs.support import at, caller, new_work, until
from tests.support import answering, call, lifespan

if TYPE_CHECKING:
    from afterwork import Run


async def test_only_what_the_scheduler_started_has_a_lag() -> None:
    seen: dict[str, float | None] = {}

    def report(run: Run) -> None:
        seen[f"{run.name} {run.trigger}"] = run.lag

    work = new_work(at("2026-03-10 11:59"), reporters=[report])
    clock = work.pipeline.clock
    assert isinstance(clock, FakeClock)
    inside: list[float | None] = []

    @work.cron("0 * * * *")
    async def job() -> None:
        inside.append(current_run().lag)

    app = work.wrap(answering(lambda: after.options(name="callback")(lambda: None)))
    async with lifespan(app):
        await until(lambda: clock._sleepers)
        clock.advance(75)
        await until(lambda: inside)
        await drain()
        await work.run(job)
        await caller(work)("/job?slot=2026-03-10T09:00:00Z")
        await call(app)

    assert inside == [15.0, None, None]
    seen.pop("afterwork.housekeeping schedule", None)
    assert seen == {
        "job schedule": 15.0,
        "job manual": None,
        "job http": None,
        "callback after": None,
    }
