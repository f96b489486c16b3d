"""One running Worker, driven from a test.

It is a Node process with Pyodide and Cloudflare's SDK, and `workerd.mjs` in place of workerd. Its
requests run side by side in it, as in one isolate.
"""

from __future__ import annotations

import json
import os
import subprocess
import threading
import time
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.hosts.runtimes import node, pyodide, workers_sdk

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

HERE = Path(__file__).parent
ROOT = HERE.parents[2]
PATIENCE_SECONDS = 25.0
"""How long a test waits for something. Long, since the machine may be busy."""


@dataclass(frozen=True)
class Event:
    """Something that happened in the Worker. `at` is in seconds, of one clock."""

    event: str
    at: float
    id: int | None = None
    name: str = ""
    value: Any = None
    text: str = ""
    status: int = 0
    waits: int = 0
    count: int = 0


class Isolate:
    """A Worker's process. `main` is the name of the module with the class `Default`, in `folder`.
    `wait_until`: whether the SDK finds one; `copies`: whether it copies what it is lent."""

    def __init__(
        self,
        folder: Path = HERE,
        main: str = "worker",
        *,
        wait_until: bool = True,
        copies: bool = True,
    ) -> None:
        path = [ROOT, ROOT / "integrations", workers_sdk(), folder]
        options = {
            "pyodide": str(pyodide()),
            "path": [str(each) for each in path],
            "main": main,
            "waitUntil": wait_until,
            "copies": copies,
        }
        self._events: list[Event] = []
        self._changed = threading.Condition()
        self._ids = count(1)
        self._process = subprocess.Popen(
            [node(), str(HERE / "workerd.mjs"), json.dumps(options)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**os.environ, "NODE_OPTIONS": ""},
        )
        self._reader = threading.Thread(target=self._read, daemon=True)

    def __enter__(self) -> Isolate:
        self._reader.start()
        try:
            self.wait(lambda event: event.event == "started", "the Worker to start")
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._end()

    def fetch(self, path: str = "/", method: str = "GET") -> int:
        """Begins a request; returns the id of its invocation."""
        return self._command("fetch", url=f"https://shop.example{path}", method=method)

    def scheduled(self, cron: str, slot: float) -> int:
        """Sets off a Cron Trigger; `slot` is in seconds."""
        return self._command("scheduled", cron=cron, time=slot * 1000)

    def settled(self, invocation: int) -> list[Event]:
        """Waits until the platform would let the invocation go. Returns what happened in it."""
        self.wait(
            lambda event: event.id == invocation and event.event == "settled",
            f"invocation {invocation} to be over",
        )
        return self.of(invocation)

    def of(self, invocation: int) -> list[Event]:
        """What has happened in an invocation so far."""
        with self._changed:
            return [event for event in self._events if event.id == invocation]

    @property
    def log(self) -> str:
        """What was written to stdout and stderr."""
        with self._changed:
            return "\n".join(event.text for event in self._events if event.event == "log")

    def python(self, code: str) -> Any:
        """Runs Python in the Worker; returns its last value, which JSON has to know."""
        return self._answer(self._command("python", code=code)).value

    def proxies(self) -> int:
        """How many Python objects JavaScript holds."""
        return self._answer(self._command("proxies")).count

    def wait(self, wanted: Callable[[Event], bool], what: str) -> Event:
        """The first event that fits, once it is there."""
        end = time.monotonic() + PATIENCE_SECONDS
        with self._changed:
            while True:
                found = [event for event in self._events if wanted(event)]
                if found:
                    return found[0]
                left = end - time.monotonic()
                over = self._process.poll() is not None and not self._reader.is_alive()
                if left <= 0 or over:
                    seen = "\n".join(map(str, self._events))
                    raise AssertionError(f"waited for {what}. What happened:\n{seen}")
                self._changed.wait(min(left, 0.2))

    def _answer(self, command: int) -> Event:
        answer = self.wait(lambda event: event.id == command, "an answer")
        assert answer.event != "broken", answer.text
        return answer

    def _command(self, kind: str, **fields: object) -> int:
        number = next(self._ids)
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"id": number, "do": kind, **fields}) + "\n")
        self._process.stdin.flush()
        return number

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            try:
                event = Event(**json.loads(line))
            except (ValueError, TypeError):  # Node's own words, when it cannot go on
                event = Event("log", 0.0, text=line.rstrip())
            with self._changed:
                self._events.append(event)
                self._changed.notify_all()

    def _end(self) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._reader.join()
        self._process.stdout.close()


def names(events: list[Event]) -> list[str]:
    """What happened, in order, by name."""
    return [event.name or event.event for event in events]


def at(events: list[Event], name: str, value: str | None = None) -> float:
    """When something happened."""
    return next(
        event.at
        for event in events
        if name in (event.name, event.event) and value in (None, event.value)
    )
