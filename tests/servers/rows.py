"""The rows: every set-up of a real server that afterwork promises to work on, and how they differ.

What a test has to know of a server is only how the process ends there: whether the app hears of it
(`lifespan`), and how long the server's own patience lasts (`patience`).
"""

from __future__ import annotations

import os
from dataclasses import dataclass

HERE = os.path.dirname(__file__)


@dataclass(frozen=True)
class Row:
    """One set-up. `command` is what follows `python -m`; `{port}` stands for the port."""

    name: str
    command: str
    lifespan: bool = True
    patience: str = ""
    """The option that makes the server lose patience with the app after so many seconds."""
    before_grace: float = 0.0
    """Seconds that the server waits, by its own default, before the app hears of the end."""
    home: str = HERE
    """The folder that the app under test is imported from."""

    def __str__(self) -> str:
        return self.name


def _uvicorn(name: str, options: str, lifespan: bool = True) -> Row:
    command = f"uvicorn shop:app --host 127.0.0.1 --port {{port}} --no-access-log {options}"
    return Row(name, command, lifespan, "--timeout-graceful-shutdown")


def _hypercorn(name: str, options: str, before_grace: float = 0.0) -> Row:
    command = f"hypercorn shop:app --bind 127.0.0.1:{{port}} {options}"
    return Row(name, command, True, "--graceful-timeout", before_grace)


UVICORN_ROWS = [
    _uvicorn("uvicorn-h11", "--http h11 --loop asyncio"),
    _uvicorn("uvicorn-httptools", "--http httptools --loop asyncio"),
    _uvicorn("uvicorn-httptools-uvloop", "--http httptools --loop uvloop"),
]
UVICORN_LIFESPAN_OFF = _uvicorn("uvicorn-lifespan-off", "--lifespan off", lifespan=False)
GUNICORN = Row(
    "gunicorn-uvicorn",
    # Its control socket would be one for all gunicorns of this user.
    "gunicorn shop:app --bind 127.0.0.1:{port} --no-control-socket --keep-alive 30"
    " --worker-class uvicorn_worker.UvicornWorker",
    patience="--graceful-timeout",
)
HYPERCORN_ROWS = [
    _hypercorn("hypercorn-1", "--workers 1"),
    _hypercorn("hypercorn-2", "--workers 2"),
    # On trio the callbacks run inside the ASGI call, so the server waits for them as for any
    # request, 3 s by default, and only then does afterwork hear that it should come to an end.
    _hypercorn("hypercorn-trio", "--workers 1 --worker-class trio", before_grace=3.0),
]
GRANIAN = Row(
    "granian",
    "granian shop:app --interface asgi --host 127.0.0.1 --port {port}",
    patience="--workers-kill-timeout",
)
DAPHNE = Row(
    "daphne",
    "daphne shop:app --bind 127.0.0.1 --port {port}",
    lifespan=False,
    patience="--application-close-timeout",
)

ROWS = [
    *UVICORN_ROWS,
    UVICORN_LIFESPAN_OFF,
    GUNICORN,
    *HYPERCORN_ROWS,
    GRANIAN,
    DAPHNE,
]
