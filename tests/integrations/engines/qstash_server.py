"""A stand-in for QStash: its batch and message endpoints, its signatures, retries and dead letters.

The form of a request is that of https://upstash.com/docs/qstash/api (its `openapi.yaml` of August
2026): a field or a header that is not in it is refused. What the vendor's own SDK sends is taken
too, which a test checks.
"""

from __future__ import annotations

import hashlib
import json
import re
import time
from typing import Any

from tests.integrations.signing import b64url
from tests.integrations.test_qstash import CURRENT, sign

from .vendor import Message, Refusal, Vendor

TOKEN = "eyJVc2VySUQiOiJ0ZXN0In0="
WINDOW_SECONDS = 600.0
HEADERS = {
    "content-type": r"[\x20-\x7e]+",
    "upstash-method": "GET|POST|PUT|PATCH|DELETE",
    "upstash-retries": r"\d+",
    "upstash-not-before": r"\d{10}",
    "upstash-timeout": r"\d+(s|m|h|d)",
    "upstash-deduplication-id": r"[\x21-\x7e]{1,100}",
    "upstash-flow-control-key": r"[A-Za-z0-9._-]+",
    "upstash-flow-control-value": r"parallelism=\d+",
}


class QStashServer(Vendor):
    """In memory."""

    def __init__(self) -> None:
        super().__init__()
        self.keys: dict[str, tuple[str, float]] = {}
        self.refused: set[int] = set()
        """The places in the next batch of messages that it cannot take."""
        self.key = CURRENT
        self.most_retries = 3

    def answer(self, method: str, path: str, headers: dict[str, str], body: bytes) -> Any:
        if headers.get("authorization") != f"Bearer {TOKEN}":
            raise Refusal(401, {"error": "unauthorized"})
        if (method, path) == ("POST", "/v2/batch"):
            if headers.get("content-type") != "application/json":
                raise Refusal(400, {"error": "no JSON"})
            messages = json.loads(body)
            for each in messages:
                self.check(each)
            refused, self.refused = self.refused, set()
            return [
                {"error": "quota maxDelay exceeded"} if place in refused else self.take(each)
                for place, each in enumerate(messages)
            ]
        if method == "GET" and path.startswith("/v2/messages/"):
            found = self.messages.get(path.removeprefix("/v2/messages/"))
            if found is None:
                raise Refusal(404, {"error": "message not found"})
            return {"messageId": found.id, "url": found.url, "body": found.body.decode()}
        raise Refusal(404, {"error": f"no {method} {path}"})

    def check(self, message: dict[str, Any]) -> None:
        """Raises `Refusal` for what is not documented."""
        wrong = message.keys() - {"destination", "headers", "body", "queue"}
        if wrong or not re.fullmatch(r"https?://[^\s]+", message["destination"]):
            raise Refusal(400, {"error": f"invalid message: {wrong}"})
        for name, value in message["headers"].items():
            form = HEADERS.get(name.lower())
            if form is None or not re.fullmatch(form, value):
                raise Refusal(400, {"error": f"invalid header {name}: {value}"})
        if int(message["headers"].get("Upstash-Retries", 3)) > self.most_retries:
            raise Refusal(400, {"error": "quota maxRetries exceeded"})

    def take(self, message: dict[str, Any]) -> dict[str, Any]:
        """A message that is new, or the one whose deduplication id it has."""
        headers = message["headers"]
        key = headers.get("Upstash-Deduplication-Id")
        if key is not None:
            first, until = self.keys.get(key, ("", 0.0))
            if time.time() < until:
                return {"messageId": first, "deduplicated": True}
        new = Message(
            id=f"msg_{len(self.requests)}_{len(self.messages)}_{time.monotonic_ns()}",
            url=message["destination"],
            body=message["body"].encode(),
            due=float(headers.get("Upstash-Not-Before", 0)),
            retries=int(headers.get("Upstash-Retries", 3)),
            headers={"Content-Type": headers["Content-Type"], "User-Agent": "Upstash-QStash"},
        )
        self.messages[new.id] = new
        if key is not None:
            self.keys[key] = (new.id, time.time() + WINDOW_SECONDS)
        return {"messageId": new.id}

    def put(self, url: str, body: str) -> None:
        """A message as anybody with the token could publish it."""
        with self.lock:
            headers = {"Content-Type": "text/plain"}
            self.take({"destination": url, "headers": headers, "body": body})

    def proof(self, message: Message) -> dict[str, str]:
        now = int(time.time())
        claims = {
            "iss": "Upstash",
            "sub": message.url,
            "exp": now + 300,
            "nbf": 0,
            "iat": now,
            "jti": f"jwt_{message.id}",
            "body": b64url(hashlib.sha256(message.body).digest()) + "=",
        }
        return {
            "Upstash-Signature": sign(claims, self.key),
            "Upstash-Message-Id": message.id,
            "Upstash-Retried": str(message.delivered),
        }
