"""R1 to R14: what `after()` takes, and when it refuses.

The cases: R1, R2, R3, R4, R5, R6, R7, R8, R9, R10, R11, R12, R13, R14.
"""

from __future__ import annotations

import asyncio
import gc
import warnings
from typing import TYPE_CHECKING, Any

import pytest

from afterwork import AfterMiddleware, after
from afterwork.errors import (
    HostUnavailableError,
    InvalidCallbackError,
    NoRequestError,
)
from afterwork.testing import FakeHost
from tests.support import answering, call, events, fields, lifespan, respond

if TYPE_CHECKING:
    from afterwork._asgi import Message, Receive, Scope, Send


async def test_r1_a_callback_runs_once_after_the_final_message() -> None:
    log: list[str] = []

    def handler() -> None:
        after(log.append, "callback")
        log.append("handler returns")

    await call(AfterMiddleware(answering(handler)), log=log)

    assert log == ["handler returns", "http.response.start", "http.response.body", "callback"]


async def test_r2_the_host_is_asked_once_however_many_callbacks() -> None:
    """R2, decided: a Task given to after() is one of the callbacks and adds no call of its own."""
    host = FakeHost()
    ran: list[int] = []

    async def running() -> None:
        ran.append(4)

    def handler() -> None:
        for number in (1, 2, 3):
            after(ran.append, number)
        after(asyncio.ensure_future(running()))

    await call(AfterMiddleware(answering(handler), host=host))

    assert len(host.handed) == 1
    await host.settle()
    assert sorted(ran) == [1, 2, 3, 4]


async def test_r3_without_after_there_is_no_task_and_messages_pass_untouched() -> None:
    host = FakeHost()
    start = {"type": "http.response.start", "status": 200, "headers": [(b"a", b"b")]}
    body = {"type": "http.response.body", "body": b"x", "more_body": True}
    end = {"type": "http.response.body", "body": b""}
    tasks: list[int] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        for message in (start, body, end):
            await send(message)
        tasks.append(len(asyncio.all_tasks()))

    before = len(asyncio.all_tasks()) + 1  # the server's task for this request
    wire = await call(AfterMiddleware(app, host=host))

    assert all(sent is given for sent, given in zip(wire.messages, (start, body, end), strict=True))
    assert tasks == [before]
    assert host.handed == []


@pytest.mark.parametrize("thing", [None, 1, "s", [], {}, object()])
async def test_r4_what_cannot_be_called_is_refused_at_the_call(thing: Any) -> None:
    ran: list[str] = []

    def handler() -> None:
        with pytest.raises(TypeError, match=type(thing).__name__) as caught:
            after(thing)
        assert isinstance(caught.value, InvalidCallbackError)
        after(ran.append, "the queue is unharmed")

    await call(AfterMiddleware(answering(handler)))

    assert ran == ["the queue is unharmed"]


async def test_r4_a_generator_function_is_refused_since_calling_it_runs_nothing() -> None:
    def generator() -> Any:
        yield 1

    async def async_generator() -> Any:
        yield 1

    def handler() -> None:
        for function in (generator, async_generator):
            with pytest.raises(InvalidCallbackError, match=function.__qualname__):
                after(function)

    await call(AfterMiddleware(answering(handler)))


async def test_r5_a_coroutine_is_accepted_and_starts_only_after_the_response() -> None:
    """R5, decided: a coroutine is lazy, so it is as good as a function."""
    log: list[str] = []

    async def work() -> None:
        log.append("coroutine")

    await call(AfterMiddleware(answering(lambda: after(work()) and None)), log=log)

    assert log == ["http.response.start", "http.response.body", "coroutine"]


async def test_r5_a_coroutine_that_will_not_run_is_closed_without_a_warning() -> None:
    async def work() -> None: ...

    def handler() -> None:
        assert after(work()).cancel()
        after.options(on="error")(work())

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        await call(AfterMiddleware(answering(handler)))
        gc.collect()


async def test_r5_a_coroutine_takes_no_arguments_and_no_retry() -> None:
    from afterwork import Retry

    async def work() -> None: ...

    def handler() -> None:
        coroutine: Any = work()
        with pytest.raises(InvalidCallbackError, match="arguments"):
            after(coroutine, 1)
        with pytest.raises(InvalidCallbackError, match="retry="):
            after.options(retry=Retry(2))(coroutine)
        coroutine.close()

    await call(AfterMiddleware(answering(handler)))


async def test_r6_a_running_task_is_not_restarted_and_is_waited_for() -> None:
    host = FakeHost()
    starts: list[str] = []
    may_end = asyncio.Event()

    async def work() -> None:
        starts.append("once")
        await may_end.wait()

    def handler() -> None:
        after(asyncio.ensure_future(work()))

    await call(AfterMiddleware(answering(handler), host=host))
    drained = asyncio.ensure_future(host.settle())
    await asyncio.sleep(0)

    assert starts == ["once"]
    assert not drained.done()
    may_end.set()
    await drained


def test_r7_outside_a_request_it_raises_at_the_call_and_says_what_to_do() -> None:
    with pytest.raises(RuntimeError, match="AfterMiddleware") as caught:
        after(print)
    assert isinstance(caught.value, NoRequestError)
    assert str(caught.traceback[-2].path) == __file__
    with pytest.raises(NoRequestError):
        after.cancel("k")


async def test_r8_an_unavailable_host_raises_at_the_call_and_queues_nothing() -> None:
    host = FakeHost(missing="no context")
    ran: list[str] = []

    def handler() -> None:
        with pytest.raises(HostUnavailableError, match="no context"):
            after(ran.append, "never")

    wire = await call(AfterMiddleware(answering(handler), host=host))

    assert wire.status == 200
    assert ran == []
    assert host.handed == []


async def test_r9_on_missing_warn_says_it_once_and_runs_inside_the_process(caplog: Any) -> None:
    host = FakeHost(missing="no context")
    ran: list[str] = []
    app = AfterMiddleware(
        answering(lambda: after(ran.append, "ran") and None), host=host, on_missing="warn"
    )

    await call(app)
    await call(app)

    assert ran == ["ran", "ran"]
    assert host.handed == []
    assert events(caplog).count("host.unavailable") == 1
    assert fields(caplog, "host.unavailable")["note"] == "no context"


async def test_r10_a_sync_endpoint_in_a_thread_registers_on_its_own_request() -> None:
    ran: list[str] = []

    def endpoint(path: str) -> None:
        after(ran.append, path)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await asyncio.to_thread(endpoint, scope["path"])
        await respond(send)

    wrapped = AfterMiddleware(app)
    await asyncio.gather(*(call(wrapped, f"/{number}") for number in range(20)))

    assert sorted(ran) == sorted(f"/{number}" for number in range(20))


async def test_r11_it_works_any_number_of_frames_down() -> None:
    ran: list[str] = []

    def helper(depth: int) -> None:
        if depth:
            helper(depth - 1)
        else:
            after(ran.append, "deep")

    await call(AfterMiddleware(answering(lambda: helper(5))))

    assert ran == ["deep"]


async def test_r12_an_outer_middleware_may_call_it_before_the_inner_app() -> None:
    log: list[str] = []
    inner = answering(lambda: log.append("inner"))

    async def outer(scope: Scope, receive: Receive, send: Send) -> None:
        after(log.append, "callback")
        await inner(scope, receive, send)

    await call(AfterMiddleware(outer), log=log)

    assert log == ["inner", "http.response.start", "http.response.body", "callback"]


async def test_r13_of_nested_middlewares_the_outermost_runs_each_callback_once() -> None:
    outer_host, inner_host = FakeHost(), FakeHost()
    ran: list[str] = []
    inner = AfterMiddleware(answering(lambda: after(ran.append, "x") and None), host=inner_host)

    async def mounting(scope: Scope, receive: Receive, send: Send) -> None:
        await inner({**scope, "root_path": "/inner"}, receive, send)

    await call(AfterMiddleware(mounting, host=outer_host))
    await outer_host.settle()

    assert ran == ["x"]
    assert len(outer_host.handed) == 1
    assert inner_host.handed == []


async def test_r13_an_inner_lifespan_is_left_to_the_outer_middleware() -> None:
    inner = AfterMiddleware(answering(lambda: None))

    async with lifespan(AfterMiddleware(inner)):
        assert not inner._lifespan.running


async def test_r14_a_second_request_does_not_run_the_first_ones_callbacks_again() -> None:
    ran: list[str] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] == "/first":
            after(ran.append, "first")
        await respond(send)

    wrapped = AfterMiddleware(app)

    async def connection() -> None:  # both in one task and context, as a server might
        for path in ("/first", "/second"):
            await wrapped({"type": "http", "method": "GET", "path": path}, _never, _ignore)

    await connection()

    assert ran == ["first"]


async def test_a_request_inside_a_request_leaves_the_outer_one_current() -> None:
    """An in-process call, as with httpx's ASGITransport, in the middle of a handler."""
    ran: list[str] = []
    inner = AfterMiddleware(answering(lambda: after(ran.append, "inner") and None))

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await inner({"type": "http", "method": "GET", "path": "/inner"}, _never, _ignore)
        assert ran == ["inner"]
        after(ran.append, "outer")
        await respond(send)

    await call(AfterMiddleware(app))

    assert ran == ["inner", "outer"]


async def _never() -> Message:
    raise AssertionError("nothing is received here")


async def _ignore(message: Message) -> None: ...
