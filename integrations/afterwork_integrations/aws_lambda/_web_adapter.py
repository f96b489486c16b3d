"""For an app that a server such as uvicorn runs behind the Lambda Web Adapter.

The adapter turns invocations into HTTP requests and tells each request's invocation in the header
`x-amzn-lambda-context`, see https://github.com/awslabs/aws-lambda-web-adapter. The app's process
registers the extension itself. Requests without that header, such as the adapter's own readiness
checks, belong to no invocation.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from ._host import DEFAULT_MARGIN_SECONDS, LambdaHost, check_margin
from ._register import register

HEADER = b"x-amzn-lambda-context"


class WebAdapter:
    """An ASGI app around yours, outermost: `app = WebAdapter(work.wrap(app))`.

    `margin` is that of `Handler`. Make it while the module is imported. Where there is no Lambda,
    it passes everything on. Raises `InvalidOptionError`.
    """

    def __init__(
        self, app: Callable[..., Awaitable[Any]], *, margin: float = DEFAULT_MARGIN_SECONDS
    ) -> None:
        if not callable(app):
            raise TypeError(f"WebAdapter wraps an ASGI app; it was given {app!r}")
        self._app = app
        self._margin = check_margin(margin)
        self._extension = register()
        if self._extension is not None:
            self._extension.begin()

    async def __call__(
        self,
        scope: MutableMapping[str, Any],
        receive: Callable[[], Awaitable[Any]],
        send: Callable[[Any], Awaitable[None]],
    ) -> None:
        invocation = None if self._extension is None else _invocation(scope)
        if self._extension is None:
            await self._app(scope, receive, send)
        elif invocation is None:
            if scope["type"] == "lifespan":
                scope["afterwork"] = LambdaHost(self._extension.ledger, "start-up", 0.0)
            await self._app(scope, receive, send)
        else:
            request_id, deadline = invocation
            ledger = self._extension.ledger
            scope["afterwork"] = LambdaHost(ledger, request_id, deadline - self._margin)
            ledger.enter(request_id)
            try:
                await self._app(scope, receive, send)
            finally:
                ledger.leave(request_id)


def _invocation(scope: MutableMapping[str, Any]) -> tuple[str, float] | None:
    """The request's invocation and its deadline, as `time.time()`."""
    if scope["type"] != "http":
        return None
    for name, value in scope["headers"]:
        if name == HEADER:
            try:
                told = json.loads(value)
                return str(told["request_id"]), float(told["deadline"]) / 1000
            except (ValueError, TypeError, KeyError):
                return None
    return None
