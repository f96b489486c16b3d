"""Keys in a FIFO queue: which call of this process was the first with a key."""

from __future__ import annotations

from hashlib import sha256

from afterwork.engines import Envelope
from afterwork.verify import Clock

WINDOW = 300.0
"""Seconds after the first for which SQS takes in no other with the same deduplication id."""


class Keys:
    """Remembers what was sent in the last five minutes, since SQS does not tell what was there."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._sent: dict[str, tuple[str, float]] = {}

    def id_of(self, envelope: Envelope) -> str | None:
        """SQS's deduplication id for a call with a key; None for another."""
        if envelope.key is None:
            return None
        return sha256(f"{envelope.job}\0{envelope.key}".encode()).hexdigest()

    def holder(self, envelope: Envelope, sent_at: float) -> str:
        """The id of the call that has the key of this one, which was sent at that time."""
        for key, (_, since) in list(self._sent.items()):
            if since + WINDOW > sent_at:
                break
            del self._sent[key]
        first, _ = self._sent.setdefault(self.id_of(envelope) or "", (envelope.id, sent_at))
        return first
