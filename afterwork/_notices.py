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
        self._at: dict[tuple[str, str], float] = {}
        self._kept_back: dict[tuple[str, str], int] = {}

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
        self,
        event: str,
        level: int = _events.WARNING,
        error: Any = None,
        kind: str = "",
        **fields: Any,
    ) -> None:
        """An event that may happen very often, at most once a minute for each of its kinds, of
        which there are few. `kept_back` is how many were not written since the last one that
        was."""
        now = self._clock.monotonic()
        key = event, kind
        last = self._at.get(key)
        if last is not None and now - last < EVERY_SECONDS:
            self._kept_back[key] = self._kept_back.get(key, 0) + 1
            return
        self._at[key] = now
        kept_back = self._kept_back.pop(key, None)
        _events.emit(level, event, error, kept_back=kept_back, **fields)
