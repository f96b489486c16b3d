"""Reading what a caller shows: one header, and a bearer token.

Nothing here knows secrets. Everything is bytes, because a header may hold any byte, and what is not
ASCII has to be refused like any other wrong value.
"""

from __future__ import annotations

from .errors import VerificationError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ._verify import TriggerRequest

MAX_BYTES = 8192
"""Bytes of a credential. Google's tokens have about 1,000 and GitHub's about 2,500."""


def sole_header(request: TriggerRequest, name: str) -> bytes:
    """The value of a header that has to be there exactly once, without the spaces around it.

    Use it for a header that proves something: where it comes twice, a proxy and the app may each
    believe another one. Raises `VerificationError` with the reason `no_credentials`,
    `duplicate_header`, or `too_long` beyond 8192 bytes. No message holds the value.
    """
    wanted = name.lower().encode("latin-1")
    values = [bytes(v) for key, v in request.scope["headers"] if bytes(key).lower() == wanted]
    if not values:
        raise VerificationError("no_credentials", f"there is no {name} header")
    if len(values) > 1:
        raise VerificationError("duplicate_header", f"{name} was sent {len(values)} times")
    # RFC 9110, section 5.5: whitespace around a value is no part of it, and not every server
    # takes it off.
    value = values[0].strip(b" \t")
    if not value:
        raise VerificationError("no_credentials", f"the {name} header is empty")
    if len(value) > MAX_BYTES:
        raise VerificationError("too_long", f"{name} has {len(value)} bytes, at most {MAX_BYTES}")
    return value


def bearer_token(request: TriggerRequest) -> bytes:
    """What follows `Bearer` in the `Authorization` header.

    By RFC 9110, section 11, and RFC 6750, section 2.1, the scheme is in any case, and one space or
    several follow it; a tab does not. Raises `VerificationError`: as `sole_header`, and with the
    reason `not_bearer` for another scheme or none. A token in the query or the body is not looked
    for, because addresses end up in access logs.
    """
    scheme, _, token = sole_header(request, "Authorization").partition(b" ")
    if scheme.lower() != b"bearer":
        raise VerificationError("not_bearer", "the scheme of the Authorization header is another")
    token = token.lstrip(b" ")
    if not token:
        raise VerificationError("no_credentials", "there is nothing after Bearer")
    return token
