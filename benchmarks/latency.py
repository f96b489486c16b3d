"""Does a 20 ms callback per request cost the clients anything, at 50 connections?"""

from __future__ import annotations

import asyncio
import socket
import statistics
import subprocess
import sys
import time

from benchmarks.rounds import table

CONNECTIONS = 50
REQUESTS_PER_CONNECTION = 40
PAUSE_SECONDS = 0.05
"""Each client pauses between requests: the server has work to do and is not saturated."""
ROUNDS = 5


async def load(port: int) -> list[float]:
    """The latency of every request, in seconds."""
    latencies: list[float] = []

    async def client(number: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.sleep(PAUSE_SECONDS * number / CONNECTIONS)
        for _ in range(REQUESTS_PER_CONNECTION):
            began = time.perf_counter()
            writer.write(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
            await reader.readuntil(b"ok")
            latencies.append(time.perf_counter() - began)
            await asyncio.sleep(PAUSE_SECONDS)
        writer.close()

    await asyncio.gather(*(client(number) for number in range(CONNECTIONS)))
    return latencies


def start(variant: str) -> tuple[subprocess.Popen[bytes], int]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    command = [sys.executable, "-m", "uvicorn", f"benchmarks.latency_apps:{variant}"]
    server = subprocess.Popen([*command, "--port", str(port), "--log-level", "critical"])
    end = time.monotonic() + 20
    while time.monotonic() < end:
        try:
            socket.create_connection(("127.0.0.1", port), 0.2).close()
            break
        except OSError:
            time.sleep(0.05)
    return server, port


def main() -> None:
    variants = {
        "without": "no callbacks",
        "with_async": "one 20 ms async callback each",
        "with_sync": "one 20 ms sync callback each",
    }
    servers = {variant: start(variant) for variant in variants}
    results: dict[str, list[tuple[float, float]]] = {variant: [] for variant in variants}
    try:
        for number in range(ROUNDS + 1):
            for variant, (_, port) in servers.items():
                latencies = sorted(asyncio.run(load(port)))
                if number:
                    p50 = statistics.median(latencies)
                    results[variant].append((p50, latencies[int(len(latencies) * 0.99)]))
    finally:
        for server, _ in servers.values():
            server.kill()
            server.wait()
    base = statistics.median(p99 for _, p99 in results["without"])
    rows = []
    for variant, name in variants.items():
        p50 = statistics.median(p for p, _ in results[variant])
        p99s = [p for _, p in results[variant]]
        p99 = statistics.median(p99s)
        spread = f"{min(p99s) * 1000:.1f} to {max(p99s) * 1000:.1f}"
        cells = [f"{p50 * 1000:.2f}", f"{p99 * 1000:.2f}", spread, f"{p99 / base:.2f}"]
        rows.append([name, *cells])
    heads = ["app under uvicorn", "p50 ms", "p99 ms", "p99 of the rounds", "p99 ÷ no callbacks"]
    table(f"What clients wait, {CONNECTIONS} connections", heads, rows)
    print("\nGoal: p99 at most 1.10")


if __name__ == "__main__":
    main()
