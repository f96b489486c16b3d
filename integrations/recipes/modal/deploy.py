"""What Modal runs: the app for all requests, and a function with a schedule for the job."""

from __future__ import annotations

from typing import Any

import modal

image = (
    modal.Image.debian_slim(python_version="3.13")
    .pip_install_from_requirements("requirements.txt")
    .add_local_python_source("app")
)
app = modal.App("shop", image=image, secrets=[modal.Secret.from_name("shop")])


@app.function(timeout=60)
@modal.concurrent(max_inputs=20)
@modal.asgi_app()
def web() -> Any:
    from app import app as shop

    return shop


@app.function(schedule=modal.Cron("0 3 * * *"), timeout=90)
async def tidy_up() -> None:
    from afterwork_integrations.modal import Schedules
    from app import work

    await Schedules(work).run("tidy_up")
