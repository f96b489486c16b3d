"""Warnings that are said once, or at most once a minute."""

from __future__ import annotations

from . import _events

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ._clock import Clock
    from ._hosts import Host

EVERY_SECONDS = 60.0


class Notices:
    """What an app has been told already."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._said: set[tuple[str, str]] = set()
        self._at: dict[str, float] = {}
        self._kept_back: dict[str, int] = {}

    def announce(self, host: Host) -> None:
        """Says once what a user has to know about a host."""
        if host.info.note is not None:
            self.say_once("host.limited", host.info.name, host.info.note)

    def say_once(self, event: str, host: str, note: str) -> None:
        """A warning about a host, once per process and app."""
        if (event, host) not in self._said:
            self._said.add((event, host))
            _events.emit(_events.WARNING, event, None, host=host, note=note)

    def say_each_minute(
        self, event: str, level: int = _events.WARNING, error: Any = None, **fields: Any
    ) -> None:
        """An event that may happen very often, at most once a minute. `kept_back` is how many of
        them were not written since the last one that was."""
        now = self._clock.monotonic()
        last = self._at.get(event)
        if last is not None and now - last < EVERY_SECONDS:
            self._kept_back[event] = self._kept_back.get(event, 0) + 1
            return
        self._at[event] = now
        kept_back = self._kept_back.pop(event, None)
        _events.emit(level, event, error, kept_back=kept_back, **fields)
