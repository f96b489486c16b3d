"""How calls are called in Docket, where they stand, and how they are taken back.

A call is named by its id. One with a key is named by that, so that Docket itself keeps another with
it out; which name belongs to its id is noted beside it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from docket.execution import ExecutionState

from afterwork.engines import Envelope

if TYPE_CHECKING:
    from docket import Docket, Execution

KEYED = "key:"
"""What the names of calls with a key begin with."""
NOTE_SECONDS = 7 * 86_400
"""How long such a note lasts at most, beside the call's delay."""
WAITING = (ExecutionState.SCHEDULED, ExecutionState.QUEUED)


def name_of(envelope: Envelope) -> str:
    """The name of a call that is taken in."""
    return envelope.id if envelope.key is None else f"{KEYED}{envelope.job}:{envelope.key}"


def id_of(execution: Execution) -> str:
    """The id of a call that Docket has."""
    return Envelope.from_json(execution.args[0]).id


async def remember(docket: Docket, run_id: str, name: str, delay: float) -> None:
    """Notes the name of a call with a key."""
    async with docket.redis() as redis:
        await redis.set(_note(docket, run_id), name, ex=int(delay + NOTE_SECONDS))


async def forget(docket: Docket, run_id: str) -> None:
    """Deletes the note."""
    async with docket.redis() as redis:
        await redis.delete(_note(docket, run_id))


async def status(docket: Docket, run_id: str) -> str | None:
    """`waiting`, `running`, or None for a call that is over or unknown: how it ended Docket cannot
    tell, as a task that failed has ended well for it."""
    found = await find(docket, run_id)
    if found is None:
        return None
    if found.state is ExecutionState.RUNNING:
        return "running"
    return "waiting" if found.state in WAITING else None


async def cancel(docket: Docket, run_id: str) -> bool:
    """Takes back a call that waits. Returns whether it did."""
    found = await find(docket, run_id)
    if found is None or found.state not in WAITING:
        return False
    await docket.cancel(found.key)
    await found.sync()
    if found.worker is None:
        await forget(docket, run_id)
        return True
    # A worker began it in between. Marked as cancelled it would not come again if that one died.
    async with docket.redis() as redis:
        client: Any = redis
        if found.state is ExecutionState.CANCELLED:
            await client.hset(docket.runs_key(found.key), "state", ExecutionState.RUNNING.value)
            await client.persist(docket.runs_key(found.key))
    return False


async def find(docket: Docket, run_id: str) -> Execution | None:
    """A call by its id."""
    found = await docket.get_execution(run_id)
    if found is not None:
        return found
    async with docket.redis() as redis:
        name = await redis.get(_note(docket, run_id))
    found = None if name is None else await docket.get_execution(name.decode())
    if found is None or id_of(found) != run_id:
        return None  # its key is another's by now
    return found


def _note(docket: Docket, run_id: str) -> str:
    return docket.key(f"afterwork:{run_id}")
