"""Docket's engine, against Redis."""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import logging
import sys
import time
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import redis
from afterwork_integrations.docket import DocketEngine, _engine, _line, _names
from docket import Docket

from afterwork import Engine, after
from afterwork.engines import Envelope
from afterwork.errors import EngineError, InvalidOptionError, UnsupportedError
from tests.contracts.engine import EngineContract
from tests.services import Proxy, own_redis, redis_url

PATIENCE = 20.0


def new_queue() -> str:
    """A name that no other test has."""
    return f"test-{uuid.uuid4().hex}"


def forget(queue: str) -> None:
    """Deletes what an engine made on the server."""
    with redis.Redis.from_url(redis_url()) as client:
        keys = list(client.scan_iter(f"{queue}:*", count=1000))
        if keys:
            client.delete(*keys)


class TestDocketEngine(EngineContract):
    def make_engine(self) -> Engine:
        self.queue = new_queue()
        return DocketEngine(redis_url(), queue=self.queue, lease=1)

    async def put_garbage(self, engine: Engine, text: str) -> bool:
        await put(self.queue, "afterwork", text)
        return True

    async def drop(self, engine: Engine) -> None:
        await engine.close()
        forget(self.queue)

    async def test_a_call_that_ends_long_after_the_stop_runs_once(self) -> None:
        """Docket renews no lease while a worker ends, so another is given the call meanwhile."""
        async with self.site() as site:
            go = asyncio.Event()

            @site.work.job(durable=True)
            async def job() -> None:
                site.seen.append("begun")
                await go.wait()

            run_id = await after.enqueue(job)
            engine = site.engine
            assert isinstance(engine, DocketEngine)
            run = engine._run
            assert run is not None
            given: list[Envelope | None] = []

            async def tell(envelope: Envelope) -> Envelope | None:
                given.append(following := await run(envelope))
                return following

            another = DocketEngine(redis_url(), queue=self.queue, lease=1)
            async with opened(another, tell) as other, site.serving() as worker:
                await site.until(lambda: site.seen)
                worker.stop.set()
                async with serving(other):
                    await site.until(lambda: given)
                    go.set()
                    await site.ended(run_id)
            assert given[0] is not None, "it was seen to be running"
            await site.nothing_else()
            assert site.seen == ["begun", "the last"]


async def put(queue: str, task: str, argument: object) -> None:
    """A message of Docket's with any argument."""
    async with Docket(queue, redis_url()) as docket:

        async def anything(argument: object) -> None: ...

        docket.register(anything, names=[task])
        await docket.add(task)(argument)


def envelope(number: int = 1, **fields: Any) -> Envelope:
    return Envelope(id=f"id-{number}", job="note", **fields)


async def until(condition: Callable[[], object]) -> None:
    start = time.monotonic()
    while not condition():
        assert time.monotonic() - start < PATIENCE
        await asyncio.sleep(0.005)


class Seen:
    """What a worker was given; while `go` is not set, nothing ends."""

    def __init__(self) -> None:
        self.ids: list[str] = []
        self.ended: list[str] = []
        self.go = asyncio.Event()
        self.go.set()

    async def __call__(self, envelope: Envelope) -> Envelope | None:
        self.ids.append(envelope.id)
        await self.go.wait()
        self.ended.append(envelope.id)
        return None


@pytest.fixture
def queue() -> Iterator[str]:
    name = new_queue()
    yield name
    forget(name)


@pytest.fixture
def client() -> Iterator[Any]:
    with redis.Redis.from_url(redis_url(), decode_responses=True) as client:
        yield client


@contextlib.asynccontextmanager
async def opened(engine: DocketEngine, seen: Any = None) -> AsyncIterator[DocketEngine]:
    engine.bind(Seen() if seen is None else seen)
    try:
        yield engine
    finally:
        await engine.close()


@contextlib.asynccontextmanager
async def serving(engine: DocketEngine, concurrency: int = 5) -> AsyncIterator[None]:
    stop = asyncio.Event()
    task = asyncio.create_task(engine.serve(concurrency=concurrency, stop=stop.wait()))
    try:
        yield
        stop.set()
        async with asyncio.timeout(PATIENCE):
            await task
    finally:
        task.cancel()


# -- what is kept in Redis


async def test_what_is_over_leaves_redis(queue: str, client: Any) -> None:
    """Neither the stream, its pending list nor its list of workers grows."""
    seen = Seen()
    async with opened(DocketEngine(redis_url(), queue=queue), seen) as engine:
        for _ in range(2):
            calls = [envelope(n, key=f"k{n}") for n in range(20)]
            await engine.enqueue([*calls, *(envelope(n) for n in range(20, 40))])
            async with serving(engine):
                await until(lambda: len(seen.ended) % 40 == 0 and seen.ended)
            assert client.xlen(f"{queue}:stream") == 0
            assert client.xpending(f"{queue}:stream", "docket-workers")["pending"] == 0
            assert client.xinfo_consumers(f"{queue}:stream", "docket-workers") == []
            seen.ended.clear()
        lasting = [key for key in client.scan_iter(f"{queue}:*") if client.ttl(key) == -1]
        assert lasting == [f"{queue}:stream"]
        assert not list(client.scan_iter(f"{queue}:afterwork:*"))
        longest = max(client.ttl(key) for key in client.scan_iter(f"{queue}:runs:*"))
        assert 0 < longest <= 60


async def test_a_worker_that_is_gone_is_forgotten_unless_something_is_its(
    queue: str, client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it had would go with its name."""
    monkeypatch.setattr(_line, "GONE_SECONDS", 0.0)
    stream, group = f"{queue}:stream", "docket-workers"
    seen = Seen()
    async with opened(DocketEngine(redis_url(), queue=queue, lease=3600), seen) as engine:
        await engine.enqueue([envelope(1)])
        client.xgroup_create(stream, group, "0-0")
        client.xgroup_createconsumer(stream, group, "dead")
        with redis.Redis.from_url(redis_url()) as pickles:
            pickles.xreadgroup(group, "dead with a call", {stream: ">"})
        await engine.enqueue([envelope(2)])
        async with serving(engine):
            await until(lambda: seen.ended == ["id-2"])
            assert len(client.xinfo_consumers(stream, group)) == 3
        names = [each["name"] for each in client.xinfo_consumers(stream, group)]
        assert names == ["dead with a call"]


async def test_no_more_is_taken_than_runs(queue: str, client: Any) -> None:
    """What a worker holds back, no other can run."""
    seen = Seen()
    seen.go.clear()
    async with opened(DocketEngine(redis_url(), queue=queue), seen) as engine:
        await engine.enqueue([envelope(number) for number in range(6)])
        async with serving(engine, concurrency=2):
            await until(lambda: len(seen.ids) == 2)
            assert client.xpending(f"{queue}:stream", "docket-workers")["pending"] == 2
            seen.go.set()
            await until(lambda: len(seen.ended) == 6)


async def test_a_server_that_forgets_is_refused() -> None:
    url = own_redis("--maxmemory", "50mb", "--maxmemory-policy", "allkeys-lru")
    async with opened(DocketEngine(url)) as engine:
        with pytest.raises(EngineError, match="Set maxmemory-policy to noeviction"):
            await engine.enqueue([envelope()])
        with pytest.raises(EngineError, match="Set maxmemory-policy to noeviction"):
            await engine.serve(concurrency=1, stop=asyncio.Event().wait())


async def test_a_command_that_is_refused_is_an_error(queue: str, client: Any) -> None:
    client.set(f"{queue}:stream", "not a stream")
    async with opened(DocketEngine(redis_url(), queue=queue)) as engine:
        with pytest.raises(EngineError, match="could not take in 1 call: .*WRONGTYPE"):
            await engine.enqueue([envelope()])


async def test_a_way_into_a_transaction_is_refused() -> None:
    with pytest.raises(UnsupportedError, match="transaction"):
        await DocketEngine(redis_url()).enqueue([envelope()], connection=object())


# -- where the server is not there


async def test_a_server_that_is_down_is_an_error_soon(unused_tcp_port: int) -> None:
    start = time.monotonic()
    url = f"redis://user:secret@127.0.0.1:{unused_tcp_port}/0"
    async with opened(DocketEngine(url, timeout=2)) as engine:
        with pytest.raises(EngineError, match="Check that Redis runs") as caught:
            await engine.enqueue([envelope()])
        assert "secret" not in str(caught.value)
    assert time.monotonic() - start < 5


async def test_a_server_that_does_not_answer_is_an_error_in_time(
    queue: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_line, "CLOSE_SECONDS", 0.1)
    with Proxy(redis_url(), 6379) as proxy:
        async with opened(DocketEngine(proxy.url, queue=queue, timeout=0.5)) as engine:
            await engine.enqueue([envelope()])
            proxy.go_dead()
            with pytest.raises(EngineError, match=r"no answer within 0\.5 s"):
                await engine.enqueue([envelope()])


async def test_a_wrong_password_is_an_error_that_does_not_show_it() -> None:
    url = redis_url().replace("//", "//user:wrong-secret@")
    async with opened(DocketEngine(url)) as engine:
        with pytest.raises(EngineError, match="Check user and password") as caught:
            await engine.enqueue([envelope()])
        assert "wrong-secret" not in f"{caught.value}{engine!r}{engine.name}"
        with pytest.raises(EngineError, match="could not take calls out"):
            await engine.serve(concurrency=1, stop=asyncio.Event().wait())


async def test_a_worker_waits_for_a_server_that_is_down(
    unused_tcp_port: int, caplog: pytest.LogCaptureFixture
) -> None:
    url = f"redis://user:secret@127.0.0.1:{unused_tcp_port}/0"
    async with opened(DocketEngine(url)) as engine, serving(engine):
        await until(lambda: "engine.lost" in caplog.text)
    assert "secret" not in caplog.text


async def test_a_worker_goes_on_after_its_connection_was_cut(queue: str) -> None:
    seen = Seen()
    with Proxy(redis_url(), 6379) as proxy:
        async with (
            opened(DocketEngine(proxy.url, queue=queue, lease=1), seen) as worker,
            opened(DocketEngine(redis_url(), queue=queue)) as web,
        ):
            await web.enqueue([envelope(1)])
            async with serving(worker):
                await until(lambda: seen.ids == ["id-1"])
                proxy.cut()
                await web.enqueue([envelope(2)])
                await until(lambda: "id-2" in seen.ended)


# -- what is taken out


@pytest.mark.parametrize(
    ("task", "argument", "problem"),
    [
        ("afterwork", ["a secret"], "the argument must be the text of an envelope"),
        ("afterwork", "a secret", "the envelope must be JSON"),
        ("another", "a secret", "not known here"),
    ],
)
async def test_what_is_no_call_is_said_once_and_not_shown(
    queue: str, client: Any, task: str, argument: object, problem: str, caplog: Any
) -> None:
    seen = Seen()
    async with opened(DocketEngine(redis_url(), queue=queue), seen) as engine:
        await put(queue, task, argument)
        await engine.enqueue([envelope()])
        async with serving(engine, concurrency=1):
            await until(lambda: seen.ended)
        check_bad(caplog, problem)
        assert client.xlen(f"{queue}:stream") == 0


def check_bad(caplog: Any, problem: str) -> None:
    bad = [each for each in caplog.records if "engine.bad_message" in each.getMessage()]
    assert len(bad) == 1
    assert bad[0].levelno == logging.ERROR
    assert problem in bad[0].getMessage()
    assert "a secret" not in caplog.text


async def test_what_docket_cannot_read_does_not_end_the_worker_for_good(
    queue: str, client: Any, caplog: Any
) -> None:
    """What the same worker was given with it comes again, without waiting for its lease."""
    seen = Seen()
    seen.go.clear()
    async with opened(DocketEngine(redis_url(), queue=queue, lease=3600), seen) as engine:
        await engine.enqueue([envelope(1)])
        client.xadd(f"{queue}:stream", {"args": "a secret"})
        await engine.enqueue([envelope(2)])
        async with serving(engine):
            await until(lambda: seen.ids == ["id-1"])
            seen.go.set()
            await until(lambda: seen.ended == ["id-1", "id-2"])
        check_bad(caplog, "no message of Docket's")
        assert client.xlen(f"{queue}:stream") == 0


async def test_a_bug_of_dockets_ends_the_worker_with_an_error(
    queue: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(self: object) -> None:
        raise LookupError("as the test wants it")

    monkeypatch.setattr("docket.Worker.run_forever", broken)
    async with opened(DocketEngine(redis_url(), queue=queue)) as engine:
        with pytest.raises(EngineError, match="could not take calls out: as the test wants it"):
            await engine.serve(concurrency=1, stop=asyncio.Event().wait())


async def test_what_follows_is_kept_before_a_message_is_let_go(
    queue: str, monkeypatch: pytest.MonkeyPatch, caplog: Any
) -> None:
    """Where the server takes nothing at the moment, it is tried until it does."""
    ids: list[str] = []

    async def run(envelope: Envelope) -> Envelope | None:
        ids.append(envelope.id)
        return envelope.again(None) if envelope.attempt == 1 else None

    refused: list[str] = []

    async with opened(DocketEngine(redis_url(), queue=queue), run) as engine:
        await engine.enqueue([envelope()])
        ask = engine._ask

        async def refuse_once(doing: str, call: Any) -> Any:
            if not refused:
                refused.append(doing)
                raise EngineError(engine.name, doing, "the test says so")
            return await ask(doing, call)

        monkeypatch.setattr(engine, "_ask", refuse_once)
        async with serving(engine):
            await until(lambda: ids == ["id-1", "id-1"])
    assert refused == ["take in the next attempt"]
    assert "engine.lost" in caplog.text


async def test_a_worker_that_is_cut_before_it_began_ends(queue: str) -> None:
    async with opened(DocketEngine(redis_url(), queue=queue)) as engine:
        await engine.enqueue([envelope()])
        task = asyncio.create_task(engine.serve(concurrency=1, stop=asyncio.Event().wait()))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


async def test_what_a_worker_is_cut_off_from_ends_with_its_lease(queue: str, caplog: Any) -> None:
    """It cannot give anything back then, and still ends."""
    seen = Seen()
    seen.go.clear()
    with Proxy(redis_url(), 6379) as proxy:
        async with (
            opened(DocketEngine(proxy.url, queue=queue, lease=1), seen) as worker,
            opened(DocketEngine(redis_url(), queue=queue, lease=1), seen) as other,
        ):
            await other.enqueue([envelope()])
            task = asyncio.create_task(worker.serve(concurrency=1, stop=asyncio.Event().wait()))
            await until(lambda: seen.ids)
            proxy.go_dead()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            async with serving(other):
                await until(lambda: len(seen.ids) == 2)
                seen.go.set()


def test_each_loop_has_connections_of_its_own(client: Any) -> None:
    queue = new_queue()
    engine = DocketEngine(redis_url(), queue=queue)
    with asyncio.Runner() as first:
        first.run(engine.enqueue([envelope(1)]))
        docket = engine._line._docket
        assert docket is not None
        with asyncio.Runner() as second:
            second.run(engine.enqueue([envelope(2)]))
            second.run(engine.close())
        first.run(docket.__aexit__(None, None, None))
        first.run(engine.close())
    assert client.xlen(f"{queue}:stream") == 2
    forget(queue)


# -- keys, status and cancel


async def test_a_call_with_a_key_is_known_by_its_id(queue: str) -> None:
    async with opened(DocketEngine(redis_url(), queue=queue)) as engine:
        soon = time.time() + 60
        await engine.enqueue([envelope(1, key="k", run_at=soon), envelope(2, key="other")])
        assert await engine.enqueue([envelope(3, key="k")]) == ["id-1"]
        assert await engine.status("id-1") == "waiting"
        assert await engine.status("id-3") is None
        assert await engine.cancel("id-1")
        assert await engine.status("id-1") is None
        assert await engine.enqueue([envelope(4, key="k")]) == ["id-4"]
        assert await engine.status("id-1") is None, "its key is another's by now"
        assert not await engine.cancel("id-1")
        assert await engine.status("id-4") == "waiting"


async def test_a_key_is_kept_while_its_call_waits_for_another_attempt(queue: str) -> None:
    ran: list[int] = []

    async def run(envelope: Envelope) -> Envelope | None:
        ran.append(envelope.attempt)
        return envelope.again(time.time() + 60) if envelope.attempt == 1 else None

    async with opened(DocketEngine(redis_url(), queue=queue), run) as engine:
        await engine.enqueue([envelope(1, key="k")])
        async with serving(engine):
            await until(lambda: ran)
        assert await engine.enqueue([envelope(2, key="k")]) == ["id-1"]
        assert await engine.status("id-1") == "waiting"


async def test_a_key_whose_call_is_forgotten_in_the_same_moment_is_free(
    queue: str, client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opened(DocketEngine(redis_url(), queue=queue)) as engine:
        await engine.enqueue([envelope(1, key="k", run_at=time.time() + 60)])
        get_execution = Docket.get_execution

        async def forget_it_first(docket: Docket, key: str) -> Any:
            client.delete(docket.runs_key(key))
            return await get_execution(docket, key)

        monkeypatch.setattr(Docket, "get_execution", forget_it_first)
        assert await engine.enqueue([envelope(2, key="k")]) == ["id-2"]


async def test_a_name_that_cannot_be_forgotten_ends_by_itself(
    queue: str, client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = Seen()
    async with opened(DocketEngine(redis_url(), queue=queue), seen) as engine:
        await engine.enqueue([envelope(1, key="k")])

        async def refuse(doing: str, call: Any) -> Any:
            raise EngineError(engine.name, doing, "the test says so")

        monkeypatch.setattr(engine, "_ask", refuse)
        async with serving(engine):
            await until(lambda: seen.ended)
        assert client.ttl(f"{queue}:afterwork:id-1") > 0


async def test_a_call_that_began_while_it_was_taken_back_goes_on(
    queue: str, client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And would come again if its worker died."""
    seen = Seen()
    seen.go.clear()
    async with opened(DocketEngine(redis_url(), queue=queue), seen) as engine:
        await engine.enqueue([envelope()])
        async with Docket(queue, redis_url()) as docket:
            docket.register(engine._line._task, names=["afterwork"])
            stale = await docket.get_execution("id-1")

            async def find(docket: Docket, run_id: str) -> Any:
                return stale

            monkeypatch.setattr(_names, "find", find)
            async with serving(engine):
                await until(lambda: seen.ids)
                assert not await engine.cancel("id-1")
                assert client.hget(f"{queue}:runs:id-1", "state") == "running"
                assert client.ttl(f"{queue}:runs:id-1") == -1
                seen.go.set()
                await until(lambda: seen.ended)
            assert client.hget(f"{queue}:runs:id-1", "state") == "completed"


async def test_a_call_that_ended_while_it_was_taken_back_is_over(
    queue: str, client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = Seen()
    async with opened(DocketEngine(redis_url(), queue=queue), seen) as engine:
        await engine.enqueue([envelope()])
        async with Docket(queue, redis_url()) as docket:
            docket.register(engine._line._task, names=["afterwork"])
            stale = await docket.get_execution("id-1")

            async def find(docket: Docket, run_id: str) -> Any:
                return stale

            monkeypatch.setattr(_names, "find", find)
            async with serving(engine):
                await until(lambda: client.hget(f"{queue}:runs:id-1", "state") == "completed")
            assert not await engine.cancel("id-1")
            assert client.hget(f"{queue}:runs:id-1", "state") == "completed"


# -- settings


def test_wrong_settings_are_refused() -> None:
    wrong: list[tuple[str, dict[str, Any], str]] = [
        ("memory://", {}, "loses its calls"),
        ("amqp://user:secret@127.0.0.1/", {}, "URL of a Redis"),
        (redis_url(), {"queue": "no spaces"}, "queue"),
        (redis_url(), {"lease": 0.5}, "lease"),
        (redis_url(), {"timeout": 0}, "timeout"),
    ]
    for url, options, problem in wrong:
        with pytest.raises(InvalidOptionError, match=problem) as caught:
            DocketEngine(url, **options)
        assert "secret" not in str(caught.value)


async def test_memory_is_for_tests() -> None:
    seen = Seen()
    engine = DocketEngine("memory://", queue=new_queue(), for_tests=True)
    assert engine.capabilities.survives == "nothing"
    async with opened(engine, seen), serving(engine):
        await engine.enqueue([envelope()])
        await until(lambda: seen.ended)


def test_recovery_is_the_lease_and_two_turns_of_the_sweep() -> None:
    can = DocketEngine(redis_url(), lease=8).capabilities
    assert can.recovery_seconds == pytest.approx(13, abs=0.1)
    assert can.survives == "machine"


def test_its_name_has_no_password() -> None:
    engine = DocketEngine("redis://user:secret@127.0.0.1:6379/1", queue="q")
    assert engine.name == "docket on redis://127.0.0.1:6379/1"
    assert repr(engine) == "DocketEngine('redis://127.0.0.1:6379/1', queue='q')"


def test_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "docket", None)
    for name in [name for name in sys.modules if name.startswith("afterwork_integrations.docket")]:
        monkeypatch.delitem(sys.modules, name)
    with pytest.raises(ImportError, match=r"pip install 'afterwork\[docket\]'"):
        importlib.import_module("afterwork_integrations.docket")


def test_a_moment_is_in_utc() -> None:
    """Docket compares it to its own."""
    at = datetime.now(UTC) + timedelta(days=1)
    assert _engine._moment(envelope(run_at=at.timestamp())) == pytest.approx(
        at, abs=timedelta(milliseconds=1)
    )
