"""A host for tests."""

from __future__ import annotations

import asyncio
import time

from .._hosts import HostInfo

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Awaitable

    from .._asgi import Scope
    from .._hosts import Mode


class FakeHost:
    """A host that keeps what it is given, with a deadline that the test sets.

    ```
    host = FakeHost(deadline_in=0.1)
    app = AfterMiddleware(app, host=host)
    ...
    await host.settle()     # what the platform would wait for
    ```

    `handed` holds the awaitables of `wait_until`, one per request. `deadline_in` is the number of
    seconds that each request's work has, from the end of its response; None for no deadline.
    `missing` is the reason for which nothing can run after a response; None if it can.
    """

    def __init__(
        self,
        mode: Mode = "handover",
        *,
        deadline_in: float | None = None,
        missing: str | None = None,
        lifespan_is_process: bool = True,
        note: str | None = None,
    ) -> None:
        self.info = HostInfo("fake", mode, lifespan_is_process=lifespan_is_process, note=note)
        self.deadline_in = deadline_in
        self.missing = missing
        self.handed: list[Awaitable[None]] = []

    def wait_until(self, scope: Scope, work: Awaitable[None]) -> None:
        """Keeps the work."""
        self.handed.append(work)

    def deadline(self, scope: Scope) -> float | None:
        """`deadline_in` from now."""
        return None if self.deadline_in is None else time.time() + self.deadline_in

    def unavailable(self, scope: Scope) -> str | None:
        """`missing`."""
        return self.missing

    async def settle(self) -> None:
        """Waits, as the platform does, for everything that was handed over."""
        await asyncio.gather(*self.handed)
