"""Starts what the READMEs of recipes say, with the commands that stand there."""

from __future__ import annotations

import asyncio
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

ROOT = Path(__file__).parents[2]
RECIPES = ROOT / "integrations" / "recipes"
PATIENCE = 30.0


def command(recipe: str, program: str, **changes: str) -> list[str]:
    """The line of the README's first block that starts a program."""
    text = (RECIPES / recipe / "README.md").read_text()
    block = re.search(r"^```\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    assert block is not None
    (line,) = [line for line in block[1].splitlines() if line.startswith(f"{program} ")]
    words = shlex.split(line)
    for option, value in changes.items():
        words[words.index(f"--{option}") + 1] = value
    return words


class Program:
    """A process in a group of its own, for a `with`. `paths` come first where it looks for
    modules; what it says is in `log`."""

    def __init__(
        self, words: list[str], folder: Path, environ: Mapping[str, str], *paths: Path
    ) -> None:
        self.log = folder / f"{words[0]}.log"
        bin_folder = str(Path(sys.executable).parent)
        environ = {
            **os.environ,
            "PATH": os.pathsep.join((bin_folder, os.environ["PATH"])),
            "PYTHONPATH": os.pathsep.join(map(str, (*paths, ROOT, ROOT / "integrations"))),
            **environ,
        }
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                words,
                cwd=folder,
                env=environ,
                start_new_session=True,
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def __enter__(self) -> Program:
        return self

    def __exit__(self, *_: object) -> None:
        self.end(signal.SIGKILL)

    def end(self, number: signal.Signals) -> int:
        """Sends a signal to the group and waits for its end."""
        try:
            os.killpg(self.process.pid, number)
        except ProcessLookupError:
            pass
        return self.process.wait(PATIENCE)

    async def until(self, condition: Callable[[], object], what: str) -> None:
        """Waits for a condition, and fails with the log."""
        start = time.monotonic()
        while not condition():
            waited = time.monotonic() - start
            assert waited < PATIENCE, f"waited {PATIENCE} s for {what}:\n{self.log.read_text()}"
            await asyncio.sleep(0.02)


def post(url: str, body: bytes = b"") -> int:
    """The status of a POST; 0 where nobody answers."""
    try:
        with urlopen(Request(url, data=body, method="POST"), timeout=PATIENCE) as answer:
            return int(answer.status)
    except HTTPError as error:
        return error.code
    except URLError:
        return 0
