"""Who may trigger a job: what a verifier is, and what it is shown of a request.

1. Closed by default: a verifier that cannot check anything refuses to be made.
2. A verifier answers for the caller only. It does not know jobs, slots or stores.
3. What it raises is for the log. The caller learns that it was refused and nothing else.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Protocol

    from ._asgi import Scope
else:
    Protocol = object


class TriggerRequest:
    """A request to the trigger route, as verifiers see it. Its body is complete and raw."""

    __slots__ = ("body", "scope")

    def __init__(self, scope: Scope, body: bytes = b"") -> None:
        self.scope = scope
        self.body = body

    @property
    def method(self) -> str:
        """The method, in upper case."""
        method: str = self.scope["method"]
        return method.upper()

    def header_bytes(self, name: str) -> bytes | None:
        """The value of a header as it was sent, or None. The first, if it was sent twice."""
        wanted = name.lower().encode("latin-1")
        for key, value in self.scope["headers"]:
            if bytes(key).lower() == wanted:
                return bytes(value)
        return None

    def header(self, name: str) -> str | None:
        """The value of a header, stripped, or None. Every byte is one character (Latin-1), so it
        never fails."""
        value = self.header_bytes(name)
        return None if value is None else value.decode("latin-1").strip()

    @property
    def url(self) -> str:
        """The address as the caller wrote it, as far as the server saw it: behind a proxy that
        changes scheme or host it is another one."""
        scope = self.scope
        host = self.header("host")
        if host is None:
            name, port = scope.get("server") or ("localhost", None)
            host = name if port is None else f"{name}:{port}"
        return f"{scope.get('scheme', 'http')}://{host}{self.target}"

    @property
    def target(self) -> str:
        """The path and the query of the address, as the caller wrote them. No proxy's business, so
        that with a known scheme and host it gives the address that the caller meant."""
        scope = self.scope
        raw = scope.get("raw_path")
        if raw is None:
            from urllib.parse import quote

            path = quote(scope["path"], safe="/%:@!$&'()*+,;=~-._")
        else:
            path = bytes(raw).partition(b"?")[0].decode("latin-1")
        query = bytes(scope.get("query_string", b"")).decode("latin-1")
        return f"{path}{'?' if query else ''}{query}"

    @property
    def client(self) -> str | None:
        """The address of the peer, which may be a proxy; None where the server does not tell."""
        client = self.scope.get("client")
        return None if client is None else str(client[0])


class Verifier(Protocol):
    """Decides whether a trigger request comes from whom it should. A route takes one or several,
    and one that is content is enough.

    It is asked for every request, on the event loop, so it must not block; several requests may be
    checked at once. Compare secrets as bytes and in constant time (`hmac.compare_digest`).
    """

    name: str
    """What logs call it, for example `bearer`."""

    async def verify(self, request: TriggerRequest) -> str:
        """Returns what the log may say of the caller, for example `secret 1`; never a secret.

        Raises `VerificationError` for a caller that is to be refused (401), and
        `VerifierUnavailableError` where it cannot tell at the moment (503). Anything else it raises
        is refused too, and logged as its own failure.
        """
        ...
