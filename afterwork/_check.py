"""Checks of option values. Each returns the value or raises `InvalidOptionError` naming the
option."""

from __future__ import annotations

from ._kinds import is_async
from .errors import InvalidOptionError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

LARGEST = 1.7976931348623157e308
"""The largest float: a larger int is none."""


def seconds(name: str, value: Any, *, zero: bool = False) -> float:
    """A finite number of seconds, more than zero (or from zero on)."""
    expected = f"a number of seconds, {'zero or more' if zero else 'more than zero'}"
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise InvalidOptionError(name, expected, value)
    if not 0 <= value <= LARGEST or (value == 0 and not zero):
        raise InvalidOptionError(name, expected, value)
    return float(value)


def optional_seconds(name: str, value: Any) -> float | None:
    """As `seconds`, or None for no limit."""
    return None if value is None else seconds(f"{name} (None for no limit)", value)


def count(name: str, value: Any) -> int:
    """A whole number from 1 on."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise InvalidOptionError(name, "a whole number from 1 on", value)
    return value


def optional_count(name: str, value: Any) -> int | None:
    """As `count`, or None for no limit."""
    return None if value is None else count(f"{name} (None for no limit)", value)


def choice(name: str, value: Any, allowed: tuple[str, ...]) -> str:
    """One of a few words."""
    if not isinstance(value, str) or value not in allowed:
        raise InvalidOptionError(name, "one of " + ", ".join(map(repr, allowed)), value)
    return value


def flag(name: str, value: Any) -> bool:
    """True or False, and nothing that merely looks like it."""
    if not isinstance(value, bool):
        raise InvalidOptionError(name, "True or False", value)
    return value


def optional_text(name: str, value: Any) -> str | None:
    """A text with something in it, or None."""
    if value is not None and (not isinstance(value, str) or not value):
        raise InvalidOptionError(name, "a text that is not empty", value)
    return value


def optional_callable(name: str, value: Any) -> Any:
    """A callable, or None."""
    if value is not None and not _is_plain(value):
        raise InvalidOptionError(name, "a plain (not async) callable", value)
    return value


def callables(name: str, value: Any) -> tuple[Any, ...]:
    """A list or tuple of callables."""
    if not isinstance(value, (list, tuple)) or not all(map(_is_plain, value)):
        raise InvalidOptionError(name, "a list of plain (not async) callables", value)
    return tuple(value)


def _is_plain(value: Any) -> bool:
    # What an async function returns would be awaited by nobody.
    return callable(value) and not is_async(value)
