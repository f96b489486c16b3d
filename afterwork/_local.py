"""Whether a request was made on this very machine, during development.

For a route that is open in development because no secret is configured. Every doubt is a no: a
tunnel or a proxy on this machine also connects from a loopback address, and a browser may be made
to send requests by any page that is open in it.
"""

from __future__ import annotations

import os

from .errors import VerificationError, VerifierUnavailableError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ._verify import TriggerRequest

ENVIRONMENTS = ("AFTERWORK_ENV", "VERCEL_ENV")
DEVELOPMENT = "development"

FORWARDING = (b"forwarded", b"x-real-ip", b"via")
"""Headers that proxies add; those that begin with x-forwarded are others."""


def in_development() -> bool:
    """Whether the environment says development: `AFTERWORK_ENV` or `VERCEL_ENV` is `development`,
    and neither says something else. For what may be less strict there."""
    return {os.environ[name] for name in ENVIRONMENTS if name in os.environ} == {DEVELOPMENT}


def require_local(request: TriggerRequest, variable: str) -> str:
    """Returns what the log may say of a caller on this machine.

    Raises `VerifierUnavailableError` where the environment does not say development: then a secret
    is missing. Raises `VerificationError` with the reason `not_local` for everybody else.
    """
    if not in_development():
        raise VerifierUnavailableError(
            f"the secret {variable} is not set, and the environment does not say development. Set "
            f"{variable}; on a developer's machine set {ENVIRONMENTS[0]}={DEVELOPMENT} instead"
        )
    if not _is_loopback(request.client):
        raise VerificationError("not_local", "the caller is not on this machine")
    for key, value in request.scope["headers"]:
        name = bytes(key).lower()
        if name in FORWARDING or name.startswith(b"x-forwarded"):
            raise VerificationError("not_local", "a proxy was on the way")
        if name == b"sec-fetch-site" and bytes(value) not in (b"none", b"same-origin"):
            raise VerificationError("not_local", "a page of another site made the browser ask")
    return "open in development"


def _is_loopback(address: str | None) -> bool:
    import ipaddress

    try:
        found = ipaddress.ip_address(address or "")
    except ValueError:
        return False
    # A server that listens on IPv6 for both writes 127.0.0.1 as ::ffff:127.0.0.1.
    mapped = getattr(found, "ipv4_mapped", None)
    return bool((mapped or found).is_loopback)
