"""pytest fixtures. None is autouse; see `afterwork.testing`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from . import Calls, FakeHost

# The kit is imported by the fixtures: this module is loaded in every pytest run of every project
# that has afterwork installed.


@pytest.fixture
def afterwork_calls() -> Iterator[Calls]:
    """What the test queues, collected and not run: `afterwork.testing.capture()`."""
    from . import capture

    with capture() as calls:
        yield calls


@pytest.fixture
def afterwork_immediate() -> Iterator[None]:
    """Callbacks run at the call: `afterwork.testing.immediate()`."""
    from . import immediate

    with immediate():
        yield


@pytest.fixture
def afterwork_strict() -> Iterator[None]:
    """The test fails if a callback does: `afterwork.testing.strict()`."""
    from . import strict

    with strict():
        yield


@pytest.fixture
def afterwork_leak_guard() -> Iterator[None]:
    """The test fails if it leaves a callback unfinished: `afterwork.testing.leak_guard()`."""
    from . import leak_guard

    with leak_guard():
        yield


@pytest.fixture
def afterwork_host() -> FakeHost:
    """A host of mode `handover`: `afterwork.testing.FakeHost()`."""
    from . import FakeHost

    return FakeHost()
