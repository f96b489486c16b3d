"""The engine on Docket: a call is a task with one text, and a worker in this loop runs it."""

from __future__ import annotations

import asyncio
import logging
import re
import time
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeVar

from docket import CurrentExecution, Execution
from docket.execution import Disposition
from redis.exceptions import AuthenticationError, RedisError

from afterwork.engines import Capabilities, Envelope
from afterwork.errors import EngineError, InvalidOptionError, PayloadError, UnsupportedError

from .._engine_log import EngineLog
from .._urls import without_password
from . import _names
from ._line import Line
from ._shift import CHECK_SECONDS, SCHEDULE_SECONDS, Shift

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from docket import Docket

SCHEMES = ("redis", "rediss", "unix", "redis+sentinel", "rediss+sentinel")
T = TypeVar("T")
LOST = (RedisError, OSError)
"""What a connection that is no more raises. `TimeoutError` is an `OSError`."""
MOST_BYTES = 64 * 2**20
FIRST_PAUSE_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 15.0
REACH = "Check that Redis runs and can be reached from here."


class DocketEngine:
    """An engine for any number of web processes and workers, on Redis streams by Docket.

    `url`
        The Redis: `redis://`, `rediss://`, `unix://`, `redis+sentinel://`. One that only the app
        can reach: Docket pickles. Its `maxmemory-policy` must not be one of `allkeys-*`; such a
        server forgets calls when it is full, and is refused. `memory://` is for tests and needs
        `for_tests=True`: its calls are gone with the process.
    `queue`
        Default `"afterwork"`: the name of the docket, and of all its keys in Redis.
    `lease`
        Default 10.0: seconds, from 1 to 3600, after which what a worker had that does not answer
        any more is another's. It is renewed four times in that time. A job that blocks its loop for
        so long is delivered a second time; it is seen to be running and waits.
    `timeout`
        Default 5.0: how many seconds handing calls over may take.

    A call is taken in when Redis has it. Whether it survives a power cut of the Redis is up to
    that: `appendonly yes`, and `appendfsync always` for every single call.

    A key keeps another call of the job with it out until the first is over, its further attempts
    and their waits included. `status` knows calls that wait or run; `cancel` takes back those that
    wait. There are no priorities.
    """

    def __init__(
        self,
        url: str,
        *,
        queue: str = "afterwork",
        lease: float = 10.0,
        timeout: float = 5.0,
        for_tests: bool = False,
    ) -> None:
        scheme = url.partition(":")[0]
        if scheme == "memory" and not for_tests:
            expected = "a Redis; memory:// loses its calls with the process (for_tests=True)"
            raise InvalidOptionError("url", expected, url)
        if scheme not in (*SCHEMES, "memory"):
            expected = "the URL of a Redis, such as redis://user:password@host:6379/0"
            raise InvalidOptionError("url", expected, without_password(url))
        if not re.fullmatch(r"[\w.:-]{1,100}", queue):
            expected = "1 to 100 letters, digits and the characters . : _ -"
            raise InvalidOptionError("queue", expected, queue)
        if not 1 <= lease <= 3600:
            raise InvalidOptionError("lease", "seconds, from 1 to 3600", lease)
        if not 0 < timeout <= 60:
            raise InvalidOptionError("timeout", "seconds, more than 0 and at most 60", timeout)
        self._url, self._queue = url, queue
        self._lease, self._timeout = lease, timeout
        self._line = Line(url, queue, lease, _task_of(self))
        self._log = EngineLog(self.name)
        self._run: Callable[[Envelope], Awaitable[Envelope | None]] | None = None
        self._under_way: set[asyncio.Future[None]] = set()

    def __repr__(self) -> str:
        return f"DocketEngine({without_password(self._url)!r}, queue={self._queue!r})"

    @property
    def name(self) -> str:
        return f"docket on {without_password(self._url)}"

    @property
    def capabilities(self) -> Capabilities:
        return Capabilities(
            delay_resolution=SCHEDULE_SECONDS + CHECK_SECONDS,
            keys="active",
            status=True,
            cancel=True,
            survives="nothing" if self._url.startswith("memory:") else "machine",
            # The lease; then two turns of the sweep, a quarter of it each and up to a quarter late.
            recovery_seconds=self._lease * (1 + 2 * 1.25 / 4) + CHECK_SECONDS,
            max_payload=MOST_BYTES,
        )

    def bind(self, run: Callable[[Envelope], Awaitable[Envelope | None]]) -> None:
        self._run = run

    async def enqueue(
        self, envelopes: Sequence[Envelope], *, connection: Any = None
    ) -> Sequence[str]:
        if connection is not None:
            hint = "Use commit= instead: then the call is enqueued once that is committed."
            raise UnsupportedError(self.name, "way into your transaction (connection=)", hint)
        doing = f"take in {len(envelopes)} call{'s' * (len(envelopes) != 1)}"
        return await self._ask(doing, lambda docket: self._add(docket, envelopes))

    async def serve(self, *, concurrency: int, stop: Awaitable[object]) -> None:
        stopping = asyncio.shield(asyncio.ensure_future(stop))
        pause = FIRST_PAUSE_SECONDS
        while not stopping.done():
            since = time.monotonic()
            try:
                shift = Shift(self._lease, concurrency, self._under_way, self._log)
                await shift.work(self._line, stopping)
            except AuthenticationError as error:
                raise self._error("take calls out", error) from error
            except LOST as error:
                self._say("engine.lost", error)
            except EngineError:
                raise
            except Exception as error:  # a bug: Docket's worker waits for a Redis that is away
                raise self._error("take calls out", error) from error
            calm = time.monotonic() - since > LONGEST_PAUSE_SECONDS
            pause = FIRST_PAUSE_SECONDS if calm else min(2 * pause, LONGEST_PAUSE_SECONDS)
            await asyncio.wait({stopping}, timeout=pause)

    async def status(self, run_id: str) -> str | None:
        return await self._ask(
            "say where a call stands", lambda docket: _names.status(docket, run_id)
        )

    async def cancel(self, run_id: str) -> bool:
        return await self._ask("take back a call", lambda docket: _names.cancel(docket, run_id))

    async def close(self) -> None:
        await self._line.close()

    # -- the sender's side

    async def _add(self, docket: Docket, envelopes: Sequence[Envelope]) -> list[str]:
        calls = [
            docket.call("afterwork", when=_moment(each), key=_names.name_of(each))(each.to_json())
            for each in envelopes
        ]
        ids = []
        for envelope, added in zip(envelopes, await docket.add_many(calls), strict=True):
            if added.schedule_exception is not None:
                raise added.schedule_exception
            if envelope.key is None:
                ids.append(envelope.id)
            elif added.disposition is Disposition.ALREADY_SCHEDULED:
                first = await docket.get_execution(added.key)
                # If it is over and forgotten by now, the key is free.
                ids += (
                    await self._add(docket, [envelope]) if first is None else [_names.id_of(first)]
                )
            else:
                ids.append(envelope.id)
                delay = max(0.0, (envelope.run_at or 0) - time.time())
                await _names.remember(docket, envelope.id, added.key, delay)
        return ids

    async def _ask(self, doing: str, call: Callable[[Docket], Awaitable[T]]) -> T:
        try:
            async with asyncio.timeout(self._timeout):
                return await call(await self._line.docket())
        except TimeoutError as error:
            problem = f"no answer within {self._timeout:g} s"
            raise EngineError(self.name, doing, problem, REACH) from error
        except LOST as error:
            raise self._error(doing, error) from error

    # -- the worker's side

    async def deliver(self, text: object, name: str) -> None:
        """What the task does. Docket's own `cancel` does not end a call that is under way."""
        delivery = asyncio.ensure_future(self._deliver(text, name))
        self._under_way.add(delivery)
        delivery.add_done_callback(self._under_way.discard)
        while not delivery.done():
            try:
                await asyncio.shield(delivery)
            except asyncio.CancelledError:
                if delivery.cancelled():
                    raise

    async def _deliver(self, text: object, name: str) -> None:
        assert self._run is not None, "an engine is bound before it serves"
        try:
            if not isinstance(text, str):
                raise PayloadError("the argument", "the text of an envelope", "something else")
            envelope = Envelope.from_json(text)
        except PayloadError as error:
            self._log.say(logging.ERROR, "engine.bad_message", problem=str(error))
            return
        following = await self._run(envelope)
        if following is not None:
            await self._hand_on(following, name)
        elif name.startswith(_names.KEYED):
            run_id = envelope.id
            with suppress(EngineError):  # it ends by itself
                await self._ask("forget it", lambda docket: _names.forget(docket, run_id))

    async def _hand_on(self, envelope: Envelope, name: str) -> None:
        """Puts what follows from a run in its place, under the same name. Until that is done the
        task must not end, which would acknowledge it."""

        async def replace(docket: Docket) -> None:
            when = _moment(envelope)
            await docket.replace("afterwork", key=name, when=when)(envelope.to_json())

        pause = FIRST_PAUSE_SECONDS
        while True:
            try:
                await self._ask("take in the next attempt", replace)
                return
            except EngineError as error:
                self._say("engine.lost", error)
            await asyncio.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE_SECONDS)

    # -- what is said

    def _error(self, doing: str, error: BaseException) -> EngineError:
        hint = REACH if isinstance(error, LOST) else ""
        if isinstance(error, AuthenticationError):
            hint = "Check user and password."
        return EngineError(self.name, doing, _problem(error), hint)

    def _say(self, event: str, error: BaseException) -> None:
        self._log.say_each_minute(logging.ERROR, event, problem=_problem(error))


def _task_of(engine: DocketEngine) -> Callable[..., Any]:
    async def afterwork(text: object, execution: Execution = CURRENT) -> None:
        await engine.deliver(text, execution.key)

    return afterwork


CURRENT = CurrentExecution()


def _moment(envelope: Envelope) -> datetime:
    return datetime.fromtimestamp(envelope.run_at or time.time(), UTC)


def _problem(error: BaseException) -> str:
    return str(error).rstrip(".") or type(error).__name__
