"""One thing that `afterwork check` has looked at."""

from __future__ import annotations

from dataclasses import dataclass

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Literal


@dataclass(frozen=True, slots=True)
class Point:
    """What was looked at, and what came out."""

    what: str
    """For example `store`."""
    verdict: Literal["ok", "note", "problem"]
    """`note`: nothing is wrong, but somebody should know."""
    text: str
    fix: str | None = None
    """What to do about a problem."""
