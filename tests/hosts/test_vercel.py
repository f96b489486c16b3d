"""The host for Vercel, by itself."""

from __future__ import annotations

import sys
import time
from datetime import UTC, datetime, timedelta
from types import ModuleType
from typing import TYPE_CHECKING, Any

import pytest
from afterwork_integrations.vercel import Vercel

from afterwork import AfterMiddleware
from afterwork._detect import VERCEL, VERCEL_WITHOUT_IPC, detect
from afterwork.errors import InvalidHostError, InvalidOptionError
from tests.contracts.host import HostContract

if TYPE_CHECKING:
    from afterwork import Host

CONNECTED = {"VERCEL": "1", "VERCEL_IPC_PATH": "/tmp/ipc"}
UNCONNECTED = {"VERCEL": "1"}


@pytest.fixture(autouse=True)
def end(monkeypatch: pytest.MonkeyPatch) -> list[datetime | None]:
    """The end that the runtime tells: the last of these."""
    ends: list[datetime | None] = [datetime.now(UTC) + timedelta(seconds=60)]
    runtime: Any = ModuleType("vercel_runtime")
    runtime.get_deadline = lambda: ends[-1]
    monkeypatch.setitem(sys.modules, "vercel_runtime", runtime)
    return ends


class TestConnected(HostContract):
    def make_host(self) -> Host:
        return Vercel(environ=CONNECTED)


class TestUnconnected(HostContract):
    def make_host(self) -> Host:
        return Vercel(environ=UNCONNECTED)


class TestElsewhere(HostContract):
    def make_host(self) -> Host:
        return Vercel(environ={})


def test_it_is_found_and_has_the_info_that_the_table_says() -> None:
    for environ, info in ((CONNECTED, VERCEL), (UNCONNECTED, VERCEL_WITHOUT_IPC)):
        host = detect(environ)
        assert isinstance(host, Vercel)
        for name in type(info).__slots__:
            assert getattr(host.info, name) == getattr(info, name)


def test_an_app_on_vercel_gets_it(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in CONNECTED.items():
        monkeypatch.setenv(name, value)

    async def app(scope: object, receive: object, send: object) -> None: ...

    assert repr(AfterMiddleware(app).pipeline.host) == "<Vercel, inline>"


def test_elsewhere_it_is_an_ordinary_server() -> None:
    info = Vercel(environ={}).info
    assert (info.mode, info.note) == ("detached", None)


@pytest.mark.parametrize("margin", [0, 1.0, 30])
def test_the_deadline_is_the_runtimes_less_the_margin(margin: float) -> None:
    deadline = Vercel(margin=margin, environ=CONNECTED).deadline({})
    assert deadline == pytest.approx(time.time() + 60 - margin, abs=5)


def test_a_runtime_that_tells_no_deadline_has_none(
    end: list[datetime | None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not for this request, not at all as it is an old one, and where there is no runtime."""
    end.append(None)
    assert Vercel(environ=CONNECTED).deadline({}) is None
    monkeypatch.setitem(sys.modules, "vercel_runtime", ModuleType("vercel_runtime"))
    assert Vercel(environ=CONNECTED).deadline({}) is None
    # None in sys.modules is what makes Python say that there is no such module.
    monkeypatch.setitem(sys.modules, "vercel_runtime", None)
    assert Vercel(environ=CONNECTED).deadline({}) is None
    assert Vercel(environ=CONNECTED, max_seconds=20).info.max_seconds == 20


@pytest.mark.parametrize("margin", [-1, 61, float("nan"), True, "1", None])
def test_a_margin_that_makes_no_sense_is_refused(margin: Any) -> None:
    with pytest.raises(InvalidOptionError, match="margin .*from 0 to 60"):
        Vercel(margin=margin)


def test_nothing_is_handed_to_it() -> None:
    async def work() -> None: ...

    coroutine = work()
    with pytest.raises(InvalidHostError, match="handover"):
        Vercel().wait_until({}, coroutine)
    coroutine.close()
