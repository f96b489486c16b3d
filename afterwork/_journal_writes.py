"""The writes that come by the thousand, and how many of them become a few statements.

Each statement lets go of the interpreter and has to get it back from a busy event loop. So a batch
is written with as few as it can be, however many calls are in it.
"""

from __future__ import annotations

from dataclasses import replace

from ._group_commit import Write

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import TypeAlias

    from ._envelope import Envelope
    from ._journal_tables import JournalTables
    from ._store import RunRecord

    Base: TypeAlias = Write[JournalTables]
else:
    Base = Write


class Add(Base):
    """Takes calls in. Its answer is the ids of those that stand for them."""

    __slots__ = ("envelopes", "owners")

    def __init__(self, envelopes: Sequence[Envelope], owners: Sequence[str | None]) -> None:
        super().__init__(self._add)
        self.envelopes = envelopes
        self.owners = owners

    def _add(self, tables: JournalTables) -> list[str]:
        return add_all(tables, [self])[0]


class End(Base):
    """A call is over and is not kept. Its answer is whether it was still its owner's."""

    __slots__ = ("envelope", "owner", "record")

    def __init__(self, envelope: Envelope, owner: str, record: RunRecord) -> None:
        super().__init__(self._end)
        self.envelope = envelope
        self.owner = owner
        self.record = record

    def _end(self, tables: JournalTables) -> bool:
        return end_all(tables, [self])[0]


def apply(tables: JournalTables, batch: list[Base]) -> None:
    """Writes a batch: what is taken in, what is over, then the rest in its order."""
    adds = [write for write in batch if isinstance(write, Add)]
    for add, ids in zip(adds, add_all(tables, adds), strict=True):
        add.answer = ids
    ends = [write for write in batch if isinstance(write, End)]
    for end, mine in zip(ends, end_all(tables, ends), strict=True):
        end.answer = mine
    for write in batch:
        if not isinstance(write, (Add, End)):
            write.answer = write.call(tables)


def add_all(tables: JournalTables, adds: list[Add]) -> list[list[str]]:
    """Takes the calls of several writes in. Returns the ids for each."""
    answers: list[list[str]] = []
    rows: list[tuple[Envelope, str | None]] = []
    known: dict[tuple[str, str], str] = {}
    for add in adds:
        ids: list[str] = []
        for envelope, owner in zip(add.envelopes, add.owners, strict=True):
            run_id = envelope.id
            if envelope.key is not None:
                pair = (envelope.job, envelope.key)
                run_id = known.get(pair) or tables.with_key(*pair) or run_id
                known[pair] = run_id
            if run_id == envelope.id:
                rows.append((envelope, owner))
            ids.append(run_id)
        answers.append(ids)
    tables.add(rows)
    return answers


def end_all(tables: JournalTables, ends: list[End]) -> list[bool]:
    """Ends the calls of several writes. Returns for each whether it was still its owner's."""
    if not ends:
        return []
    own = tables.own([end.envelope.id for end in ends])
    mine = [own.get(end.envelope.id) == (end.owner, end.envelope.attempt) for end in ends]
    over = [end for end, is_mine in zip(ends, mine, strict=True) if is_mine]
    tables.delete([end.envelope.id for end in over])
    tables.record([_started(end.record, tables.now) for end in over])
    return mine


def fail(tables: JournalTables, envelope: Envelope, owner: str, record: RunRecord) -> bool:
    """A call is over without success, and is kept as a dead letter."""
    mine = tables.fail(envelope, owner, record.error)
    if mine:
        tables.record([_started(record, tables.now)])
    return mine


def _started(record: RunRecord, now: float) -> RunRecord:
    """The record with the time at which its last attempt began."""
    return record if record.duration is None else replace(record, started_at=now - record.duration)
