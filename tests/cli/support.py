"""Commands, called in this process or run as processes of their own."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from afterwork.cli import main

if TYPE_CHECKING:
    from collections.abc import Callable

    import pytest

PATIENCE = 30.0
"""Seconds that a test waits for a process or a condition."""

SHOP = """
import asyncio
from afterwork import AfterMiddleware, Afterwork, after, current_run

work = Afterwork()
done = []

@work.cron("0 3 * * *", timezone="America/New_York")
async def nightly(days: int = 1, note: str = "-"):
    "Cleans up."
    print("cleaning", days, note)

@work.every("1h")
def hourly():
    done.append(current_run().trigger)

@work.job
def bad():
    raise ValueError("no \\x1b[31m good")

@work.job(timeout=0.05)
async def slow():
    await asyncio.sleep(60)

async def inner(scope, receive, send): ...

app = work.wrap(inner)
"""


@dataclass
class Result:
    """What a command did."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> dict[str, Any]:
        """The JSON document on stdout, and nothing beside it."""
        found = json.loads(self.out)
        assert found["version"] == 1
        assert isinstance(found, dict)
        return found


class Shell:
    """A folder with an app, and commands called there in this process."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder = folder
        self._capsys = capsys

    def write(self, source: str, name: str = "main.py") -> None:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(source)

    def __call__(self, *argv: str) -> Result:
        self.forget()
        self._capsys.readouterr()
        code = main(argv)
        out, err = self._capsys.readouterr()
        return Result(code, out, err)

    def forget(self) -> None:
        """The next command imports the app anew, as a new process does."""
        for name, module in list(sys.modules.items()):
            places = [getattr(module, "__file__", None), *getattr(module, "__path__", ())]
            if any(str(place).startswith(str(self.folder)) for place in places):
                del sys.modules[name]


def environment(**variables: str) -> dict[str, str]:
    """A process' environment without what would change the output."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("AFTERWORK", "VERCEL", "NO_COLOR", "FORCE_COLOR", "COLUMNS"))
    }
    root = str(Path(__file__).parents[2])
    path = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")]))
    return {
        **kept,
        "PYTHONPATH": path,
        "TERM": "xterm",
        "PYTHONDONTWRITEBYTECODE": "1",
        **variables,
    }


COMMAND = [sys.executable, "-m", "afterwork"]


def piped(folder: Path, *argv: str, **variables: str) -> Result:
    """A command as a process whose output is piped."""
    done = subprocess.run(
        [*COMMAND, *argv],
        cwd=folder,
        env=environment(**variables),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    return Result(done.returncode, done.stdout, done.stderr)


def started(folder: Path, *argv: str, **variables: str) -> subprocess.Popen[str]:
    """A command as a process that goes on."""
    return subprocess.Popen(
        [*COMMAND, *argv],
        cwd=folder,
        env=environment(**variables),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def on_terminal(folder: Path, *argv: str, columns: int = 80, **variables: str) -> Result:
    """A command as a process on a terminal of its own, which gets both streams."""
    pid, terminal = pty.fork()
    if pid == 0:  # pragma: no cover  # another process
        os.chdir(folder)
        os.execve(sys.executable, [*COMMAND, *argv], environment(COLUMNS=str(columns), **variables))
    chunks: list[bytes] = []
    try:
        while chunk := os.read(terminal, 65536):
            chunks.append(chunk)
    except OSError:
        pass  # what Linux says at the end
    finally:
        _, status = os.waitpid(pid, 0)
        os.close(terminal)
    text = b"".join(chunks).decode().replace("\r\n", "\n")
    return Result(os.waitstatus_to_exitcode(status), text, "")


def wait_for(condition: Callable[[], object]) -> None:
    """Waits until it is true."""
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.01)
