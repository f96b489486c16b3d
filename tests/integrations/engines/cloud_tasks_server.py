"""A stand-in for Google Cloud Tasks: making and reading tasks, its tokens, retries and names.

What it takes is read with Google's own description of the API, the messages of the package
`google-cloud-tasks`: a field that is not in it, or has another form, is refused. The rest, such as
the least and the longest deadline, is as that description says in words. It gives credentials out
too, as Google's token endpoint and as the metadata server of a machine.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import time
from typing import Any
from urllib.parse import parse_qs, urlsplit

import jwt
from google.cloud.tasks_v2.types import CreateTaskRequest, HttpMethod

from tests.integrations.signing import rs256, rsa_key

from .vendor import Message, Refusal, Vendor

QUEUE = "projects/my-project/locations/europe-west1/queues/afterwork"
CALLER = "tasks@my-project.iam.gserviceaccount.com"
ACCESS = "ya29.a-token-of-the-tests"
AUDIENCE = "https://oauth2.googleapis.com/token"
"""For what a service account's key signs, wherever it is sent."""


class CloudTasksServer(Vendor):
    """In memory."""

    more_headers = ("Metadata-Flavor", "Google")

    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()
        """Those that are taken. Google gives one free an hour after its task is over."""
        self.may_read = True
        self.tokens_given = 0

    def answer(self, method: str, path: str, headers: dict[str, str], body: bytes) -> Any:
        parts = urlsplit(path)
        if parts.path == "/token":
            return self.grant(body)
        if headers.get("metadata-flavor") == "Google":
            return self.tell_machine(parts.path)
        if headers.get("authorization") != f"Bearer {ACCESS}":
            raise refusal(401, "UNAUTHENTICATED", "Request had invalid authentication credentials.")
        if (method, parts.path) == ("POST", f"/v2/{QUEUE}/tasks"):
            return self.create(json.loads(body))
        name = parts.path.removeprefix("/v2/")
        if method == "GET" and name.startswith(f"{QUEUE}/tasks/"):
            return self.get(name, parse_qs(parts.query))
        raise refusal(404, "NOT_FOUND", "Queue does not exist.")

    def create(self, asked: dict[str, Any]) -> dict[str, Any]:
        """`tasks.create`."""
        try:
            task = CreateTaskRequest.from_json(json.dumps({"parent": QUEUE, **asked})).task
        except Exception as error:
            raise refusal(400, "INVALID_ARGUMENT", str(error)) from error
        request, retry = task.http_request, task.retry_config
        name = task.name or f"{QUEUE}/tasks/{len(self.requests)}{time.monotonic_ns()}"
        wrong = [
            what
            for what, right in {
                "name": re.fullmatch(rf"{QUEUE}/tasks/[A-Za-z0-9_-]{{1,500}}", name),
                "url": re.fullmatch(r"https?://\S+", request.url),
                "method": request.http_method == HttpMethod.POST,
                "deadline": 15 <= task.dispatch_deadline.total_seconds() <= 1800,
                "account": request.oidc_token.service_account_email == CALLER,
                "audience": request.oidc_token.audience,
                "attempts": retry.max_attempts == -1,
                "retries": retry.max_retry_duration.total_seconds() == 0,
                "size": len(json.dumps(asked)) < 1_000_000,
            }.items()
            if not right
        ]
        due = task.schedule_time.timestamp() if "scheduleTime" in asked["task"] else 0.0
        if wrong or due > time.time() + 30 * 86_400:
            raise refusal(400, "INVALID_ARGUMENT", f"wrong: {wrong}, due {due}")
        if name in self.names:
            raise refusal(409, "ALREADY_EXISTS", "Requested entity already exists")
        if task.name:
            self.names.add(name)
        self.messages[name] = Message(
            id=name,
            url=request.url,
            body=request.body,
            due=due,
            retries=1_000_000,
            headers={**request.headers, "User-Agent": "Google-Cloud-Tasks"},
        )
        self.audience = request.oidc_token.audience
        return {"name": name}

    def get(self, name: str, query: dict[str, list[str]]) -> dict[str, Any]:
        """`tasks.get`."""
        if not self.may_read:
            raise refusal(403, "PERMISSION_DENIED", "no cloudtasks.tasks.fullView")
        found = self.messages.get(name)
        if found is None or query != {"responseView": ["FULL"]}:
            raise refusal(404, "NOT_FOUND", "The task no longer exists.")
        return {"name": name, "httpRequest": {"body": base64.b64encode(found.body).decode()}}

    def grant(self, body: bytes) -> dict[str, Any]:
        """Google's token endpoint, for a service account's key."""
        asked = {name: value for name, (value,) in parse_qs(body.decode()).items()}
        key = rsa_key("mine").public_key()
        claims = jwt.decode(asked["assertion"], key, algorithms=["RS256"], audience=AUDIENCE)
        assert "https://www.googleapis.com/auth/cloud-platform" in claims["scope"].split()
        self.tokens_given += 1
        return {"access_token": ACCESS, "expires_in": 3600, "token_type": "Bearer"}

    def tell_machine(self, path: str) -> Any:
        """The metadata server of a machine at Google."""
        if path.endswith("/token"):
            self.tokens_given += 1
            return {"access_token": ACCESS, "expires_in": 3600, "token_type": "Bearer"}
        return {"email": "app@my-project.iam.gserviceaccount.com", "scopes": []}

    def put(self, url: str, body: str) -> None:
        """A task as anybody with the role could make it."""
        with self.lock:
            name = hashlib.sha256(f"{body}{len(self.messages)}".encode()).hexdigest()
            self.messages[name] = Message(name, url, body.encode(), retries=1_000_000)
            self.audience = url

    def proof(self, message: Message) -> dict[str, str]:
        now = int(time.time())
        claims = {
            "iss": "https://accounts.google.com",
            "aud": self.audience,
            "sub": "1137",
            "azp": "1137",
            "email": CALLER,
            "email_verified": True,
            "iat": now,
            "exp": now + 3600,
        }
        return {
            "Authorization": f"Bearer {rs256(claims, 'one')}",
            "X-CloudTasks-QueueName": "afterwork",
            "X-CloudTasks-TaskName": message.id.rpartition("/")[2],
            "X-CloudTasks-TaskRetryCount": str(message.delivered),
            "X-CloudTasks-TaskExecutionCount": str(message.delivered),
            "X-CloudTasks-TaskETA": f"{message.due:.6f}",
        }


def refusal(status: int, code: str, said: str) -> Refusal:
    """In Google's form."""
    return Refusal(status, {"error": {"code": status, "message": said, "status": code}})
