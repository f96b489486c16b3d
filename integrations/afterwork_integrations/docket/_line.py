"""The line to Redis: one docket for the loop that runs, and what afterwork does there itself."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from docket import Docket
from redis.exceptions import RedisError

from afterwork.errors import EngineError

if TYPE_CHECKING:
    from collections.abc import Callable

KEEP_SECONDS = 60
"""How long Docket remembers a call that is over. It must be longer than a worker that lost its
lease may go on: a key that is used again would be taken for the old call."""
MEMORY = "memory:"
"""What the URL of Docket's stand-in for Redis begins with, which lacks some commands."""
GONE_SECONDS = 3600
"""A name of a worker that has asked for nothing for so long, and has nothing, is forgotten."""
CLOSE_SECONDS = 5.0
FORGET = """
for _, fields in ipairs(redis.call('XINFO', 'CONSUMERS', KEYS[1], ARGV[1])) do
    local worker = {}
    for i = 1, #fields, 2 do worker[fields[i]] = fields[i + 1] end
    local gone = worker.name == ARGV[2] or worker.idle > tonumber(ARGV[3])
    if gone and worker.pending == 0 then
        redis.call('XGROUP', 'DELCONSUMER', KEYS[1], ARGV[1], worker.name)
    end
end
"""
"""In one step: what a worker has pending would go with its name, and it may be given something at
any moment."""


class Line:
    """Opens a docket when it is first needed, and again on another loop."""

    def __init__(self, url: str, queue: str, lease: float, task: Callable[..., Any]) -> None:
        self._url, self._queue, self._task = url, queue, task
        self._keep = timedelta(seconds=max(KEEP_SECONDS, 2 * lease))
        self._loop: asyncio.AbstractEventLoop | None = None
        self._opening = asyncio.Lock()
        self._docket: Docket | None = None

    async def docket(self) -> Docket:
        """The docket, open. Raises what redis-py raises, and `EngineError` for a server that
        forgets."""
        loop = asyncio.get_running_loop()
        if self._loop is not loop:  # what belongs to another loop cannot be used or closed here
            self._loop, self._opening, self._docket = loop, asyncio.Lock(), None
        async with self._opening:
            if self._docket is None:
                docket = Docket(self._queue, self._url, execution_ttl=self._keep)
                docket.register(self._task, names=["afterwork"])
                await docket.__aenter__()
                try:
                    await _check(docket)
                except BaseException:
                    await _leave(docket)
                    raise
                self._docket = docket
            return self._docket

    async def close(self) -> None:
        """Closes what was opened on this loop."""
        docket, self._docket = self._docket, None
        if docket is not None and self._loop is asyncio.get_running_loop():
            await _leave(docket)


async def _leave(docket: Docket) -> None:
    with suppress(RedisError, OSError):  # TimeoutError is an OSError; it is gone then
        async with asyncio.timeout(CLOSE_SECONDS):
            await docket.__aexit__(None, None, None)


async def _check(docket: Docket) -> None:
    """Raises `EngineError` for a server that forgets what it was told to keep when it is full."""
    if docket.url.startswith(MEMORY):
        return
    async with docket.redis() as redis:
        info: Any = await redis.info("memory")
    nodes = [info] if "maxmemory" in info else info.values()
    for node in nodes:
        policy = str(node["maxmemory_policy"])
        if node["maxmemory"] and policy.startswith("allkeys"):
            problem = f"it has a maxmemory and the policy {policy}, so it forgets calls when full"
            hint = "Set maxmemory-policy to noeviction, or use a server that is no cache."
            raise EngineError("docket", "trust its Redis", problem, hint)


async def give_back(docket: Docket, worker: str) -> None:
    """Has the next worker take over at once what this one did not end."""
    async with docket.redis() as redis:
        if await redis.get(docket.redelivery_sweep_key) == worker.encode():
            await redis.delete(docket.redelivery_sweep_key)  # or nobody else may look for a while
        if pending := await _pending(redis, docket, worker):
            await redis.xclaim(
                docket.stream_key,
                docket.worker_group_name,
                worker,
                min_idle_time=0,
                message_ids=pending,
                idle=24 * 3600 * 1000,
                justid=True,
            )


async def forget_workers(docket: Docket, worker: str) -> None:
    """Takes this worker off the list of the stream, and others that are gone."""
    if docket.url.startswith(MEMORY):
        return
    async with docket.redis() as redis:
        group, milliseconds = docket.worker_group_name, int(GONE_SECONDS * 1000)
        script: Any = redis
        await script.eval(FORGET, 1, docket.stream_key, group, worker, milliseconds)


async def drop_unreadable(docket: Docket, worker: str) -> list[int]:
    """Takes what is no message of Docket's out of what this worker was given; it would end every
    worker that is given it. Returns how many bytes each had."""
    from docket import Execution

    dropped = []
    async with docket.redis() as redis:
        client: Any = redis
        for message_id in await _pending(redis, docket, worker):
            for _, message in await client.xrange(docket.stream_key, message_id, message_id):
                try:
                    await Execution.from_message(
                        docket, message, fallback_task=_nothing, sync=False
                    )
                except Exception:  # whatever unpickling raises
                    await client.xack(docket.stream_key, docket.worker_group_name, message_id)
                    await client.xdel(docket.stream_key, message_id)
                    dropped.append(sum(map(len, message.values())))
    return dropped


async def _pending(redis: Any, docket: Docket, worker: str) -> list[Any]:
    entries = await redis.xpending_range(
        docket.stream_key, docket.worker_group_name, "-", "+", 10_000, worker
    )
    return [entry["message_id"] for entry in entries]


async def _nothing(*args: Any, **kwargs: Any) -> None: ...
