"""The doctor's look at the store: can it be written, do all processes have the same, and who else
is at it?"""

from __future__ import annotations

import json

from .._housekeeping import BEAT_PREFIX, is_stalled
from .._ids import run_id
from ..errors import StoreError
from . import _reading
from ._point import Point

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .._store import Store
    from ._app import Found

NOTE = "check:"
NOTE_SECONDS = 60.0
RECENT_SECONDS = 7 * 86_400
"""How long ago a job of another app may have run and still count as one that is there."""
URL = "Afterwork(store='postgresql://...') or 'redis://...'"


def points(found: Found) -> list[Point]:
    """The store's points. An app without jobs needs none."""
    dispatch = found.dispatch
    if not len(dispatch.jobs):
        return []
    store = dispatch.chosen_store()
    place = _reading.place_of(store)
    try:
        store.open()
        key = NOTE + run_id()
        store.put(key, "written", ttl=NOTE_SECONDS)
        written = store.get(key) == "written"
        store.delete(key)
        if not written:
            raise StoreError(place, "be read back", "what was written is not there")
        return [_shared(found, store, place), *_others(found, store)]
    except StoreError as error:
        return [Point("store", "problem", str(error), "make it writable, or choose another store=")]


def _shared(found: Found, store: Store, place: str) -> Point:
    info = found.dispatch.pipeline.host.info
    if store.shared == "process":
        return Point(
            "store",
            "problem",
            f"{place} is in memory: each process has its own, every slot would run in each of "
            "them, and nothing outlives a restart",
            f"Afterwork(store='sqlite:///afterwork.db') for one machine, {URL} for several",
        )
    if store.shared == "machine" and (info.mode != "detached" or not info.lifespan_is_process):
        return Point(
            "store",
            "problem",
            f"{place} is on the disk of one machine, and the host {info.name!r} keeps none",
            f"use a store that all instances reach: {URL}",
        )
    return Point("store", "ok", f"{place}, writable, shared by the whole {store.shared}")


def _others(found: Found, store: Store) -> list[Point]:
    """Schedulers at the same store, and jobs of other apps in it."""
    now = store.now()
    beats = store.notes(BEAT_PREFIX)
    alive = {
        key.removeprefix(BEAT_PREFIX): json.loads(beat)
        for key, beat in beats.items()
        if not is_stalled({key: beat}, now)
    }
    found_points: list[Point] = []
    hosts = {worker.rpartition(":")[0] for worker in alive}
    if store.shared == "machine" and len(hosts) > 1:
        found_points.append(
            Point(
                "schedulers",
                "problem",
                f"schedulers of several machines use one SQLite file: {', '.join(sorted(hosts))}. "
                "Over a network drive its locks do not hold",
                f"use a store on a network: {URL}",
            )
        )
    elif beats and not alive:
        found_points.append(
            Point(
                "schedulers",
                "problem",
                f"none of {', '.join(sorted(key.removeprefix(BEAT_PREFIX) for key in beats))} has "
                "turned for a while: it has died, or its event loop is blocked",
                "restart it; run blocking code in plain functions, which go to a thread",
            )
        )
    elif alive:
        text = f"{len(alive)} at this store: {', '.join(sorted(alive))}"
        if len(alive) > 1:
            text += "; that is fine, each slot runs once"
        found_points.append(Point("schedulers", "ok", text))
    foreign = sorted(
        name
        for name, state in store.jobs().items()
        if name not in found.dispatch.jobs
        and state.last_slot is not None
        and now - state.last_slot < RECENT_SECONDS
    )
    if foreign and alive:
        found_points.append(
            Point(
                "schedulers",
                "note",
                f"the store has recent runs of jobs that are not in this app: {', '.join(foreign)}."
                " If another app uses it, jobs of one name would get in each other's way",
                "give each app a namespace of its own: SQLiteStore(path, namespace='shop')",
            )
        )
    return found_points
