"""Posts the orders of a sample file to the shop on a real server, and tells what happened when.

python -m demo            starts the shop, posts, stops it with SIGTERM, prints
python -m demo --serve    starts the shop and leaves it up
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path

import httpx

ORDERS = Path(__file__).with_name("orders.json")
START_SECONDS = 20.0
STOP_SECONDS = 30.0


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def start(port: int, log: Path, errors: Path | None) -> subprocess.Popen[bytes]:
    """The shop under uvicorn, once it answers."""
    command = [sys.executable, "-m", "uvicorn", "demo.shop:app", "--port", str(port)]
    environ = {**os.environ, "SHOP_LOG": str(log)}
    if errors is None:
        server = subprocess.Popen(command, env=environ)
    else:
        with errors.open("wb") as sink:
            command += ["--log-level", "warning"]
            server = subprocess.Popen(command, env=environ, stdout=sink, stderr=sink)
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end and server.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), 0.2).close()
        except OSError:
            time.sleep(0.05)
        else:
            return server
    server.kill()
    raise SystemExit("the shop did not start" + (f":\n{errors.read_text()}" if errors else ""))


def serve() -> int:
    port = free_port()
    log = Path(tempfile.mkdtemp(prefix="afterwork-demo-")) / "after.jsonl"
    log.touch()
    server = start(port, log, None)
    url = f"http://127.0.0.1:{port}/orders"
    order = json.loads(ORDERS.read_text())[0]
    print(f"\nThe shop is up. Try:\n\n  curl -i {url} -d '{json.dumps(order)}'")
    bad = {**order, "id": "X-1", "email": "x@invalid"}
    print(f"  curl -i {url} -d '{json.dumps(bad)}'   # its receipt fails, its answer does not")
    print(f"  tail -f {log}   # the after-work as it runs\n\nCtrl-C stops it.\n", flush=True)
    try:
        return server.wait()
    except KeyboardInterrupt:
        server.send_signal(signal.SIGINT)
        server.wait(STOP_SECONDS)
        return 0


def run() -> int:
    with tempfile.TemporaryDirectory(prefix="afterwork-demo-") as folder:
        log, errors = Path(folder) / "after.jsonl", Path(folder) / "server.log"
        port = free_port()
        server = start(port, log, errors)
        answered: dict[str, tuple[int, float, float]] = {}
        try:
            with httpx.Client(base_url=f"http://127.0.0.1:{port}") as client:
                client.get("/")  # the first request of a server pays for its imports
                for order in json.loads(ORDERS.read_text()):
                    began = time.time()
                    response = client.post("/orders", json=order)
                    ended = time.time()
                    answered[order["id"]] = (response.status_code, began, ended)
            server.send_signal(signal.SIGTERM)  # with most of the work still to do
            stopped = time.time()
            server.wait(STOP_SECONDS)
            took = time.time() - stopped
        finally:
            server.kill()
        works = defaultdict(list)
        for line in log.read_text().splitlines():
            work = json.loads(line)
            works[work["order"]].append(work)
        server_log = errors.read_text()
    return tell(answered, works, server_log, took)


def tell(
    answered: dict[str, tuple[int, float, float]],
    works: dict[str, list[dict[str, object]]],
    server_log: str,
    took: float,
) -> int:
    for order, (status, began, ended) in answered.items():
        print(f"order {order}: {status}, the client waited {(ended - began) * 1000:.0f} ms")
        for work in sorted(works[order], key=lambda work: float(str(work["start"]))):
            start, end = (round((float(str(work[k])) - ended) * 1000) for k in ("start", "end"))
            name, how = work["work"], work["ended"]
            print(f"    {start:6} .. {end:4} ms later  {name!s:38} {how}")
    failures = [line for line in server_log.splitlines() if line.startswith("run.failed")]
    print("\nThe one that failed, as the server logged it:")
    for line in failures:
        print(f"    {line}")
    count = sum(map(len, works.values()))
    failed = sum(work["ended"] == "failed" for each in works.values() for work in each)
    slowest = max(ended - began for _, began, ended in answered.values())
    expected = 4 * len(answered)
    print(
        f"\n{len(answered)} orders, {count} of {expected} pieces of after-work ran, "
        f"{failed} failed and cost nobody anything. "
        f"The slowest answer took {slowest * 1000:.0f} ms.\n"
        "SIGTERM came right behind the last answer: the server finished the work and was gone "
        f"{took:.1f} s later."
    )
    ok = count == expected and failed == 1 and len(failures) == 1
    return 0 if ok else 1


sys.exit(serve() if "--serve" in sys.argv[1:] else run())
