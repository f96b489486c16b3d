"""Standard Webhooks (https://www.standardwebhooks.com): lets in what one of its senders has signed,
for example Svix, Supabase's auth hooks, Clerk, Resend, or a sender of your own.

```
from afterwork_integrations.standard_webhooks import StandardWebhooks

Mount("/hooks", work.routes(verify=StandardWebhooks.from_env("WEBHOOK_SECRET")))
```

Needs nothing but the standard library.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import os
import re
from hashlib import sha256
from typing import Self

from afterwork.errors import InsecureSecretError, InvalidOptionError, VerificationError
from afterwork.verify import SYSTEM_CLOCK, Clock, TriggerRequest, check_secret, sole_header

__all__ = ["StandardWebhooks"]

PREFIX = "whsec_"
MIN_BYTES = 24
MAX_BYTES = 64
MIN_DIFFERENT = 8
"""Different bytes of a secret. A random one of 24 bytes has fewer once in 10**18."""
MAX_SIGNATURES = 16

_TIMESTAMP = re.compile(rb"[0-9]{1,12}")


class StandardWebhooks:
    """Lets in a request that is signed as Standard Webhooks say, with HMAC-SHA256 (`v1`).

    The headers `webhook-id`, `webhook-timestamp` and `webhook-signature` are needed, each once; the
    signature covers the first two and the raw body. One of the listed signatures has to be right,
    with one of the secrets, so that both sides can replace a secret without a gap. Signatures of
    other versions, such as `v1a`, are passed over.

    `secrets`
        One or several, as the sender shows them: `whsec_` and base64 of 24 to 64 bytes.
    `tolerance`
        Default 300.0: seconds that the timestamp may be off, into the past and into the future; at
        least one.
    `clock`
        For tests.

    Within the tolerance the same request may come again: the route knows it by `webhook-id`.
    Raises `InsecureSecretError` for secrets that are missing, weak or written in another way.
    """

    name = "standard_webhooks"

    def __init__(
        self, *secrets: str, tolerance: float = 300.0, clock: Clock = SYSTEM_CLOCK
    ) -> None:
        if not secrets:
            raise InsecureSecretError("of StandardWebhooks()", "none was given")
        self._keys = [
            _key(f"number {number} of StandardWebhooks()", secret)
            for number, secret in enumerate(secrets, 1)
        ]
        number = isinstance(tolerance, (int, float)) and not isinstance(tolerance, bool)
        if not number or not 1 <= tolerance < float("inf"):
            raise InvalidOptionError("tolerance", "a number of seconds, from 1 on", tolerance)
        self._tolerance = tolerance
        self._clock = clock

    @classmethod
    def from_env(
        cls, name: str, *more: str, tolerance: float = 300.0, clock: Clock = SYSTEM_CLOCK
    ) -> Self:
        """With secrets from environment variables, read once; all have to be there. Otherwise as
        the class; errors name the variable."""
        secrets = []
        for variable in (name, *more):
            secret = check_secret(variable, os.environ.get(variable))
            _key(variable, secret)
            secrets.append(secret)
        return cls(*secrets, tolerance=tolerance, clock=clock)

    def __repr__(self) -> str:
        return f"<StandardWebhooks, number of secrets: {len(self._keys)}>"

    async def verify(self, request: TriggerRequest) -> str:
        """Returns the number of the secret that it was signed with. Raises `VerificationError`."""
        delivery = sole_header(request, "webhook-id")
        stamp = sole_header(request, "webhook-timestamp")
        shown = _signatures(sole_header(request, "webhook-signature"))
        signed = b".".join((delivery, stamp, request.body))
        found = None
        for number, key in enumerate(self._keys, 1):
            expected = key.copy()
            expected.update(signed)
            digest = expected.digest()
            # All are compared, so that how long it takes does not tell which one was right.
            right = [hmac.compare_digest(digest, signature) for signature in shown]
            if any(right) and found is None:
                found = number
        if found is None:
            raise VerificationError("wrong_signature", "none of the secrets has signed it")
        # Only now: what the log says of the time is then the sender's word.
        self._check_time(stamp)
        return f"secret {found}"

    def _check_time(self, stamp: bytes) -> None:
        if not _TIMESTAMP.fullmatch(stamp):
            raise VerificationError("malformed_timestamp", "it is no number of seconds")
        age = self._clock.now() - int(stamp)
        if age > self._tolerance:
            raise VerificationError("expired", f"it was signed {age:.0f} s ago")
        if -age > self._tolerance:
            raise VerificationError("issued_in_future", f"{-age:.0f} s ahead of this clock")


def _signatures(header: bytes) -> list[bytes]:
    """The signatures of version 1 that the header lists."""
    found = []
    for entry in header.split(b" ")[:MAX_SIGNATURES]:
        version, _, text = entry.partition(b",")
        if version == b"v1":
            decoded = _decode(text)
            if decoded is not None:
                found.append(decoded)
    if not found:
        raise VerificationError("malformed_signature", "there is none of version v1 that is base64")
    return found


def _key(name: str, secret: str) -> hmac.HMAC:
    check_secret(name, secret)
    key = _decode(secret.removeprefix(PREFIX).encode())
    if not secret.startswith(PREFIX) or key is None:
        raise InsecureSecretError(name, f"it is not {PREFIX} and base64 after it")
    if not MIN_BYTES <= len(key) <= MAX_BYTES:
        raise InsecureSecretError(
            name, f"it stands for {len(key)} bytes and may for {MIN_BYTES} to {MAX_BYTES}"
        )
    if len(set(key)) < MIN_DIFFERENT:
        raise InsecureSecretError(name, "it stands for bytes that repeat themselves")
    # Kept as a prepared HMAC and not as a text, so that no repr and no pickle can show it.
    return hmac.new(key, digestmod=sha256)


def _decode(text: bytes) -> bytes | None:
    """Base64 in its one right spelling, or None."""
    try:
        decoded = base64.b64decode(text, validate=True)
    except binascii.Error:
        return None
    return decoded if base64.b64encode(decoded) == text else None
