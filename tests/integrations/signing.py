"""What the tests of verifiers share: a clock to set, requests, and an issuer of OIDC tokens."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from afterwork.errors import VerificationError
from afterwork.verify import TriggerRequest, Verifier
from tests.support import http_scope

NOW = 1_790_000_000.0


class ManualClock:
    """Stands still unless `seconds` is changed."""

    def __init__(self, seconds: float = NOW) -> None:
        self.seconds = seconds

    def now(self) -> float:
        return self.seconds

    def monotonic(self) -> float:
        return self.seconds


def signed_request(
    headers: Mapping[str, str | bytes], body: bytes = b"", target: str = "/cron/nightly"
) -> TriggerRequest:
    """A POST to https://app.example."""
    path, _, query = target.partition("?")
    raw = [(b"host", b"app.example")]
    for name, value in headers.items():
        raw.append((name.encode(), value if isinstance(value, bytes) else value.encode()))
    scope = http_scope(
        path, "POST", scheme="https", raw_path=path.encode(), query_string=query.encode()
    )
    return TriggerRequest({**scope, "headers": raw}, body)


async def refusal(verifier: Verifier, asked: TriggerRequest) -> VerificationError:
    """Why a request is refused."""
    with pytest.raises(VerificationError) as caught:
        await verifier.verify(asked)
    return caught.value


def b64url(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def rsa_key(name: str, bits: int = 2048) -> rsa.RSAPrivateKey:
    """A private key, the same one for the same name."""
    return _made(name, bits)


@cache
def _made(name: str, bits: int) -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=bits)


def jwk(name: str, bits: int = 2048) -> dict[str, Any]:
    """The public half, as a key set lists it."""
    numbers = rsa_key(name, bits).public_key().public_numbers()
    n = numbers.n.to_bytes(bits // 8, "big")
    return {"kty": "RSA", "kid": name, "use": "sig", "alg": "RS256", "n": b64url(n), "e": "AQAB"}


def rs256(claims: dict[str, Any], kid: str = "one", **more: Any) -> str:
    """A token. `key` is the name of the key that signs, where it is not `kid`."""
    key = rsa_key(more.pop("key", kid))
    return jwt.encode(claims, key, algorithm="RS256", headers={"kid": kid, **more})


class Issuer:
    """A server of keys on this machine. Its answer can be changed; it counts how often it was
    asked."""

    def __init__(self) -> None:
        self.keys = [jwk("one")]
        self.answer: bytes | None = None
        self.status = 200
        self.headers: dict[str, str] = {}
        self.asked = 0
        self.drips = False
        self.gate = threading.Event()
        self.gate.set()
        self.url = ""


@contextmanager
def issuer() -> Iterator[Issuer]:
    """An issuer while it runs. `gate` holds its answers back; `drips` sends them bit by bit."""
    state = Issuer()
    stopped = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            state.asked += 1
            state.gate.wait(10)
            answer = state.answer
            if answer is None:
                answer = json.dumps({"keys": state.keys}).encode()
            self.send_response(state.status)
            for name, value in state.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            try:
                for byte in answer if state.drips else b"":
                    self.wfile.write(bytes([byte]))
                    stopped.wait(0.01)
                self.wfile.write(b"" if state.drips else answer)
            except OSError:
                # Who asked has had enough.
                pass

        def log_request(self, code: int | str = "-", size: int | str = "-") -> None: ...

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    state.url = f"http://127.0.0.1:{server.server_port}/certs"
    try:
        yield state
    finally:
        state.gate.set()
        stopped.set()
        server.shutdown()
        thread.join()
        server.server_close()
