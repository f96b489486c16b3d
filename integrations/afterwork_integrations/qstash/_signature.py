"""Lets in what QStash has signed. Needs nothing but the standard library."""

from __future__ import annotations

import base64
import hmac
import os
from hashlib import sha256
from typing import Any, Self
from urllib.parse import urlsplit

from afterwork.errors import InsecureSecretError, InvalidOptionError, VerificationError
from afterwork.verify import (
    SYSTEM_CLOCK,
    Clock,
    TriggerRequest,
    check_secret,
    in_development,
    sole_header,
)

from .._jose import Token, check_leeway, check_times, told

CURRENT = "QSTASH_CURRENT_SIGNING_KEY"
NEXT = "QSTASH_NEXT_SIGNING_KEY"

PUBLISHED = ("sig_7kYjw48mhY7kAjqNGcy6cr29RJ6r", "sig_5ZB6DVzB1wjE8S6rZ7eenA8Pdnhs")
"""What QStash's development server signs with. They are in its documentation, the same for all."""


class QStashSignature:
    """Lets in a request that QStash has signed, for this address and with this body.

    The `Upstash-Signature` header holds a JWT, signed with HMAC-SHA256 by one of two keys: the
    current one and the next one, so that a key can be rolled without a gap. See
    https://upstash.com/docs/qstash/features/security.

    `url`
        Default None: the address that was signed has to be the request's, as the server saw it.
        Behind a proxy that is another one; then give the public base, `"https://app.example"`, and
        the request's path and query are put behind it. Either way they are compared to the letter,
        so that a slash more or another query is refused (`wrong_url`; the log has both).
    `leeway`
        Default 10.0: seconds by which the two clocks may differ, from 0 to 300.
    `clock`
        For tests.

    What is not accepted: another algorithm or another issuer than `Upstash`; a token that is
    expired, or from the future; a body that is not byte for byte the one that was sent, for example
    because something has read its JSON and written it again. Nothing in the environment changes
    that, `QSTASH_DEV` neither. A token is good for its five minutes, so the same one may come
    twice: that it starts nothing twice is the route's matter.

    Raises `InsecureSecretError` where either key is missing or weak: an empty one would accept what
    anybody has signed with nothing. It does so too for the keys of QStash's development server,
    which are the same for all, unless `AFTERWORK_ENV` or `VERCEL_ENV` says `development`.
    """

    name = "qstash"

    def __init__(
        self,
        current_key: str,
        next_key: str,
        *,
        url: str | None = None,
        leeway: float = 10.0,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self._keys = [_key("current_key", current_key), _key("next_key", next_key)]
        self._url = None if url is None else _base(url)
        self._leeway = check_leeway(leeway)
        self._clock = clock

    @classmethod
    def from_env(
        cls,
        current_key: str = CURRENT,
        next_key: str = NEXT,
        *,
        url: str | None = None,
        leeway: float = 10.0,
        clock: Clock = SYSTEM_CLOCK,
    ) -> Self:
        """With keys from the environment variables of these names, read once. QStash's own names
        are the default. Otherwise as the class; errors name the variable."""
        keys = []
        for name in (current_key, next_key):
            key = check_secret(name, os.environ.get(name))
            _key(name, key)
            keys.append(key)
        return cls(*keys, url=url, leeway=leeway, clock=clock)

    def __repr__(self) -> str:
        return f"<QStashSignature, url {self._url or 'of the request'}>"

    async def verify(self, request: TriggerRequest) -> str:
        """Returns which key it was signed with. Raises `VerificationError`."""
        token = Token(sole_header(request, "Upstash-Signature"), "HS256")
        signer = self._signer(token)
        claims = token.claims()
        if claims.get("iss") != "Upstash":
            raise VerificationError("wrong_issuer", f"the issuer is {told(claims.get('iss'))}")
        check_times(claims, self._clock.now(), self._leeway, nbf=True)
        self._check_url(claims, request)
        _check_body(claims, request.body)
        return signer

    def _signer(self, token: Token) -> str:
        """Which key has signed the token. Both are tried, whichever it was."""
        found = []
        for name, key in zip(("current key", "next key"), self._keys, strict=True):
            expected = key.copy()
            expected.update(token.signed)
            if hmac.compare_digest(expected.digest(), token.signature):
                found.append(name)
        if not found:
            raise VerificationError("wrong_signature", "neither of the two keys has signed it")
        return found[0]

    def _check_url(self, claims: dict[str, Any], request: TriggerRequest) -> None:
        signed = claims.get("sub")
        here = request.url if self._url is None else self._url + request.target
        if signed != here:
            raise VerificationError(
                "wrong_url",
                f"url differs: QStash signed {told(signed)}, and this is {told(here)}. "
                "Behind a proxy set url= to the public base",
            )


def _check_body(claims: dict[str, Any], body: bytes) -> None:
    signed = claims.get("body")
    hashed = base64.urlsafe_b64encode(sha256(body).digest()).decode()
    # QStash pads it, the documentation of the token does not.
    if not isinstance(signed, str) or signed.rstrip("=") != hashed.rstrip("="):
        raise VerificationError(
            "wrong_body", f"its {len(body)} bytes are not the ones that were signed"
        )


def _key(name: str, key: str) -> hmac.HMAC:
    check_secret(name, key)
    if key in PUBLISHED and not in_development():
        raise InsecureSecretError(
            name,
            "it is the one of QStash's development server, with which anybody can sign (on a "
            "developer's machine set AFTERWORK_ENV=development)",
        )
    # Kept as a prepared HMAC and not as a text, so that no repr and no pickle can show it.
    return hmac.new(key.encode(), digestmod=sha256)


def _base(url: object) -> str:
    expected = "the public base of the app, such as 'https://app.example'"
    if not isinstance(url, str) or not url.isascii() or not url.isprintable():
        raise InvalidOptionError("url", expected, url)
    try:
        parts = urlsplit(url)
    except ValueError:
        raise InvalidOptionError("url", expected, url) from None
    bare = not parts.query and not parts.fragment and "?" not in url and "#" not in url
    if parts.scheme not in ("http", "https") or not parts.hostname or not bare or "@" in url:
        raise InvalidOptionError("url", expected, url)
    return url.rstrip("/")
