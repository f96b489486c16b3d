"""What the engines share that speak to a vendor's HTTP API: one client per loop, and bounded calls.

1. A call has `timeout` seconds in all, tries and pauses included.
2. It is tried again where no answer came, and after 429 and 5xx. So the vendor may get it twice;
   what it carries has an id, and runs once.
3. Redirects are never followed: what is sent has a credential in it.
4. No credential and nothing of what was sent is in an error.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from functools import cache
from ssl import SSLContext
from urllib.parse import urlsplit

import anyio
import anyio.to_thread
import httpx
from anyio.lowlevel import RunVar

from afterwork.errors import EngineError

__all__ = ["HttpApi"]

PAUSES = (0.2, 0.4)
"""Seconds before the second try and before the third."""
TOO_MANY = 429
MOST_CHARACTERS = 200
"""Of what a vendor says is wrong."""


class HttpApi:
    """The API of one vendor at `base`. `engine` is what errors call it."""

    def __init__(self, engine: str, base: str, timeout: float) -> None:
        self.base = base
        self._engine = engine
        self._timeout = timeout
        # Connections belong to a loop.
        self._clients: RunVar[httpx.AsyncClient | None] = RunVar(f"afterwork {engine}", None)

    async def ask(
        self,
        doing: str,
        method: str,
        path: str,
        *,
        headers: Mapping[str, str],
        content: bytes | None = None,
    ) -> httpx.Response:
        """The answer, whatever its status. Raises `EngineError` where there is none."""
        end = time.monotonic() + self._timeout
        pauses = [*PAUSES]
        while True:
            answer: httpx.Response | None = None
            cause: Exception | None = None
            try:
                with anyio.fail_after(end - time.monotonic()):
                    client = await self._client()
                    url = self.base + path
                    answer = await client.request(method, url, headers=headers, content=content)
            except TimeoutError as error:
                problem = f"no answer within {self._timeout:g} seconds"
                raise self.error(doing, problem, self._unreachable) from error
            except (httpx.HTTPError, OSError) as error:
                cause = error
            if answer is not None and answer.status_code < 500 and answer.status_code != TOO_MANY:
                return answer
            if not pauses or time.monotonic() + pauses[0] >= end:
                if answer is not None:
                    return answer
                raise self.error(doing, type(cause).__name__, self._unreachable) from cause
            await anyio.sleep(pauses.pop(0))

    def error(self, doing: str, problem: str, hint: str = "") -> EngineError:
        """What to raise."""
        return EngineError(self._engine, doing, problem, hint)

    def refusal(self, doing: str, answer: httpx.Response, hint: str = "") -> EngineError:
        """What to raise where the answer is a refusal: with what the vendor says of it."""
        said = _said(answer)
        problem = f"it answered {answer.status_code}" + (f", {said!r}" if said else "")
        return self.error(doing, problem, hint)

    async def close(self) -> None:
        """Closes the connections of the loop that runs here."""
        client = self._clients.get()
        if client is not None:
            self._clients.set(None)
            await client.aclose()

    @property
    def _unreachable(self) -> str:
        return f"Check that {urlsplit(self.base).hostname} can be reached from here."

    async def _client(self) -> httpx.AsyncClient:
        client = self._clients.get()
        if client is None:
            # Reading the certificates of all authorities takes too long for the event loop.
            tls = await anyio.to_thread.run_sync(_tls)
            client = self._clients.get()  # another call may have been here meanwhile
            if client is None:
                client = httpx.AsyncClient(verify=tls, timeout=None, follow_redirects=False)
                self._clients.set(client)
        return client


@cache
def _tls() -> SSLContext:
    return httpx.create_ssl_context()


def _said(answer: httpx.Response) -> str:
    """The message of an error, as both `{"error": "text"}` and Google's objects have it."""
    try:
        said = answer.json()["error"]
        text = said if isinstance(said, str) else said["message"]
    except (ValueError, TypeError, LookupError, RecursionError):
        return ""
    return "".join(c for c in str(text) if c.isprintable())[:MOST_CHARACTERS]
