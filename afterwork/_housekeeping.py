"""What a scheduler does beside the jobs: it shows that it is alive, takes down who died, and has
the store pruned now and then, which is a job like any other."""

from __future__ import annotations

import json

from . import _catch_up, _events
from ._every import Every
from ._job import Job
from ._job_policy import JobPolicy
from ._occurrence import Occurrence
from .errors import StoreError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ._dispatch import Dispatch
    from ._loop import Loop

BEAT_PREFIX = "scheduler:"
BEAT_SECONDS = 30.0
"""How often a scheduler shows that it turns; it is at most `MAX_SLEEP_SECONDS` late."""
BEAT_KEPT_SECONDS = 86_400.0
PRUNE_NAME = "afterwork.housekeeping"
PRUNE_EVERY = Every("1h")
MOST_PRUNE_CALLS = 1000


class Housekeeping:
    """The household of one process' scheduler."""

    def __init__(self, dispatch: Dispatch) -> None:
        self.dispatch = dispatch
        policy = JobPolicy(PRUNE_EVERY, "UTC", overlap="skip")
        self._prune_job = Job(self._prune, policy, dispatch, name=PRUNE_NAME)
        self._pruned_slot = _hour(dispatch.clock.now())  # not at every start of every worker
        self._beat_at: float | None = None

    async def turn(self, loop: Loop, now: float) -> list[str]:
        """Does what is due; usually nothing. Returns the jobs whose missed slots nobody goes on to
        make up for."""
        left: list[str] = []
        dispatch = self.dispatch
        monotonic = dispatch.clock.monotonic()
        if self._beat_at is None or monotonic - self._beat_at >= BEAT_SECONDS:
            self._beat_at = monotonic
            try:
                left = await dispatch.ask(loop, self._beat)
            except StoreError as error:
                dispatch.notices.say_each_minute(
                    "store.error", _events.ERROR, error, doing="take down a heartbeat"
                )
        slot = _hour(now)
        if slot > self._pruned_slot:
            self._pruned_slot = slot
            dispatch.launch(self._prune_job, [Occurrence("schedule", slot=slot)], loop)
        return left

    def sign_off(self) -> None:
        """The scheduler stops on purpose: nobody has to miss it."""
        self._beat_at = None
        dispatch = self.dispatch

        def forget(nothing: None) -> None:
            try:
                dispatch.store().delete(BEAT_PREFIX + dispatch.worker)
            except StoreError:
                pass  # the note ends by itself

        dispatch.pipeline.admission.threads.submit(forget, None)

    def _beat(self) -> list[str]:
        store = self.dispatch.store()
        beat = json.dumps({"at": store.now(), "period_seconds": BEAT_SECONDS})
        store.put(BEAT_PREFIX + self.dispatch.worker, beat, ttl=BEAT_KEPT_SECONDS)
        self.dispatch.reap()
        return _catch_up.left(store)

    def _prune(self) -> int:
        """Deletes old records, and claims that no longer count."""
        settings = self.dispatch.pipeline.settings
        store = self.dispatch.store()
        deleted = 0
        for _ in range(MOST_PRUNE_CALLS):
            count = store.prune(age=settings.keep_for, keep=settings.keep)
            deleted += count
            if not count:
                break
        return deleted


def _hour(instant: float) -> int:
    """The newest slot of `PRUNE_EVERY`."""
    return int(instant // PRUNE_EVERY.seconds) * PRUNE_EVERY.seconds


def is_stalled(beats: dict[str, str], now: float) -> bool:
    """Whether there are schedulers, and none of them has turned for three periods. `beats` are the
    store's notes, `now` its clock."""
    last = [json.loads(beat) for beat in beats.values()]
    return bool(last) and all(now - each["at"] > 3 * each["period_seconds"] for each in last)
