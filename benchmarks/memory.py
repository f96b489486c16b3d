"""How much memory does a callback hold while it runs, on live uvicorn?"""

from __future__ import annotations

import asyncio
import os
import socket
import statistics
import subprocess
import sys
import time
from pathlib import Path

from benchmarks.rounds import table

PENDING = 4000
ROUNDS = 3


def rss(pid: int) -> int:
    """Resident bytes of a process."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


async def get(port: int, count: int) -> None:
    """That many requests, over eight connections."""

    async def connection(many: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for _ in range(many):
            writer.write(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
            await reader.readexactly(length)
        writer.close()

    await asyncio.gather(*(connection(count // 8) for _ in range(8)))


def measure(variant: str) -> float:
    """Bytes per callback that is running."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "uvicorn", f"benchmarks.memory_apps:{variant}"]
    server = subprocess.Popen([*command, "--port", str(port), "--log-level", "critical"])
    try:
        end = time.monotonic() + 20
        while time.monotonic() < end:
            try:
                socket.create_connection(("127.0.0.1", port), 0.2).close()
                break
            except OSError:
                time.sleep(0.05)
        asyncio.run(get(port, 400))
        before = rss(server.pid)
        asyncio.run(get(port, PENDING))
        return (rss(server.pid) - before) / PENDING
    finally:
        server.kill()
        server.wait()


def main() -> None:
    variants = ["bare_task", "afterwork_", "starlette_task", "fastapi_task"]
    results: dict[str, list[float]] = {variant: [] for variant in variants}
    for _ in range(ROUNDS):
        for variant in variants:
            results[variant].append(measure(variant))
    medians = {variant: statistics.median(values) for variant, values in results.items()}
    names = {
        "bare_task": "bare ASGI app, tracked task",
        "afterwork_": "Starlette + afterwork",
        "starlette_task": "Starlette BackgroundTask",
        "fastapi_task": "FastAPI BackgroundTasks",
    }
    rows = [
        [
            names[variant],
            f"{medians[variant] / 1024:.1f}",
            f"{min(results[variant]) / 1024:.1f} to {max(results[variant]) / 1024:.1f}",
            f"{medians[variant] / medians['starlette_task']:.2f}",
        ]
        for variant in variants
    ]
    heads = ["variant", "kB per running callback", "rounds", "÷ Starlette BackgroundTask"]
    table(f"Memory on live uvicorn, {PENDING} callbacks running", heads, rows)
    print("\nGoal: at most 0.40")


if __name__ == "__main__":
    main()
