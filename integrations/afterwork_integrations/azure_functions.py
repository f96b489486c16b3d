"""Azure Functions: timer triggers that run the jobs of an app.

```
import azure.functions as func
from afterwork_integrations.azure_functions import Timers

app = func.AsgiFunctionApp(work.wrap(api), http_auth_level=func.AuthLevel.ANONYMOUS)
timers = Timers(work)

@app.timer_trigger(arg_name="timer", schedule="0 0 3 * * *")
async def tidy_up(timer: func.TimerRequest, context: func.Context) -> None:
    await timers.run("tidy_up", context)
```

Requests need nothing of this: the platform is found out from the environment, and `docs/hosts.md`
says what may run after a response there. Needs no package beside `azure-functions`, which your app
has, and does not import it.
"""

from __future__ import annotations

from typing import Any, Protocol

from afterwork import Afterwork

from ._door import Door, JobFailedError

__all__ = ["JobFailedError", "Timers"]


class Context(Protocol):
    """A `func.Context`, as far as it is asked."""

    @property
    def retry_context(self) -> Any: ...


class Timers:
    """The jobs of one `Afterwork`, for functions with a timer trigger. Make it once, beside the
    app.

    A run takes the slot of the job's own schedule to which the moment belongs, so a timer that
    fires twice runs it once. One that is made up for (`past_due`) when the slot's `grace` is over
    is a run by itself, as is every run of a job without a schedule.
    """

    def __init__(self, work: Afterwork) -> None:
        self._door = Door(work, "azure-functions")

    async def run(
        self, job: str, context: Context | None = None, payload: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        """Runs a job to its end, with everything that it queues. Returns what the trigger route
        answers: a `status` such as `ok`, `duplicate` or `skipped`, and the run's id.

        `context`
            The function's own. With it, a retry policy of the function
            (`@app.retry(strategy=..., max_retry_count=...)`) runs a slot again that failed.
        `payload`
            The job's arguments.

        Raises `JobFailedError` where the job failed or is not there: let it leave the function, so
        that Azure sees the failure. Of a job with `mode="accept"` the end is waited for as well,
        but its failure is in the log and the record only. The function's `functionTimeout` is the
        limit of it all.
        """
        retry = None if context is None else context.retry_context
        attempt = retry.retry_count + 1 if retry is not None and retry.max_retry_count else None
        return await self._door.run(job, attempt=attempt, payload=payload)

    async def due(self) -> dict[str, Any]:
        """Runs what is due, for one timer that fires each minute. Returns the runs. Raises
        `JobFailedError` where one of them failed, after all are over."""
        return await self._door.due()
