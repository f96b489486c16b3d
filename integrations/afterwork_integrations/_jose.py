"""Strict reading of signed tokens (JWT in its compact form), for the integrations that verify some.

Only the standard library is needed. A token has one spelling here: RFC 7515 asks for base64url
without padding, and what decodes to the same bytes in another spelling is refused.
"""

from __future__ import annotations

import base64
import binascii
import json
import math
import re
from typing import Any

from afterwork.errors import InvalidOptionError, VerificationError

PARTS = 3
MAX_LEEWAY = 300
"""Seconds. Clocks that differ by more want to be set, and tokens live not much longer."""

_BASE64URL = re.compile(rb"[A-Za-z0-9_-]*")


class Token:
    """The parts of a token whose signature nobody has checked yet.

    `signed` is what the signature was made of. Raises `VerificationError` (`malformed_token`) for
    what is none, and (`wrong_algorithm`) for any algorithm but the one that is expected: who lets
    the token choose lets it choose `none`.
    """

    def __init__(self, raw: bytes, algorithm: str) -> None:
        parts = raw.split(b".")
        if len(parts) != PARTS:
            raise malformed(f"it has {len(parts)} parts and not {PARTS}")
        self.signed = raw.rpartition(b".")[0]
        self.header = _json_object(_decode(parts[0], "header"), "header")
        self.payload = _decode(parts[1], "payload")
        self.signature = _decode(parts[2], "signature")
        if self.header.get("alg") != algorithm:
            raise VerificationError("wrong_algorithm", f"only {algorithm} is accepted")
        # RFC 7515, section 4.1.11: what says that it has to be understood, and is not, is refused.
        # RFC 7797: `b64` changes what is signed.
        if "crit" in self.header or "b64" in self.header:
            raise malformed("its header asks for extensions")

    def claims(self) -> dict[str, Any]:
        """The payload. Ask only once the signature has been found right."""
        return _json_object(self.payload, "payload")


def malformed(detail: str) -> VerificationError:
    """The error for a token that cannot be read."""
    return VerificationError("malformed_token", detail)


def check_times(claims: dict[str, Any], now: float, leeway: float, *, nbf: bool) -> None:
    """Raises `VerificationError` unless the token is valid now: `expired`, `not_yet_valid` (by
    `nbf`, which has to be there where `nbf` is true) or `issued_in_future` (by `iat`). The clocks
    of both sides may differ by `leeway` seconds.
    """
    if now >= _time(claims, "exp") + leeway:
        raise VerificationError("expired", f"{now - _time(claims, 'exp'):.0f} s ago")
    if nbf or "nbf" in claims:
        ahead = _time(claims, "nbf") - now
        if ahead > leeway:
            raise VerificationError("not_yet_valid", f"but in {ahead:.0f} s")
    ahead = _time(claims, "iat") - now
    if ahead > leeway:
        raise VerificationError("issued_in_future", f"{ahead:.0f} s ahead of this clock")


def check_leeway(leeway: object) -> float:
    """Seconds by which two clocks may differ, from 0 to 300, or `InvalidOptionError`."""
    expected = f"a number of seconds from 0 to {MAX_LEEWAY}"
    if isinstance(leeway, bool) or not isinstance(leeway, (int, float)):
        raise InvalidOptionError("leeway", expected, leeway)
    if not 0 <= leeway <= MAX_LEEWAY:
        raise InvalidOptionError("leeway", expected, leeway)
    return float(leeway)


def told(value: object) -> str:
    """A claim as the log may show it: on one line, and not longer than one."""
    text = ascii(value)
    return text if len(text) <= 200 else f"{text[:200]}..."


def _time(claims: dict[str, Any], name: str) -> float:
    value = claims.get(name)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise malformed(f"its {name} is not a number")
    try:
        seconds = float(value)
    except OverflowError:
        seconds = math.inf
    if not math.isfinite(seconds):
        raise malformed(f"its {name} is not a time")
    return seconds


def _decode(part: bytes, what: str) -> bytes:
    if not _BASE64URL.fullmatch(part):
        raise malformed(f"its {what} is not base64url")
    try:
        decoded = base64.urlsafe_b64decode(part + b"=" * (-len(part) % 4))
    except binascii.Error:
        raise malformed(f"its {what} is not base64url") from None
    if base64.urlsafe_b64encode(decoded).rstrip(b"=") != part:
        raise malformed(f"its {what} is not base64url as RFC 7515 writes it")
    return decoded


def _json_object(text: bytes, what: str) -> dict[str, Any]:
    try:
        found = json.loads(text.decode())
    # A number with thousands of digits is a ValueError, and so is what is not UTF-8.
    except (ValueError, RecursionError):
        raise malformed(f"its {what} is not JSON") from None
    if not isinstance(found, dict):
        raise malformed(f"its {what} is not an object")
    return found
