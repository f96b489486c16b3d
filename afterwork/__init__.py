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

Errors are in `afterwork.errors`, the test kit in `afterwork.testing`.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ._after import after, current_run
    from ._afterwork import Afterwork
    from ._cron import Cron
    from ._every import Every
    from ._hosts import Host, HostInfo
    from ._middleware import AfterMiddleware
    from ._outcome import Outcome
    from ._response import ResponseInfo
    from ._retry import Retry
    from ._run import Reporter, Run
    from ._work import Deferred

__all__ = [
    "AfterMiddleware",
    "Afterwork",
    "Cron",
    "Deferred",
    "Every",
    "Host",
    "HostInfo",
    "Outcome",
    "Reporter",
    "ResponseInfo",
    "Retry",
    "Run",
    "after",
    "current_run",
]

# A cold start pays for the names it uses and for no others.
_HOMES = {
    "AfterMiddleware": "_middleware",
    "Afterwork": "_afterwork",
    "Cron": "_cron",
    "Deferred": "_work",
    "Every": "_every",
    "Host": "_hosts",
    "HostInfo": "_hosts",
    "Outcome": "_outcome",
    "Reporter": "_run",
    "ResponseInfo": "_response",
    "Retry": "_retry",
    "Run": "_run",
    "after": "_after",
    "current_run": "_after",
}


def __getattr__(name: str) -> object:
    from importlib import import_module

    if name in ("errors", "testing"):
        return import_module(f"{__name__}.{name}")
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'afterwork' has no attribute {name!r}")
    value: object = getattr(import_module(f"{__name__}.{home}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return [*__all__, "errors", "testing"]
