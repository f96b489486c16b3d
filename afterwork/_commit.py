"""Calls that count only if a database transaction does: `after(job, ..., commit=session)`.

1. What becomes of the transaction is learned from its own library: SQLAlchemy's session events, or
   Django's `on_commit`. Neither is imported from here; whoever gives a session has imported it.
2. Committed means the outermost transaction. A savepoint that is rolled back takes the calls with
   it that were made inside it.
3. This tells when, and no more. The call is written by whoever asks: before the response, if the
   transaction was over by then, else after it.
"""

from __future__ import annotations

import sys

from .errors import InvalidOptionError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from ._loop import Loop, Signal

OPEN = "open"
COMMITTED = "committed"
ROLLED_BACK = "rolled back"
"""What is known of a transaction."""

EXPECTED = (
    "a SQLAlchemy Session or AsyncSession, the alias of a Django database such as 'default', or a "
    "connection with on_commit()"
)
WAIT_SECONDS = 10.0
"""How long a transaction may stay open after the request is over."""


class Transaction:
    """What becomes of the transaction that a call belongs to."""

    __slots__ = ("_forget", "_place", "_signals", "state")

    def __init__(self, commit: Any) -> None:
        self.state = OPEN
        self._signals: list[Signal] = []
        self._forget: Callable[[], None] | None = None
        self._place: Any = None
        """The SQLAlchemy transaction or savepoint that the call was made in."""
        if isinstance(commit, str):
            self._watch_django(commit)
        elif hasattr(commit, "on_commit"):
            commit.on_commit(self._committed)
        else:
            self._watch_session(commit)

    async def decided(self, loop: Loop) -> bool:
        """Waits until it is over, at most `WAIT_SECONDS`. Returns whether it was committed. Then
        nothing is watched any more."""
        signal = loop.signal()
        self._signals.append(signal)
        if self.state is OPEN:
            await signal.wait(WAIT_SECONDS)
        self._stop_watching()
        return self.state is COMMITTED

    def _decide(self, state: str) -> None:
        if self.state is OPEN:
            self.state = state
            for signal in self._signals:
                signal.set()

    def _committed(self) -> None:
        self._decide(COMMITTED)

    def _stop_watching(self) -> None:
        forget, self._forget = self._forget, None
        if forget is not None:
            forget()

    # -- Django

    def _watch_django(self, alias: str) -> None:
        db: Any = sys.modules.get("django.db")
        if db is None:
            raise InvalidOptionError("commit", EXPECTED, alias)
        db.transaction.on_commit(self._committed, using=alias)

    # -- SQLAlchemy

    def _watch_session(self, given: Any) -> None:
        session = _session_of(given)
        event: Any = sys.modules.get("sqlalchemy.event")
        if session is None or event is None:
            raise InvalidOptionError("commit", EXPECTED, given)
        self._place = session.get_nested_transaction() or session.get_transaction()
        listeners = (
            ("after_commit", self._after_commit),
            ("after_transaction_end", self._after_end),
        )
        for name, listener in listeners:
            event.listen(session, name, listener)

        def forget() -> None:
            for name, listener in listeners:
                event.remove(session, name, listener)

        self._forget = forget

    def _after_commit(self, session: Any) -> None:
        savepoint = session.get_nested_transaction()
        if savepoint is None:
            self._decide(COMMITTED)
        elif savepoint is self._place:  # it counts if what it is in does
            self._place = savepoint.parent

    def _after_end(self, session: Any, ended: Any) -> None:
        """A commit was told before this; so what ends here undecided was not committed."""
        place = self._place
        while place is not None and place is not ended:
            place = place.parent
        if place is ended or ended.parent is None:
            self._decide(ROLLED_BACK)


def _session_of(given: Any) -> Any:
    """The plain session behind an async one or a registry; None for anything else."""
    for _ in range(3):
        if hasattr(given, "get_nested_transaction") and hasattr(given, "dispatch"):
            return given
        if hasattr(given, "sync_session"):
            given = given.sync_session
        elif hasattr(given, "registry"):
            given = given.registry()
    return None
