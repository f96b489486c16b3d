"""An issuer's public keys, fetched and kept (JWKS, RFC 7517).

1. Keys are good for five minutes. After that they are fetched again before one is used.
2. A key that is not among them may be new: one fetch more, but for such keys at most one in 30 s,
   or anybody could have the issuer asked as often as they like.
3. However many requests wait, one fetch is under way.
4. Where a fetch fails, the last good keys are used, for a day at most and not silently. Without any
   nobody can tell who is who. The issuer is given a pause before it is asked again.
5. What an answer may be is bounded: its time, its size, no redirects, and RSA keys for signatures.

The instance belongs to one event loop at a time, asyncio's or trio's.
"""

from __future__ import annotations

import json
import logging
import ssl
from typing import Any

import anyio
import anyio.to_thread
import httpx
from jwt import PyJWK
from jwt.exceptions import PyJWTError

from afterwork.errors import InvalidOptionError, VerifierUnavailableError
from afterwork.verify import Clock

FRESH = 300.0
"""Seconds for which keys are used without asking again."""
STALE = 86_400.0
"""Seconds for which the last good keys are used while the issuer cannot be asked."""
UNKNOWN_PAUSE = 30.0
"""Seconds between two fetches that only an unknown key has caused."""
FAILED_PAUSE = 10.0
"""Seconds without a fetch after one that failed."""
TIMEOUT = 5.0
"""Seconds for a whole fetch."""
MAX_BYTES = 256 * 1024
MIN_BITS = 2048
"""RFC 7518, section 3.3."""

NEVER = float("-inf")

_log = logging.getLogger("afterwork.oidc")


class KeySet:
    """The keys at an address, by their `kid`. Raises `InvalidOptionError` unless the address is
    https, or http on this machine."""

    def __init__(self, url: str, clock: Clock) -> None:
        self.url = _checked(url)
        self._clock = clock
        self._keys: dict[str, PyJWK] = {}
        self._lock = anyio.Lock()
        self._tls: ssl.SSLContext | None = None
        self._fetched_at = self._failed_at = self._unknown_at = NEVER
        self._fetches = 0
        self._problem = ""

    async def key(self, kid: str) -> PyJWK | None:
        """The key of that name, or None where the issuer has no such key. Raises
        `VerifierUnavailableError` where that cannot be told."""
        before = self._fetches
        if self._age() >= FRESH:
            await self._refresh(before)
        if kid not in self._keys:
            await self._refresh(before, unknown=True)
        if self._age() >= STALE or (self._problem and kid not in self._keys):
            raise VerifierUnavailableError(f"no keys from {self.url}: {self._problem}")
        return self._keys.get(kid)

    def _age(self) -> float:
        return self._clock.monotonic() - self._fetched_at

    async def _refresh(self, before: int, *, unknown: bool = False) -> None:
        """One fetch, unless there has been one since the caller looked, or it is too early."""
        async with self._lock:
            now = self._clock.monotonic()
            if self._fetches != before or now - self._failed_at < FAILED_PAUSE:
                return
            if unknown:
                if now - self._unknown_at < UNKNOWN_PAUSE:
                    return
                self._unknown_at = now
            try:
                with anyio.fail_after(TIMEOUT):
                    self._keys = _parsed(await self._fetch())
            except (httpx.HTTPError, OSError, ValueError) as error:
                self._fail(error)
            else:
                self._fetched_at = self._clock.monotonic()
                self._problem = ""
            self._fetches += 1

    def _fail(self, error: Exception) -> None:
        self._failed_at = self._clock.monotonic()
        self._problem = f"{type(error).__name__}: {error}".rstrip(": ")
        if self._age() < STALE:
            _log.warning(
                "oidc.keys_stale url=%r age_seconds=%d problem=%r",
                self.url,
                self._age(),
                self._problem,
            )

    async def _fetch(self) -> bytes:
        if self._tls is None:
            # Reading the certificates of all authorities takes too long for the event loop.
            self._tls = await anyio.to_thread.run_sync(httpx.create_ssl_context)
        async with (
            # One per fetch: connections belong to a loop, and in five minutes they are closed.
            httpx.AsyncClient(verify=self._tls, timeout=TIMEOUT, follow_redirects=False) as client,
            client.stream("GET", self.url, headers={"Accept-Encoding": "identity"}) as response,
        ):
            if response.status_code != httpx.codes.OK:
                raise ValueError(f"it answered {response.status_code}")
            found = b""
            # Raw, so that a small answer cannot be unpacked to a big one.
            async for chunk in response.aiter_raw():
                found += chunk
                if len(found) > MAX_BYTES:
                    raise ValueError(f"it answered more than {MAX_BYTES} bytes")
            return found


def _checked(url: object) -> str:
    expected = "an https address of keys"
    if not isinstance(url, str):
        raise InvalidOptionError("keys_url", expected, url)
    try:
        parts = httpx.URL(url)
    except httpx.InvalidURL:
        raise InvalidOptionError("keys_url", expected, url) from None
    local = parts.scheme == "http" and parts.host in ("127.0.0.1", "localhost", "::1")
    if not parts.host or not (parts.scheme == "https" or local):
        raise InvalidOptionError("keys_url", expected, url)
    return url


def _parsed(answer: bytes) -> dict[str, PyJWK]:
    """The usable keys of an answer. Raises ValueError where there is none."""
    try:
        found: Any = json.loads(answer)
        listed = found["keys"]
        keys = {item["kid"]: _key(item) for item in listed if _is_for_signatures(item)}
    except (TypeError, KeyError, RecursionError):
        raise ValueError("what it answered is no key set") from None
    usable = {kid: key for kid, key in keys.items() if key is not None}
    if not usable:
        raise ValueError("it answered no key that can be used")
    return usable


def _is_for_signatures(item: Any) -> bool:
    return (
        isinstance(item, dict)
        and item.get("kty") == "RSA"
        and isinstance(item.get("kid"), str)
        and item.get("use", "sig") == "sig"
        and item.get("alg", "RS256") == "RS256"
        # A private key has no business here.
        and "d" not in item
    )


def _key(item: dict[str, Any]) -> PyJWK | None:
    """The key, or None for one that is damaged or short."""
    try:
        # The algorithm is ours and not the answer's.
        key = PyJWK(item, algorithm="RS256")
    except (PyJWTError, ValueError, TypeError):
        return None
    return key if key.key.key_size >= MIN_BITS else None
