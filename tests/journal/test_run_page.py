"""Where a durable call stands, as a page and as a stream."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from afterwork import Afterwork, Bearer, MemoryStore
from afterwork import _run_page as page
from afterwork.errors import StoreError
from afterwork.testing import FakeClock
from tests.journal.support import BrokenMemory, durable, enqueue, order, serving
from tests.support import PATIENCE, events, http_scope, until

SECRET = "a-secret-that-is-long-enough-0123456789"


class Client:
    """One request to the trigger route, by somebody who stays until he leaves."""

    def __init__(self, work: Afterwork, path: str, *headers: tuple[bytes, bytes], **more: Any):
        self.app = work.routes(verify=Bearer(SECRET))
        given = [(b"authorization", f"Bearer {SECRET}".encode()), *headers]
        self.scope = http_scope(path, **{"headers": given, "query_string": b"", **more})
        self.gone = asyncio.Event()
        self.asked = 0
        self.messages: list[Any] = []
        self.task = asyncio.create_task(self._run())

    async def _run(self) -> None:
        await self.app(self.scope, self._receive, self._send)

    async def _receive(self) -> Any:
        self.asked += 1
        if self.asked == 1:
            return {"type": "http.request", "body": b"", "more_body": False}
        await self.gone.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Any) -> None:
        self.messages.append(message)

    async def over(self) -> None:
        async with asyncio.timeout(PATIENCE):
            await self.task
        self.gone.set()

    @property
    def status(self) -> int:
        status: int = self.messages[0]["status"]
        return status

    @property
    def text(self) -> str:
        return b"".join(each.get("body", b"") for each in self.messages[1:]).decode()

    @property
    def states(self) -> list[str]:
        """Those of a stream, in order."""
        lines = [line for line in self.text.splitlines() if line.startswith("data: ")]
        return [json.loads(line.removeprefix("data: "))["state"] for line in lines]


SSE = (b"accept", b"text/event-stream")


async def get(work: Afterwork, path: str, *headers: Any, **more: Any) -> tuple[int, Any]:
    client = Client(work, path, *headers, **more)
    await client.over()
    return client.status, json.loads(client.text)


@pytest.fixture(autouse=True)
def _looks_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page, "POLL_SECONDS", 0.005)


async def test_the_page_tells_where_it_stands_and_hides_secrets() -> None:
    work = Afterwork(store=MemoryStore())

    @work.job(durable=True)
    async def login(fails: bool) -> dict[str, Any]:
        if fails:
            raise ValueError("the password is hunter2")
        return {"api_key": "k", "url": "postgres://u:p@s@h/db", "n": [1, {"pin": 2}], "shipping": 3}

    good, bad = await enqueue(login, False), await enqueue(login, True)
    status, body = await get(work, f"/runs/{good}/")
    assert (status, body["state"], body["over"], body["attempt"]) == (200, "waiting", False, 1)
    assert body["run_at"]
    async with serving(work):
        await until(lambda: len(work.store.runs()) == 2)
    status, body = await get(work, f"/runs/{good}")
    assert (status, body["state"], body["job"], body["run_id"]) == (200, "succeeded", "login", good)
    assert body["result"] == {
        "api_key": "[hidden]",
        "url": "postgres://u:[hidden]@h/db",
        "n": [1, {"pin": "[hidden]"}],
        "shipping": 3,
    }
    status, body = await get(work, f"/runs/{bad}")
    assert (status, body["state"], body["error"]) == (200, "failed", "ValueError")


async def test_only_who_may_ask_is_told_that_there_is_none() -> None:
    work = Afterwork(store=MemoryStore())
    job, _ = durable(work)
    run = await enqueue(job)
    for path in (f"/runs/{run}", "/runs/unknown"):
        assert (await get(work, path, headers=[]))[0] == 401
    status, body = await get(work, "/runs/unknown")
    assert (status, body["status"]) == (404, "unknown_run")
    assert (await get(work, "/runs/unknown", SSE))[0] == 404
    assert (await get(work, "/runs/x", query_string=b"stream=1"))[0] == 404


@pytest.mark.parametrize("method", ["HEAD", "POST", "DELETE"])
async def test_it_is_only_read(method: str) -> None:
    work = Afterwork(store=MemoryStore())
    client = Client(work, "/runs/x", method=method)
    await client.over()
    assert client.status == 405
    assert (b"allow", b"GET") in client.messages[0]["headers"]


async def test_a_store_that_is_down_is_said() -> None:
    store = BrokenMemory()
    work = Afterwork(store=store)
    store.down = True
    assert (await get(work, "/runs/x"))[0] == 503


async def test_the_stream_tells_each_change_and_ends() -> None:
    work = Afterwork(store=MemoryStore())
    go = asyncio.Event()

    @work.job(durable=True)
    async def job() -> str:
        await go.wait()
        return "done"

    run = await enqueue(job)
    client = Client(work, f"/runs/{run}", SSE)
    await until(lambda: client.states == ["waiting"])
    async with serving(work):
        await until(lambda: client.states == ["waiting", "running"])
        go.set()
        await client.over()
    assert client.states == ["waiting", "running", "succeeded"]
    assert '"result": "done"' in client.text
    assert client.messages[-1] == {"type": "http.response.body", "body": b""}
    assert (b"cache-control", b"no-store") in client.messages[0]["headers"]
    again = Client(work, f"/runs/{run}", query_string=b"stream=1")
    await again.over()
    assert again.states == ["succeeded"]


async def test_a_client_that_leaves_ends_it() -> None:
    work = Afterwork(store=MemoryStore())
    job, _ = durable(work)
    client = Client(work, f"/runs/{await enqueue(job)}", SSE)
    await until(lambda: client.states)
    client.gone.set()
    await client.over()
    assert client.states == ["waiting"]


async def test_it_says_that_it_is_alive_and_ends_after_a_while() -> None:
    clock = FakeClock()
    work = Afterwork(store=MemoryStore(clock=clock), clock=clock)
    job, _ = durable(work)
    client = Client(work, f"/runs/{await enqueue(job)}", SSE)
    await until(lambda: client.states)
    clock.advance(page.KEEP_ALIVE_SECONDS)
    await until(lambda: ": still here\n\n" in client.text)
    assert not client.task.done()
    clock.advance(page.MOST_SECONDS - page.KEEP_ALIVE_SECONDS)
    await client.over()
    assert client.text.count(": still here\n\n") == 1


async def test_a_stream_of_a_run_that_is_forgotten_ends(caplog: Any) -> None:
    work = Afterwork(store=MemoryStore())
    job, _ = durable(work)
    run = await enqueue(job)
    client = Client(work, f"/runs/{run}", SSE)
    await until(lambda: client.states)
    await work.cancel(run)
    await client.over()
    assert client.states == ["waiting", "cancelled"]


async def test_a_store_that_fails_meanwhile_ends_the_stream(caplog: Any) -> None:
    """The browser comes again; the server is told nothing."""
    store = BrokenMemory()
    work = Afterwork(store=store)
    job, _ = durable(work)
    client = Client(work, f"/runs/{await enqueue(job)}", SSE)
    await until(lambda: client.states)
    store.down = True
    await client.over()
    assert client.messages[-1] == {"type": "http.response.body", "body": b""}
    assert "store.error" in events(caplog)
    with pytest.raises(StoreError):
        await work.status("x")


async def test_a_request_and_its_stream() -> None:
    """From the response of one request to the end of its work."""
    from afterwork import after

    work = Afterwork(store=MemoryStore())
    job, seen = durable(work)
    made: list[Any] = []
    await order(work, lambda: made.append(after(job, 1)))
    client = Client(work, f"/runs/{made[0].run_id}", SSE)
    await client.over()
    assert client.states[-1] == "succeeded"
    assert seen == [1]
