"""How often a durable job may start: `"10/m"` is ten times a minute."""

from __future__ import annotations

from dataclasses import dataclass

from . import _durations
from .errors import DurationSyntaxError, InvalidOptionError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

MOST_DIGITS = 9
EXPECTED = "a number and a time, such as '10/m', '1/30s' or '500/h'"


@dataclass(frozen=True, slots=True)
class Rate:
    """At most `count` starts in any `seconds`, all of them at once if they were saved up."""

    count: int
    seconds: float

    @classmethod
    def parse(cls, text: Any) -> Rate:
        """Reads `"10/m"`, `"1/30s"`. Raises `InvalidOptionError`."""
        if not isinstance(text, str):
            raise InvalidOptionError("rate", EXPECTED, text)
        number, _, time = text.replace(" ", "").partition("/")
        try:
            seconds = _durations.parse(time if time[:1].isdigit() else f"1{time}")
        except DurationSyntaxError:
            raise InvalidOptionError("rate", EXPECTED, text) from None
        if not (number.isascii() and number.isdigit() and len(number) <= MOST_DIGITS):
            raise InvalidOptionError("rate", EXPECTED, text)
        if int(number) < 1 or not seconds:
            raise InvalidOptionError("rate", EXPECTED, text)
        return cls(int(number), float(seconds))

    @property
    def interval(self) -> float:
        """Seconds between two starts when they come evenly."""
        return self.seconds / self.count
