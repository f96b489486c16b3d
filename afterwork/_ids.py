"""Run ids: UUIDv7 (RFC 9562, section 5.7), so that ids sort by the time they were made."""

from __future__ import annotations

import os
import time

RANDOM_BITS = 74
_BYTES = 10
_POOL_BYTES = 4000


def run_id() -> str:
    """A new id in the usual text form."""
    milliseconds = time.time_ns() // 1_000_000
    random = int.from_bytes(_random(), "big") & ((1 << RANDOM_BITS) - 1)
    value = (milliseconds & ((1 << 48) - 1)) << 80
    value |= 0x7 << 76 | (random >> 62) << 64
    value |= 0b10 << 62 | (random & ((1 << 62) - 1))
    text = f"{value:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


_pieces: list[bytes] = []
"""Random bytes that are not used yet. Asking the system lets go of the interpreter, which in a busy
process may take longer than all the rest of a call."""


def _random() -> bytes:
    try:
        return _pieces.pop()  # one step, so no two threads get the same
    except IndexError:
        drawn = os.urandom(_POOL_BYTES)
        pieces = [drawn[at : at + _BYTES] for at in range(0, _POOL_BYTES, _BYTES)]
        piece = pieces.pop()
        _pieces.extend(pieces)
        return piece


# A child must not draw what its parent draws. Windows has no fork.
getattr(os, "register_at_fork", dict)(after_in_child=_pieces.clear)
