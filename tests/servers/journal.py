"""What the app under test wrote down, read by the tests while it runs."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

PATIENCE_SECONDS = 15.0
"""How long a test waits for a condition before it fails. Long, since the machine may be busy."""
POLL_SECONDS = 0.01


@dataclass(frozen=True)
class Line:
    """One thing that happened. `at` is monotonic seconds, the same clock in every process."""

    event: str
    name: str
    pid: int
    at: float


class Journal:
    """The file that the app appends to."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def lines(self, event: str | None = None, name: str | None = None) -> list[Line]:
        """What happened so far, in order; only that event, only to that callback."""
        if not self.path.exists():
            return []
        texts = self.path.read_text().splitlines(keepends=True)
        # The last one may be half written at this moment.
        lines = [Line(**_parse(text)) for text in texts if text.endswith("\n")]
        return [
            line
            for line in lines
            if event in (None, line.event) and (name is None or name == line.name)
        ]

    def wait(self, event: str, name: str) -> Line:
        """Waits until that happened."""
        until(lambda: self.lines(event, name), f"{event} {name}")
        return self.lines(event, name)[0]


def until(condition: Callable[[], object], what: str) -> None:
    """Waits until `condition()` is true. `what` is for the message if it never is."""
    end = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < end, f"waited {PATIENCE_SECONDS} s for: {what}"
        time.sleep(POLL_SECONDS)


def _parse(text: str) -> dict[str, Any]:
    parsed: dict[str, Any] = json.loads(text)
    return parsed
