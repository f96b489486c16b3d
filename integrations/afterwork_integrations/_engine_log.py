"""What an engine's worker says of itself, in the log that all of afterwork uses."""

from __future__ import annotations

import logging
import time

__all__ = ["EngineLog"]

PAUSE = 60.0
"""Seconds between two lines of the same event."""


class EngineLog:
    """Writes events of one engine to the logger `afterwork`."""

    def __init__(self, engine: str) -> None:
        self._engine = engine
        self._log = logging.getLogger("afterwork")
        self._said: dict[str, float] = {}

    def say(self, level: int, event: str, **facts: object) -> None:
        """Writes an event."""
        text = "".join(f" {name}={value!r}" for name, value in facts.items())
        self._log.log(level, "%s engine=%r%s", event, self._engine, text)

    def say_each_minute(self, level: int, event: str, **facts: object) -> None:
        """Writes an event, unless it was written in the last minute."""
        now = time.monotonic()
        if now - self._said.get(event, float("-inf")) >= PAUSE:
            self._said[event] = now
            self.say(level, event, **facts)
