"""Two workers of one uvicorn, with one store."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from .site import BEARER, Site

if TYPE_CHECKING:
    from pathlib import Path

WORKERS = 2


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    directory: Path = tmp_path_factory.mktemp("workers")
    site = Site(directory, f"--workers {WORKERS}")
    yield site
    site.stop()


async def deliver(site: Site, slots: list[str]) -> list[dict[str, Any]]:
    """All at once, each on a connection of its own."""
    limits = httpx.Limits(max_keepalive_connections=0)
    async with httpx.AsyncClient(
        base_url=site.base, headers=BEARER, limits=limits, trust_env=False, timeout=10
    ) as client:
        answers = await asyncio.gather(*(client.post(f"/tally?slot={slot}") for slot in slots))
    assert {answer.status_code for answer in answers} == {200}
    return [answer.json() for answer in answers]


async def test_of_twenty_deliveries_of_a_slot_one_runs(site: Site) -> None:
    """O1, T3: the others are duplicates, and all of them name the one run."""
    answers = await deliver(site, ["2026-03-08T04:00:00Z"] * 20)

    assert Counter(answer["status"] for answer in answers) == {"ok": 1, "duplicate": 19}
    (run,) = {answer["run_id"] for answer in answers}
    assert site.started(run) == 1
    assert site.record(run).state == "succeeded"


async def test_thirty_slots_are_thirty_runs_whichever_worker_is_asked(site: Site) -> None:
    """O1: every slot is delivered twice, and both workers have their share."""
    workers: set[int] = set()
    for hour in range(10):
        slots = [f"2026-03-09T{hour:02}:{minute:02}:00Z" for minute in range(30)]
        answers = await deliver(site, slots * 2)

        assert Counter(answer["status"] for answer in answers) == {"ok": 30, "duplicate": 30}
        ran = [answer for answer in answers if answer["status"] == "ok"]
        assert sorted(answer["slot"] for answer in ran) == slots
        assert all(site.started(answer["run_id"]) == 1 for answer in ran)
        workers |= {site.journal.lines("started", answer["run_id"])[0].pid for answer in ran}
        # Which worker a connection reaches is up to the kernel, so it may take another round.
        if len(workers) == WORKERS:
            return
    raise AssertionError(f"only {workers} was ever asked")
