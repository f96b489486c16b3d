"""A request without a server."""

from __future__ import annotations

from .._closing import cut
from .._current import current_exchange
from .._drain import finish, watch
from .._exchange import Exchange
from .._loop import current_loop
from .._middleware import new_pipeline
from .._queue import Queue

TYPE_CHECKING = False
if TYPE_CHECKING:
    from contextvars import Token
    from types import TracebackType
    from typing import Any, Unpack

    from .._asgi import Message
    from .._pipeline import Pipeline
    from .._settings import SettingValues


async def ignore(message: Message) -> None:
    """A `send` for which nobody listens."""


def new_exchange(pipeline: Pipeline, status: int = 200, **scope: Any) -> Exchange:
    """A request that was answered with that status."""
    exchange = Exchange()
    exchange.began = pipeline.clock.monotonic()
    exchange.pipeline = pipeline
    exchange.host = pipeline.host
    exchange.scope = {"type": "http", "method": "GET", "path": "/", "headers": [], **scope}
    exchange.forward = ignore
    exchange.start = {"type": "http.response.start", "status": status, "headers": []}
    exchange.last = {"type": "http.response.body", "body": b""}
    exchange.queue = exchange.error = exchange.known_response = None
    exchange.bytes_sent = 0
    exchange.finished = False
    watch(exchange)
    return exchange


def open_queue(exchange: Exchange) -> Queue:
    """A queue for a request, as its first `after()` makes one."""
    exchange.queue = queue = Queue(exchange.pipeline)
    exchange.pipeline.queues[queue] = None
    return queue


class scope:
    """Lets a test call code that uses `after()`, without a server.

    ```
    with scope():                   # or: async with scope():
        register("ada@example.org")     # calls after(send_mail, ...)
    assert outbox == ["ada@example.org"]
    ```

    At the end of the block the "response" is over: what was queued runs, and the block is left when
    all of it is done. `status` is what that response was, for `on=` conditions. Other keywords are
    the settings of `Afterwork`. An exception in the block is the error of the response, and goes
    on after the callbacks ran.

    In a test with a running event loop use `async with`; leaving a plain `with` there raises
    `RuntimeError`.
    """

    def __init__(self, status: int = 200, **settings: Unpack[SettingValues]) -> None:
        self._exchange = new_exchange(new_pipeline(settings), status)
        self._token: Token[Exchange | None] | None = None

    def __enter__(self) -> scope:
        self._token = current_exchange.set(self._exchange)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._leave(error)
        if self._exchange.queue is None:
            return
        if current_loop() is not None:
            cut(self._exchange.pipeline, self._exchange.queue, "the test cannot wait for it")
            if error is not None:
                return
            raise RuntimeError(
                "an event loop is running here, so the callbacks cannot be waited for in a plain "
                "`with scope()`; write `async with scope()`"
            )
        import asyncio

        asyncio.run(self._finish())

    async def __aenter__(self) -> scope:
        return self.__enter__()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._leave(error)
        await self._finish()

    def _leave(self, error: BaseException | None) -> None:
        assert self._token is not None
        current_exchange.reset(self._token)
        self._exchange.error = error
        self._exchange.finished = True

    async def _finish(self) -> None:
        wait = finish(self._exchange, False)
        if wait is not None:
            await wait
