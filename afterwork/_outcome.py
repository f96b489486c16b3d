"""How a run ended."""

from __future__ import annotations


class Outcome(str):
    """How a run ended. A plain string with names for its values: compare it with either.

    `enum.StrEnum` would do the same for several milliseconds of every cold start.
    """

    __slots__ = ()

    SUCCEEDED: Outcome
    """It returned."""
    FAILED: Outcome
    """It raised, and no retry was left."""
    TIMED_OUT: Outcome
    """It ran longer than its timeout."""
    CANCELLED: Outcome
    """It was stopped, or never started, because the drain's time or the process was over."""
    SKIPPED: Outcome
    """Its condition on the response was not met."""
    MISSED: Outcome
    """Its slot passed while nobody could run it."""
    ABANDONED: Outcome
    """It could not be stopped and was left behind."""

    def __repr__(self) -> str:
        return f"Outcome.{self.upper()}"


Outcome.SUCCEEDED = Outcome("succeeded")
Outcome.FAILED = Outcome("failed")
Outcome.TIMED_OUT = Outcome("timed_out")
Outcome.CANCELLED = Outcome("cancelled")
Outcome.SKIPPED = Outcome("skipped")
Outcome.MISSED = Outcome("missed")
Outcome.ABANDONED = Outcome("abandoned")
