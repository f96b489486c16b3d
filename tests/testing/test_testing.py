"""The test kit with the tools that people use: TestClient, httpx, pytest-asyncio, anyio, pytest."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from afterwork import AfterMiddleware, after, current_run
from afterwork.testing import (
    FakeHost,
    capture,
    drain,
    immediate,
    leak_guard,
    scope,
    strict,
    wait_for_drain,
)
from tests.support import answering, call, lifespan

pytest_plugins = ["pytester"]


def app_with(handler: Any) -> AfterMiddleware:
    async def endpoint(request: Any) -> PlainTextResponse:
        handler()
        return PlainTextResponse("ok")

    return AfterMiddleware(Starlette(routes=[Route("/", endpoint, methods=["GET", "POST"])]))


def fail() -> None:
    raise RuntimeError("callback")


def test_a_failing_callback_never_loses_the_response_with_test_client() -> None:
    app = app_with(lambda: after(fail))

    assert TestClient(app).get("/").text == "ok"
    with TestClient(app) as client:
        assert client.get("/").text == "ok"
    with pytest.raises(ExceptionGroup), strict():
        assert TestClient(app).get("/").text == "ok"


def test_with_test_client_callbacks_are_over_when_the_client_has_its_answer() -> None:
    """Without `with` there is no lifespan, so the ASGI call waits for them."""
    ran: list[str] = []

    TestClient(app_with(lambda: after(ran.append, "x"))).get("/")

    assert ran == ["x"]


def test_with_a_lifespan_a_sync_test_waits_for_the_drain() -> None:
    ran: list[str] = []
    release = threading.Event()

    def work() -> None:
        release.wait(5)
        ran.append("x")

    with TestClient(app_with(lambda: after(work))) as client:
        client.get("/")
        assert ran == []
        with pytest.raises(TimeoutError, match="unfinished after 0.01 s: .*work"):
            wait_for_drain(0.01)
        release.set()
        wait_for_drain()
        assert ran == ["x"]


async def test_with_httpx_callbacks_are_over_when_the_client_has_its_answer() -> None:
    ran: list[str] = []
    transport = httpx.ASGITransport(app_with(lambda: after(ran.append, "x")))

    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        assert (await client.get("/")).text == "ok"

    assert ran == ["x"]


async def test_drain_names_what_is_unfinished() -> None:
    may_end = asyncio.Event()
    app = AfterMiddleware(answering(lambda: after(may_end.wait) and None))
    async with lifespan(app):
        await call(app)
        with pytest.raises(TimeoutError, match=r"after 0\.01 s: Event\.wait"):
            await drain(0.01)
        may_end.set()
        await drain()


def test_capture_sees_what_an_app_in_another_thread_queues() -> None:
    app = app_with(lambda: after.options(name="receipt")(fail))

    with capture() as calls:
        TestClient(app).post("/")

    assert calls.names == ["receipt"]


async def test_capture_with_execute_runs_async_callbacks_in_an_async_test() -> None:
    ran: list[str] = []

    async def work() -> None:
        await asyncio.sleep(0)
        ran.append("work")
        after(ran.append, "nested")

    async with capture(execute=True) as calls:
        after(work)
        after(work())

    assert ran.count("work") == 2
    assert ran.count("nested") == 2
    assert len(calls) == 4


def test_capture_with_nothing_to_run_runs_nothing() -> None:
    with capture(execute=True) as calls:
        pass
    assert calls == []


async def test_strict_is_content_with_what_succeeds() -> None:
    async with strict(), scope():
        after(lambda: None)


async def test_capture_closes_coroutines_that_it_drops() -> None:
    async def work() -> None: ...

    async with capture() as calls:
        after(work())
    with pytest.raises(ValueError, match="the test's own"), capture(execute=True):
        after(work())
        raise ValueError("the test's own")

    assert calls[0].done


def test_immediate_runs_an_async_callback_to_its_end_where_no_loop_runs() -> None:
    ran: list[str] = []

    async def work() -> None:
        await asyncio.sleep(0)
        assert current_run().response is None
        ran.append("work")
        after(ran.append, "nested")

    with immediate():
        after(work)
        assert ran == ["nested", "work"] or ran == ["work", "nested"]


async def test_immediate_in_an_async_test_starts_it_and_drain_waits_for_it() -> None:
    ran: list[str] = []

    async def work() -> None:
        await asyncio.sleep(0)
        ran.append("work")

    with immediate():
        after(work)
        after(ran.append, "sync, at once")
        assert ran[:1] == ["sync, at once"]
    await drain()

    assert sorted(ran) == ["sync, at once", "work"]


async def test_immediate_in_a_request_is_waited_for_by_its_drain() -> None:
    ran: list[str] = []

    async def work() -> None:
        await asyncio.sleep(0.001)
        ran.append("work")

    with immediate():
        await call(AfterMiddleware(answering(lambda: after(work) and None)))
        assert ran == ["work"]


def test_immediate_does_not_raise_what_a_callback_raises(caplog: Any) -> None:
    with immediate():
        after(fail)
        after(lambda: asyncio.sleep(0))

    assert "callback" in caplog.text


def test_scope_takes_settings_a_status_and_an_error() -> None:
    ran: list[str] = []

    with scope(status=404, sequential=True):
        after.options(on="success")(ran.append, "success")
        after.options(on="error")(ran.append, "error")
    with pytest.raises(ValueError, match="the code's own"), scope():
        after.options(on="error")(ran.append, "raised")
        raise ValueError("the code's own")
    with scope():
        pass

    assert ran == ["error", "raised"]


async def test_scope_in_an_async_test() -> None:
    ran: list[str] = []

    async with scope():
        after(ran.append, "x")
    async with scope(early=True, host="inline"):
        pass

    assert ran == ["x"]


async def test_strict_waits_for_running_callbacks_and_raises_at_the_end() -> None:
    app = AfterMiddleware(answering(lambda: after(fail) and None))
    async with lifespan(app):
        with pytest.raises(ExceptionGroup, match="1 callbacks failed"):
            async with strict():
                await call(app)


async def test_strict_raises_a_timeout_too_and_each_error_once() -> None:
    async with strict():
        async with scope(timeout=0.01):
            after(asyncio.Event().wait)
        with pytest.raises(ExceptionGroup):
            await drain()


async def test_strict_does_not_replace_the_tests_own_error() -> None:
    for mode in ("sync", "async"):
        with pytest.raises(ValueError, match="the test's own"):
            if mode == "sync":
                with strict():
                    async with scope():
                        after(fail)
                    raise ValueError("the test's own")
            async with strict():
                async with scope():
                    after(fail)
                raise ValueError("the test's own")


async def test_a_plain_strict_block_in_an_async_test_raises_what_it_has_seen() -> None:
    with pytest.raises(ExceptionGroup), strict(), strict():
        async with scope():
            after(fail)


async def test_leak_guard_names_what_is_left_and_where_it_was_queued() -> None:
    may_end = asyncio.Event()
    app = AfterMiddleware(answering(lambda: after(may_end.wait) and None))
    async with lifespan(app):
        with (
            pytest.raises(AssertionError, match=r"1 callbacks are unfinished: Event\.wait \(.*py:"),
            leak_guard(),
        ):
            await call(app)
        with leak_guard():  # what was there before is not its business
            pass
        with pytest.raises(ValueError, match="own"), leak_guard():
            await call(app)
            raise ValueError("own")
        may_end.set()
        await drain()
        with leak_guard():
            await call(app)
            await drain()


async def test_a_fake_host_has_a_deadline_to_set() -> None:
    host = FakeHost(deadline_in=60)
    remaining: list[float | None] = []
    app = AfterMiddleware(
        answering(lambda: after(lambda: remaining.append(current_run().remaining())) and None),
        host=host,
    )

    await call(app)
    host.deadline_in = None
    await call(app)
    await host.settle()

    assert remaining[1] is None
    assert remaining[0] is not None
    assert 50 < remaining[0] <= 60


PLUGIN_TEST = """
import asyncio
import pytest
from afterwork import after
from afterwork.testing import scope

def fail():
    raise RuntimeError("callback")

def test_calls(afterwork_calls):
    after(fail)
    assert afterwork_calls.names == ["fail"]

def test_immediate(afterwork_immediate):
    ran = []
    after(ran.append, 1)
    assert ran == [1]

def test_strict_fails_in_teardown(afterwork_strict):
    with scope():
        after(fail)

def test_leaks_nothing(afterwork_leak_guard):
    with scope():
        after(print)

async def test_host(afterwork_host):
    assert afterwork_host.info.mode == "handover"

@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio", "trio"])
def test_nothing_is_autouse(anyio_backend, request):
    assert not [name for name in request.fixturenames if name.startswith("afterwork")]
"""

ANYIO_TEST = """
import pytest
from afterwork import after
from afterwork.testing import drain, scope

pytestmark = pytest.mark.anyio

async def test_scope():
    ran = []
    async with scope():
        after(ran.append, 1)
    await drain()
    assert ran == [1]
"""


def test_the_plugin_offers_fixtures_and_none_is_autouse(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(PLUGIN_TEST)
    result = pytester.runpytest_inprocess("-o", "asyncio_mode=auto", "-W", "ignore")
    result.assert_outcomes(passed=7, errors=1)
    result.stdout.fnmatch_lines(["*ERROR*test_strict_fails_in_teardown*"])


def test_the_kit_works_under_anyios_plugin_on_both_loops(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(ANYIO_TEST)
    result = pytester.runpytest_inprocess("-p", "no:asyncio", "-W", "ignore")
    result.assert_outcomes(passed=2)
