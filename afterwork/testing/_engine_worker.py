"""Tests of an engine: what a worker does that takes calls out of its queue."""

from __future__ import annotations

import asyncio

from .. import _closing
from .._after import after
from .._loop import current_loop
from .._serving import Worker
from ._engine_tests import EngineTests

LEASE = 2.0
"""Seconds that the store's lease of a run lasts in the tests that cut runs."""


class WorkerTests(EngineTests):
    """What an engine does whose `serve` takes the calls out."""

    async def test_it_is_served_and_not_called(self) -> None:
        """Mode `pull`."""
        async with self.site() as site:
            assert site.can.mode == "pull"

    async def test_no_more_run_at_a_time_than_it_is_told(self) -> None:
        """And as many as that."""
        async with self.site() as site:
            running: set[int] = set()
            most = 0
            go = asyncio.Event()

            @site.work.job(durable=True)
            async def job(number: int) -> None:
                nonlocal most
                running.add(number)
                most = max(most, len(running))
                await go.wait()
                await asyncio.sleep(0.01)
                running.discard(number)
                site.seen.append(number)

            for number in range(6):
                await after.enqueue(job, number)
            async with site.serving(concurrency=2):
                await site.until(lambda: len(running) == 2)
                go.set()
                await site.until(lambda: len(site.seen) == 6)

            assert most == 2

    async def test_a_jobs_own_limit_holds(self) -> None:
        """Where that is declared."""
        async with self.site() as site:
            if not site.can.limits:
                return
            running = most = 0

            @site.work.job(durable=True, concurrency=1)
            async def job(number: int) -> None:
                nonlocal running, most
                running += 1
                most = max(most, running)
                await asyncio.sleep(0.02)
                running -= 1
                site.seen.append(number)

            for number in range(3):
                await after.enqueue(job, number)
            async with site.serving(concurrency=3):
                await site.until(lambda: len(site.seen) == 3)

            assert most == 1

    async def test_a_higher_priority_goes_first(self) -> None:
        """Where that is declared; of equals, nothing is promised."""
        async with self.site() as site:
            if not site.can.priority:
                return
            for priority in (0, 5, -1000, 1000, -5):
                await site.call(priority, priority=priority)
            async with site.serving(concurrency=1):
                await site.until(lambda: len(site.seen) == 5)

            assert site.seen == [1000, 5, 0, -5, -1000]

    async def test_it_tells_that_a_call_runs(self) -> None:
        """As far as it knows; and that one cannot be taken back any more."""
        async with self.site() as site:
            go = asyncio.Event()

            @site.work.job(durable=True)
            async def job() -> None:
                site.seen.append("begun")
                await go.wait()
                site.seen.append("over")

            run_id = await after.enqueue(job)
            async with site.serving():
                await site.until(lambda: site.seen)
                status = await site.engine.status(run_id)
                cancelled = await site.engine.cancel(run_id)
                go.set()
                await site.ended(run_id)

            assert status == ("running" if site.can.status else None)
            assert not cancelled
            assert site.seen == ["begun", "over"]

    async def test_a_call_is_heard_of_while_it_serves(self) -> None:
        """A worker that finds nothing waits, and hears of what comes."""
        async with self.site() as site, site.serving():
            await asyncio.sleep(0.1)
            await site.ended(await site.call("x"))

    async def test_a_worker_with_nothing_to_do_stops_at_once(self) -> None:
        """Well before its server's patience is over."""
        async with self.site() as site, site.serving() as worker:
            await site.ended(await site.call("x"))
            worker.stop.set()
            _, pending = await asyncio.wait({worker.task}, timeout=self.late)
            assert not pending, f"serve() went on for {self.late:g} s with nothing under way"

    async def test_it_stops_when_what_is_under_way_is_over_and_takes_no_more(self) -> None:
        """What it took and did not begin is given back, for the next worker."""
        async with self.site() as site:
            go = asyncio.Event()

            @site.work.job(durable=True)
            async def job(what: str) -> None:
                site.seen.append(what)
                await go.wait()
                site.seen.append(what + " is over")

            await after.enqueue(job, "first")
            async with site.serving(concurrency=1) as worker:
                await site.until(lambda: site.seen)
                await after.enqueue(job, "second")
                worker.stop.set()
                await asyncio.sleep(0.1)
                await after.enqueue(job, "third")
                assert not worker.task.done(), "serve() returned while a call was under way"
                go.set()
                await worker.end()
                assert site.seen == ["first", "first is over"]
            async with site.serving(concurrency=2):
                await site.until(lambda: len(site.seen) == 6)

            assert sorted(site.seen[2:]) == [
                "second",
                "second is over",
                "third",
                "third is over",
            ]

    async def test_a_worker_that_is_cut_gives_back_what_it_has(self) -> None:
        """Cancelling `serve` loses nothing, and the next worker need not wait for a lease of the
        engine's."""
        async with self.site(lease=LEASE) as site:
            forever = asyncio.Event()

            @site.work.job(durable=True)
            async def job() -> None:
                site.seen.append("begun")
                if len(site.seen) == 1:
                    await forever.wait()

            run_id = await after.enqueue(job)
            async with site.serving(concurrency=1) as worker:
                await site.until(lambda: site.seen)
                others = [await site.call(number) for number in range(2)]
                worker.task.cancel()
                await asyncio.wait({worker.task}, timeout=self.patience)
                assert worker.task.cancelled(), "serve() did not end as cancelled"
                loop = current_loop()
                assert loop is not None
                await _closing.close(site.work.pipeline, loop, 0)  # its process ends
                worker.task = asyncio.ensure_future(asyncio.sleep(0))
            async with site.serving():
                record = await site.ended(run_id)
                for other in others:
                    await site.ended(other)

            assert record.attempt == 2
            assert sorted(map(str, site.seen)) == ["0", "1", "begun", "begun"]

    async def test_what_a_shutdown_cuts_comes_again(self) -> None:
        """A process that is told to end, and whose grace is over before the run is."""
        async with self.site(lease=LEASE) as site:
            forever = asyncio.Event()

            @site.work.job(durable=True)
            async def job() -> None:
                site.seen.append("begun")
                if len(site.seen) == 1:
                    await forever.wait()

            run_id = await after.enqueue(job)
            loop = current_loop()
            assert loop is not None
            worker = Worker(site.work.dispatch, loop, 2)
            try:
                await site.until(lambda: site.seen)
                await _closing.close(site.work.pipeline, loop, 0)
                assert worker.task.done(), "serve() went on although nothing runs"
            finally:
                await worker.end()
            async with site.serving():
                record = await site.ended(run_id)

            assert record.attempt == 2
            assert site.seen == ["begun", "begun"]
