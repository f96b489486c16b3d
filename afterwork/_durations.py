"""Durations as people write them: `90s`, `5m`, `1h30m`, `2d`. Read and written in whole seconds."""

from __future__ import annotations

from .errors import DurationSyntaxError

MAX_LENGTH = 64

# letter, word, seconds; the longest first, which is the order in which they are written
UNITS = (("d", "day", 86_400), ("h", "hour", 3600), ("m", "minute", 60), ("s", "second", 1))
LETTERS = "".join(letter for letter, _, _ in UNITS)
DIGITS = frozenset("0123456789")
SHAPE = "Write whole numbers with d, h, m or s, the longest first: 2d, 1h30m, 90s."


def parse(text: str) -> int:
    """The seconds that a text such as `"1h30m"` means; zero is allowed.

    Each unit stands at most once, the longest first. Spaces may stand between the parts:
    `"1h 30m"`. Raises `DurationSyntaxError` with the position.
    """
    if len(text) > MAX_LENGTH:
        raise DurationSyntaxError(text, MAX_LENGTH, f"it has {len(text)} characters", SHAPE)
    seconds = 0
    allowed = LETTERS
    at = _skip(text, 0, " ")
    while at < len(text) or allowed == LETTERS:
        unit_at = _skip(text, at, DIGITS)
        number, unit = text[at:unit_at], text[unit_at : unit_at + 1]
        if not number or not unit or unit not in allowed:
            raise DurationSyntaxError(text, unit_at, *_problem(number, unit))
        seconds += int(number) * UNITS[LETTERS.index(unit)][2]
        allowed = allowed[allowed.index(unit) + 1 :]
        at = _skip(text, unit_at + 1, " ")
    return seconds


def compact(seconds: int) -> str:
    """The shortest text that `parse` reads as these seconds: `1h30m`."""
    return "".join(f"{count}{letter}" for count, letter, _ in _parts(seconds)) or "0s"


def words(seconds: int) -> str:
    """The seconds in words: `1 hour 30 minutes`."""
    named = [f"{count} {word}{'s' * (count != 1)}" for count, _, word in _parts(seconds)]
    return " ".join(named) or "0 seconds"


def _skip(text: str, at: int, characters: str | frozenset[str]) -> int:
    while at < len(text) and text[at] in characters:
        at += 1
    return at


def _parts(seconds: int) -> list[tuple[int, str, str]]:
    parts: list[tuple[int, str, str]] = []
    for letter, word, size in UNITS:
        count, seconds = divmod(seconds, size)
        if count:
            parts.append((count, letter, word))
    return parts


def _problem(number: str, unit: str) -> tuple[str, str]:
    """What is wrong where a number and its unit should stand, and the hint."""
    if not number:
        return f"a number is missing{f' before {unit!r}' if unit else ''}", SHAPE
    if not unit:
        return f"{number} has no unit", f"Write {number}s for seconds or {number}m for minutes."
    if unit in ".,":
        return "fractions are not read", "Use the next smaller unit: 90m instead of 1.5h."
    if unit in LETTERS:
        return f"{unit} is out of order", "Each unit stands once, the longest first: 1h30m."
    if unit.lower() in LETTERS:
        return f"{unit!r} is no unit", f"Write {unit.lower()} in lower case."
    return f"{unit!r} is no unit", SHAPE
