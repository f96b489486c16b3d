"""Calls of jobs that a platform makes without HTTP, as requests to the trigger route.

Who may make them is decided by the platform: nothing else can reach the route that they go to.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from afterwork.verify import TriggerRequest


class Platform:
    """Lets everything in, on a route that only a platform's handler calls."""

    def __init__(self, name: str) -> None:
        self.name = name

    async def verify(self, request: TriggerRequest) -> str:
        return f"called by {self.name}"


def scope_of(job: str, body: bytes, fields: Mapping[str, object]) -> dict[str, Any]:
    """The scope of the request that runs a job. `fields` are what the call says of itself, such as
    its slot; those without a value are left out."""
    headers = [(b"content-type", b"application/json")]
    for name, value in fields.items():
        if value is not None:
            headers.append((b"afterwork-" + name.encode(), str(value).encode()))
    headers.append((b"content-length", str(len(body)).encode()))
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": "POST",
        "scheme": "https",
        "path": "/" + job,
        "raw_path": None,
        "root_path": "",
        "query_string": b"",
        "headers": headers,
        "client": None,
        "server": ("platform", 443),
    }
