"""A clock that stands still until a test moves it."""

from __future__ import annotations


class HandClock:
    """Both of its times move together."""

    def __init__(self, now: float = 1_800_000_000.0) -> None:
        self.time = now

    def now(self) -> float:
        return self.time

    def monotonic(self) -> float:
        return self.time

    def advance(self, seconds: float) -> None:
        self.time += seconds
