"""The page `/work` of the trigger route: where an engine that calls delivers durable calls."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest
import trio

from afterwork import AfterMiddleware, Afterwork, MemoryStore, Retry, after, current_run
from afterwork.engines import Envelope
from afterwork.errors import InvalidJobError
from afterwork.testing import FakeHost
from tests.contracts.engine import PushEngineContract
from tests.jobs.push_engine import PushEngine
from tests.jobs.support import GOOD, Token, caller, until
from tests.support import Wire, events

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from afterwork import Engine


class TestPushEngine(PushEngineContract):
    """An engine that calls keeps all the rules that do not ask for a worker."""

    def make_engine(self) -> Engine:
        return PushEngine()

    async def serve(self, work: Afterwork, *, concurrency: int, stop: Awaitable[object]) -> None:
        assert isinstance(work.engine, PushEngine)
        await work.engine.deliver(work, concurrency, stop)

    async def put_garbage(self, engine: Engine, text: str) -> bool:
        assert isinstance(engine, PushEngine)
        engine.messages.put_nowait(text)
        return True


def site(**settings: Any) -> tuple[Afterwork, PushEngine, list[Any]]:
    """An app with a durable job that notes its argument, and fails where that is an error."""
    engine = PushEngine()
    settings.setdefault("store", MemoryStore())
    work = Afterwork(engine=engine, **settings)
    seen: list[Any] = []

    @work.job(durable=True, retry=Retry(2, delay=60, jitter=False))
    async def job(what: str) -> None:
        seen.append((what, current_run().attempt))
        if what == "fails":
            raise RuntimeError
        if what == "waits":
            await asyncio.sleep(60)

    return work, engine, seen


def envelope(what: str = "x", **more: Any) -> Envelope:
    return Envelope(**{"id": "call", "job": "job", "payload": json.dumps([[what], {}]), **more})


async def deliver(work: Afterwork, message: Envelope | str, **headers: str) -> tuple[int, Any]:
    content = message if isinstance(message, str) else message.to_json()
    return await caller(work)("/work", content=content, headers=headers)


async def test_a_call_that_is_over_is_forgotten() -> None:
    """With a slash at its end, too. The same delivery again is over already."""
    work, engine, seen = site()
    assert await deliver(work, envelope()) == (200, {"status": "ok", "run_id": "call"})
    status, answer = await caller(work)("/work/", content=envelope(id="other").to_json())
    assert (status, answer["status"]) == (200, "ok")
    assert (await deliver(work, envelope()))[1]["status"] == "ok"
    assert seen == [("x", 1), ("x", 1)]
    assert engine.messages.empty()


async def test_a_call_to_be_tried_again_is_given_to_the_engine_as_another() -> None:
    work, engine, _ = site()
    assert await deliver(work, envelope("fails")) == (200, {"status": "again", "run_id": "call"})

    following = Envelope.from_json(engine.messages.get_nowait())
    assert (following.id, following.attempt) == ("call", 2)
    assert following.run_at is not None


async def test_an_early_call_is_given_back_as_it_is() -> None:
    work, engine, seen = site()
    early = envelope(run_at=4e9)
    assert (await deliver(work, early))[1]["status"] == "again"
    assert engine.messages.get_nowait() == early.to_json()
    assert seen == []


async def test_where_the_engine_takes_nothing_in_it_delivers_again(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """And the attempt that has been made is not made once more."""
    work, engine, seen = site()
    engine.refusals = 1
    status, answer = await deliver(work, envelope("fails"))
    assert (status, answer["status"]) == (503, "unavailable")
    assert "engine.error" in events(caplog)
    assert engine.messages.empty()

    assert (await deliver(work, envelope("fails")))[1]["status"] == "again"
    assert Envelope.from_json(engine.messages.get_nowait()).attempt == 2
    assert seen == [("fails", 1)]


async def test_the_hosts_deadline_cuts_a_run_and_gives_it_back() -> None:
    """As with any run that a trigger waits for."""
    work, engine, seen = site(host=FakeHost("inline", deadline_in=0.05))
    assert (await deliver(work, envelope("waits")))[1]["status"] == "again"

    following = Envelope.from_json(engine.messages.get_nowait())
    assert (following.attempt, following.crashes, following.run_at) == (2, 1, None)
    assert seen == [("waits", 1)]


@pytest.mark.parametrize(
    "text", ["", "x", "[" * 100_000, "[]", "{}", '{"v": 1}', '{"v": 0}', '{"v": true}', "\x00"]
)
async def test_what_is_no_envelope_is_not_delivered_again(
    text: str, caplog: pytest.LogCaptureFixture
) -> None:
    """An engine would repeat a 400 for days. QStash is told to put it aside."""
    work, _, _ = site()
    assert await deliver(work, text) == (200, {"status": "bad_message"})
    headers = {"upstash-message-id": "msg_1"}
    assert await deliver(work, text, **headers) == (489, {"status": "bad_message"})
    assert events(caplog).count("engine.bad_message") == 1


async def test_an_envelope_of_a_newer_version_waits_for_a_newer_worker() -> None:
    work, _, seen = site()
    newer = json.dumps({"v": 2, "id": "call", "job": "job"})
    status, answer = await deliver(work, newer)
    assert (status, answer["status"]) == (503, "unavailable")
    assert seen == []


async def test_nobody_is_let_in_without_a_proof() -> None:
    work, _, seen = site()
    status, answer = await deliver(work, envelope(), authorization="Bearer wrong")
    assert (status, answer) == (401, {"status": "unauthorized"})
    assert seen == []


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT"])
async def test_only_post_delivers(method: str) -> None:
    work, _, _ = site()
    answer = await caller(work).client.request(method, "/work")
    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")


async def test_without_an_engine_there_is_no_such_page(caplog: pytest.LogCaptureFixture) -> None:
    work = Afterwork(store="memory:")
    work.job(durable=True)(after.cancel)
    assert await deliver(work, envelope()) == (404, {"status": "unknown_job"})
    assert "trigger.unknown_job" in events(caplog)


async def test_a_private_route_has_no_such_page() -> None:
    """Its callers are told by their CloudEvents, and an engine sends none."""
    work, _, seen = site()
    call = caller(work, verify=None, private=True)
    status, answer = await call("/work", content=envelope().to_json())
    assert (status, answer["status"]) == (400, "bad_request")
    assert seen == []


def test_no_job_has_its_name() -> None:
    work, _, _ = site()
    with pytest.raises(InvalidJobError, match="name='work-job'"):
        work.job(name="work", durable=True)(print)


async def test_a_caller_that_leaves_costs_the_call_nothing() -> None:
    work, _, seen = site()
    go = asyncio.Event()

    @work.job(durable=True)
    async def slow() -> None:
        await go.wait()
        seen.append("over")

    calling = asyncio.create_task(deliver(work, Envelope(id="slow", job="slow")))
    await until(lambda: work.store.runs(state="running"))
    calling.cancel()
    await asyncio.wait([calling], timeout=0.01)
    go.set()
    await until(lambda: seen)
    await until(lambda: work.store.runs(state="succeeded"))
    assert (await deliver(work, Envelope(id="slow", job="slow")))[1]["status"] == "ok"
    assert seen == ["over"]


def test_on_trio() -> None:
    ran: list[str] = []
    work = Afterwork(engine=PushEngine(), store="memory:")

    @work.job(durable=True)
    async def job(what: str) -> None:
        await trio.sleep(0)
        ran.append(what)

    body = envelope().to_json().encode()
    headers = [(name.encode(), value.encode()) for name, value in GOOD.items()]
    scope = {"type": "http", "method": "POST", "path": "/work", "headers": headers}
    wire = Wire(scope, [{"type": "http.request", "body": body, "more_body": False}])

    async def main() -> None:
        with trio.fail_after(5):
            app = AfterMiddleware(work.routes(verify=Token()), work)
            await app(wire.scope, wire.receive, wire.send)

    trio.run(main)
    assert json.loads(wire.body)["status"] == "ok"
    assert ran == ["x"]
