"""Runs of jobs for platforms whose timer calls a function, not an address.

A run goes through the trigger route, in this process, so it claims its slot and is recorded like
any other: a timer that comes twice, or beside a scheduler, runs a slot once. Nothing else can reach
that route, so it asks for no proof: who may set off the timer is the platform's business.
"""

from __future__ import annotations

import json
from collections.abc import MutableMapping
from typing import Any

from afterwork import Afterwork, Host
from afterwork.verify import TriggerRequest


class JobFailedError(Exception):
    """A job did not run, or it failed. Raised for the platform, so that it takes the call for a
    failure: its log shows it, and where a retry is configured, it calls again."""

    def __init__(self, job: str, status: int, answer: str) -> None:
        super().__init__(f"the job {job!r} was answered with {status}: {answer.strip()}")
        self.job = job
        self.status = status


class Invoked:
    """Lets everything in, on a route that only this process calls."""

    def __init__(self, platform: str) -> None:
        self.name = platform

    async def verify(self, request: TriggerRequest) -> str:
        return f"invoked through {self.name}"


class Door:
    """The jobs of one `Afterwork`, for a platform's own timer.

    Its route is no part of the app, so no lifespan of it runs, and its calls last until all is over
    that they have queued.
    """

    def __init__(self, work: Afterwork, platform: str) -> None:
        self._routes = work.routes(verify=Invoked(platform))
        self._platform = platform

    async def run(
        self,
        job: str,
        *,
        slot: str | None = None,
        attempt: int | None = None,
        payload: dict[str, Any] | None = None,
        host: Host | None = None,
    ) -> dict[str, Any]:
        """Runs a job, and returns what the trigger route answers. `slot`: where the platform tells
        it; `host`: for this run alone. Raises `JobFailedError`."""
        headers = {"content-type": "application/json"}
        if slot is not None:
            headers["afterwork-slot"] = slot
        if attempt is not None:
            headers["afterwork-attempt"] = str(attempt)
        body = b"" if payload is None else json.dumps(payload).encode()
        return await self._call(job, headers, body, host)

    async def due(self) -> dict[str, Any]:
        """Runs what is due, as `/tick` does. Raises `JobFailedError` where one of them failed."""
        return await self._call("tick", {}, b"")

    async def _call(
        self, path: str, headers: dict[str, str], body: bytes, host: Host | None = None
    ) -> dict[str, Any]:
        pairs = [(name.encode(), value.encode()) for name, value in headers.items()]
        scope: dict[str, Any] = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1",
            "method": "POST",
            "scheme": "https",
            "path": f"/{path}",
            "raw_path": None,
            "root_path": "",
            "query_string": b"",
            "headers": [*pairs, (b"content-length", str(len(body)).encode())],
            "client": None,
            "server": (self._platform, 443),
        }
        if host is not None:
            scope["afterwork"] = host
        sent: list[MutableMapping[str, Any]] = []
        incoming = [{"type": "http.request", "body": body, "more_body": False}]

        async def receive() -> MutableMapping[str, Any]:
            return incoming.pop() if incoming else {"type": "http.disconnect"}

        async def send(message: MutableMapping[str, Any]) -> None:
            sent.append(message)

        await self._routes(scope, receive, send)
        text = b"".join(message.get("body", b"") for message in sent).decode()
        status: int = sent[0]["status"]
        if status >= 400:
            raise JobFailedError(path, status, text)
        answer: dict[str, Any] = json.loads(text)
        if answer["status"] == "failed" and path == "tick":
            raise JobFailedError(path, status, text)
        return answer
