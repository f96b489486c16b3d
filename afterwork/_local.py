"""Whether a request was made on this very machine, during development.

For a route that is open in development because no secret is configured. Every doubt is a no: a
tunnel or a proxy on this machine also connects from a loopback address, and a browser may be made
to send requests by any page that is open in it. A tunnel that adds no header still shows the name
under which it was asked for, in `Host`, and so does a page whose name was made to point here.
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
        if name == b"host" and not _names_this_machine(bytes(value).decode("latin-1")):
            raise VerificationError("not_local", "the Host header names another machine")
    return "open in development"


def _names_this_machine(host: str) -> bool:
    """Whether a Host header is localhost or a loopback address, with a port or without."""
    if host.startswith("["):
        return _is_loopback(host[1:].partition("]")[0])
    name = host.partition(":")[0].lower()
    # RFC 6761, section 6.3: names under localhost are this machine, too.
    return name == "localhost" or name.endswith(".localhost") or _is_loopback(name)


def _is_loopback(address: str | None) -> bool:
    import ipaddress

    try:
        found = ipaddress.ip_address(address or "")
    except ValueError:
        return False
    # A server that listens on IPv6 for both writes 127.0.0.1 as ::ffff:127.0.0.1.
    mapped = getattr(found, "ipv4_mapped", None)
    return bool((mapped or found).is_loopback)
