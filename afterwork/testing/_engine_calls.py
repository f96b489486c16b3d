"""Tests of an engine: what becomes of a call."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from uuid import UUID

from .._after import after, current_run
from .._deliveries import UNKNOWN
from .._engine import Capabilities
from .._envelope import Envelope
from .._ids import run_id as new_id
from .._retry import Retry
from ..errors import PayloadError, PermanentFailure, RetryLater, UnsupportedError
from ._engine_tests import EngineTests, raises

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .._asgi import Message, Receive, Scope, Send

MANY = 50
DELAY = 1.0
SOON = 0.05
EARLY = 0.002
"""How many seconds early a call may start, because clocks and files round."""
GARBAGE = ["", "no envelope", '{"v": 1}', '{"v": 99, "id": "x", "job": "note"}', "[]"]
UNUSUAL: list[Any] = [
    None,
    True,
    -0.0,
    1e300,
    2**70,
    "",
    "x" * 2000,
    "\x00 \x1f \u2028 ' \" \\ % $1 {} \r\n",
    "Zoë Ψ 雪 🦄 \ud800",
    {"": [], "$tuple": {"a": [1, [2, [3]]]}, "v": 1},
    (1, {2}, frozenset({3})),
    b"\x00\xff",
    Decimal("1.10"),
    UUID(int=7),
    datetime(2026, 3, 8, 7, 30, 0, 1, tzinfo=UTC),
    date(2026, 3, 8),
    timedelta(days=-1, microseconds=1),
]


class CallTests(EngineTests):
    """What every engine does, whoever runs the calls."""

    async def test_it_says_what_it_is(self) -> None:
        """Its name is a text, and its capabilities are declared."""
        async with self.site() as site:
            assert isinstance(site.engine.name, str)
            assert site.engine.name
            assert isinstance(site.can, Capabilities)
            assert site.can.recovery_seconds is None or site.can.recovery_seconds > 0

    async def test_a_call_runs_once_and_looks_like_any_run(self) -> None:
        """With its arguments, under the id that the caller was given, with a record."""
        async with self.site() as site:
            runs: list[tuple[Any, ...]] = []

            @site.work.job(durable=True)
            async def job(one: int, *more: str, named: bool) -> None:
                runs.append((current_run().id, one, more, named))

            run_id = await after.enqueue(job, 1, "a", "b", named=True)
            async with site.serving():
                record = await site.ended(run_id)
            await site.nothing_else()

            assert runs == [(run_id, 1, ("a", "b"), True)]
            assert (record.job, record.trigger, record.attempt) == ("job", "after", 1)
            assert record.error is None

    async def test_calls_of_a_request_are_taken_in_before_its_response(self) -> None:
        """Of async and sync jobs. They run although this process runs none of its own."""
        async with self.site() as site:

            @site.work.job(durable=True)
            def sync(what: str) -> None:
                site.seen.append(what)

            async def app(scope: Scope, receive: Receive, send: Send) -> None:
                await receive()
                after(site.note, "async")
                after(sync, "sync")
                await send({"type": "http.response.start", "status": 200, "headers": []})
                await send({"type": "http.response.body", "body": b"ok"})

            sent: list[str] = []

            async def send(message: Message) -> None:
                sent.append(message["type"])

            async def receive() -> Message:
                return {"type": "http.request", "body": b"", "more_body": False}

            scope = {"type": "http", "method": "GET", "path": "/", "headers": []}
            await site.work.wrap(app)(scope, receive, send)
            assert sent == ["http.response.start", "http.response.body"]
            async with site.serving():
                await site.until(lambda: len(site.seen) == 2)
            await site.nothing_else()

            assert sorted(site.seen) == ["async", "sync", "the last"]

    async def test_many_calls_at_once_run_once_each(self) -> None:
        """Taken in concurrently, while a worker runs."""
        async with self.site() as site:
            async with site.serving():
                ids = await asyncio.gather(*(site.call(number) for number in range(MANY)))
                await site.until(lambda: len(site.seen) >= MANY)
            await site.nothing_else()

            assert len(set(ids)) == MANY
            assert sorted(site.seen[:-1]) == list(range(MANY))

    async def test_several_envelopes_are_taken_in_with_their_ids(self) -> None:
        """`enqueue` answers with one id for each, in their order."""
        async with self.site() as site:
            envelopes = [
                Envelope(id=new_id(), job="note", payload=f"[[{number}],{{}}]")
                for number in range(3)
            ]
            ids = await site.engine.enqueue(envelopes)
            assert list(ids) == [envelope.id for envelope in envelopes]
            async with site.serving():
                await site.until(lambda: len(site.seen) == 3)

            assert sorted(site.seen) == [0, 1, 2]

    async def test_unusual_arguments_arrive_as_they_were(self) -> None:
        """Whatever JSON can say, the engine carries."""
        async with self.site() as site:
            run_id = await site.call(UNUSUAL)
            async with site.serving():
                await site.ended(run_id)

            assert [repr(each) for each in site.seen[0]] == [repr(each) for each in UNUSUAL]

    async def test_a_delayed_call_is_never_early(self) -> None:
        """And not later than declared. Nobody waits behind it."""
        async with self.site() as site:
            if site.can.max_delay == 0:
                return
            started: dict[str, float] = {}

            @site.work.job(durable=True)
            async def job(what: str) -> None:
                started[what] = time.time()

            before = time.time()
            await after.options(delay=DELAY).enqueue(job, "delayed")
            after_call = time.time()
            await after.options(delay=datetime.fromtimestamp(before - 60, UTC)).enqueue(job, "past")
            async with site.serving():
                await site.until(lambda: len(started) == 2)

            assert started["delayed"] >= before + DELAY - EARLY
            assert started["delayed"] <= after_call + DELAY + site.can.delay_resolution + self.late
            assert started["past"] < started["delayed"]

    async def test_a_call_that_fails_is_tried_again(self) -> None:
        """As its `Retry` says, with the attempts counted. Its run is one."""
        async with self.site() as site:
            attempts: list[int] = []

            @site.work.job(durable=True, retry=Retry(3, delay=SOON, backoff="fixed"))
            async def job() -> None:
                attempts.append(current_run().attempt)
                if len(attempts) < 3:
                    raise RuntimeError("this failure belongs to the test of an engine")

            run_id = await after.enqueue(job)
            async with site.serving():
                record = await site.ended(run_id)
            await site.nothing_else()

            assert attempts == [1, 2, 3]
            assert record.attempt == 3
            assert await site.letters() == {}

    async def test_a_call_that_fails_for_good_becomes_a_dead_letter(self) -> None:
        """After its last attempt, or at a `PermanentFailure`. The queue is rid of it."""
        async with self.site() as site:
            attempts: list[str] = []

            @site.work.job(durable=True, retry=Retry(2, delay=SOON))
            async def failing(permanent: bool) -> None:
                attempts.append("permanent" if permanent else "failed")
                raise PermanentFailure("wrong data") if permanent else RuntimeError

            ids = [await after.enqueue(failing, permanent) for permanent in (True, False)]
            async with site.serving():
                await site.until(lambda: len(attempts) == 3)
            await site.nothing_else()

            assert sorted(attempts) == ["failed", "failed", "permanent"]
            assert await site.letters() == {ids[0]: 1, ids[1]: 2}
            for run_id, attempt in zip(ids, (1, 2), strict=True):
                record = await site.ended(run_id, "failed")
                assert record.attempt == attempt
                assert record.error is not None

    async def test_a_call_that_asks_for_later_is_not_tried_before(self) -> None:
        """`RetryLater` says when."""
        async with self.site() as site:
            ended: list[float] = []
            again: list[float] = []

            @site.work.job(durable=True, retry=Retry(2, delay=0))
            async def job() -> None:
                if ended:
                    again.append(time.time())
                else:
                    ended.append(time.time())
                    raise RetryLater(0.3)

            run_id = await after.enqueue(job)
            async with site.serving():
                await site.ended(run_id)

            assert again[0] >= ended[0] + 0.3 - EARLY

    async def test_a_key_keeps_a_second_call_out_while_the_first_waits(self) -> None:
        """The second is told the first's id. Another key, and another job, are free."""
        async with self.site() as site:
            if site.can.keys == "none":
                return

            @site.work.job(durable=True)
            async def other(what: str) -> None:
                site.seen.append(what)

            first = await site.call("first", key="k 1/Ψ")
            second = await site.call("second", key="k 1/Ψ")
            another = await site.call("another", key="k 2/Ψ")
            elsewhere = await after.options(key="k 1/Ψ").enqueue(other, "elsewhere")
            assert len({first, another, elsewhere}) == 3
            assert second == first
            async with site.serving():
                for run_id in (first, another, elsewhere):
                    await site.ended(run_id)
            await site.nothing_else()
            assert sorted(site.seen[:-1]) == ["another", "elsewhere", "first"]

            if site.can.keys not in ("waiting", "active"):
                return
            assert await site.call("third", key="k 1/Ψ") != first
            await site.nothing_else()
            assert "third" in site.seen

    async def test_it_tells_where_a_call_stands(self) -> None:
        """As far as it knows."""
        async with self.site() as site:
            run_id = await site.call("x")
            unknown = await site.engine.status("01890000-0000-7000-8000-000000000000")
            waiting = await site.engine.status(run_id)
            async with site.serving():
                await site.ended(run_id)
            await site.nothing_else()

            assert unknown is None
            assert waiting == ("waiting" if site.can.status else None)
            over = await site.engine.status(run_id)
            assert over in (None, "succeeded" if site.can.status else None)

    async def test_a_call_that_waits_can_be_taken_back(self) -> None:
        """Also a delayed one; where it cannot, it says so."""
        async with self.site() as site:
            delay = None if site.can.max_delay == 0 else DELAY
            ids = [await site.call("taken back"), await site.call("delayed", delay=delay)]
            assert not await site.engine.cancel("01890000-0000-7000-8000-000000000000")
            for run_id in ids:
                assert await site.engine.cancel(run_id) is site.can.cancel
            if not site.can.cancel:
                return
            await site.nothing_else()
            assert site.seen == ["the last"]
            assert not await site.engine.cancel(ids[0])

    async def test_what_it_cannot_do_is_refused_at_the_call(self) -> None:
        """And nothing is taken in."""
        async with self.site() as site:
            limited = site.work.job(durable=True, concurrency=1, name="limited")(print)
            refused: list[dict[str, Any]] = []
            if site.can.keys == "none":
                refused.append({"key": "k"})
            if site.can.max_delay == 0:
                refused.append({"delay": 1})
            if not site.can.priority:
                refused.append({"priority": 1})
            if not site.can.transaction:
                refused.append({"connection": object()})
            for options in refused:
                await raises(UnsupportedError, site.call("refused", **options))
            if not site.can.limits:
                await raises(UnsupportedError, after.enqueue(limited, "refused"))
            await site.nothing_else()

            assert site.seen == ["the last"]

    async def test_what_is_too_big_for_it_is_refused_at_the_call(self) -> None:
        """What just fits arrives."""
        async with self.site(max_payload=2_000_000) as site:
            most = site.can.max_payload
            if most is None:
                return
            assert most >= 2048, "a call with ordinary arguments has to fit"
            await raises(PayloadError, site.call("x" * most))
            fits = "x" * min(most - 1024, 1_000_000)
            run_id = await site.call(fits)
            async with site.serving():
                await site.ended(run_id)
            await site.nothing_else()

            assert site.seen == [fits, "the last"]

    async def test_garbage_in_the_queue_stops_nobody(self) -> None:
        """Neither does a job that is not registered here."""
        async with self.site() as site:
            unknown = Envelope(id=new_id(), job="unknown", enqueued_at=1)
            site.store.put(UNKNOWN + unknown.id, "1.0")  # it was first delivered long ago
            await site.engine.enqueue([unknown])
            for text in GARBAGE:
                await self.put_garbage(site.engine, text)
            run_id = await site.call("x")
            async with site.serving(concurrency=2):
                await site.ended(run_id)
            await site.nothing_else()

            assert site.seen == ["x", "the last"]

    async def test_a_call_belongs_to_the_callers_transaction(self) -> None:
        """Where that is declared: what is rolled back never runs."""
        async with self.site() as site:
            if not site.can.transaction:
                return
            try:
                async with self.transaction(site.engine) as connection:
                    await site.call("rolled back", connection=connection)
                    raise RollBack
            except RollBack:
                pass
            async with self.transaction(site.engine) as connection:
                run_id = await site.call("committed", connection=connection)
            async with site.serving():
                await site.ended(run_id)
            await site.nothing_else()

            assert site.seen == ["committed", "the last"]

    async def test_it_connects_again_after_it_was_closed(self) -> None:
        """And closing loses nothing."""
        async with self.site() as site:
            await site.engine.close()
            run_id = await site.call("x")
            await site.engine.close()
            await site.engine.close()
            async with site.serving():
                await site.ended(run_id)

            assert site.seen == ["x"]


class RollBack(Exception):
    """What a caller's own failure looks like."""
