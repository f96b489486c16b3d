"""One peer's turn in `benchmarks.durable`: calls enqueued by 200 requests at a time, with no worker
that takes them out. Prints one line of JSON. Each turn is a process of its own."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from uuid import uuid4

CONCURRENT = 200
COUNTS = {"afterwork": 20_000, "afterwork, 10 each": 40_000, "saq": 4000}
COUNT = 1000
"""How many calls a turn enqueues, of those that are not named."""
FAR_SECONDS = 86_400.0

Enqueue = Callable[[int], Awaitable[object]]


async def together(enqueue: Enqueue, count: int) -> dict[str, float]:
    """Enqueues from so many requests at a time. Calls per second, and the times of one."""
    took: list[float] = []

    async def client(calls: int) -> None:
        for number in range(calls):
            began = time.perf_counter()
            await enqueue(number)
            took.append(time.perf_counter() - began)

    for number in range(20):
        await enqueue(number)
    took.clear()
    began = time.perf_counter()
    await asyncio.gather(*(client(count // CONCURRENT) for _ in range(CONCURRENT)))
    seconds = time.perf_counter() - began
    took.sort()
    return {
        "per_second": len(took) / seconds,
        "p50": took[len(took) // 2],
        "p99": took[len(took) * 99 // 100],
    }


async def afterwork(folder: str, each: int = 1) -> dict[str, float]:
    """Whole requests through the middleware. The calls are delayed, so nothing runs."""
    from afterwork import AfterMiddleware, Afterwork, after

    work = Afterwork(store=f"sqlite:///{folder}/afterwork.db")

    @work.job(durable=True)
    async def job(number: int) -> None: ...

    async def app(scope: Any, receive: Any, send: Any) -> None:
        delayed = after.options(delay=FAR_SECONDS)
        for _ in range(each):
            delayed(job, 1)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"ok"})

    wrapped = AfterMiddleware(app, work)

    async def request(number: int) -> None:
        async def receive() -> Any:
            return {"type": "http.request"}

        async def send(message: Any) -> None: ...

        await wrapped({"type": "http", "method": "POST", "path": "/"}, receive, send)

    count = COUNTS["afterwork" if each == 1 else "afterwork, 10 each"] // each
    measured = await together(request, count)
    measured["per_second"] *= each
    await work.engine.close()
    return measured


async def afterwork_ten(folder: str) -> dict[str, float]:
    return await afterwork(folder, 10)


async def huey(folder: str) -> dict[str, float]:
    """In four threads: it has no asyncio. WAL and FULL, as the journal has."""
    from huey import SqliteHuey  # type: ignore[import-not-found]

    queue = SqliteHuey(filename=f"{folder}/huey.db", journal_mode="wal", fsync=True)

    @queue.task()  # type: ignore[untyped-decorator]
    def job(number: int) -> None: ...

    loop = asyncio.get_running_loop()
    with ThreadPoolExecutor(4) as threads:
        return await together(lambda number: loop.run_in_executor(threads, job, number), COUNT)


async def saq(folder: str) -> dict[str, float]:
    from saq import Queue  # type: ignore[import-not-found]

    name = f"bench-{uuid4().hex}"
    queue = Queue.from_url("redis://127.0.0.1:6379/0", name=name)
    await queue.connect()
    try:
        return await together(lambda number: queue.enqueue("job", number=number), COUNTS["saq"])
    finally:
        async for key in queue.redis.scan_iter(f"*{name}*"):
            await queue.redis.delete(key)
        await queue.disconnect()


async def procrastinate(folder: str) -> dict[str, float]:
    import psycopg
    from procrastinate import App, PsycopgConnector  # type: ignore[import-not-found]

    schema = f"bench_{uuid4().hex}"
    dsn = "postgresql://root@127.0.0.1:5432/test"
    async with await psycopg.AsyncConnection.connect(dsn, autocommit=True) as admin:
        await admin.execute(f"CREATE SCHEMA {schema}")  # type: ignore[arg-type]
        connector = PsycopgConnector(
            conninfo=dsn, kwargs={"options": f"-c search_path={schema}"}, max_size=10
        )
        app = App(connector=connector)

        @app.task(name="job")  # type: ignore[untyped-decorator]
        async def job(number: int) -> None: ...

        try:
            async with app.open_async():
                await app.schema_manager.apply_schema_async()
                return await together(lambda number: job.defer_async(number=number), COUNT)
        finally:
            await admin.execute(f"DROP SCHEMA {schema} CASCADE")  # type: ignore[arg-type]


async def dbos(folder: str) -> dict[str, float]:
    """With SQLite 3.42 or newer only: from pysqlite3-binary, where the machine's is older. WAL."""
    from dbos import DBOSClient  # type: ignore[import-not-found]
    from sqlalchemy import create_engine, event

    url = f"sqlite:///{folder}/dbos.db"
    engine = create_engine(url)

    @event.listens_for(engine, "connect")
    def set_up(connection: Any, record: Any) -> None:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA busy_timeout = 10000")

    from dbos import DBOS

    DBOS(config={"name": "bench", "system_database_url": url, "system_database_engine": engine})

    @DBOS.workflow(name="job")  # type: ignore[untyped-decorator]
    def job(number: int) -> None: ...

    DBOS.launch()
    client = DBOSClient(system_database_url=url, system_database_engine=engine)
    options: Any = {"workflow_name": "job", "queue_name": "nobody-listens"}
    try:
        return await together(lambda number: client.enqueue_async(options, number), COUNT // 2)
    finally:
        client.destroy()
        DBOS.destroy()


PEERS: dict[str, Callable[[str], Awaitable[dict[str, float]]]] = {
    "afterwork": afterwork,
    "afterwork, 10 each": afterwork_ten,
    "huey": huey,
    "saq": saq,
    "procrastinate": procrastinate,
    "dbos": dbos,
}


def main(peer: str) -> None:
    if peer == "dbos":
        sys.modules["sqlite3"] = __import__("pysqlite3")
        sys.modules["sqlite3.dbapi2"] = sys.modules["sqlite3"].dbapi2
    place = os.environ.get("BENCH_FOLDER", str(Path.cwd()))
    with TemporaryDirectory(dir=place) as folder:
        print(json.dumps(asyncio.run(PEERS[peer](folder))))


if __name__ == "__main__":
    main(sys.argv[1])
