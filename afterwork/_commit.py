"""Calls that count only if a database transaction does: `after(job, ..., commit=session)`.

1. What becomes of the transaction is learned from its own library: SQLAlchemy's session events, or
   Django's `on_commit`. Neither is imported from here; whoever gives a session has imported it.
2. Committed means the outermost transaction. A savepoint that is rolled back takes the calls with
   it that were made inside it.
3. This tells when, and no more. The call is written by whoever asks: before the response, if the
   transaction was over by then, else after it.
4. A session without a transaction, at the call and still when that is asked, has nothing to wait
   for: what it did is committed already. Django's `on_commit` takes it in the same way.
"""

from __future__ import annotations

import sys

from .errors import InvalidOptionError

TYPE_CHECKING = False
if TYPE_CHECKING:
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
WATCHED = "afterwork"
"""Where a session keeps those of its calls whose transaction is open, in its `info`."""
WAIT_SECONDS = 10.0
"""How long a transaction may stay open after the request is over."""


class Transaction:
    """What becomes of the transaction that a call belongs to."""

    __slots__ = ("_connection", "_idle", "_place", "_signals", "state")

    def __init__(self, commit: Any) -> None:
        self.state = OPEN
        self._signals: list[Signal] = []
        self._connection: Any = None
        """That of Django."""
        self._place: Any = None
        """The SQLAlchemy transaction or savepoint that the call was made in."""
        self._idle: Any = None
        """The session, if it had no transaction then."""
        if isinstance(commit, str):
            self._watch_connection(_django_connection(commit))
        elif hasattr(commit, "on_commit"):
            self._watch_connection(commit)
        else:
            self._watch_session(commit)

    def counts(self) -> bool:
        """Whether it is committed by now, or there is none to wait for."""
        if self._idle is not None and self._idle.get_transaction() is None:
            self.decide(COMMITTED)
        return self.state is COMMITTED

    async def decided(self, loop: Loop) -> bool:
        """Waits until it is over, at most `WAIT_SECONDS`. Returns whether it was committed."""
        signal = loop.signal()
        self._signals.append(signal)
        if self._is_dropped():
            self.decide(ROLLED_BACK)
        if not self.counts() and self.state is OPEN:
            await signal.wait(WAIT_SECONDS)
        return self.state is COMMITTED

    def decide(self, state: str) -> None:
        """It is over."""
        if self.state is OPEN:
            self.state = state
            for signal in self._signals:
                signal.set()

    # -- Django

    def _watch_connection(self, connection: Any) -> None:
        on_commit = connection.on_commit
        # Behind a proxy, that of this thread.
        self._connection = getattr(on_commit, "__self__", connection)
        on_commit(self._committed)

    def _committed(self) -> None:
        self.decide(COMMITTED)

    def _is_dropped(self) -> bool:
        """Whether Django has forgotten whom to call: that is all that it does at a rollback."""
        calls = getattr(self._connection, "run_on_commit", None)
        return calls is not None and all(call[1] != self._committed for call in calls)

    # -- SQLAlchemy

    def _watch_session(self, given: Any) -> None:
        session = _session_of(given)
        event: Any = sys.modules.get("sqlalchemy.event")
        if session is None or event is None:
            raise InvalidOptionError("commit", EXPECTED, given)
        self._place = session.get_nested_transaction() or session.get_transaction()
        if self._place is None:
            self._idle = session
        # One listener for all calls of a session, and it stays: SQLAlchemy cannot take one away
        # while it tells of an event, and that is when it would have to be.
        if WATCHED not in session.info:
            session.info[WATCHED] = []
            event.listen(session, "after_commit", _after_commit)
            event.listen(session, "after_transaction_end", _after_end)
        session.info[WATCHED].append(self)

    def committed(self, savepoint: Any) -> None:
        """The session has committed a savepoint, or all (None)."""
        if savepoint is None:
            self.decide(COMMITTED)
        elif savepoint is self._place:  # it counts if what it is in does
            self._place = savepoint.parent

    def ended(self, ended: Any) -> None:
        """A commit was told before this; so what ends here undecided was not committed."""
        place = self._place
        while place is not None and place is not ended:
            place = place.parent
        if place is ended or ended.parent is None:
            self.decide(ROLLED_BACK)


def _after_commit(session: Any) -> None:
    savepoint = session.get_nested_transaction()
    for transaction in session.info[WATCHED]:
        transaction.committed(savepoint)


def _after_end(session: Any, ended: Any) -> None:
    watched = session.info[WATCHED]
    for transaction in watched:
        transaction.ended(ended)
    watched[:] = [each for each in watched if each.state is OPEN]


def _django_connection(alias: str) -> Any:
    db: Any = sys.modules.get("django.db")
    if db is None:
        raise InvalidOptionError("commit", EXPECTED, alias)
    return db.connections[alias]


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
