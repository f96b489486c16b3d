"""One process of a race: its program, and how to start it.

It is told on the command line how to open the store and what to do, says `ready` once it has, and
starts when a line comes in.
"""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys

from .._ids import run_id
from .._store import RunRecord

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import IO

    from .._store import Store

SKEW = 90.0
"""How many seconds the clocks of the racers are apart."""
HELD = 1.0
"""For how many seconds a holder holds its lock, unless it is renewed."""


PROGRAM = f"import sys; from {__name__} import main; main(sys.argv[1:], sys.stdin, sys.stdout)"


class Child:
    """A process that has the store open and waits to be told to go. Leaving the `with` kills it."""

    def __init__(self, opener: tuple[str, str], action: str, *more: object) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, *opener, action, *map(str, more)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            # It finds modules where this process does.
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        )

    def __enter__(self) -> Child:
        return self

    def __exit__(self, *_: object) -> None:
        # As SIGKILL does, with nothing tidied up.
        self.process.kill()
        self.process.communicate()

    def go(self) -> None:
        """Lets it begin."""
        assert self.process.stdin is not None
        print(file=self.process.stdin, flush=True)

    def heard(self) -> str:
        """The next line that it says."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline().strip()
        assert line, f"the process said nothing and ended with {self.process.wait()}"
        return line


def main(arguments: list[str], told: IO[str], out: IO[str]) -> None:
    """`<module:function> <argument> race <number> <slots>`, or `... hold <lock>`."""
    opener, argument, action, *more = arguments
    store = open_store(opener, argument)
    print("ready", file=out, flush=True)
    told.readline()
    if action == "race":
        print(json.dumps(race(store, int(more[0]), int(more[1]))), file=out, flush=True)
    else:
        print(hold(store, more[0]), file=out, flush=True)
        told.readline()
    store.close()


def open_store(opener: str, argument: str) -> Store:
    """Calls the function that the opener names, `module:function`, and opens what it returns."""
    module, _, function = opener.partition(":")
    store: Store = getattr(importlib.import_module(module), function)(argument)
    store.open()
    return store


def race(store: Store, number: int, slots: int) -> list[int]:
    """Claims as many slots as it can get and runs them. Returns which. What it says of the time is
    wrong on purpose."""
    won = []
    for slot in range(slots):
        wrong = store.now() + number * SKEW
        run = RunRecord(id=run_id(), job="race", trigger="schedule", slot=slot, claimed_at=wrong)
        if store.claim(run, [str(slot)], keep=86_400, ttl=60).mine:
            won.append(slot)
            store.acquire(run.id, None, ttl=60)
            store.finish(RunRecord(id=run.id, job="race", trigger="schedule", state="succeeded"))
    return won


def hold(store: Store, lock: str) -> str:
    """Takes a lock that nobody else has. Returns the id of the run that holds it."""
    run = RunRecord(id=run_id(), job="hold", trigger="manual")
    store.claim(run, ["slot"], keep=86_400, ttl=60)
    store.acquire(run.id, lock, ttl=HELD)
    return run.id
