"""The test kit: see what was queued, run it when the test wants, and fail when a callback fails.

    scope()             call code that uses after() without a server
    capture()           collect what is queued, to look at it, and to run it if wanted
    immediate()         run callbacks at the call
    strict()            raise what callbacks raised
    drain()             wait for all running callbacks; wait_for_drain() in sync tests
    leak_guard()        fail if a callback is left unfinished
    FakeHost            a host with a deadline to set
    MemoryEngine        an engine that keeps durable calls, to look at them and to run them

All but `scope` work for the whole process, whatever thread or loop the app under test runs in, so
they are for one test at a time. The engine is the real one everywhere: but for `immediate`,
context, options, order, retries and timeouts are what they are in production. A callback that fails
never costs the test its response; `strict` shows it afterwards.

With pytest installed there are fixtures of the same names: `afterwork_calls`,
`afterwork_immediate`, `afterwork_strict`, `afterwork_leak_guard` and `afterwork_host`. None is
autouse.
"""

from ._capture import Calls, capture, immediate
from ._clock import FakeClock
from ._drain import drain, leak_guard, strict, wait_for_drain
from ._host import FakeHost
from ._memory_engine import MemoryEngine
from ._scope import scope

__all__ = [
    "Calls",
    "FakeClock",
    "FakeHost",
    "MemoryEngine",
    "capture",
    "drain",
    "immediate",
    "leak_guard",
    "scope",
    "strict",
    "wait_for_drain",
]
