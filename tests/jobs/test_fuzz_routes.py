"""Whatever is sent to the route: no 5xx that is not the job's own failure, and no run without
proof."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from afterwork import AfterMiddleware, Bearer, MemoryStore
from tests.jobs.support import TOKEN, at, new_work
from tests.support import Wire

NAMES = ["nightly", "sync_one", "broken", "tick", "jobs", "health", "nobody", ""]
HEADERS = [
    "authorization",
    "content-type",
    "content-length",
    "transfer-encoding",
    "user-agent",
    "prefer",
    "host",
    "upstash-message-id",
    "upstash-retried",
    "x-cloudscheduler",
    "x-cloudscheduler-scheduletime",
    "x-cloudtasks-taskname",
    "x-cloudtasks-taskretrycount",
    "x-vercel-cron-schedule",
    "webhook-id",
    "afterwork-slot",
    "afterwork-delivery",
    "afterwork-attempt",
    "ce-id",
    "ce-type",
    "ce-vssscheduledat",
]
VALUES = [
    b"",
    b"0",
    b"1",
    b"99999999999999999999",
    b"true",
    b"manual",
    b"Bearer ",
    b"Bearer None",
    b"0 * * * *",
    b"application/json",
    b"image/png",
    b"respond-async",
    b"chunked",
    b"2026-03-10T12:00:00Z",
    b"2026-03-10T12:00:00",
    b"9999-12-31T23:59:59+00:00",
    b"vercel-cron/1.0",
    b"Amazon/EventBridge/ApiDestinations",
    b"\xe9\xff",
]
BODIES = [b"", b"{}", b"[]", b'{"account": 1}', b'{"slot": {}}', b'{"slot": "1e99"}', b"{", b"NaN"]

methods = st.sampled_from(["GET", "POST", "HEAD", "PUT", "OPTIONS", "get", "", "\xe9"])
paths = st.one_of(
    st.sampled_from([f"/{name}{slash}" for name in NAMES for slash in ("", "/")]), st.text()
)
values = st.one_of(st.sampled_from(VALUES), st.binary(max_size=20))
names = st.one_of(st.sampled_from([name.encode() for name in HEADERS]), st.binary(max_size=12))
headers = st.lists(st.tuples(names, values), max_size=6)
queries = st.one_of(
    st.binary(max_size=30),
    st.lists(
        st.tuples(
            st.sampled_from([b"slot", b"delivery", b"attempt", b"mode", b"secret", b"a"]), values
        ),
        max_size=60,
    ).map(lambda pairs: b"&".join(name + b"=" + value for name, value in pairs)),
)
bodies = st.lists(st.one_of(st.sampled_from(BODIES), st.binary(max_size=40)), max_size=3)


async def send(
    kind: str,
    method: str,
    path: str,
    query: bytes,
    given_headers: list[tuple[bytes, bytes]],
    chunks: list[bytes],
    *,
    private: bool = False,
) -> tuple[int | None, dict[str, Any], list[str]]:
    """The status code, the answer and the jobs that have run, in an app of its own."""
    ran: list[str] = []
    clock_start = at("2026-03-10 11:59")
    work = new_work(clock_start, store=MemoryStore())

    @work.cron("0 * * * *")
    async def nightly() -> None:
        ran.append("nightly")

    @work.job
    def sync_one(account: int) -> None:
        ran.append("sync_one")

    @work.every("1h")
    async def broken() -> None:
        ran.append("broken")
        raise RuntimeError("its own failure")

    work.store.register(["nightly", "broken"])
    work.pipeline.clock.advance(70)  # type: ignore[attr-defined]
    route = work.routes(private=True) if private else work.routes(verify=Bearer(TOKEN))
    parts = [{"type": "http.request", "body": each, "more_body": True} for each in chunks]
    wire = Wire(
        {
            "type": kind,
            "method": method,
            "path": path,
            "query_string": query,
            "headers": given_headers,
        },
        [*parts, {"type": "http.request", "body": b"", "more_body": False}],
    )
    async with asyncio.timeout(10):
        await AfterMiddleware(route, work)(wire.scope, wire.receive, wire.send)
        while work.pipeline.queues:
            await asyncio.sleep(0.001)
    if kind != "http":
        return None, {}, ran
    starts = [each for each in wire.messages if each["type"] == "http.response.start"]
    assert len(starts) == 1
    assert (b"cache-control", b"no-store") in starts[0]["headers"]
    assert wire.messages[-1]["type"] == "http.response.body"
    return wire.status, json.loads(wire.body), ran


@given(methods, paths, queries, headers, bodies)
def test_nobody_runs_anything_without_the_secret(
    method: str,
    path: str,
    query: bytes,
    given_headers: list[tuple[bytes, bytes]],
    chunks: list[bytes],
) -> None:
    """A2, A4, A6, A7, A8, T19: nor learns which jobs there are; every refusal looks alike."""
    status, answer, ran = asyncio.run(send("http", method, path, query, given_headers, chunks))

    assert ran == []
    assert status in (200, 400, 401, 405, 413)
    if status == 200:
        assert answer == {"status": "ok"}  # the verdict of /health
    if status == 401:
        assert answer == {"status": "unauthorized"}


@given(methods, paths, queries, headers, bodies)
def test_only_a_jobs_own_failure_is_a_server_error(
    method: str,
    path: str,
    query: bytes,
    given_headers: list[tuple[bytes, bytes]],
    chunks: list[bytes],
) -> None:
    """With the secret: whatever else is sent is understood, or is the caller's mistake."""
    proof = [(b"authorization", b"Bearer " + TOKEN.encode())]
    others = [pair for pair in given_headers if pair[0].lower() != b"authorization"]

    status, answer, ran = asyncio.run(send("http", method, path, query, proof + others, chunks))

    assert status is not None
    if status >= 489:
        assert answer["status"] == "failed"
        assert ran == ["broken"]
    else:
        assert status in (200, 202, 400, 404, 405, 413)
    if status not in (200, 202):
        assert ran in ([], ["broken"])
    if method not in ("GET", "POST"):
        assert (status, ran) == (405, [])


@given(methods, paths, headers, bodies)
def test_a_private_route_runs_only_what_the_platform_dispatches(
    method: str, path: str, given_headers: list[tuple[bytes, bytes]], chunks: list[bytes]
) -> None:
    """T20: without all of its headers nothing runs."""
    status, _, ran = asyncio.run(
        send("http", method, path, b"", given_headers, chunks, private=True)
    )

    assert ran == []
    assert status in (200, 400, 405, 413)


@given(st.one_of(st.just("websocket"), st.text(min_size=1)), paths, headers)
def test_other_protocols_run_nothing(
    kind: str, path: str, given_headers: list[tuple[bytes, bytes]]
) -> None:
    if kind in ("http", "lifespan"):
        kind = "websocket"

    _, _, ran = asyncio.run(send(kind, "GET", path, b"", given_headers, []))

    assert ran == []
