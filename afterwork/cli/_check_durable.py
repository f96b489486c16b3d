"""The doctor's look at durable jobs: who keeps their calls, what do these survive, and who else
can reach them?"""

from __future__ import annotations

from .. import _dead_letters
from ..errors import AfterworkError, StoreError
from ._dead import MOST
from ._point import Point
from ._times import ago

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .._engine import Engine
    from ._app import Found

REPLICATED = ("cloud-run", "fly", "heroku", "kubernetes", "render")
"""Hosts that run several instances as a rule, each with a disk of its own that may go with it."""
ENGINE = "give an engine that all instances reach: Afterwork(engine=...), see docs/engines.md"
SURVIVES = {
    "process": "end with their process",
    "machine": "survive their process",
    "power": "survive a power cut",
}


def points(found: Found) -> list[Point]:
    """The points of durable jobs; none where there are no such jobs."""
    count = sum(job.policy.durable for job in found.work.jobs)
    if not count:
        return []
    try:
        engine = found.work.engine
        return [_kept(found, engine, count), *_overdue(found, engine), *_letters(found)]
    except AfterworkError as error:
        fix = "see to the store first" if isinstance(error, StoreError) else ENGINE
        return [Point("durable", "problem", str(error), fix)]


def _kept(found: Found, engine: Engine, count: int) -> Point:
    dispatch, can = found.dispatch, engine.capabilities
    text = f"calls of {count} durable jobs are kept by {engine.name} and {SURVIVES[can.survives]}"
    if can.recovery_seconds is not None:
        text += f"; those of a worker that died run again within {can.recovery_seconds:g} s"
    if can.survives == "process":
        fix = "Afterwork(store='sqlite:///afterwork.db') for one machine; for several " + ENGINE
        return Point("durable", "problem", text, fix)
    host = dispatch.pipeline.host.info
    alone = dispatch.durable.journal is not None
    if alone and (host.mode != "detached" or not host.lifespan_is_process):
        text += f". But the host {host.name!r} keeps no disk and runs nothing in the background"
        return Point("durable", "problem", text, ENGINE)
    if alone and host.name in REPLICATED:
        text += (
            f". On {host.name} each instance has a file of its own: what one that does not come "
            "back has left, no other sees"
        )
        fix = "keep the file on a volume that comes back with its one instance, or " + ENGINE
        return Point("durable", "note", text, fix)
    return Point("durable", "ok", text)


def _overdue(found: Found, engine: Engine) -> list[Point]:
    """Calls that nothing but a missing or busy worker holds back."""
    journal = found.dispatch.durable.journal
    if journal is None:
        return []
    names = [name for name in journal.job_names() if name not in journal.limits()]
    due_at, now = journal.read("look for calls", lambda tables: (tables.due_at(names), tables.now))
    if due_at is None or now - due_at <= (engine.capabilities.recovery_seconds or 0):
        return []
    text = f"calls wait that were due {ago(due_at - now)}"
    fix = (
        "start one that runs them: afterwork worker, or the app with its lifespan on and without "
        "worker=False. If one runs, it has too few places: concurrency="
    )
    return [Point("overdue", "problem", text, fix)]


def _letters(found: Found) -> list[Point]:
    letters = _dead_letters.listed(found.dispatch, None, None, MOST)
    if not letters:
        return []
    text = f"{len(letters)} calls were given up, the newest of {letters[0].job}"
    return [Point("dead letters", "note", text, "look at them: afterwork dead list")]
