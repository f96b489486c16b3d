"""The calls as workflows of DBOS: one for each attempt.

1. A call is put in by DBOS's own client. The rest is SQL on the tables that DBOS documents: its own
   functions keep what is over for ever, and cannot move steps.
2. What follows a call is put in, its steps are moved there, and the call is deleted, all in one
   transaction, and only by the worker that has it.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from contextlib import nullcontext
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from dbos import error as dbos_error

from afterwork.engines import Envelope

if TYPE_CHECKING:
    from dbos import EnqueueOptions

    from ._place import Place

__all__ = ["VERSION", "WORKFLOW", "Calls"]

WORKFLOW = "afterwork"
VERSION = "afterwork"
"""The application version of all calls. DBOS's default is a hash of the code, and what was put in
before a deploy would never run after it."""
MIDDLE = 1001
"""DBOS's number for the priority 0; there a lower number goes first."""
EARLY = 0.001
"""DBOS cuts a delay to whole milliseconds."""


class Calls:
    """The calls of one queue. Everything blocks."""

    def __init__(self, place: Place, queue: str) -> None:
        self._place = place
        self._queue = queue

    def add(self, envelopes: Sequence[Envelope], connection: Any = None) -> list[str]:
        """Takes calls in, in a transaction. Returns the ids of those that stand for them."""
        engine, _ = self._place.opened()
        with engine.begin() if connection is None else nullcontext(connection) as used:
            return [self._add(used, each, self._key(each)) for each in envelopes]

    def hand_over(self, workflow: str, owner: str, following: Envelope | None) -> None:
        """A call is over, or another attempt follows it."""
        engine, _ = self._place.opened()
        with engine.begin() as connection:
            mine = self._run(
                connection,
                "DELETE FROM {}workflow_status WHERE workflow_uuid = :workflow "
                "AND status = 'PENDING' AND owner_xid = :owner RETURNING deduplication_id",
                workflow=workflow,
                owner=owner,
            ).fetchall()
            if not mine:
                return  # somebody else has it, or it was cancelled
            self._forget(connection, "workflow_input", workflow)
            if following is not None:
                self._add(connection, following, mine[0][0])
                self._run(
                    connection,
                    "UPDATE {}operation_outputs SET workflow_uuid = :next "
                    "WHERE workflow_uuid = :workflow",
                    workflow=workflow,
                    next=workflow_of(following),
                )
            else:
                self._forget(connection, "operation_outputs", workflow)

    def give_back(self, executor: str, but: Sequence[str] = ()) -> int:
        """Lets others have what this worker took, but for these. Returns how many there were."""
        engine, _ = self._place.opened()
        with engine.begin() as connection:
            statement = sa.text(
                f"UPDATE {self._place.prefix}workflow_status SET status = 'ENQUEUED', "
                "owner_xid = NULL, started_at_epoch_ms = NULL, "
                "recovery_attempts = recovery_attempts - 1 "
                "WHERE queue_name = :queue AND status = 'PENDING' AND executor_id = :executor "
                "AND workflow_uuid NOT IN :but"
            ).bindparams(sa.bindparam("but", expanding=True))
            # With nothing in the list PostgreSQL would not know its type.
            values = {"queue": self._queue, "executor": executor, "but": ["", *but]}
            return connection.execute(statement, values).rowcount

    def executors(self) -> list[str]:
        """The workers that have calls."""
        engine, _ = self._place.opened()
        with engine.connect() as connection:
            rows = self._run(
                connection,
                "SELECT DISTINCT executor_id FROM {}workflow_status "
                "WHERE queue_name = :queue AND status = 'PENDING'",
                queue=self._queue,
            )
            return [row[0] for row in rows]

    def status(self, run_id: str) -> str | None:
        """The status of a call, in DBOS's words."""
        engine, _ = self._place.opened()
        with engine.connect() as connection:
            rows = self._rows(connection, "SELECT status FROM", run_id, "").fetchall()
            return str(rows[0][0]) if rows else None

    def cancel(self, run_id: str) -> bool:
        """Deletes a call that waits."""
        engine, _ = self._place.opened()
        waits = "AND status IN ('ENQUEUED', 'DELAYED') RETURNING workflow_uuid"
        with engine.begin() as connection:
            rows = self._rows(connection, "DELETE FROM", run_id, waits).fetchall()
            for (workflow,) in rows:
                self._forget(connection, "workflow_input", workflow)
                self._forget(connection, "operation_outputs", workflow)
        return bool(rows)

    # -- in a transaction

    def _add(self, connection: Any, envelope: Envelope, key: str | None) -> str:
        _, client = self._place.opened()
        options: EnqueueOptions = {
            "workflow_name": WORKFLOW,
            "queue_name": self._queue,
            "workflow_id": workflow_of(envelope),
            "app_version": VERSION,
            "priority": MIDDLE - envelope.priority,
        }
        if envelope.run_at is not None and (left := envelope.run_at - time.time()) > 0:
            options["delay_seconds"] = left + EARLY
        if key is None:
            client.enqueue_in_transaction(connection, options, envelope.to_json())
            return envelope.id
        options["deduplication_id"] = key
        while True:
            owner = self._owner(connection, key)
            if owner is not None:
                return owner
            try:
                # In PostgreSQL an error would be the end of the transaction.
                with nullcontext() if self._place.file else connection.begin_nested():
                    client.enqueue_in_transaction(connection, options, envelope.to_json())
                return envelope.id
            except dbos_error.DBOSQueueDeduplicatedError:
                pass  # somebody else was faster

    def _key(self, envelope: Envelope) -> str | None:
        if envelope.key is None:
            return None
        text = json.dumps([envelope.job, envelope.key])
        return f"afterwork:{blake2b(text.encode(), digest_size=20).hexdigest()}"

    def _owner(self, connection: Any, key: str) -> str | None:
        rows = self._run(
            connection,
            "SELECT workflow_uuid FROM {}workflow_status "
            "WHERE queue_name = :queue AND deduplication_id = :key",
            queue=self._queue,
            key=key,
        ).fetchall()
        return str(rows[0][0]).rpartition(":")[0] if rows else None

    def _rows(self, connection: Any, doing: str, run_id: str, which: str) -> Any:
        escaped = run_id.replace("!", "!!").replace("%", "!%").replace("_", "!_")
        return self._run(
            connection,
            doing + " {}workflow_status WHERE queue_name = :queue "
            "AND workflow_uuid LIKE :pattern ESCAPE '!' " + which,
            queue=self._queue,
            pattern=f"{escaped}:%",
        )

    def _forget(self, connection: Any, table: str, workflow: str) -> None:
        statement = f"DELETE FROM {{}}{table} WHERE workflow_uuid = :workflow"
        self._run(connection, statement, workflow=workflow)

    def _run(self, connection: Any, statement: str, **values: object) -> Any:
        return connection.execute(sa.text(statement.format(self._place.prefix)), values)


def workflow_of(envelope: Envelope) -> str:
    """The id of the workflow of an attempt."""
    return f"{envelope.id}:{envelope.attempt}"
