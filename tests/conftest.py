from __future__ import annotations

import logging
import os
from collections.abc import Iterator

import pytest
from hypothesis import settings

import afterwork._after
import afterwork._report

if "PYTEST_XDIST_WORKER" in os.environ:
    # What tests start is not measured: some of it is killed in the middle of writing that down.
    os.environ.pop("COVERAGE_PROCESS_CONFIG", None)

# The same examples every time, and no limit on one of them: the machine may be busy.
settings.register_profile("steady", deadline=None, derandomize=True, database=None)
settings.load_profile("steady")


@pytest.fixture(autouse=True)
def _all_events(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "afterwork")


@pytest.fixture(autouse=True)
def _test_kit_is_put_back() -> Iterator[None]:
    yield
    assert afterwork._after.interceptor is None
    assert afterwork._report.observer is None


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> None:
    # A skipped test proves nothing: CI does not take it for a passed one.
    if os.environ.get("CI") and call.excinfo and call.excinfo.errisinstance(pytest.skip.Exception):
        raise AssertionError(f"{item.nodeid} was skipped: {call.excinfo.value}")
