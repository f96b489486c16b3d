"""A worker with a job of three steps, for a process that is killed: `<url> <store> <log>`."""

from __future__ import annotations

import asyncio
import sys
from typing import Any

from afterwork_integrations.dbos import step

from afterwork import Afterwork, after
from tests.engines.test_dbos import engine_at


def make(url: str, store: str, log: str) -> tuple[Afterwork, Any]:
    """The app and its job, which writes down each step that it runs."""
    work = Afterwork(engine=engine_at(url), store=store, lease=1.0)

    def note(what: str) -> None:
        with open(log, "a") as file:
            file.write(f"{what}\n")

    async def first() -> int:
        note("first")
        return 1

    def second(one: int) -> list[int]:
        note("second")
        return [one, 2]

    async def third(both: list[int]) -> None:
        note(f"third {both}")

    @work.job(durable=True)
    async def three() -> None:
        one = await step("first", first)
        both = await step("second", second, one)
        note("between")
        with open(log) as file:
            if file.read().count("between") == 1:
                await asyncio.sleep(60)  # here it is killed
        await step("third", third, both)

    return work, three


async def serve(url: str, store: str, log: str) -> None:
    work, three = make(url, store, log)
    if sys.argv[4:] == ["call"]:
        await after.enqueue(three)
    stop = asyncio.create_task(asyncio.to_thread(sys.stdin.readline))
    await work.engine.serve(concurrency=2, stop=stop)
    await work.engine.close()


if __name__ == "__main__":
    asyncio.run(serve(*sys.argv[1:4]))
