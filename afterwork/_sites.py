"""Call sites: where in the user's code `after()` was called.

A site is kept as (code object, instruction): two pointers, taken in nanoseconds. The frame itself
is never kept, since it would keep every local variable of the handler alive; the line number is
worked out only for a log line.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import CodeType
    from typing import TypeAlias

    Site: TypeAlias = tuple[CodeType, int]

CHAIN_LENGTH = 16
"""How many scheduling sites a chain of nested callbacks remembers, the newest ones. A chain may go
on for ever."""


def describe(site: Site) -> str:
    """`path/file.py:12 in create`."""
    code, instruction = site
    line = code.co_firstlineno
    for start, end, number in code.co_lines():
        if start <= instruction < end and number is not None:
            line = number
            break
    return f"{code.co_filename}:{line} in {code.co_qualname}"


def extend(chain: tuple[Site, ...], site: Site) -> tuple[Site, ...]:
    """The chain of a nested call: its own site first, then those of its callers."""
    return (site, *chain[: CHAIN_LENGTH - 1])
