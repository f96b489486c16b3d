"""The set-ups of real servers that run a scheduler."""

from __future__ import annotations

from pathlib import Path

from tests.servers.rows import Row

ROOT = str(Path(__file__).parents[2])
APP = "tests.schedules.clockwork:app"


def _row(name: str, command: str) -> Row:
    return Row(name, command, home=ROOT)


def uvicorn(options: str = "", app: str = APP) -> Row:
    """uvicorn with that app."""
    return _row("uvicorn", f"uvicorn {app} --host 127.0.0.1 --port {{port}} {options}")


def hypercorn(name: str, options: str) -> Row:
    """hypercorn with the first app."""
    return _row(name, f"hypercorn {APP} --bind 127.0.0.1:{{port}} {options}")


UVICORN = uvicorn()
SIBLING = uvicorn(app="tests.schedules.sibling:app")
THREE_WORKERS = uvicorn("--workers 3")
TWO_WORKERS = uvicorn("--workers 2")
RELOADING = _row("uvicorn-reload", "reloading {port}")
OTHER_ROWS = [
    hypercorn("hypercorn-2", "--workers 2"),
    hypercorn("hypercorn-trio", "--workers 1 --worker-class trio"),
    _row("granian", f"granian {APP} --interface asgi --host 127.0.0.1 --port {{port}}"),
]
