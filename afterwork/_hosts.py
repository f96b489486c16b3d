"""Hosts: how work may outlive a response on the platform that the process runs on."""

from __future__ import annotations

from . import _check
from ._kinds import is_async, name_of
from .errors import InvalidHostError, InvalidOptionError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from typing import Any, Literal, Protocol, TypeAlias

    from ._asgi import Scope

    Mode: TypeAlias = Literal["detached", "inline", "handover", "before_end"]
    WaitUntil: TypeAlias = Callable[[Awaitable[None]], object]
else:
    Protocol = object

MODES = ("detached", "inline", "handover", "before_end")


class HostInfo:
    """What a host is and can do.

    `name`
        For logs.
    `mode`
        What the middleware does with the work of a finished response. `"detached"`: runs it in
        tasks of its own and holds back the server's shutdown for them. `"inline"`: awaits it inside
        the ASGI call, after the response. `"handover"`: gives it to `Host.wait_until`.
        `"before_end"`: runs it before the response's last message, so that the client waits.
    `lifespan_is_process`
        Whether the lifespan's end is the process's end. False where a lifespan is run per request;
        then it is never held back.
    `max_seconds`
        The most seconds that one request's work may take, or None.
    `note`
        What a user has to know and do about this host; said once, as a warning, when the app
        starts. None where there is nothing to say.

    Raises `InvalidOptionError` for values that make no sense.
    """

    __slots__ = ("lifespan_is_process", "max_seconds", "mode", "name", "note")

    def __init__(
        self,
        name: str,
        mode: Mode = "detached",
        *,
        lifespan_is_process: bool = True,
        max_seconds: float | None = None,
        note: str | None = None,
    ) -> None:
        if not isinstance(name, str) or not name:
            raise InvalidOptionError("name", "a text that is not empty", name)
        self.name = name
        self.mode: Mode = mode
        _check.choice("mode", mode, MODES)
        self.lifespan_is_process = _check.flag("lifespan_is_process", lifespan_is_process)
        self.max_seconds = _check.optional_seconds("max_seconds", max_seconds)
        self.note = _check.optional_text("note", note)

    @property
    def after_response(self) -> bool:
        """Whether the client has its whole response before the work runs."""
        return self.mode != "before_end"

    def __repr__(self) -> str:
        return f"<HostInfo {self.name}, {self.mode}>"


class Host(Protocol):
    """How work may outlive a response on this platform. Write one where yours is unusual.

    A host has exactly these three members, and may have a fourth: `unavailable(scope)`, which
    returns a reason (a text) where nothing can run after this request's response, else None. It is
    asked at the first `after()` of each request, which then raises `HostUnavailableError`.

    One host serves many requests at once, so it keeps what belongs to a request in the scope.
    """

    info: HostInfo

    def wait_until(self, scope: Scope, work: Awaitable[None]) -> None:
        """Keeps the process alive until `work` is done. Called once per request that queued
        something, and only in mode `"handover"`, after the response.

        `work` is already running (on trio it runs while it is awaited) and never raises; await it,
        or hand it on, but do not return before the platform knows of it. Cancelling it cuts the
        work short, which is reported. If this method raises, that is logged and the work goes on
        inside the process.
        """
        ...

    def deadline(self, scope: Scope) -> float | None:
        """When this request's work must be over, as `time.time()`, the platform's safety margin
        already taken off; None for no deadline."""
        ...


class PlainHost:
    """An ordinary long-lived server, or any platform that a `HostInfo` describes."""

    def __init__(self, info: HostInfo | None = None) -> None:
        self.info = info or HostInfo("plain")

    def wait_until(self, scope: Scope, work: Awaitable[None]) -> None:
        raise InvalidHostError(f"the mode 'handover' for {self.info.name!r} without a wait_until")

    def deadline(self, scope: Scope) -> float | None:
        return None


IN_PROCESS: Host = PlainHost(HostInfo("in-process"))
"""What takes over where the configured host is missing and the app asked for no error."""


class FunctionHost:
    """A plain function `wait_until(awaitable)` as a host."""

    def __init__(self, function: WaitUntil) -> None:
        self.function = function
        self.info = HostInfo(getattr(function, "__qualname__", "wait_until"), "handover")

    def wait_until(self, scope: Scope, work: Awaitable[None]) -> None:
        self.function(work)

    def deadline(self, scope: Scope) -> float | None:
        return None


def as_host(given: Any) -> Host:
    """A host from what a user gave: a host, a function, or the name of a mode.

    Raises `InvalidHostError`.
    """
    if isinstance(given, str):
        if given not in ("detached", "inline", "before_end"):
            raise InvalidHostError(f"the text {given!r}")
        return PlainHost(HostInfo("plain", given))  # type: ignore[arg-type]  # checked above
    if isinstance(given, type):
        raise InvalidHostError(f"the class {given.__qualname__}; give an instance of it")
    if hasattr(given, "info"):
        for method in ("wait_until", "deadline"):
            if not callable(getattr(given, method, None)):
                raise InvalidHostError(f"a {type(given).__qualname__} without {method}()")
        if not isinstance(given.info, HostInfo):
            raise InvalidHostError(f"a {type(given).__qualname__} whose info is no HostInfo")
        refuse_async(given.wait_until)
        host: Host = given
        return host
    if callable(given):
        refuse_async(given)
        return FunctionHost(given)
    raise InvalidHostError(f"{type(given).__qualname__} {given!r}")


def refuse_async(function: Any) -> None:
    """An async `wait_until` would return a coroutine that nobody awaits: the work would be lost."""
    if is_async(function):
        raise InvalidHostError(
            f"the async function {name_of(function)!r}; make it a plain function that hands "
            "the awaitable on, for example with asyncio.ensure_future"
        )
