"""The doctor's look at a trigger route: are its secrets good, and is it closed to strangers? It is
asked as a stranger would ask, inside this process."""

from __future__ import annotations

import logging
import sys
from contextlib import contextmanager, redirect_stdout

from ..errors import VerifierUnavailableError
from ._point import Point

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from .._routes import Routes

STRANGER = ("203.0.113.7", 40_000)
"""An address that documentation uses and nobody has (RFC 5737)."""


def points(routes: Routes) -> list[Point]:
    """Its secrets, then the route itself."""
    found = [point for each in routes.verifiers for point in _secrets(each)]
    if routes._private:
        found.append(
            Point(
                "route",
                "note",
                "it is private=True: whoever reaches it may run jobs. Never mount it on a public "
                "address",
            )
        )
    return [*found, _closed(routes)]


def _secrets(verifier: Any) -> list[Point]:
    """What is wrong with the secrets of a verifier that has some."""
    keys: Any = getattr(verifier, "_keys", None)
    if not hasattr(keys, "current"):
        return [Point("secrets", "ok", f"{verifier.name} looks after its own")]
    names = ", ".join(getattr(keys, "names", ())) or "given in code"
    try:
        count = len(keys.current())
    except VerifierUnavailableError as error:
        return [
            Point(
                "secrets",
                "problem",
                f"{verifier.name}: {error.detail}",
                f"set {names} in the environment of the deployment, and here for this check",
            )
        ]
    good = "1 good secret" if count == 1 else f"{count} good secrets"
    return [Point("secrets", "ok", f"{verifier.name}: {good} ({names})")]


def _closed(routes: Routes) -> Point:
    """What a stranger is answered who asks for the list of jobs."""
    import asyncio

    with _silence():
        code = asyncio.run(_ask(routes))
    if code in (400, 401, 403):
        return Point("route", "ok", f"closed: a stranger is answered {code}")
    if code == 503:
        return Point(
            "route",
            "problem",
            "closed to everybody: its verifier cannot tell who is calling (503)",
            "give it what it needs: see the points about secrets",
        )
    return Point(
        "route",
        "problem",
        f"open: a stranger is answered {code}, and may run jobs",
        "work.routes(verify=Bearer.from_env('CRON_SECRET'))",
    )


async def _ask(routes: Routes) -> int:
    codes: list[int] = []

    async def receive() -> Any:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        if message["type"] == "http.response.start":
            codes.append(message["status"])

    await routes(
        {
            "type": "http",
            "http_version": "1.1",
            "method": "GET",
            "scheme": "https",
            "path": "/jobs",
            "raw_path": b"/jobs",
            "root_path": "",
            "query_string": b"",
            "headers": [(b"host", b"check.invalid")],
            "client": STRANGER,
            "server": ("check.invalid", 443),
        },
        receive,
        send,
    )
    return codes[0]


@contextmanager
def _silence() -> Iterator[None]:
    """What the route logs of a stranger is of no interest here."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with redirect_stdout(sys.stderr):
            yield
    finally:
        logging.disable(before)
