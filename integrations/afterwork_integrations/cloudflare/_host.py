"""How the work of a request outlives its response on Cloudflare Workers.

1. The work goes to `waitUntil` as a task that runs already, in a proxy of its own. Without one,
   Pyodide destroys the proxy that it makes for the argument when the call returns. Ours is
   destroyed when the task is done.
2. Nothing of JavaScript is kept between requests: `waitUntil` is asked for each time. A Worker's
   memory may be a snapshot from its deployment, which cannot hold such things.

Facts: https://developers.cloudflare.com/workers/runtime-apis/context/#waituntil
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from importlib import import_module
from typing import Any

from afterwork import HostInfo
from afterwork.errors import InvalidHostError

SECONDS = 25.0
"""For one request's work: Cloudflare gives about 30 from the end of the response."""
NAMES = ("wait_until", "waitUntil")
"""What the module `workers` calls it, now and formerly."""
MISSING = (
    "this Python Workers SDK has no wait_until, so the client waits for the work, as with "
    'host="before_end". Update workers-runtime-sdk, or hand over each request\'s context: '
    "afterwork_integrations.cloudflare.Cloudflare(self.ctx).around(app). For long work hand it "
    "over to a queue."
)


class Cloudflare:
    """A Python Worker.

    Its work runs after the response, on the loop that serves requests, sync callbacks too: there
    are no threads. It has `max_seconds` from the end of the response, and is then cut and reported.

    The SDK's `workers.wait_until` is used. Where the SDK is too old to have one, and no `ctx` is
    given, the work runs before the end of the response, and a warning says so. Outside of Workers
    it is an ordinary server, for example on a developer's machine.

    `ctx`
        Default None. The context of a request, `self.ctx` in a `WorkerEntrypoint`, to use instead
        of the SDK: `asgi.fetch(Cloudflare(self.ctx).around(app), request, self.env, self.ctx)`.
        It belongs to one request, so make one `Cloudflare` for each.
    `max_seconds`
        Default 25.0. The most seconds that one request's work may take, where the Worker goes on
        for it; None for no limit. Cloudflare ends what is not done about 30 seconds after the
        response, without a word.

    Raises `InvalidOptionError`, and `InvalidHostError` for a `ctx` without `waitUntil`.
    """

    def __init__(self, ctx: Any = None, *, max_seconds: float | None = SECONDS) -> None:
        if ctx is not None and not hasattr(ctx, "waitUntil"):
            raise InvalidHostError(f"Cloudflare for a ctx without waitUntil: {ctx!r}")
        self._ctx = ctx
        if ctx is not None or _of_sdk() is not None:
            self.info = HostInfo(
                "cloudflare", "handover", lifespan_is_process=False, max_seconds=max_seconds
            )
        elif sys.platform == "emscripten":
            self.info = HostInfo(
                "cloudflare", "before_end", lifespan_is_process=False, note=MISSING
            )
        else:
            self.info = HostInfo("cloudflare")

    def __repr__(self) -> str:
        return f"<Cloudflare, {self.info.mode}>"

    def wait_until(self, scope: MutableMapping[str, Any], work: Awaitable[None]) -> None:
        """Hands the work to the Worker's `waitUntil`. Raises `InvalidHostError` where there is
        none."""
        hand_over(asyncio.ensure_future(work), self._ctx)

    def deadline(self, scope: MutableMapping[str, Any]) -> float | None:
        """None: the platform tells none, and `max_seconds` counts from the response."""
        return None

    def around(self, app: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        """The app, on this host: for one request that brings its context."""

        async def on_this_host(
            scope: MutableMapping[str, Any], receive: object, send: object
        ) -> None:
            await app({**scope, "afterwork": self}, receive, send)

        return on_this_host


def detected(environ: Mapping[str, str]) -> Cloudflare:
    """The host where nobody has named one. The environment tells nothing about it."""
    return Cloudflare()


def hand_over(task: asyncio.Future[Any], ctx: Any = None) -> None:
    """Has the Worker wait for a task. Raises `InvalidHostError` where it cannot."""
    wait_until = _of_sdk() if ctx is None else ctx.waitUntil
    if wait_until is None:
        raise InvalidHostError("Cloudflare without a wait_until; give it the request's ctx")
    proxy = import_module("pyodide.ffi").create_proxy(task)
    task.add_done_callback(lambda _: proxy.destroy())
    wait_until(proxy)


def _of_sdk() -> Callable[[Any], object] | None:
    """The SDK's function; None where there is none, or no SDK."""
    try:
        sdk = import_module("workers")
    except ImportError:
        return None
    for name in NAMES:
        found: Callable[[Any], object] | None = getattr(sdk, name, None)
        if found is not None:
            return found
    return None
