"""Runs a deployment of Modal on the stand-in of `modal_container`, for one input and one schedule.

`python -m tests.hosts.modal_run deploy.py` says what came of them, a line of JSON for each step.
"""

from __future__ import annotations

import asyncio
import importlib
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

from . import moment
from .modal_container import Container


def say(step: str, **fields: Any) -> None:
    print(json.dumps({"step": step, "at": time.monotonic(), **fields}), flush=True)


async def main(path: Path) -> None:
    moment.keep()
    os.environ["MODAL_IS_REMOTE"] = "1"
    os.environ["MODAL_TASK_ID"] = "ta-1"
    sys.path.insert(0, str(path.parent))
    deployment = importlib.import_module(path.stem)
    # `local` is what calls a function's own code in the process, as its container does.
    async with Container(deployment.web.local()) as container:
        query = b"email=ada@example.org"
        async for message in container.call("/orders", "POST", query):
            body = message.get("body", b"").decode()
            say(message["type"], status=message.get("status"), body=body)
        say("end of the input")
        for _ in range(2):
            await deployment.tidy_up.local()
            say("end of the schedule")


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]).resolve()))
