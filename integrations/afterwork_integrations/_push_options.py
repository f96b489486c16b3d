"""Checks of options that the engines for cloud queues have in common. Each returns the value or
raises `InvalidOptionError`, without what may be secret."""

from __future__ import annotations

import math
from urllib.parse import urlsplit

from afterwork.engines import Envelope
from afterwork.errors import InvalidOptionError

__all__ = ["address", "credential", "due", "seconds", "whole"]


class Hidden:
    """Stands for a secret in the message of an error."""

    def __init__(self, value: object) -> None:
        self.kind = type(value).__name__

    def __repr__(self) -> str:
        return f"another {self.kind} (not shown, it may be secret)"


def credential(name: str, value: object, where: str) -> str:
    """A token: printable ASCII with nothing around it. `where` says where to get one."""
    good = isinstance(value, str) and 8 <= len(value) <= 8192 and value.isascii()
    if not (good and isinstance(value, str) and value.isprintable() and " " not in value):
        raise InvalidOptionError(name, f"a token, as {where} shows it", Hidden(value))
    return value


def address(name: str, value: object, example: str, *, bare: bool = False) -> str:
    """An http or https address without user, password and fragment; `bare`: without a path and a
    query too, and a slash at its end is taken off."""
    expected = f"an address such as {example!r}"
    if not isinstance(value, str) or not value.isascii() or not value.isprintable():
        raise InvalidOptionError(name, expected, Hidden(value))
    try:
        parts = urlsplit(value)
        parts.port  # noqa: B018  # it is looked at only when it is asked for
    except ValueError:
        raise InvalidOptionError(name, expected, Hidden(value)) from None
    wrong = "@" in parts.netloc or "#" in value or " " in value
    if parts.scheme not in ("http", "https") or not parts.hostname or wrong:
        raise InvalidOptionError(name, expected, Hidden(value))
    if bare and (parts.path not in ("", "/") or "?" in value):
        raise InvalidOptionError(name, expected, Hidden(value))
    return value.rstrip("/") if bare else value


def seconds(name: str, value: object, least: float, most: float) -> float:
    """A number of seconds between two."""
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not number or not isinstance(value, int | float) or not least <= value <= most:
        raise InvalidOptionError(name, f"seconds from {least:g} to {most:g}", value)
    return float(value)


def whole(name: str, value: object, least: int, most: int) -> int:
    """A whole number between two."""
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise InvalidOptionError(name, f"a whole number from {least} to {most}", value)
    return value


def due(envelope: Envelope, now: float, longest: float) -> int | None:
    """The whole second from which a vendor may deliver a call: never early, and after `longest`
    seconds at the latest. None for at once."""
    if envelope.run_at is None or envelope.run_at <= now:
        return None
    return min(math.ceil(envelope.run_at), math.floor(now + longest))
