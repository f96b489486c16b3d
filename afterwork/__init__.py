"""Respond first, work after: callbacks that run once the response is out.

    after               queue a callback on the current request, from anywhere
    AfterMiddleware     wrap an ASGI app once, outermost
    Afterwork           one object for an app's settings
    current_run, Run    what a callback may know of itself; ResponseInfo: of the response
    Deferred            what after() returns
    Retry, Outcome      when to try again; how a run ended
    Host, HostInfo      how work may outlive a response on a platform
    Reporter            receives finished runs
    Cron, Every         when a schedule fires, in real time zones
    Bearer, HeaderSecret, Verifier              who may trigger a job
    status              where a durable call stands
    Engine              where durable calls run, beyond one machine
    MemoryStore, SQLiteStore, Store             where claims and run records are kept

Errors are in `afterwork.errors`, the test kit in `afterwork.testing`. Who writes a verifier or a
store of their own finds the rest in `afterwork.verify` and `afterwork.stores`, of an engine in
`afterwork.engines`.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ._after import after, current_run
    from ._afterwork import Afterwork
    from ._bearer import Bearer, HeaderSecret
    from ._cron import Cron
    from ._engine import Engine
    from ._every import Every
    from ._hosts import Host, HostInfo
    from ._middleware import AfterMiddleware
    from ._outcome import Outcome
    from ._response import ResponseInfo
    from ._retry import Retry
    from ._run import Reporter, Run
    from ._status import status
    from ._store import Store
    from ._store_memory import MemoryStore
    from ._store_sqlite import SQLiteStore
    from ._verify import Verifier
    from ._work import Deferred

__all__ = [
    "AfterMiddleware",
    "Afterwork",
    "Bearer",
    "Cron",
    "Deferred",
    "Engine",
    "Every",
    "HeaderSecret",
    "Host",
    "HostInfo",
    "MemoryStore",
    "Outcome",
    "Reporter",
    "ResponseInfo",
    "Retry",
    "Run",
    "SQLiteStore",
    "Store",
    "Verifier",
    "after",
    "current_run",
    "status",
]

# A cold start pays for the names it uses and for no others.
_HOMES = {
    "AfterMiddleware": "_middleware",
    "Afterwork": "_afterwork",
    "Bearer": "_bearer",
    "Cron": "_cron",
    "Deferred": "_work",
    "Engine": "_engine",
    "Every": "_every",
    "HeaderSecret": "_bearer",
    "Host": "_hosts",
    "HostInfo": "_hosts",
    "MemoryStore": "_store_memory",
    "Outcome": "_outcome",
    "Reporter": "_run",
    "ResponseInfo": "_response",
    "Retry": "_retry",
    "Run": "_run",
    "SQLiteStore": "_store_sqlite",
    "Store": "_store",
    "Verifier": "_verify",
    "after": "_after",
    "current_run": "_after",
    "status": "_status",
}


_MODULES = ("engines", "errors", "stores", "testing", "verify")


def __getattr__(name: str) -> object:
    from importlib import import_module

    if name in _MODULES:
        return import_module(f"{__name__}.{name}")
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'afterwork' has no attribute {name!r}")
    value: object = getattr(import_module(f"{__name__}.{home}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return [*__all__, *_MODULES]
