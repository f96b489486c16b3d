"""Modal: scheduled functions that run the jobs of an app.

```
import modal
from afterwork_integrations.modal import Schedules

@app.function(schedule=modal.Cron("0 3 * * *"))
async def tidy_up():
    await Schedules(work).run("tidy_up")
```

Requests need nothing of this: the platform is found out from the environment. Needs no package
beside `modal`, and does not import it.
"""

from __future__ import annotations

from typing import Any

from afterwork import Afterwork

from ._door import Door, JobFailedError

__all__ = ["JobFailedError", "Schedules"]


class Schedules:
    """The jobs of one `Afterwork`, for functions with `schedule=`.

    A run takes the slot of the job's own schedule to which the moment belongs, so a function that
    is called twice runs it once, where all containers share a store. A job without a schedule, and
    one at a moment that is past any slot's `grace`, runs each time.
    """

    def __init__(self, work: Afterwork) -> None:
        self._door = Door(work, "modal")

    async def run(self, job: str, payload: dict[str, Any] | None = None) -> dict[str, Any]:
        """Runs a job to its end, with everything that it queues. Returns what the trigger route
        answers: a `status` such as `ok`, `duplicate` or `skipped`, and the run's id.

        `payload`: the job's arguments. Raises `JobFailedError` where the job failed or is not
        there: let it leave the function, so that Modal sees the failure. With `retries=` on the
        function Modal calls again, but a slot that ran, and failed, does not run a second time:
        give the job `retry=Retry(...)` instead. Of a job with `mode="accept"` the end is waited for
        as well, but its failure is in the log and the record only.
        """
        return await self._door.run(job, payload=payload)

    async def due(self) -> dict[str, Any]:
        """Runs what is due, for one schedule such as `modal.Period(minutes=1)`. Returns the runs.
        Raises `JobFailedError` where one of them failed, after all are over."""
        return await self._door.due()
