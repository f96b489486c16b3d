"""Interleaved rounds: every variant is measured in every round, so that what the machine does in
the meantime hits all of them alike."""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

Scope = dict[str, Any]


class Measured:
    """The times of one variant, in seconds per request."""

    def __init__(self) -> None:
        self.times: list[float] = []

    @property
    def median(self) -> float:
        return statistics.median(self.times)

    @property
    def best(self) -> float:
        return min(self.times)

    @property
    def spread(self) -> float:
        """Half the distance between the quartiles, as a part of the median."""
        low, _, high = statistics.quantiles(self.times, n=4)
        return (high - low) / 2 / self.median


async def send(message: Any) -> None:
    """A server that takes everything."""


async def receive() -> Any:
    return {"type": "http.request", "body": b"", "more_body": False}


def scope() -> Scope:
    return {
        "type": "http",
        "http_version": "1.1",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "method": "GET",
        "scheme": "http",
        "path": "/",
        "raw_path": b"/",
        "query_string": b"",
        "root_path": "",
        "headers": [],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 2),
    }


async def requests(
    app: Any, count: int, turn: bool, clock: Callable[[], float] = time.perf_counter
) -> float:
    """Seconds per request. `turn`: after each one the loop turns once, which lets tasks run."""
    nap = asyncio.sleep
    began = clock()
    for _ in range(count):
        await app(scope(), receive, send)
        if turn:
            await nap(0)
    return (clock() - began) / count


async def interleave(
    apps: Mapping[str, Any],
    *,
    rounds: int,
    count: Mapping[str, int] | int,
    turn: bool = False,
    settle: Callable[[], Awaitable[object]] | None = None,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, Measured]:
    """Measures each app `rounds` times. `settle` is awaited outside the measured time."""
    measured = {name: Measured() for name in apps}
    for number in range(rounds + 1):
        for name, app in apps.items():
            many = count if isinstance(count, int) else count[name]
            seconds = await requests(app, many, turn, clock)
            if settle is not None:
                await settle()
            if number:  # the first round warms up
                measured[name].times.append(seconds)
    return measured


def table(title: str, heads: list[str], rows: list[list[str]]) -> None:
    """Prints a Markdown table."""
    widths = [max(len(row[column]) for row in [heads, *rows]) for column in range(len(heads))]

    def line(cells: list[str]) -> str:
        padded = [
            cell.ljust(width) if column == 0 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(cells, widths, strict=True))
        ]
        return f"| {' | '.join(padded)} |"

    print(f"\n### {title}\n")
    print(line(heads))
    print("|" + "|".join("-" * (width + 2) for width in widths) + "|")
    for row in rows:
        print(line(row))
