from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import TYPE_CHECKING

import pytest

from afterwork import Host, HostInfo
from afterwork._detect import TABLE
from afterwork._hosts import PlainHost, as_host
from afterwork.testing import FakeHost
from tests.contracts.host import HostContract

if TYPE_CHECKING:
    from afterwork._asgi import Scope


class TestPlain(HostContract):
    def make_host(self) -> Host:
        return PlainHost()


class TestInline(HostContract):
    def make_host(self) -> Host:
        return as_host("inline")


class TestBeforeEnd(HostContract):
    def make_host(self) -> Host:
        return as_host("before_end")


class TestFake(HostContract):
    def make_host(self) -> Host:
        return FakeHost(deadline_in=60)

    async def settle(self, host: Host) -> None:
        assert isinstance(host, FakeHost)
        await host.settle()


class TestFunction(HostContract):
    """A plain function `wait_until(awaitable)`."""

    def make_host(self) -> Host:
        self.handed: list[Awaitable[None]] = []
        return as_host(self.handed.append)

    async def settle(self, host: Host) -> None:
        await asyncio.gather(*self.handed)


class OwnHost:
    """What a user writes for a platform with a `wait_until` of its own in the request's scope."""

    info = HostInfo("own-platform", "handover", max_seconds=30)

    def wait_until(self, scope: Scope, work: Awaitable[None]) -> None:
        scope["platform"].append(work)

    def deadline(self, scope: Scope) -> float | None:
        return None


class TestOwn(HostContract):
    def make_host(self) -> Host:
        self.platform: list[Awaitable[None]] = []
        return OwnHost()

    def make_scope(self) -> Scope:
        return {**super().make_scope(), "platform": self.platform}

    async def settle(self, host: Host) -> None:
        await asyncio.gather(*self.platform)


class TestEveryDetected(HostContract):
    @pytest.fixture(autouse=True, params=[row[0] for row in TABLE])
    def _row(self, request: pytest.FixtureRequest) -> None:
        self.row = next(row for row in TABLE if row[0] == request.param)

    def make_host(self) -> Host:
        return PlainHost(self.row[2])


def test_the_contract_says_what_is_missing() -> None:
    with pytest.raises(TypeError, match=r"has to define make_host\(\)"):
        HostContract().make_host()


def test_the_contract_notices_a_host_that_loses_work() -> None:
    """A suite that nobody can fail is none."""

    class Losing(HostContract):
        def make_host(self) -> Host:
            return FakeHost(deadline_in=0.0)

        async def settle(self, host: Host) -> None: ...

    async def check() -> None:
        await Losing().test_work_runs_once_and_is_over_when_the_host_has_settled()

    with pytest.raises(AssertionError):
        asyncio.run(check())
