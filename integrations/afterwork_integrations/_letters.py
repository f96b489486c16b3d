"""Sending one small HTTP request whose address is a secret.

1. A letter has `timeout` seconds in all, tries and pauses included. So a receiver that hangs is
   asked once, and one that fails at once is asked up to three times.
2. It is tried again where the connection failed and after an answer of 500 and above. Any other
   answer but 2xx is final. So a receiver may get a letter twice, where its answer got lost.
3. Redirects are never followed: the address is for the host that it names and for no other.
4. The address is in no log, no error and no repr; the host is. That is why a letter goes through
   httpx's transport and not through its client, which logs each address at level INFO.
5. Proxies are those of the environment, as everywhere (`HTTPS_PROXY`, `NO_PROXY`).

What is left is a receiver that sends its headers byte by byte: it may take longer than the time-out
and holds up the letters behind it, but no run.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from ssl import SSLContext
from urllib.request import getproxies, proxy_bypass

import httpx

from afterwork.errors import InvalidOptionError

from ._outbox import Lost

__all__ = ["MAX_TIMEOUT", "Hidden", "Letter", "address", "send", "timeout_of"]

STEPS = ("connect", "read", "write", "pool")
MAX_TIMEOUT = 5.0
"""Seconds: the default and the most."""
PAUSES = (0.2, 0.4)
"""Seconds before the second try and before the third."""


@dataclass(frozen=True, slots=True)
class Letter:
    """A request to be sent. Its repr shows nothing that may be secret."""

    method: str
    url: httpx.URL = field(repr=False)
    content: bytes = field(default=b"", repr=False)
    content_type: str = "text/plain; charset=utf-8"


class Countdown(Mapping[str, float]):
    """What is left until a moment, as httpx's time-outs: asked anew at each step, so that
    connecting and waiting for the answer do not take so long each."""

    def __init__(self, end: float) -> None:
        self.end = end

    def __getitem__(self, step: str) -> float:
        return max(self.end - time.monotonic(), 0.001)  # 0 would mean: do not wait, but try

    def __iter__(self) -> Iterator[str]:
        return iter(STEPS)

    def __len__(self) -> int:
        return len(STEPS)


class Hidden:
    """Stands for a secret in the message of an error."""

    def __init__(self, value: object) -> None:
        self.kind = type(value).__name__

    def __repr__(self) -> str:
        return f"another {self.kind} (not shown, it may be secret)"


def address(name: str, value: object) -> httpx.URL:
    """An http or https address. Raises `InvalidOptionError`, without the address."""
    expected = "an address that begins with https:// or http://"
    if not isinstance(value, str):
        raise InvalidOptionError(name, expected, Hidden(value))
    try:
        url = httpx.URL(value)
    except httpx.InvalidURL:
        raise InvalidOptionError(name, expected, Hidden(value)) from None
    if url.scheme not in ("http", "https") or not url.host:
        raise InvalidOptionError(name, expected, Hidden(value))
    return url


def timeout_of(value: float) -> float:
    """A time-out that may be: more than zero seconds, and at most five."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value <= 5:
        raise InvalidOptionError("timeout", "seconds, more than 0 and at most 5", value)
    return float(value)


def send(letter: Letter, timeout: float) -> None:
    """Sends a letter. Raises `Lost`."""
    end = time.monotonic() + timeout
    pauses = [*PAUSES]
    while True:
        problem, again = _try(letter, Countdown(end))
        if problem is None:
            return
        if not again or not pauses or time.monotonic() + pauses[0] >= end:
            raise Lost(letter.url.host, problem)
        time.sleep(pauses.pop(0))


def _try(letter: Letter, countdown: Countdown) -> tuple[str | None, bool]:
    """What went wrong, and whether to try again."""
    request = httpx.Request(
        letter.method,
        letter.url,
        content=letter.content or None,
        headers={
            "User-Agent": "afterwork",
            "Connection": "close",
            **({"Content-Type": letter.content_type} if letter.content else {}),
        },
        extensions={"timeout": countdown},
    )
    try:
        with httpx.HTTPTransport(verify=_tls(), proxy=_proxy(letter.url)) as transport:
            # The status is all that is asked; the body is not even read.
            response = transport.handle_request(request)
            response.close()
    except httpx.TimeoutException as error:
        return type(error).__name__, False
    except (httpx.HTTPError, OSError, ValueError) as error:
        return type(error).__name__, True
    if response.is_success:
        return None, False
    return f"it answered {response.status_code}", response.status_code >= 500


@cache
def _tls() -> SSLContext:
    # Reading the certificates of all authorities takes longer than a ping.
    return httpx.create_ssl_context()


def _proxy(url: httpx.URL) -> str | None:
    proxies = getproxies()
    proxy = proxies.get(url.scheme) or proxies.get("all")
    return None if proxy is None or proxy_bypass(url.host) else proxy
