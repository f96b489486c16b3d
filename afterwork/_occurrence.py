"""What set a run of a job off, and what makes it the same as another."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Literal, TypeAlias

    Trigger: TypeAlias = Literal["after", "schedule", "http", "manual", "retry"]

TRIGGERS: tuple[Trigger, ...] = ("after", "schedule", "http", "manual", "retry")


class Occurrence:
    """What set a run off."""

    __slots__ = (
        "again",
        "attempt",
        "caller",
        "caught_up",
        "delivery",
        "filtered",
        "payload",
        "reopens",
        "slot",
        "trigger",
    )

    def __init__(
        self,
        trigger: Trigger,
        *,
        slot: int | None = None,
        delivery: str | None = None,
        caller: str = "",
        attempt: int | None = None,
        reopens: bool = False,
        filtered: bool = False,
        again: bool = False,
        caught_up: bool = False,
        payload: object = None,
    ) -> None:
        self.trigger: Trigger = trigger
        self.slot = slot
        self.delivery = delivery
        self.caller = caller
        self.attempt = attempt
        self.reopens = reopens
        """Whether coming again after a failure makes it the next attempt."""
        self.filtered = filtered
        """Whether pause, environment, time of day and `when` hold for it."""
        self.again = again
        """Whether it makes up for a slot that has a record already, of a pause."""
        self.caught_up = caught_up
        """Whether it may be one of several slots that are made up for one after the other."""
        self.payload = payload

    @property
    def keys(self) -> tuple[str, ...]:
        """What makes it the same as another. The delivery comes first: one that comes again hours
        later is the run that it was, and not one of the slot which is on then."""
        slot = () if self.slot is None else (f"slot:{self.slot}{':again' * self.again}",)
        if self.delivery is None:
            return slot
        return (f"delivery:{self.caller}:{short(self.delivery)}", *slot)


def short(delivery: str) -> str:
    """A delivery's id, or what stands for a very long one."""
    if len(delivery) <= 200:
        return delivery
    from hashlib import sha256

    return "sha256:" + sha256(delivery.encode("utf-8", "surrogatepass")).hexdigest()
