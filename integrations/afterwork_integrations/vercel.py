"""Vercel: the function goes on until the work is done, and the work knows when the function ends.

It is found out from the environment; give it yourself to set something:

```
from afterwork_integrations.vercel import Vercel

app = AfterMiddleware(app, host=Vercel(max_seconds=240))
```

How long a function may run: https://vercel.com/docs/functions/configuring-functions/duration

Needs nothing: what it asks is in Vercel's runtime.
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any

from afterwork import HostInfo
from afterwork.errors import InvalidHostError, InvalidOptionError

if TYPE_CHECKING:
    from collections.abc import Callable, MutableMapping
    from datetime import datetime

__all__ = ["Vercel", "detected"]

RUNTIME = "vercel_runtime"
MOST_MARGIN = 60.0
"""Seconds."""
FROZEN = (
    "this Vercel runtime freezes the function once the response is out, so the client waits for "
    'the work, as with host="before_end". For long work hand it over to a queue.'
)


class Vercel:
    """A function on Vercel.

    Its runtime says `end` to the platform when the ASGI call is over, and the platform lets the
    function go on until then. So the call waits for the work, and the client, which has its whole
    response, does not. Several requests share a process, and none waits for another's work.

    Without the runtime's connection to the platform (`VERCEL_IPC_PATH`) a function is frozen when
    its response is out; there the work runs before the end of the response, and a warning at
    start-up says so. Where `VERCEL` is not set, for example on a developer's machine, it is an
    ordinary server.

    `max_seconds`
        Default None. The most seconds that one request's work may take. Set it where the runtime
        tells no deadline, as older ones do not (0.18 and before): what `maxDuration` leaves after
        the slowest response.
    `margin`
        Default 1.0: seconds before the runtime's deadline at which work is cut, and reported, from
        0 to 60. At the deadline itself the platform ends the function without a word.
    `environ`
        For tests.

    Where an app crashes without an answer, the server answers for it once the call is over, so that
    client waits for the work; frameworks answer before that, and theirs do not.

    A WebSocket's `end` goes to the platform at its handshake. Whether the platform waits for work
    that is queued after that is not known.

    Raises `InvalidOptionError`.
    """

    def __init__(
        self,
        *,
        max_seconds: float | None = None,
        margin: float = 1.0,
        environ: Mapping[str, str] | None = None,
    ) -> None:
        environ = os.environ if environ is None else environ
        if not environ.get("VERCEL"):
            self.info = HostInfo("vercel", max_seconds=max_seconds)
        elif environ.get("VERCEL_IPC_PATH"):
            self.info = HostInfo("vercel", "inline", max_seconds=max_seconds)
        else:
            self.info = HostInfo("vercel", "before_end", max_seconds=max_seconds, note=FROZEN)
        number = isinstance(margin, (int, float)) and not isinstance(margin, bool)
        if not number or not 0 <= margin <= MOST_MARGIN:
            expected = f"a number of seconds from 0 to {MOST_MARGIN:g}"
            raise InvalidOptionError("margin", expected, margin)
        self._margin = margin
        self._get_deadline = _get_deadline()

    def __repr__(self) -> str:
        return f"<Vercel, {self.info.mode}>"

    def wait_until(self, scope: MutableMapping[str, Any], work: Awaitable[None]) -> None:
        """Is not called: in its modes the ASGI call waits. Raises `InvalidHostError`."""
        raise InvalidHostError("Vercel for the mode 'handover', which it has not")

    def deadline(self, scope: MutableMapping[str, Any]) -> float | None:
        """The end of the running invocation, as the runtime tells it, less the margin; None where
        it does not tell."""
        end = None if self._get_deadline is None else self._get_deadline()
        return None if end is None else end.timestamp() - self._margin


def detected(environ: Mapping[str, str]) -> Vercel:
    """The host where nobody has named one."""
    return Vercel(environ=environ)


def _get_deadline() -> Callable[[], datetime | None] | None:
    """The runtime's function, which knows the request by its context. It is loaded before the app,
    so nothing is searched for per request."""
    try:
        runtime = import_module(RUNTIME)
    except ImportError:
        return None
    found: Callable[[], datetime | None] | None = getattr(runtime, "get_deadline", None)
    return found
