"""The types beside JSON that the codec knows by themselves."""

from __future__ import annotations

import base64
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from uuid import UUID

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

TAGS: dict[type, str] = {
    datetime: "$datetime",
    date: "$date",
    time: "$time",
    timedelta: "$timedelta",
    UUID: "$uuid",
    Decimal: "$decimal",
    bytes: "$bytes",
}
SEQUENCES: dict[type, str] = {tuple: "$tuple", set: "$set", frozenset: "$frozenset"}
WRITE: dict[str, Callable[[Any], Any]] = {
    "$datetime": lambda value: _instant(value),
    "$date": lambda value: value.isoformat(),
    "$time": lambda value: _instant(value),
    "$timedelta": lambda value: [value.days, value.seconds, value.microseconds],
    "$uuid": str,
    "$decimal": str,
    "$bytes": lambda value: base64.b64encode(value).decode("ascii"),
}
READ: dict[str, Callable[[Any], Any]] = {
    "$datetime": lambda value: _folded(datetime.fromisoformat, value),
    "$date": date.fromisoformat,
    "$time": lambda value: _folded(time.fromisoformat, value),
    "$timedelta": lambda value: timedelta(*value),
    "$uuid": lambda value: UUID(_text(value)),
    "$decimal": lambda value: Decimal(_text(value)),
    "$bytes": lambda value: base64.b64decode(_text(value), validate=True),
}
MAKE: dict[str, Callable[[Any], Any]] = {"$tuple": tuple, "$set": set, "$frozenset": frozenset}


def has_lost_zone(value: Any) -> bool:
    """Whether it is in a zone that would not be read again: one without an offset for it, such as
    that of a time of day in a zone with summer time."""
    return getattr(value, "tzinfo", None) is not None and value.utcoffset() is None


def _instant(value: Any) -> Any:
    """ISO 8601; a zone becomes its offset. The second of two equal times is marked."""
    text = value.isoformat()
    return [text, 1] if value.fold else text


def _folded(read: Callable[[str], Any], value: Any) -> Any:
    if isinstance(value, list):
        text, fold = value
        return read(text).replace(fold=fold)
    return read(value)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError("not a text")
    return value
