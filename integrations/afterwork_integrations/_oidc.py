"""Tokens of OpenID Connect issuers: whose they are, for whom, and until when.

The integrations of the issuers add what their tokens say beyond that, which is what matters most:
anybody may get a good token from a public issuer.
"""

from __future__ import annotations

from typing import Any

from jwt import PyJWS
from jwt.exceptions import PyJWTError

from afterwork.errors import InvalidOptionError, VerificationError
from afterwork.verify import Clock, TriggerRequest, bearer_token

from ._jose import Token, check_leeway, check_times, malformed, told
from ._jwks import KeySet

__all__ = ["TokenCheck", "require", "text", "told"]

ALGORITHM = "RS256"
"""The one algorithm, whatever a token or a key set says."""


class TokenCheck:
    """Reads the bearer token of a request and says what its issuer vouches for.

    Raises `InvalidOptionError` for an audience or other options that make no sense.
    """

    def __init__(
        self, issuers: tuple[str, ...], audience: str, keys_url: str, leeway: float, clock: Clock
    ) -> None:
        self._issuers = issuers
        self._audience = text("audience", audience)
        self._keys = KeySet(keys_url, clock)
        self._leeway = check_leeway(leeway)
        self._clock = clock
        self._jws = PyJWS()

    async def claims(self, request: TriggerRequest) -> dict[str, Any]:
        """The claims of a token that is signed by the issuer, meant for this audience, and valid
        now. Raises `VerificationError`, or `VerifierUnavailableError` without keys."""
        raw = bearer_token(request)
        token = Token(raw, ALGORITHM)
        kid = token.header.get("kid")
        if not isinstance(kid, str):
            raise malformed("its header names no key")
        key = await self._keys.key(kid)
        if key is None:
            raise VerificationError("unknown_key", "its issuer has no key of that name")
        try:
            self._jws.decode_complete(raw, key, algorithms=[ALGORITHM])
        except PyJWTError:
            raise VerificationError("wrong_signature", "it is not signed by its issuer") from None
        claims = token.claims()
        if claims.get("iss") not in self._issuers:
            raise VerificationError("wrong_issuer", f"the issuer is {told(claims.get('iss'))}")
        check_times(claims, self._clock.now(), self._leeway, nbf=False)
        # Not a list with ours among others: then the token has been made for somebody else too.
        if claims.get("aud") != self._audience:
            raise VerificationError("wrong_audience", f"it is for {told(claims.get('aud'))}")
        return claims


def text(name: str, value: object) -> str:
    """A text that is not empty and has no spaces around it, or `InvalidOptionError`."""
    if not isinstance(value, str) or not value or value != value.strip():
        raise InvalidOptionError(name, "a text without spaces around it", value)
    return value


def require(claims: dict[str, Any], name: str, allowed: tuple[object, ...]) -> None:
    """Raises `VerificationError` (`wrong_<name>`) unless a claim is one of the allowed values. Its
    type counts too: 1 is not True."""
    found = claims.get(name)
    if not any(type(found) is type(value) and found == value for value in allowed):
        raise VerificationError(f"wrong_{name}", f"{name} is {told(found)}")
