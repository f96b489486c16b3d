"""Google's credentials of this process, as headers for a request.

Which they are is google-auth's matter: the platform's own, a key file, a developer's login. It asks
for a token over the network now and then, and blocks meanwhile, so it does so in a thread.
"""

from __future__ import annotations

from collections.abc import Mapping
from threading import Lock
from typing import Any

import anyio.to_thread
import google.auth
import httpx
from google.auth.exceptions import GoogleAuthError, TransportError
from google.auth.transport import Request, Response

SCOPES = ("https://www.googleapis.com/auth/cloud-platform",)
SECONDS = 5.0
"""For each request of google-auth's."""


class Answer(Response):
    """An answer, as google-auth wants it."""

    def __init__(self, answer: httpx.Response) -> None:
        self._answer = answer

    @property
    def status(self) -> int:
        return self._answer.status_code

    @property
    def headers(self) -> Mapping[str, str]:
        return self._answer.headers

    @property
    def data(self) -> bytes:
        return self._answer.content


class Transport(Request):
    """google-auth's requests, by httpx: without it google-auth wants another HTTP client."""

    def __call__(
        self,
        url: str,
        method: str = "GET",
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: float | None = None,
        **_: Any,
    ) -> Answer:
        try:
            with httpx.Client(timeout=timeout or SECONDS) as client:
                return Answer(client.request(method, url, content=body, headers=headers))
        except httpx.HTTPError as error:
            told: Any = TransportError  # which is not typed
            raise told(f"{type(error).__name__} at {httpx.URL(url).host}") from error


class Credentials:
    """`given` are the user's own, or None for the process' default ones."""

    def __init__(self, given: Any) -> None:
        self._given = given
        self._lock = Lock()

    async def headers(self, url: str) -> dict[str, str]:
        """What proves to `url` who asks. Raises google-auth's `GoogleAuthError`."""
        return await anyio.to_thread.run_sync(self._headers, url, abandon_on_cancel=True)

    def _headers(self, url: str) -> dict[str, str]:
        headers: dict[str, str] = {}
        with self._lock:  # one asks, and the others have what it was given
            transport = Transport()
            if self._given is None:
                self._given, _ = google.auth.default(scopes=SCOPES, request=transport)
            self._given.before_request(transport, "POST", url, headers)
        return headers


__all__ = ["Credentials", "GoogleAuthError"]
