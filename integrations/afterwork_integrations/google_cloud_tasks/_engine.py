"""Google Cloud Tasks as the engine: calls become tasks, which it posts to the trigger route.

1. A call is one task; its request's body is the envelope. Cloud Tasks has no request for several,
   so several are made side by side.
2. Each task says itself how it is delivered again, whatever the queue says: for as long as Cloud
   Tasks keeps it. That is for deliveries that got lost; the policy for a job that failed is not
   its. Such a delivery is answered with 200, and the next attempt is a task of its own.
3. Cloud Tasks signs each delivery as a service account, which the route checks.

What is sent is described at
https://cloud.google.com/tasks/docs/reference/rest/v2/projects.locations.queues.tasks/create.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Awaitable, Sequence
from datetime import UTC, datetime
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import anyio

from afterwork.engines import Capabilities, Envelope
from afterwork.errors import EngineError, InvalidOptionError, PayloadError
from afterwork.verify import SYSTEM_CLOCK, Clock

from .._http_api import HttpApi
from .._push_options import address, due, seconds, whole
from .._side_by_side import side_by_side
from ._credentials import Credentials, GoogleAuthError

if TYPE_CHECKING:
    import httpx

    from afterwork.engines import RunUntil

API = "https://cloudtasks.googleapis.com"
QUEUE = r"projects/[A-Za-z0-9.:-]+/locations/[a-z0-9-]+/queues/[A-Za-z0-9-]{1,100}"
LONGEST_DELAY = 30 * 86_400.0 - 600.0
"""Seconds. Cloud Tasks takes 30 days by its own clock."""
LONGEST_PAUSE = 60
RETRIES = {
    "maxAttempts": -1,
    "maxRetryDuration": "0s",
    "minBackoff": "1s",
    "maxBackoff": f"{LONGEST_PAUSE}s",
    "maxDoublings": 6,
}
"""Until it is taken, or 31 days old: the fewer attempts that a queue may allow would lose calls."""
MOST_BYTES = 700_000
"""A task may have 1 MB, in which the envelope is written as base64."""
MOST_CHARACTERS = 200
"""Of what google-auth says is wrong."""


class CloudTasksEngine:
    """Carries durable calls over Google Cloud Tasks. For apps without a worker, on Cloud Run above
    all.

    `queue`
        The queue's whole name, `projects/P/locations/L/queues/Q`. It has to be there. How many
        tasks it delivers at a time is its own setting.
    `url`
        The public address of the trigger route's page for deliveries: where the route is mounted,
        and `/work`. Example: `"https://app.example/cron/work"`.
    `service_account`
        As whom Cloud Tasks signs its deliveries, an e-mail address. The route needs a `GoogleOIDC`
        with the same one among its verifiers. Who makes tasks needs the role Cloud Tasks Enqueuer,
        and Service Account User on this account.
    `audience`
        Default None: `url`. What the tokens of deliveries are for.
    `delivery_timeout`
        Default 600, from 15 to 1800: whole seconds after which Cloud Tasks takes a delivery for
        lost and delivers it again. A job that runs longer is not run twice for that, but give more
        than the longest one takes.
    `credentials`
        Default None: those that google-auth finds, such as the platform's. Or some of google-auth's
        with the scope `cloud-platform`.
    `timeout`
        Default 5.0: seconds that making a task may take, at most 60. Meanwhile the response waits.
    `api`, `clock`
        For tests.

    A `key` names the task: it keeps another call out until about an hour after the first is over.
    The id of the first is returned while it is there and may be read (`cloudtasks.tasks.fullView`),
    else the second's own, of which nothing will be heard. Tasks with a name take longer to make. A
    delay of more than 30 days is made of several. Priorities, transactions, `status` and `cancel`
    are not to be had.

    Raises `InvalidOptionError`.
    """

    name = "google cloud tasks"

    def __init__(
        self,
        queue: str,
        *,
        url: str,
        service_account: str,
        audience: str | None = None,
        delivery_timeout: int = 600,
        credentials: Any = None,
        timeout: float = 5.0,
        api: str = API,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        if not isinstance(queue, str) or not re.fullmatch(QUEUE, queue):
            expected = "a queue's name, 'projects/P/locations/L/queues/Q'"
            raise InvalidOptionError("queue", expected, queue)
        if not isinstance(service_account, str) or not re.fullmatch(
            r"[^\s@]+@[^\s@]+", service_account
        ):
            raise InvalidOptionError("service_account", "an e-mail address", service_account)
        if audience is not None and (not isinstance(audience, str) or not audience.strip()):
            raise InvalidOptionError("audience", "a text that is not empty", audience)
        if credentials is not None and not hasattr(credentials, "before_request"):
            raise InvalidOptionError("credentials", "some of google-auth's", type(credentials))
        self._queue = queue
        self._url = address("url", url, "https://app.example/cron/work")
        self._token = {"serviceAccountEmail": service_account, "audience": audience or self._url}
        self._deadline = whole("delivery_timeout", delivery_timeout, 15, 1800)
        self._credentials = Credentials(credentials)
        self._timeout = seconds("timeout", timeout, 0.1, 60)
        self._api = HttpApi(self.name, address("api", api, API, bare=True), self._timeout)
        self._clock = clock
        self.capabilities = Capabilities(
            mode="push",
            max_delay=LONGEST_DELAY,
            delay_resolution=1.0,
            keys="window",
            survives="power",
            recovery_seconds=float(self._deadline + LONGEST_PAUSE),
            max_payload=MOST_BYTES,
        )

    def __repr__(self) -> str:
        return f"<CloudTasksEngine {self._queue}>"

    def bind(self, run: RunUntil) -> None:
        """Does nothing: the trigger route runs what Cloud Tasks delivers."""

    async def enqueue(
        self, envelopes: Sequence[Envelope], *, connection: Any = None
    ) -> Sequence[str]:
        """Makes a task of each call; of several, some may be made where others fail. Raises
        `EngineError`."""
        return await side_by_side(self._make, envelopes)

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

    # -- how it talks to Cloud Tasks

    async def _make(self, envelope: Envelope) -> str:
        """The id of the call that stands for this one, which is a task by then."""
        doing = "take calls in"
        task = self._task(envelope)
        answer = await self._ask(doing, "POST", f"/v2/{self._queue}/tasks", {"task": task})
        if answer.status_code == 409 and "name" in task:
            return await self._holder(task["name"], envelope)
        if not answer.is_success:
            raise self._api.refusal(doing, answer, self._hint(answer.status_code))
        return envelope.id

    def _task(self, envelope: Envelope) -> dict[str, Any]:
        task: dict[str, Any] = {
            "dispatchDeadline": f"{self._deadline}s",
            "retryConfig": RETRIES,
            "httpRequest": {
                "url": self._url,
                "httpMethod": "POST",
                "headers": {"Content-Type": "application/json"},
                "body": base64.b64encode(envelope.to_json().encode()).decode(),
                "oidcToken": self._token,
            },
        }
        moment = due(envelope, self._clock.now(), LONGEST_DELAY)
        if moment is not None:
            task["scheduleTime"] = datetime.fromtimestamp(moment, UTC).strftime(
                "%Y-%m-%dT%H:%M:%SZ"
            )
        if envelope.key is not None:
            # Of all that calls with this key have in common. Names that begin alike are slow.
            text = "\0".join((self._url, envelope.job, envelope.key))
            task["name"] = f"{self._queue}/tasks/{sha256(text.encode()).hexdigest()}"
        return task

    async def _holder(self, name: str, envelope: Envelope) -> str:
        """The id of the call that has this name."""
        answer = await self._ask("find a call by its key", "GET", f"/v2/{name}?responseView=FULL")
        try:
            body = base64.b64decode(answer.json()["httpRequest"]["body"])
            return Envelope.from_json(body).id
        except (PayloadError, ValueError, LookupError, TypeError):
            return envelope.id  # the first is over, or may not be read

    async def _ask(self, doing: str, method: str, path: str, content: Any = None) -> httpx.Response:
        try:
            with anyio.fail_after(self._timeout):
                proof = await self._credentials.headers(self._api.base + path)
        except TimeoutError as error:
            problem = f"no credentials within {self._timeout:g} seconds"
            raise self._api.error(doing, problem, self._hint(401)) from error
        except GoogleAuthError as error:
            said = "".join(c for c in str(error) if c.isprintable())[:MOST_CHARACTERS]
            problem = f"no credentials, {type(error).__name__}: {said}".rstrip(".")
            raise self._api.error(doing, problem, self._hint(401)) from error
        headers = {**proof, "Content-Type": "application/json"}
        body = None if content is None else json.dumps(content).encode()
        return await self._api.ask(doing, method, path, headers=headers, content=body)

    def _hint(self, status: int) -> str:
        if status == 401:
            return "Run it with a service account, or: gcloud auth application-default login"
        if status == 403:
            return (
                "Give the app's account the roles roles/cloudtasks.enqueuer, and "
                f"roles/iam.serviceAccountUser on {self._token['serviceAccountEmail']}."
            )
        if status == 404:
            _, project, _, location, _, queue = self._queue.split("/")
            command = (
                f"gcloud tasks queues create {queue} --project={project} --location={location}"
            )
            return f"Make the queue: {command}"
        return ""
