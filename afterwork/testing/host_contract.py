"""The rules that every host keeps, as tests to run against yours.

```
# test_my_host.py
from afterwork.testing.host_contract import HostContract

class TestMyHost(HostContract):
    def make_host(self):
        return MyHost(...)

    async def settle(self, host):       # wait for what the platform would wait for
        await host.everything_handed_over()
```

The tests are coroutines and run under pytest-asyncio (`asyncio_mode = "auto"`) or any other plugin
that runs coroutine methods.
"""

from __future__ import annotations

import asyncio
import time

from .._after import after
from .._hosts import HostInfo
from .._middleware import AfterMiddleware
from ._drain import drain

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from .._asgi import Message, Receive, Scope, Send
    from .._hosts import Host

MANY = 200


class HostContract:
    """Subclass it as `Test...` and say how a host is made."""

    def make_host(self) -> Host:
        """A new host."""
        raise TypeError(f"{type(self).__name__} has to define make_host(), which returns a host")

    async def settle(self, host: Host) -> None:
        """Waits for what was given to the host. The default is for hosts that are given nothing."""
        await drain()

    def make_scope(self) -> Scope:
        """A request, as the platform delivers it."""
        return {"type": "http", "method": "GET", "path": "/", "headers": []}

    async def request(self, host: Host, handler: Callable[[], object]) -> list[str]:
        """One request through the middleware on that host. Returns what happened, in order: the
        handler may append to it too."""
        log: list[str] = []

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            await receive()
            handler()
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"ok"})

        async def receive() -> Message:
            return {"type": "http.request", "body": b"", "more_body": False}

        async def send(message: Message) -> None:
            log.append(str(message["type"]))

        self.log = log
        await AfterMiddleware(app, host=host)(self.make_scope(), receive, send)
        return log

    def test_it_says_what_it_is(self) -> None:
        """`info` is a HostInfo."""
        assert isinstance(self.make_host().info, HostInfo)

    def test_its_deadline_is_none_or_a_time_to_come(self) -> None:
        """`deadline` is by `time.time()`, not a duration and not monotonic."""
        deadline = self.make_host().deadline(self.make_scope())
        assert deadline is None or time.time() < deadline < time.time() + 366 * 86400

    async def test_work_runs_once_and_is_over_when_the_host_has_settled(self) -> None:
        """Nothing is lost, nothing runs twice, and the host waits for nested work too."""
        host = self.make_host()
        ran: list[str] = []

        async def nesting() -> None:
            await asyncio.sleep(0)
            ran.append("async")
            after(ran.append, "nested")

        def handler() -> None:
            after(nesting)
            after(ran.append, "sync")

        await self.request(host, handler)
        await self.settle(host)

        assert sorted(ran) == ["async", "nested", "sync"]

    async def test_the_response_is_out_first_unless_the_host_says_otherwise(self) -> None:
        """`info.after_response` is the truth."""
        host = self.make_host()
        log = await self.request(host, lambda: after(lambda: self.log.append("work")))
        await self.settle(host)

        if host.info.after_response:
            assert log == ["http.response.start", "http.response.body", "work"]
        else:
            assert log == ["http.response.start", "work", "http.response.body"]

    async def test_failing_work_never_fails_the_host(self) -> None:
        """What the host is given does not raise."""
        host = self.make_host()
        ran: list[str] = []

        def fail() -> None:
            raise RuntimeError("this failure belongs to the test of a host")

        def handler() -> None:
            after(fail)
            after(ran.append, "sibling")

        await self.request(host, handler)
        await self.settle(host)

        assert ran == ["sibling"]

    async def test_a_request_without_work_is_none_of_its_business(self) -> None:
        """No call of `after()`, no task and no wait."""
        host = self.make_host()
        before = len(asyncio.all_tasks())
        await self.request(host, lambda: None)

        assert len(asyncio.all_tasks()) == before

    async def test_many_requests_at_once_do_not_mix_and_leave_nothing(self) -> None:
        """One host serves all requests of the process."""
        host = self.make_host()
        ran: list[int] = []

        async def one(number: int) -> None:
            await self.request(host, lambda: after(ran.append, number))

        await asyncio.gather(*(one(number) for number in range(MANY)))
        await self.settle(host)
        await drain()

        assert sorted(ran) == list(range(MANY))
        left: set[Any] = {task for task in asyncio.all_tasks() if not task.done()}
        assert left == {asyncio.current_task()}
