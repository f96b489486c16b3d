"""What does a durable call cost: how many a second, how much later does a response come, how soon
does the work begin?

Beside huey on SQLite, SAQ on Redis, DBOS on SQLite and Procrastinate on PostgreSQL, on the same
disk: pip install huey saq[redis] procrastinate dbos pysqlite3-binary. Each peer's turn is a process
of its own, in turns; with no worker anywhere.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from afterwork import AfterMiddleware, Afterwork, after
from benchmarks.durable_peers import CONCURRENT, PEERS

ROUNDS = 3
GOAL_PER_SECOND = 20_000
GOAL_LATENCY_SECONDS = 0.005
GOAL_START_SECONDS = 0.005
REQUESTS_PER_SECOND = 500
"""For the latencies: a busy site, and not one that is drowned."""
REQUESTS = 2000


def throughput() -> None:
    """Acknowledged calls a second, from 200 requests at a time."""
    found: dict[str, list[dict[str, float]]] = {peer: [] for peer in PEERS}
    for _ in range(ROUNDS):
        for peer, turns in found.items():
            command = [sys.executable, "-m", "benchmarks.durable_peers", peer]
            ran = subprocess.run(command, capture_output=True, text=True, check=False)
            if ran.returncode:
                print(f"{peer} did not run: {ran.stderr.strip().splitlines()[-1]}", flush=True)
            else:
                turns.append(json.loads(ran.stdout.strip().splitlines()[-1]))
    print(
        f"\n{CONCURRENT} requests at a time, medians of {ROUNDS} rounds (goal {GOAL_PER_SECOND}/s)"
    )
    print("| | calls a second | from | to | of afterwork |")
    print("|---|---|---|---|---|")
    base = statistics.median(turn["per_second"] for turn in found["afterwork"])
    for peer, turns in found.items():
        if turns:
            rates = sorted(turn["per_second"] for turn in turns)
            rate = statistics.median(rates)
            print(f"| {peer} | {rate:.0f} | {rates[0]:.0f} | {rates[-1]:.0f} | {rate / base:.2f} |")


async def latencies(folder: str) -> tuple[list[float], list[float], list[float]]:
    """At a steady pace: how long the response is held, the same without the call, and how long
    after the call its work begins."""
    held: list[float] = []
    plain: list[float] = []
    began: list[float] = []
    work = Afterwork(store=f"sqlite:///{folder}/afterwork.db")

    @work.job(durable=True)
    async def job(called_at: float) -> None:
        began.append(time.perf_counter() - called_at)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        called_at = time.perf_counter()
        if scope["path"] == "/durable":
            after(job, called_at)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        (held if scope["path"] == "/durable" else plain).append(time.perf_counter() - called_at)
        await send({"type": "http.response.body", "body": b"ok"})

    wrapped = AfterMiddleware(app, work)

    async def receive() -> Any:
        return {"type": "http.request"}

    async def send(message: Any) -> None: ...

    async def request(path: str) -> None:
        await wrapped({"type": "http", "method": "POST", "path": path}, receive, send)

    await request("/durable")
    start = time.perf_counter()
    requests: list[asyncio.Task[None]] = []
    for number in range(REQUESTS):
        await asyncio.sleep(max(start + number / REQUESTS_PER_SECOND - time.perf_counter(), 0))
        for path in ("/durable", "/plain"):
            requests.append(asyncio.create_task(request(path)))
    await asyncio.gather(*requests)
    while len(began) <= REQUESTS:
        await asyncio.sleep(0.01)
    await work.engine.close()
    return held[1:], plain, began[1:]


def at(times: list[float], part: float) -> float:
    return sorted(times)[int(len(times) * part)] * 1000


def main() -> None:
    throughput()
    print(f"\n{REQUESTS_PER_SECOND} requests a second, milliseconds")
    print("| round | held p50 | held p99 | without p99 | begins p50 | begins p99 |")
    print("|---|---|---|---|---|---|")
    for number in range(ROUNDS):
        with TemporaryDirectory(dir=Path.cwd()) as folder:
            held, plain, began = asyncio.run(latencies(folder))
        print(
            f"| {number + 1} | {at(held, 0.5):.2f} | {at(held, 0.99):.2f} | {at(plain, 0.99):.2f} "
            f"| {at(began, 0.5):.2f} | {at(began, 0.99):.2f} |"
        )
    goal = GOAL_LATENCY_SECONDS * 1000
    print(f"goals: added p99 {goal:.0f} ms, begins p50 {GOAL_START_SECONDS * 1000:.0f} ms")


if __name__ == "__main__":
    main()
