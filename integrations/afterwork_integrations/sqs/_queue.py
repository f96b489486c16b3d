"""One SQS queue, through botocore, whose calls block: each is made in a thread.

1. No call takes longer than its time. What is given up goes on in its thread until botocore's own
   time-outs end it.
2. What cannot be reached, or is throttled, raises `Lost`; what is refused, another `EngineError`.
3. No receipt handle and no body is in an error.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from threading import Lock
from typing import Any

import anyio
import anyio.to_thread
import botocore.session
from anyio.lowlevel import RunVar
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    HTTPClientError,
    NoCredentialsError,
    NoRegionError,
)
from botocore.exceptions import ConnectionError as NoConnectionError

from afterwork.errors import EngineError

BATCH = 10
"""The most messages of one request."""
BATCH_BYTES = 262_144
WAIT_SECONDS = 2
"""How long a poll waits for a message. A worker that is told to stop waits for its poll, or what
that takes out would be hidden until its time is over."""
THREADS = 10
CONNECT_SECONDS = 3
THROTTLED = ("Throttling", "ThrottlingException", "RequestThrottled", "KmsThrottled")
LOST = (HTTPClientError, NoConnectionError)
REGION = re.compile(
    r"sqs(?:-fips)?\.([a-z0-9-]+)\.(?:vpce\.)?amazonaws\.com|//([a-z0-9-]+)\.queue\.amazonaws\.com"
)
USUAL = re.compile(r"https://(?:sqs\.[a-z0-9-]+|[a-z0-9-]+\.queue)\.amazonaws\.com(?:\.cn)?/")
REACH = "Check that SQS can be reached from here."
LOOK = "Check the queue's address, its region, and what the role may do."


class Lost(EngineError):
    """The queue cannot be reached at the moment."""


@dataclass(frozen=True, slots=True)
class Message:
    """One that was taken out."""

    id: str
    body: str = field(repr=False)
    receipt: str = field(repr=False)
    deliveries: int

    @classmethod
    def of(cls, message: dict[str, Any]) -> Message:
        """From an answer of the API."""
        count = message["Attributes"]["ApproximateReceiveCount"]
        return cls(message["MessageId"], message["Body"], message["ReceiptHandle"], int(count))

    @classmethod
    def of_record(cls, record: dict[str, Any]) -> Message:
        """From an event of Lambda's, which writes the same names in another way."""
        count = record["attributes"]["ApproximateReceiveCount"]
        return cls(record["messageId"], record["body"], record["receiptHandle"], int(count))


class Queue:
    """The queue at `url`. `client` is the user's own, or None."""

    def __init__(
        self,
        url: str,
        *,
        name: str,
        client: Any,
        region: str | None,
        endpoint: str | None,
        timeout: float,
    ) -> None:
        self.url = url
        self.fifo = url.endswith(".fifo")
        self._name = name
        self._client = client
        self._own = client is None
        self._region = region
        self._endpoint = endpoint
        self._timeout = timeout
        self._lock = Lock()
        self._limiter: RunVar[anyio.CapacityLimiter | None] = RunVar("afterwork sqs", None)

    async def send(self, entries: Sequence[dict[str, Any]]) -> None:
        """Sends messages; each has what `SendMessageBatch` wants but its id."""
        doing = "take calls in"
        for batch in _batches(entries):
            numbered = [{"Id": str(place), **entry} for place, entry in enumerate(batch)]
            answer = await self._ask(doing, "send_message_batch", Entries=numbered)
            for failure in answer.get("Failed", ()):
                problem = f"{failure.get('Code')}: {failure.get('Message')}"
                raise self._error(doing, problem, transient=not failure.get("SenderFault"))

    async def receive(self, most: int, visibility: int) -> list[Message]:
        """Takes out up to `most` messages, and hides them for so many seconds."""
        answer = await self._ask(
            "take calls out",
            "receive_message",
            MaxNumberOfMessages=min(most, BATCH),
            WaitTimeSeconds=WAIT_SECONDS,
            VisibilityTimeout=visibility,
            MessageSystemAttributeNames=["ApproximateReceiveCount"],
            patience=self._timeout + WAIT_SECONDS,
        )
        return [Message.of(message) for message in answer.get("Messages", ())]

    async def delete(self, message: Message) -> None:
        """Removes a message for good."""
        await self._ask("forget a call", "delete_message", ReceiptHandle=message.receipt)

    async def hide(self, messages: Sequence[Message], seconds: int) -> int:
        """Lets messages come again after so many seconds, and not before. Returns of how many that
        could not be done, because they were deleted or are another's by now."""
        failed = 0
        for first in range(0, len(messages), BATCH):
            entries = [
                {"Id": str(place), "ReceiptHandle": each.receipt, "VisibilityTimeout": seconds}
                for place, each in enumerate(messages[first : first + BATCH])
            ]
            answer = await self._ask(
                "keep calls", "change_message_visibility_batch", Entries=entries
            )
            failed += len(answer.get("Failed", ()))
        return failed

    async def attributes(self) -> dict[str, str]:
        """The queue's settings."""
        answer = await self._ask(
            "read its settings", "get_queue_attributes", AttributeNames=["All"]
        )
        found: dict[str, str] = answer.get("Attributes", {})
        return found

    def error(self, doing: str, problem: str, hint: str) -> EngineError:
        """What to raise."""
        return EngineError(self._name, doing, problem, hint)

    async def close(self) -> None:
        """Closes the connections of a client of its own."""
        with self._lock:
            client, self._client = self._client, None if self._own else self._client
        if self._own and client is not None:
            await anyio.to_thread.run_sync(client.close)

    # -- how it talks to SQS

    async def _ask(
        self, doing: str, operation: str, *, patience: float | None = None, **parameters: Any
    ) -> dict[str, Any]:
        limiter = self._limiter.get()
        if limiter is None:
            limiter = anyio.CapacityLimiter(THREADS)
            self._limiter.set(limiter)
        call = partial(self._call, operation, parameters)
        seconds = self._timeout if patience is None else patience
        try:
            with anyio.fail_after(seconds):
                answer: dict[str, Any] = await anyio.to_thread.run_sync(
                    call, abandon_on_cancel=True, limiter=limiter
                )
        except TimeoutError as error:
            raise self._error(doing, f"no answer within {seconds:g} s", transient=True) from error
        except ClientError as error:
            raise self._refusal(doing, error) from error
        except (NoCredentialsError, NoRegionError) as error:
            hint = "Give the process a role or AWS_ACCESS_KEY_ID, and AWS_REGION or `region`."
            raise self.error(doing, str(error).rstrip("."), hint) from error
        except BotoCoreError as error:
            problem = f"{type(error).__name__}: {error}"
            raise self._error(doing, problem, transient=isinstance(error, LOST)) from error
        return answer

    def _call(self, operation: str, parameters: dict[str, Any]) -> Any:
        with self._lock:
            if self._client is None:
                self._client = self._made()
            client = self._client
        return getattr(client, operation)(QueueUrl=self.url, **parameters)

    def _made(self) -> Any:
        """A client of its own. Reading what it needs to know takes 50 ms."""
        session = botocore.session.Session()
        # botocore itself knows only AWS_DEFAULT_REGION, and not every platform sets it.
        here = session.get_config_variable("region") or os.environ.get("AWS_REGION")
        region = self._region or region_of(self.url) or here
        return session.create_client(
            "sqs",
            region_name=region,
            endpoint_url=self._endpoint,
            config=Config(
                connect_timeout=CONNECT_SECONDS,
                read_timeout=WAIT_SECONDS + 5,
                retries={"mode": "standard", "total_max_attempts": 2},
                max_pool_connections=THREADS,
                user_agent_extra="afterwork",
            ),
        )

    def _refusal(self, doing: str, error: ClientError) -> EngineError:
        told: Any = error.response
        code = str(told.get("Error", {}).get("Code", ""))
        status = told.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        name = code.rpartition(".")[2].rpartition("#")[2]
        problem = f"{name}: {told.get('Error', {}).get('Message', '')}".rstrip(": .")
        return self._error(doing, problem, transient=status >= 500 or name in THROTTLED)

    def _error(self, doing: str, problem: str, *, transient: bool) -> EngineError:
        if transient:
            return Lost(self._name, doing, problem.rstrip("."), REACH)
        return self.error(doing, problem.rstrip("."), LOOK)


def region_of(url: str) -> str | None:
    """The region that a queue's address names."""
    found = REGION.search(url)
    return None if found is None else found[1] or found[2]


def endpoint_of(url: str) -> str | None:
    """Where to send requests for a queue; None where botocore knows."""
    return None if USUAL.match(url) else "/".join(url.split("/", 3)[:3])


def _batches(entries: Sequence[dict[str, Any]]) -> list[list[dict[str, Any]]]:
    """In tens, and none larger than a request may be."""
    batches: list[list[dict[str, Any]]] = []
    size = 0
    for entry in entries:
        length = len(entry["MessageBody"])
        if not batches or len(batches[-1]) == BATCH or size + length > BATCH_BYTES:
            batches.append([])
            size = 0
        batches[-1].append(entry)
        size += length
    return batches
