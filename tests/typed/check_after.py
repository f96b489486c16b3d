"""Checked by mypy and pyright, never run. A line that must not pass carries an ignore, and both
checkers complain about an ignore that is not needed."""

# pyright: reportUnnecessaryTypeIgnoreComment=true

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Any, assert_type

from starlette.applications import Starlette

from afterwork import (
    AfterMiddleware,
    Afterwork,
    Deferred,
    Host,
    HostInfo,
    Outcome,
    Reporter,
    ResponseInfo,
    Retry,
    Run,
    after,
    current_run,
)
from afterwork.testing import FakeHost


def sync(number: int, *, name: str = "") -> int:
    return number


async def asynchronous(number: int) -> str:
    return str(number)


def right() -> None:
    assert_type(after(sync, 1), Deferred)
    after(sync, 1, name="x")
    after(asynchronous, 1)
    after(asynchronous(1))
    after(asyncio.ensure_future(asynchronous(1)))
    after.options(on="error", timeout=5, retry=Retry(3), name="n", key="k", early=True)(sync, 1)
    after.options(on=lambda response: response.status == 200)(sync, 1)
    assert_type(after.cancel("k"), bool)

    @after
    async def decorated() -> None: ...

    assert_type(decorated, Deferred)


def wrong() -> None:
    after(sync, "one")  # type: ignore[call-overload]
    after(sync)  # type: ignore[call-overload]
    after(sync, 1, nome="x")  # type: ignore[call-arg]
    after(asynchronous, None)  # type: ignore[call-overload]
    after(3)  # type: ignore[call-overload]
    after.options(timeout="5")  # type: ignore[arg-type]
    after.options(tiemout=5)  # type: ignore[call-arg]
    after.options(on="sucess")  # type: ignore[arg-type]


class Own:
    info = HostInfo("own", "handover")

    def wait_until(self, scope: Any, work: Awaitable[None]) -> None: ...

    def deadline(self, scope: Any) -> float | None: ...


def wait_until(work: Awaitable[None]) -> None: ...


def count(run: Run) -> None:
    assert_type(run.outcome, Outcome | None)
    assert_type(run.response, ResponseInfo | None)
    assert_type(run.id, str)


def settings() -> None:
    host: Host = Own()
    reporter: Reporter = count
    app = Starlette()
    AfterMiddleware(app)
    AfterMiddleware(app, host=host, timeout=30, sequential=True, reporters=[reporter])
    AfterMiddleware(app, host=wait_until)
    AfterMiddleware(app, host="before_end", limit=None)
    AfterMiddleware(app, host=FakeHost())
    work = Afterwork(grace=20, retry=Retry(2, backoff="linear"), on_abandon=lambda runs: None)
    AfterMiddleware(app, work)
    assert_type(work.wrap(app), AfterMiddleware)
    assert_type(current_run(), Run)
    app.add_middleware(AfterMiddleware)
    app.add_middleware(AfterMiddleware, timeout=30)

    AfterMiddleware(app, timeout="30")  # type: ignore[arg-type]
    AfterMiddleware(app, tiemout=30)  # type: ignore[call-arg]
    AfterMiddleware(app, host="later")  # type: ignore[arg-type]
    AfterMiddleware(3)  # type: ignore[arg-type]
    Retry(3, backoff="random")  # type: ignore[arg-type]
