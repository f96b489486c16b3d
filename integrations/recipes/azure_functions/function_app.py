"""What Azure Functions runs: the app for all requests, and a timer for the job."""

from __future__ import annotations

import azure.functions as func
from afterwork_integrations.azure_functions import Timers
from app import app as shop
from app import work

app = func.AsgiFunctionApp(shop, http_auth_level=func.AuthLevel.ANONYMOUS)
timers = Timers(work)


@app.timer_trigger(arg_name="timer", schedule="0 0 3 * * *")
@app.retry(strategy="fixed_delay", max_retry_count="3", delay_interval="00:01:00")
async def tidy_up(timer: func.TimerRequest, context: func.Context) -> None:
    await timers.run("tidy_up", context)
