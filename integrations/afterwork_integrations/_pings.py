"""What the services have in common that are pinged when a job starts and when it ends.

1. A run that is tried several times is one run: its start is told once, before the first attempt,
   and its end after the last.
2. Only jobs are told of, unless callbacks are asked for; never afterwork's own housekeeping.
3. Nothing is told of skipped runs. What is told of each other outcome is the service's affair.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import TYPE_CHECKING

from ._facts import OWN_JOBS, Facts, facts_of
from ._letters import Letter, send, timeout_of
from ._outbox import Outbox

if TYPE_CHECKING:
    from afterwork import Run

__all__ = ["Pings"]

MAX_REMEMBERED = 1000
"""Of how many runs it is kept in mind that their start was told."""


class Pings:
    """Tells a service of runs. `letter_for` makes what is sent of one, or None for nothing; a run
    without an outcome has started."""

    def __init__(
        self,
        name: str,
        letter_for: Callable[[Facts], Letter | None],
        *,
        callbacks: bool,
        timeout: float,
    ) -> None:
        self._letter_for = letter_for
        self._callbacks = callbacks
        self._timeout = timeout_of(timeout)
        self._outbox = Outbox(name)
        self._started: dict[str, None] = {}  # touched in the outbox's thread alone

    def around(self, run: Run) -> AbstractContextManager[object]:
        """Tells that an attempt begins."""
        self._hand_in(run)
        return nullcontext()

    def ended(self, run: Run) -> None:
        """Tells that a run is over."""
        self._hand_in(run)

    def flush(self, seconds: float) -> None:
        """Waits for what is still to be sent."""
        self._outbox.flush(seconds)

    def _hand_in(self, run: Run) -> None:
        facts = facts_of(run)
        wanted = facts.is_job or self._callbacks
        if wanted and not facts.name.startswith(OWN_JOBS):
            self._outbox.put(partial(self._tell, facts))

    def _tell(self, facts: Facts) -> None:
        if facts.outcome is not None:
            self._started.pop(facts.run_id, None)
        elif facts.run_id in self._started:
            return
        else:
            self._started[facts.run_id] = None
            if len(self._started) > MAX_REMEMBERED:  # whoever uses `around` alone
                del self._started[next(iter(self._started))]
        letter = self._letter_for(facts)
        if letter is not None:
            send(letter, self._timeout)
