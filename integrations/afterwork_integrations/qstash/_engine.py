"""QStash as the engine: calls are published to it, and it posts them to the trigger route.

1. A call is one message to the route's page `/work`; its body is the envelope. Several go in one
   request.
2. QStash's own retries deliver again what the app could not take, for example because its process
   died. The policy for a job that failed is not theirs: such a delivery is answered with 200, and
   the next attempt is a message of its own.
3. What QStash has given up is in QStash's dead letter queue, from where it can be published again.
   Nothing in the app hears of it.

What is sent is described at https://upstash.com/docs/qstash/api/messages/batch.
"""

from __future__ import annotations

import json
import os
from collections.abc import Awaitable, Sequence
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import quote

from afterwork.engines import Capabilities, Envelope
from afterwork.errors import EngineError, PayloadError
from afterwork.verify import SYSTEM_CLOCK, Clock

from .._push_options import address, credential, due, seconds, whole

if TYPE_CHECKING:
    from afterwork.engines import RunUntil

TOKEN = "QSTASH_TOKEN"
ADDRESS = "QSTASH_URL"
API = "https://qstash.upstash.io"
DAY = 86_400
FIRST_RETRY_SECONDS = 13.0
"""QStash waits e^2.5 seconds before it delivers for the second time."""
MOST_BYTES = 1_000_000
"""Of one message on the free plan."""
MOST_MESSAGES = 100
"""In one request."""


class QStashEngine:
    """Carries durable calls over QStash: `Afterwork(engine=QStashEngine(...))`. For apps without a
    worker, on serverless hosts above all.

    `token`
        QStash's. It is sent to QStash alone, and shown nowhere.
    `url`
        The public address of the trigger route's page for deliveries: where the route is mounted,
        and `/work`. Example: `"https://app.example/cron/work"`. The route needs a `QStashSignature`
        among its verifiers.
    `api`
        Default `"https://qstash.upstash.io"`; the region in the US is
        `"https://qstash-us-east-1.upstash.io"`. Each has its own token and its own signing keys.
    `max_delay`
        Default 604800.0, a week, which is what the free plan allows; others allow a year. In
        seconds, at least 60. A longer delay is made of several.
    `retries`
        Default 3, from 1 to 100: how often QStash delivers again what the app did not take, after
        12 s, 2.5 min and half an hour, and then after 6 h and each day. A plan may allow no more
        than three; then QStash refuses a call that asks for more. They have nothing to do with the
        `retry` of a job.
    `delivery_timeout`
        Default None, as long as the plan allows: seconds, whole, after which QStash takes a
        delivery for lost and delivers it again. A job that runs longer is not run twice for that,
        but give more than the longest one takes.
    `parallelism`
        Default None, as many as the plan allows: how many deliveries QStash makes at a time.
    `timeout`
        Default 5.0: seconds that taking calls in may take, at most 60. Meanwhile the response
        waits.
    `clock`
        For tests.

    A `key` keeps another call out for ten minutes after the first, also when that is over by then.
    The id of the first is returned as long as QStash has it, and then the second's own, of which
    nothing will be heard. Priorities, transactions, `status` and `cancel` are not to be had.

    Raises `InvalidOptionError`, and `ImportError` without httpx.
    """

    name = "qstash"

    def __init__(
        self,
        token: str,
        *,
        url: str,
        api: str = API,
        max_delay: float = 7.0 * DAY,
        retries: int = 3,
        delivery_timeout: int | None = None,
        parallelism: int | None = None,
        timeout: float = 5.0,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        try:
            from .._http_api import HttpApi
        except ImportError as error:
            raise ImportError(
                "QStashEngine needs httpx: pip install 'afterwork[qstash]'"
            ) from error
        self._token = credential("token", token, "QStash's console")
        self._url = address("url", url, "https://app.example/cron/work")
        self._max_delay = seconds("max_delay", max_delay, 60, 3660 * DAY)
        self._headers = {
            "Content-Type": "application/json",
            "Upstash-Method": "POST",
            "Upstash-Retries": str(whole("retries", retries, 1, 100)),
        }
        recovery = None
        if delivery_timeout is not None:
            lasts = whole("delivery_timeout", delivery_timeout, 1, 7 * DAY)
            self._headers["Upstash-Timeout"] = f"{lasts}s"
            recovery = lasts + FIRST_RETRY_SECONDS
        if parallelism is not None:
            most = whole("parallelism", parallelism, 1, 1_000_000)
            self._headers["Upstash-Flow-Control-Key"] = "afterwork-" + self._digest()
            self._headers["Upstash-Flow-Control-Value"] = f"parallelism={most}"
        base = address("api", api, API, bare=True)
        self._api = HttpApi(self.name, base, seconds("timeout", timeout, 0.1, 60))
        self._clock = clock
        self.capabilities = Capabilities(
            mode="push",
            max_delay=self._max_delay,
            delay_resolution=1.0,
            keys="window",
            survives="power",
            recovery_seconds=recovery,
            max_payload=MOST_BYTES,
        )

    @classmethod
    def from_env(cls, name: str = TOKEN, *, url: str, **options: Any) -> Self:
        """With the token from the environment variable of that name, read once, and `api` from
        `QSTASH_URL` where that is set. Otherwise as the class."""
        if "api" not in options and os.environ.get(ADDRESS):
            options["api"] = os.environ[ADDRESS]
        return cls(credential(name, os.environ.get(name), "QStash's console"), url=url, **options)

    def __repr__(self) -> str:
        return f"<QStashEngine to {self._url.partition('?')[0]}>"

    def bind(self, run: RunUntil) -> None:
        """Does nothing: the trigger route runs what QStash delivers."""

    async def enqueue(
        self, envelopes: Sequence[Envelope], *, connection: Any = None
    ) -> Sequence[str]:
        """Publishes calls, up to a hundred in a request. Raises `EngineError`."""
        ids: list[str] = []
        for first in range(0, len(envelopes), MOST_MESSAGES):
            ids += await self._publish(envelopes[first : first + MOST_MESSAGES])
        return ids

    async def serve(self, *, concurrency: int, stop: Awaitable[object]) -> None:
        """Raises `EngineError`: there is nothing to serve."""
        hint = "Start the app, and no worker."
        problem = f"it posts calls to {self._url.partition('?')[0]}"
        raise EngineError(self.name, "be served", problem, hint)

    async def status(self, run_id: str) -> str | None:
        """None."""
        return None

    async def cancel(self, run_id: str) -> bool:
        """False."""
        return False

    async def close(self) -> None:
        """Closes its connections."""
        await self._api.close()

    # -- how it talks to QStash

    async def _publish(self, envelopes: Sequence[Envelope]) -> list[str]:
        doing = "take calls in"
        messages = [self._message(envelope) for envelope in envelopes]
        answer = await self._ask(doing, "POST", "/v2/batch", messages)
        if not answer.is_success:
            raise self._api.refusal(doing, answer, _hint(answer.status_code))
        told = _json(answer)
        if not isinstance(told, list) or len(told) != len(envelopes):
            raise self._api.error(doing, "what it answered is no list of messages")
        return [
            await self._id_of(envelope, message)
            for envelope, message in zip(envelopes, told, strict=True)
        ]

    def _message(self, envelope: Envelope) -> dict[str, Any]:
        headers = dict(self._headers)
        moment = due(envelope, self._clock.now(), self._max_delay)
        if moment is not None:
            headers["Upstash-Not-Before"] = str(moment)
        if envelope.key is not None:
            headers["Upstash-Deduplication-Id"] = self._digest(envelope.job, envelope.key)
        return {"destination": self._url, "headers": headers, "body": envelope.to_json()}

    def _digest(self, *texts: str) -> str:
        # The account's other apps have keys of their own, and what a key may be is not documented.
        return sha256("\0".join((self._url, *texts)).encode()).hexdigest()[:40]

    async def _id_of(self, envelope: Envelope, message: Any) -> str:
        """The id of the call that stands for this one."""
        if not isinstance(message, dict) or not isinstance(message.get("messageId"), str):
            said = message.get("error") if isinstance(message, dict) else None
            problem = f"it said {said!r:.200} of a message" if said else "it refused a message"
            raise self._api.error("take calls in", problem)
        if not message.get("deduplicated"):
            return envelope.id
        path = "/v2/messages/" + quote(message["messageId"], safe="")
        answer = await self._ask("find a call by its key", "GET", path)
        found: Any = _json(answer) if answer.is_success else None
        try:
            return Envelope.from_json(found["body"]).id
        except (PayloadError, LookupError, TypeError):
            return envelope.id  # the first is over, and QStash has forgotten it

    async def _ask(self, doing: str, method: str, path: str, content: Any = None) -> Any:
        headers = {"Authorization": f"Bearer {self._token}", "Content-Type": "application/json"}
        body = None if content is None else json.dumps(content).encode()
        return await self._api.ask(doing, method, path, headers=headers, content=body)


def _json(answer: Any) -> Any:
    try:
        return answer.json()
    except (ValueError, RecursionError):
        return None


def _hint(status: int) -> str:
    if status in (401, 403):
        return "Check the token, and that `api` is the address of its region."
    if status == 429:
        return "The plan's limit of messages is reached."
    return ""
