"""Jobs on trio: the route's modes and pages, with the same answers as on asyncio."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import trio

from afterwork import AfterMiddleware, Afterwork, after, current_run
from tests.jobs.support import GOOD, Token, at, new_work
from tests.support import Wire

HOUR = "0 * * * *"


def post(work: Afterwork, path: str, query: str = "", **headers: str) -> tuple[int, Any]:
    """One call of the route, until its ASGI call is over."""
    given = {**GOOD, **headers}
    pairs = [(name.replace("_", "-").encode(), value.encode()) for name, value in given.items()]
    wire = Wire(
        {
            "type": "http",
            "method": "POST",
            "path": path,
            "query_string": query.encode(),
            "headers": pairs,
        },
        [{"type": "http.request", "body": b"", "more_body": False}],
    )
    run(
        lambda: AfterMiddleware(work.routes(verify=Token()), work)(
            wire.scope, wire.receive, wire.send
        )
    )
    return wire.status, json.loads(wire.body)


def run(main: Callable[[], Awaitable[object]]) -> None:
    async def limited() -> None:
        with trio.fail_after(5):
            await main()

    trio.run(limited)


@pytest.mark.parametrize("sync", [False, True])
def test_a_job_is_waited_for(sync: bool) -> None:
    """T1: once per slot; what it queues runs too."""
    work = new_work()
    ran: list[str] = []

    async def wait() -> None:
        await trio.sleep(0)
        after(ran.append, "after")
        ran.append(current_run().trigger)

    def block() -> None:
        after(ran.append, "after")
        ran.append(current_run().trigger)

    work.cron(HOUR, name="job")(block if sync else wait)

    assert post(work, "/job")[1]["status"] == "ok"
    assert post(work, "/job")[1]["status"] == "duplicate"
    assert sorted(ran) == ["after", "http"]
    assert not work.pipeline.queues


def test_an_accepted_job_runs_after_the_response() -> None:
    """T8: there it is decided only then, so the answer is always 202."""
    work = new_work()
    statuses: list[Any] = []

    @work.cron(HOUR)
    async def job() -> None:
        response = current_run().response
        statuses.append(response and response.status)

    for _ in range(2):
        status, answer = post(work, "/job", "mode=accept")
        assert (status, answer["status"]) == (202, "accepted")

    assert statuses == [202]
    assert [record.state for record in work.store.runs()] == ["succeeded"]


@pytest.mark.parametrize("mode", ["wait", "accept"])
def test_a_tick_runs_what_is_due(mode: str) -> None:
    """T17, F2: several jobs at once, several slots of one job one after the other."""
    work = new_work(at("2026-03-10 11:30"))
    ran: list[Any] = []

    @work.cron(HOUR, misfire="all")
    async def job() -> None:
        slot = current_run().scheduled_for
        assert slot is not None
        ran.append(slot.hour)
        await trio.sleep(0)

    @work.cron(HOUR)
    def broken() -> None:
        raise RuntimeError

    assert post(work, "/tick", f"mode={mode}") == (200, {"status": "ok", "runs": []})
    work.pipeline.clock.advance(2 * 3600)  # type: ignore[attr-defined]
    _, answer = post(work, "/tick", f"mode={mode}")

    assert answer["status"] == ("failed" if mode == "wait" else "accepted")
    assert [each["job"] for each in answer["runs"]] == ["job", "job", "broken"]
    assert ran == [12, 13]
    assert not work.pipeline.queues


def test_pages_are_served_and_errors_answered() -> None:
    work = new_work()
    work.cron(HOUR, name="job")(pytest.fail)

    assert post(work, "/nobody")[0] == 404
    assert post(work, "/job", authorization="no")[0] == 401
    assert post(work, "/job", "slot=noon")[0] == 400


def test_a_run_by_hand() -> None:
    work = new_work()
    work.job(name="job")(lambda: None)

    async def main() -> None:
        assert (await work.run("job")).outcome == "succeeded"

    run(main)


def test_a_cancelled_caller_waits_for_the_run_and_gives_it_up_in_the_end() -> None:
    """L4: a run cannot outlive its caller there, so it has the grace of a shutdown."""
    work = new_work(grace=0.01)
    work.job(name="job")(trio.sleep_forever)

    async def main() -> None:
        with trio.CancelScope() as scope:
            scope.cancel()
            await work.run("job")

    run(main)

    (record,) = work.store.runs()
    assert (record.state, record.reason) == ("cancelled", "cancelled by the server")
