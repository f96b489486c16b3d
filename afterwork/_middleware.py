"""The ASGI middleware: sees every request and starts what it queued when its response is out.

What it costs a request that queues nothing is measured in `benchmarks/`, so `__call__` does with
plain statements what would read better as calls.
"""

from __future__ import annotations

from ._asgi import SCOPE_KEY
from ._current import current_exchange
from ._exchange import Exchange
from ._hosts import as_host

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Protocol, Unpack

    from ._asgi import ASGIApp, Receive, Scope, Send
    from ._pipeline import Pipeline
    from ._settings import SettingValues

    class Work(Protocol):
        """An `Afterwork`, as far as the middleware needs it."""

        @property
        def pipeline(self) -> Pipeline: ...


NOTHING: Any = None
"""None, of a type that does not tell the type checker that it stays None."""

REQUESTS = frozenset(("http", "websocket"))


def new_pipeline(settings: SettingValues) -> Pipeline:
    """A pipeline with these settings. It is imported here, and not by `import afterwork`."""
    from ._pipeline import Pipeline
    from ._settings import Settings

    checked = Settings(**settings)
    pipeline = Pipeline(checked, checked.clock)
    if pipeline.settings.store is not None:
        from ._dispatch import Dispatch

        Dispatch.of(pipeline)  # which records callbacks, also where there are no jobs
    return pipeline


OURS = object()
"""Marks a scope that a middleware of ours looks after, so that a nested one only passes on. It is
not the exchange itself: scope and exchange would hold each other, and wait for the collector."""


class AfterMiddleware:
    """Gives an ASGI app `after()`. Wrap the app once, outermost.

    `AfterMiddleware(app)` is all that most apps need; `AfterMiddleware(app, timeout=30)` takes any
    setting of `Afterwork` by keyword; `AfterMiddleware(app, work)` takes an `Afterwork`, which may
    be shared. It also works through a framework's own `add_middleware(AfterMiddleware)`, best as
    the outermost one. Where two are nested, the outer one does everything and the inner one only
    passes on.

    On a server that runs a lifespan, the app's shutdown is held back until all callbacks are over,
    at most `grace` seconds, so that they still have the app's database pool. Where there is no
    lifespan (daphne, `--lifespan off`, test clients), the ASGI call ends only when its callbacks
    have: the client has its response all the same.

    Raises `UnknownOptionError` and `InvalidOptionError` for settings that make no sense, and
    `TypeError` where both an `Afterwork` and settings are given.
    """

    def __init__(
        self, app: ASGIApp, work: Work | None = None, **settings: Unpack[SettingValues]
    ) -> None:
        if not callable(app):
            raise TypeError(f"AfterMiddleware wraps an ASGI app; it was given {app!r}")
        # Imported with the first app, and not by `import afterwork`, which cold starts pay for.
        from ._drain import finish, watch
        from ._lifespan import Lifespan

        if work is None:
            self.pipeline = new_pipeline(settings)
        elif settings:
            raise TypeError(
                f"give the settings {', '.join(sorted(settings))} to the Afterwork, which holds "
                "them for all its apps, not to AfterMiddleware beside it"
            )
        elif hasattr(work, "pipeline"):
            self.pipeline = work.pipeline
        else:
            raise TypeError(
                f"the second argument is an Afterwork; it was given {work!r}. Settings go by "
                "keyword: AfterMiddleware(app, timeout=30)"
            )
        self.app = app
        self._host = self.pipeline.host
        self._monotonic = self.pipeline.clock.monotonic
        self._lifespan = Lifespan(app, self.pipeline)
        watches = self._host.info.mode == "before_end" or self.pipeline.settings.early
        self._watch = watch if watches else None
        self._watch_given = watch
        self._finish = finish

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        host = self._host
        watch = self._watch
        given = scope.get(SCOPE_KEY)
        if given is not None or scope["type"] not in REQUESTS:
            lost = given is OURS and current_exchange.get() is None
            if scope["type"] not in REQUESTS or (given is OURS and not lost):
                await self._pass_on(given, scope, receive, send)
                return
            if not lost:
                host, watch = as_host(given), self._watch_given
        exchange = Exchange()
        exchange.began = self._monotonic()
        exchange.pipeline = self.pipeline
        exchange.host = host
        exchange.scope = scope
        exchange.forward = send
        exchange.start = exchange.last = exchange.queue = exchange.error = NOTHING
        exchange.known_response = None
        exchange.bytes_sent = 0
        exchange.finished = False
        if watch is not None:
            watch(exchange)
        scope[SCOPE_KEY] = OURS
        failed = False
        token = current_exchange.set(exchange)
        try:
            await self.app(scope, receive, exchange.send)
        except BaseException as error:
            exchange.error = error
            failed = True
            raise
        finally:
            try:
                current_exchange.reset(token)
            except ValueError:
                pass  # the coroutine was dropped and is closed here, in somebody else's context
            if given is not None:
                scope[SCOPE_KEY] = given
            exchange.finished = True
            if failed or exchange.queue is not None:
                wait = self._finish(exchange, self._lifespan.running)
                if wait is not None:
                    await wait
                if exchange.queue is None:
                    exchange.error = None  # or its traceback and this request hold each other

    async def _pass_on(self, given: object, scope: Scope, receive: Receive, send: Send) -> None:
        """What is not ours to look after: another middleware's request, or no request at all."""
        if given is not OURS and scope["type"] == "lifespan":
            scope[SCOPE_KEY] = OURS
            self.pipeline.notices.announce(self._host if given is None else as_host(given))
            await self._lifespan(scope, receive, send)
        else:
            await self.app(scope, receive, send)
