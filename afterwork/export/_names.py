"""Names of jobs where a target allows fewer characters."""

from __future__ import annotations

import string
from zlib import crc32

LOWER = frozenset(string.ascii_lowercase + string.digits)
WORD = frozenset(string.ascii_letters + string.digits)
HASH = 9
"""Characters of a hash with what joins it."""


def fitting(name: str, allowed: frozenset[str], most: int, join: str = "-") -> str:
    """The name if it fits; otherwise what is left of it and a hash, so that two jobs never share a
    name."""
    if len(name) <= most and all(character in allowed for character in name):
        return name
    low = name.lower() if "A" not in allowed else name
    plain = "".join(character if character in allowed else join for character in low)
    return f"{plain[: most - HASH].strip('-_')}{join}{crc32(name.encode()):08x}"
