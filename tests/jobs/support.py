"""A trigger route to call, without a server."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import httpx

from afterwork import Afterwork, MemoryStore
from afterwork.errors import StoreError, VerificationError
from afterwork.testing import FakeClock

if TYPE_CHECKING:
    from collections.abc import Callable

    from afterwork._asgi import ASGIApp
    from afterwork.verify import TriggerRequest

NOON = datetime(2026, 3, 10, 12, 0, 5, tzinfo=UTC)
"""Five seconds past a full hour."""
TOKEN = "a-secret-for-tests-only-0123456789"
GOOD = {"authorization": f"Bearer {TOKEN}"}


class Token:
    """The simplest verifier."""

    name = "token"

    async def verify(self, request: TriggerRequest) -> str:
        if request.header("authorization") != f"Bearer {TOKEN}":
            raise VerificationError("wrong_token")
        return "token"


def at(text: str) -> datetime:
    """A time in UTC."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def new_work(now: datetime = NOON, **settings: Any) -> Afterwork:
    """An app's settings with a store in memory and a clock that stands still."""
    clock = settings.setdefault("clock", FakeClock(now))
    settings.setdefault("store", MemoryStore(clock=clock))
    return Afterwork(**settings)


class Caller:
    """Calls a route as an outside scheduler does."""

    def __init__(self, app: ASGIApp, base: str = "http://app.test") -> None:
        self.client = httpx.AsyncClient(
            transport=httpx.ASGITransport(app=app), base_url=base, headers=GOOD
        )

    async def __call__(
        self, path: str, method: str = "POST", **options: Any
    ) -> tuple[int, dict[str, Any]]:
        """The status code and the JSON of an answer."""
        answer = await self.client.request(method, path, **options)
        assert answer.headers["cache-control"] == "no-store"
        return answer.status_code, {} if method == "HEAD" else answer.json()


def caller(work: Afterwork, **options: Any) -> Caller:
    """A caller of the app's route with the token of these tests."""
    options.setdefault("verify", Token())
    return Caller(work.routes(**options))


async def until(condition: Callable[[], object]) -> None:
    """Waits until it is true."""
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.002)


class Broken(MemoryStore):
    """A store that is down while it is told to be."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.down = True
        self.calls = 0

    def _check(self) -> None:
        self.calls += 1
        if self.down:
            raise StoreError("test", "be asked", "it is down")

    def open(self) -> None:
        self._check()
        super().open()

    def claim(self, *args: Any, **kwargs: Any) -> Any:
        self._check()
        return super().claim(*args, **kwargs)

    def acquire(self, *args: Any, **kwargs: Any) -> Any:
        self._check()
        return super().acquire(*args, **kwargs)

    def renew(self, *args: Any, **kwargs: Any) -> Any:
        self._check()
        return super().renew(*args, **kwargs)

    def finish(self, *args: Any, **kwargs: Any) -> Any:
        self._check()
        return super().finish(*args, **kwargs)
