"""What afterwork promises in every framework: one suite, run by each of them.

A framework's test adapts: `build(script)` makes an app with the routes below out of that framework
alone, and `install(app)` puts afterwork around it the way its users do. Every handler calls the
script, which is what a test fills in.

    /async/{who}    an async handler; answers 200 `done` with a header `x-answer: {who}` and a
                    cookie `seen={who}`
    /sync/{who}     the same from a sync handler                           (SyncHandlers)
    /gone/{who}     the script, then the framework's own way to say 404
    /moved/{who}    the script, then a redirect
    /crash/{who}    the script, then an exception that nobody handles
    /stream/{who}   sends `one`, calls the script, sends `two`, `three`
    /socket/{who}   a WebSocket: accepts, calls the script, sends `hello`, closes   (WebSockets)

Before each request the framework's own middleware calls `script.enter()`, and at the ends of the
process its own hooks write `startup` and `shutdown` into `script.life`.
"""

from __future__ import annotations

import asyncio
import inspect
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import pytest

from afterwork import AfterMiddleware, after, current_run
from afterwork.testing import drain
from tests.frameworks.site import Site, alive, serve
from tests.support import PATIENCE, until

if TYPE_CHECKING:
    from afterwork import ResponseInfo
    from afterwork._asgi import ASGIApp

TURNS = 50
"""Turns of the event loop, in which everything happens that could happen by now."""

bound: ContextVar[str] = ContextVar("bound", default="nothing")


class Crash(Exception):
    """An exception that nobody handles."""


@dataclass(frozen=True)
class Visit:
    """A request as its handler sees it, through the framework's own request object."""

    who: str
    header: Callable[[str], str | None]
    cookie: Callable[[str], str | None]


class Script:
    """What the handlers of an app under test do."""

    def __init__(self, act: Callable[[Visit], object], enter: Callable[[], object]) -> None:
        self.act = act
        self.enter = enter
        self.life: list[str] = []

    def run(self, visit: Visit) -> None:
        """In a sync handler."""
        self.act(visit)

    async def play(self, visit: Visit) -> None:
        """In an async handler."""
        result = self.act(visit)
        if inspect.isawaitable(result):
            await result


async def take_turns() -> None:
    """Lets everything else happen that could happen by now."""
    for _ in range(TURNS):
        await asyncio.sleep(0)


def nothing(*_: object) -> None:
    """Does not take part in a test."""


def response_of_run() -> ResponseInfo:
    """The response that the callback which asks runs after."""
    response = current_run().response
    assert response is not None
    return response


class Framework:
    """What an adapter says of its framework."""

    lifespans: ClassVar[tuple[bool, ...]] = (True, False)
    """False where the framework needs no lifespan to answer requests."""

    crash_escapes: ClassVar[bool] = False
    """Whether an unhandled exception goes on to the server."""

    has_lifespan: ClassVar[bool] = True

    socket_ends_with: ClassVar[str] = "websocket.close"
    """The last message of a WebSocket whose handler closed it."""

    def build(self, script: Script) -> Any:
        """The framework's app."""
        raise NotImplementedError

    def install(self, app: Any) -> ASGIApp:
        """The app with afterwork, as a server is given it."""
        return AfterMiddleware(app)

    @asynccontextmanager
    async def site(
        self,
        act: Callable[[Visit], object] = nothing,
        *,
        lifespan: bool,
        enter: Callable[[], object] = nothing,
    ) -> AsyncIterator[Site]:
        app = self.install(self.build(Script(act, enter)))
        async with serve(app, lifespan=lifespan) as site:
            yield site


class FrameworkContract(Framework):
    """What holds in every framework."""

    @pytest.mark.parametrize("kind", ["async", "sync", "coroutine"])
    async def test_r1_a_callback_runs_once_with_its_arguments_after_the_response(
        self, lifespan: bool, kind: str
    ) -> None:
        """R1: not before the final message was sent, and only once."""

        async def tell(who: str, *, more: int) -> None:
            site.log.append(f"{kind} callback {who} {more}")

        def tell_in_a_thread(who: str, *, more: int) -> None:
            site.log.append(f"{kind} callback {who} {more}")

        def act(visit: Visit) -> None:
            if kind == "coroutine":
                after(tell(visit.who, more=2))
            else:
                after(tell if kind == "async" else tell_in_a_thread, visit.who, more=2)
            site.log.append("handler")

        async with self.site(act, lifespan=lifespan) as site:
            response = await site.get("/async/ada")

        assert (response.status_code, response.text) == (200, "done")
        assert site.log[0] == "handler"
        assert site.log[-2:] == ["end", f"{kind} callback ada 2"]
        assert site.log.count(f"{kind} callback ada 2") == 1

    async def test_r11_a_helper_five_frames_down_reaches_the_request(self, lifespan: bool) -> None:
        """R11: nothing is passed down."""

        def helper(depth: int) -> None:
            if depth:
                helper(depth - 1)
            else:
                after(site.log.append, "callback")

        async with self.site(lambda _: helper(5), lifespan=lifespan) as site:
            await site.get("/async/ada")

        assert site.log[-2:] == ["end", "callback"]

    async def test_r12_the_frameworks_own_middleware_may_call_it_first(
        self, lifespan: bool
    ) -> None:
        """R12: queued before the handler was reached, run after the whole response."""

        def enter() -> None:
            after(site.log.append, "callback")

        async with self.site(enter=enter, lifespan=lifespan) as site:
            response = await site.get("/stream/ada")

        assert response.text == "onetwothree"
        assert site.log[-2:] == ["end", "callback"]

    async def test_r14_each_request_has_callbacks_of_its_own(self, lifespan: bool) -> None:
        """R14: an earlier request's callbacks do not run again."""
        ran: list[str] = []
        async with self.site(lambda visit: after(ran.append, visit.who), lifespan=lifespan) as site:
            await site.get("/async/ada")
            await site.get("/async/bob")

        assert ran == ["ada", "bob"]

    async def test_r21_a_callback_may_call_after(self, lifespan: bool) -> None:
        """R21: it joins the drain."""

        async def first(who: str) -> None:
            after(site.log.append, f"second {who}")

        async with self.site(lambda visit: after(first, visit.who), lifespan=lifespan) as site:
            await site.get("/async/ada")

        assert site.log[-2:] == ["end", "second ada"]

    async def test_r24_a_call_in_the_middle_of_a_stream_waits_for_its_end(
        self, lifespan: bool
    ) -> None:
        """R24: the generator goes on for two chunks, then the callback runs."""

        async with self.site(
            lambda visit: after(site.log.append, f"callback {visit.who}"), lifespan=lifespan
        ) as site:
            response = await site.get("/stream/ada")

        assert response.text == "onetwothree"
        assert site.log[-2:] == ["end", "callback ada"]
        assert site.log.count("http.response.body") >= 2

    async def test_r26_r30_a_failing_callback_harms_nobody(self, lifespan: bool) -> None:
        """R26, R30: its sibling runs, the client and the server notice nothing."""

        async def fail() -> None:
            raise Crash

        def act(visit: Visit) -> None:
            after(fail)
            after(site.log.append, "callback")

        async with self.site(act, lifespan=lifespan) as site:
            response = await site.get("/async/ada")
            again = await site.get("/async/ada")

        assert (response.status_code, again.status_code) == (200, 200)
        assert site.log.count("callback") == 2
        assert site.raised == []

    async def test_r38_a_redirect_is_a_response(self, lifespan: bool) -> None:
        seen: list[int] = []
        async with self.site(
            lambda _: after(lambda: seen.append(response_of_run().status)), lifespan=lifespan
        ) as site:
            response = await site.get("/moved/ada")

        assert 300 <= response.status_code < 400
        assert seen == [response.status_code]

    async def test_r39_callbacks_run_after_the_frameworks_own_404(self, lifespan: bool) -> None:
        """R39: `current_run().response` shows what the client saw, and there is no error."""
        seen: list[ResponseInfo] = []
        async with self.site(
            lambda _: after(lambda: seen.append(response_of_run())), lifespan=lifespan
        ) as site:
            response = await site.get("/gone/ada")

        assert response.status_code == 404
        assert [(info.status, info.error, info.completed) for info in seen] == [(404, None, True)]
        assert seen[0].bytes_sent == response.num_bytes_downloaded
        assert site.raised == []

    async def test_r40_callbacks_run_after_an_unhandled_exception(self, lifespan: bool) -> None:
        """R40, R43: status 500, and the error is what left the app, if the framework lets it."""
        seen: list[ResponseInfo] = []
        async with self.site(
            lambda _: after(lambda: seen.append(response_of_run())), lifespan=lifespan
        ) as site:
            response = await site.get("/crash/ada")
            # Where the app sends no answer the server has to, and is not kept from it.
            await drain()

        assert response.status_code == 500
        (info,) = seen
        assert info.status == 500
        if self.crash_escapes:
            assert isinstance(info.error, Crash)
            assert site.raised == [info.error]
        else:
            assert info.error is None
            assert site.raised == []

    async def test_r41_conditions_follow_what_the_client_saw(self, lifespan: bool) -> None:
        """R41, R42: 200 and redirects are success, 404 and 500 are errors."""
        ran: list[tuple[str, str]] = []

        def act(visit: Visit) -> None:
            for condition in ("success", "error", "always"):
                after.options(on=condition)(ran.append, (visit.who, condition))

        async with self.site(act, lifespan=lifespan) as site:
            for kind in ("async", "moved", "gone", "crash"):
                await site.get(f"/{kind}/{kind}")
                await drain()

        assert sorted(ran) == [
            ("async", "always"),
            ("async", "success"),
            ("crash", "always"),
            ("crash", "error"),
            ("gone", "always"),
            ("gone", "error"),
            ("moved", "always"),
            ("moved", "success"),
        ]

    @pytest.mark.parametrize("path", ["/async/ada", "/stream/ada"])
    async def test_r56_r57_context_is_that_of_the_call(self, lifespan: bool, path: str) -> None:
        """R56, R57: set before the call, changed after it."""
        seen: list[str] = []

        async def look() -> None:
            seen.append(f"async {bound.get()}")

        def act(visit: Visit) -> None:
            bound.set(visit.who)
            after(look)
            after(lambda: seen.append(f"sync {bound.get()}"))
            bound.set("changed")

        async with self.site(act, lifespan=lifespan) as site:
            await site.get(path)

        assert sorted(seen) == ["async ada", "sync ada"]

    async def test_r58_interleaved_requests_do_not_mix(self, lifespan: bool) -> None:
        """R58: both are in their handlers while either calls `after()`."""
        together = asyncio.Barrier(2)
        seen: list[tuple[str, str, str, str | None]] = []

        def look(who: str) -> None:
            scope = current_run().scope
            assert scope is not None
            seen.append((who, bound.get(), scope["path"], response_of_run().header("x-answer")))

        async def act(visit: Visit) -> None:
            bound.set(visit.who)
            for _ in range(2):
                await together.wait()
                after(look, visit.who)

        async with self.site(act, lifespan=lifespan) as site:
            await asyncio.gather(site.get("/async/ada"), site.get("/async/bob"))

        assert sorted(seen) == [
            *[("ada", "ada", "/async/ada", "ada")] * 2,
            *[("bob", "bob", "/async/bob", "bob")] * 2,
        ]

    @pytest.mark.parametrize("kind", ["async", "sync"])
    async def test_r60_the_request_is_still_readable(self, lifespan: bool, kind: str) -> None:
        """R60: headers and cookies, through the framework's own request object."""
        seen: list[tuple[str | None, str | None]] = []

        def look(visit: Visit) -> None:
            seen.append((visit.header("x-token"), visit.cookie("session")))

        async def look_async(visit: Visit) -> None:
            look(visit)

        async with self.site(
            lambda visit: after(look_async if kind == "async" else look, visit), lifespan=lifespan
        ) as site:
            headers = {"x-token": "secret", "cookie": "session=s1"}
            await site.get("/async/ada", headers=headers)

        assert seen == [("secret", "s1")]

    async def test_r60_the_scope_of_the_request_is_in_the_run(self, lifespan: bool) -> None:
        """R60: `current_run().scope` has the headers, whatever the framework."""
        seen: list[bytes] = []

        def look() -> None:
            scope = current_run().scope
            assert scope is not None
            seen.append(dict(scope["headers"])[b"x-token"])

        async with self.site(lambda _: after(look), lifespan=lifespan) as site:
            await site.get("/async/ada", headers={"x-token": "secret"})

        assert seen == [b"secret"]

    async def test_r63_headers_are_readable_as_sent(self, lifespan: bool) -> None:
        """R63: also those that the framework added after the handler had returned."""
        seen: list[ResponseInfo] = []
        async with self.site(
            lambda _: after(lambda: seen.append(response_of_run())), lifespan=lifespan
        ) as site:
            response = await site.get("/async/ada")

        (info,) = seen
        assert info.header("X-Answer") == "ada"
        assert (info.header("set-cookie") or "").startswith("seen=ada")
        assert [(name.lower(), value) for name, value in info.headers] == [
            (name.lower(), value) for name, value in response.headers.raw
        ]

    async def test_r72_shutdown_is_held_back_until_callbacks_are_over(self) -> None:
        """R72, DESIGN rule 11: what the app closes at its shutdown is there until then."""
        told = asyncio.Event()
        script = Script(lambda _: after(work), nothing)

        async def work() -> None:
            script.life.append("callback")
            await told.wait()
            await take_turns()
            script.life.append("callback is over")

        app = self.install(self.build(script))
        site = Site(app, lifespan=True)
        async with site.client, alive(app) as life:
            response = await site.client.get("/async/ada")
            await until(lambda: "callback" in script.life)
            told.set()
            answer = await life.shutdown()

        assert response.status_code == 200
        assert answer["type"] == "lifespan.shutdown.complete"
        hooks = ["startup", "shutdown"] if self.has_lifespan else []
        expected = [*hooks[:1], "callback", "callback is over", *hooks[1:]]
        assert script.life == expected


class SyncHandlers(Framework):
    """What holds in addition where handlers may be sync, on whatever thread they run."""

    async def test_r10_a_sync_handler_may_call_after(self, lifespan: bool) -> None:
        """R10: registered for its request, run after the response."""

        async def tell(who: str) -> None:
            site.log.append(f"callback {who} {bound.get()}")

        def act(visit: Visit) -> None:
            bound.set(visit.who)
            after(tell, visit.who)
            site.log.append("handler")

        async with self.site(act, lifespan=lifespan) as site:
            response = await site.get("/sync/ada")

        assert (response.status_code, response.text) == (200, "done")
        assert site.log[0] == "handler"
        assert site.log[-2:] == ["end", "callback ada ada"]


class SyncHandlersInThreads(SyncHandlers):
    """Where sync handlers run in threads."""

    async def test_r10_sync_handlers_at_the_same_time_do_not_mix(self, lifespan: bool) -> None:
        """R10, R58: both threads are in their handlers while either calls `after()`."""
        together = threading.Barrier(2, timeout=PATIENCE)
        seen: list[tuple[str, str, str]] = []
        threads: set[int] = set()

        def look(who: str) -> None:
            scope = current_run().scope
            assert scope is not None
            seen.append((who, bound.get(), scope["path"]))

        def act(visit: Visit) -> None:
            threads.add(threading.get_ident())
            bound.set(visit.who)
            for _ in range(2):
                together.wait()
                after(look, visit.who)

        async with self.site(act, lifespan=lifespan) as site:
            await asyncio.gather(site.get("/sync/ada"), site.get("/sync/bob"))

        assert sorted(seen) == [
            *[("ada", "ada", "/sync/ada")] * 2,
            *[("bob", "bob", "/sync/bob")] * 2,
        ]
        assert len(threads - {threading.get_ident()}) == 2


class WebSockets(Framework):
    """Where the framework speaks WebSocket."""

    async def test_r51_a_websocket_handler_may_call_after(self, lifespan: bool) -> None:
        """R51: once, after the connection was closed."""
        seen: list[tuple[str, int, str | None]] = []

        def look(visit: Visit) -> None:
            site.log.append("callback")
            seen.append(
                (visit.who, response_of_run().status, visit.header("sec-websocket-version"))
            )

        async with self.site(lambda visit: after(look, visit), lifespan=lifespan) as site:
            sent = await site.websocket("/socket/ada")

        assert [message.get("text") for message in sent if message["type"] == "websocket.send"] == [
            "hello"
        ]
        assert site.log[-2:] == [self.socket_ends_with, "callback"]
        assert seen == [("ada", 101, "13")]
