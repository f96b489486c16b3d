"""A bare ASGI app, with no framework at all."""

from __future__ import annotations

from http.cookies import SimpleCookie
from typing import TYPE_CHECKING

import httpx
import pytest

from afterwork import AfterMiddleware, after
from tests.frameworks.contract import (
    Crash,
    FrameworkContract,
    Script,
    Visit,
    WebSockets,
    response_of_run,
)
from tests.frameworks.site import serve

if TYPE_CHECKING:
    from afterwork._asgi import ASGIApp, Receive, Scope, Send


def visit(scope: Scope, who: str) -> Visit:
    headers = {name.decode(): value.decode() for name, value in scope["headers"]}
    cookies = SimpleCookie(headers.get("cookie", ""))
    return Visit(
        who,
        headers.get,
        lambda name: cookies[name].value if name in cookies else None,
    )


async def lifespan(script: Script, receive: Receive, send: Send) -> None:
    for event in ("startup", "shutdown"):
        assert (await receive())["type"] == f"lifespan.{event}"
        script.life.append(event)
        await send({"type": f"lifespan.{event}.complete"})


async def socket(script: Script, visit: Visit, receive: Receive, send: Send) -> None:
    assert (await receive())["type"] == "websocket.connect"
    await send({"type": "websocket.accept"})
    await script.play(visit)
    await send({"type": "websocket.send", "text": "hello"})
    await send({"type": "websocket.close"})


async def answer(script: Script, kind: str, visit: Visit, send: Send) -> None:
    status = {"gone": 404, "moved": 307}.get(kind, 200)
    headers = [(b"x-answer", visit.who.encode()), (b"set-cookie", b"seen=" + visit.who.encode())]
    if kind == "moved":
        headers.append((b"location", b"/async/elsewhere"))
    if kind != "stream":
        await script.play(visit)
    if kind == "crash":
        raise Crash
    await send({"type": "http.response.start", "status": status, "headers": headers})
    if kind == "stream":
        await send({"type": "http.response.body", "body": b"one", "more_body": True})
        await script.play(visit)
        await send({"type": "http.response.body", "body": b"two", "more_body": True})
    body = {"gone": b"gone", "stream": b"three"}.get(kind, b"done")
    await send({"type": "http.response.body", "body": body})


class TestBareASGI(WebSockets, FrameworkContract):
    crash_escapes = True

    def build(self, script: Script) -> ASGIApp:
        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] == "lifespan":
                await lifespan(script, receive, send)
                return
            _, kind, who = scope["path"].split("/")
            if scope["type"] == "websocket":
                await socket(script, visit(scope, who), receive, send)
                return
            script.enter()
            await answer(script, kind, visit(scope, who), send)

        return app


@pytest.mark.parametrize("lazy", [True, False], ids=["lazy", "eager"])
async def test_r63_headers_given_as_an_iterator_reach_client_and_callback(lazy: bool) -> None:
    """R63: ASGI asks for an iterable, so an app may send a generator (Sanic does), which can be
    read once: by a server in `send`, or by one that looks at it later."""
    seen: list[str | None] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        after(lambda: seen.append(response_of_run().header("x-answer")))
        headers = iter([(b"x-answer", b"ada")])
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"done"})

    wrapped = AfterMiddleware(app)
    if lazy:
        transport = httpx.ASGITransport(wrapped)
        async with httpx.AsyncClient(transport=transport, base_url="http://testserver") as client:
            response = await client.get("/")
    else:
        async with serve(wrapped) as site:
            response = await site.get("/")

    assert response.headers.get("x-answer") == "ada"
    assert seen == ["ada"]
