"""Collecting callbacks, and running them at the call."""

from __future__ import annotations

from .. import _after
from .._current import current_exchange, current_work
from .._drain import finish
from .._loop import current_loop
from .._middleware import new_pipeline
from .._queue import DRAINING
from .._work import Deferred
from ._scope import new_exchange, open_queue

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from contextvars import Context
    from types import TracebackType
    from typing import Any

    from .._exchange import Exchange
    from .._options import Options
    from .._sites import Site


class Calls(list[Deferred]):
    """What was queued, in order. Each has `fn`, `args`, `kwargs`, `name` and `key`."""

    @property
    def names(self) -> list[str]:
        """The names of all."""
        return [call.name for call in self]


class Interception:
    """Takes the place of queueing between `begin` and `end`, and then gives it back.

    `choose` answers with the request that a callback belongs to, `place` does something with it.
    """

    def __init__(self, choose: Callable[[], Exchange], place: Callable[[Deferred], None]) -> None:
        self._choose = choose
        self._place = place
        self._outer: _after.Interceptor | None = None

    def begin(self) -> None:
        """From now on."""
        self._outer = _after.interceptor
        _after.interceptor = self._take

    def end(self) -> None:
        """No longer."""
        _after.interceptor = self._outer

    def _take(
        self,
        fn: Any,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        kind: int,
        context: Context,
        site: Site,
        options: Options,
    ) -> Deferred:
        work = Deferred()
        work.fn, work.args, work.kwargs, work.kind = fn, args, kwargs, kind
        work.context, work.options = context, options
        work.exchange = exchange = self._choose()
        work.queue = exchange.queue or open_queue(exchange)
        work.code, work.instruction = site
        parent = current_work.get()
        if parent is not None:
            work.chain = parent.sites
        self._place(work)
        return work


class capture:
    """Collects callbacks instead of running them.

    ```
    with capture() as calls:
        client.post("/orders", json=order)
    assert calls.names == ["send_receipt"]
    assert calls[0].args == ("ada@example.org",)
    ```

    Works with and without a request. With `execute=True` the end of the block runs them, in order
    and in the real engine, and also those that they queue, until none is left; all are in the list.
    With a running event loop that takes `async with`, else it raises `RuntimeError`. Without
    `execute` the end of the block drops them; coroutines are closed.
    """

    def __init__(self, *, execute: bool = False) -> None:
        self.calls = Calls()
        self._execute = execute
        self._exchange = new_exchange(new_pipeline({}))
        self._queue = open_queue(self._exchange)
        self._interception = Interception(lambda: self._exchange, self._collect)

    def __enter__(self) -> Calls:
        self._interception.begin()
        return self.calls

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if not self._execute or error is not None:
            self._drop()
        elif current_loop() is None:
            import asyncio

            asyncio.run(self._run())
        else:
            self._drop()
            raise RuntimeError(
                "an event loop is running here, so the callbacks cannot be run in a plain `with "
                "capture(execute=True)`; write `async with`"
            )

    async def __aenter__(self) -> Calls:
        return self.__enter__()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._execute and error is None:
            await self._run()
        else:
            self._drop()

    def _collect(self, work: Deferred) -> None:
        self.calls.append(work)
        starting = self._queue.add(work)
        if starting is not None:
            self._exchange.pipeline.start_soon(starting)

    async def _run(self) -> None:
        try:
            self._exchange.finished = True
            wait = finish(self._exchange, False)
            if wait is not None:
                await wait
        finally:
            self._interception.end()

    def _drop(self) -> None:
        self._interception.end()
        for call in self.calls:
            call.cancel()


class immediate:
    """Runs callbacks at the call, instead of after the response.

    A sync callback runs right there, in the caller's thread, and is over when `after()` returns. An
    async one is started: in code without a running event loop it is over too, else it goes on as a
    task, which the request's drain (or `await drain()`) waits for. What was queued before the block
    stays queued. There is no response yet: `current_run().response` is None, and conditions,
    timeouts and retries do not apply."""

    def __init__(self) -> None:
        self._interception = Interception(_exchange_of_the_moment, _run_here)

    def __enter__(self) -> immediate:
        self._interception.begin()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._interception.end()


def _exchange_of_the_moment() -> Exchange:
    exchange = current_exchange.get()
    if exchange is None or exchange.finished:
        exchange = new_exchange(new_pipeline({}))
        open_queue(exchange).state = DRAINING  # nothing will begin it
    return exchange


def _run_here(work: Deferred) -> None:
    assert work.exchange is not None
    work.exchange.pipeline.run_here(work)
