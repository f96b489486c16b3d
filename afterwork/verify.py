"""Verifiers: who may trigger a job. Everything here is for those who configure or write one.

    Bearer              a secret in `Authorization: Bearer`
    HeaderSecret        a secret in a header of your choice
    Verifier            what a verifier is, to write your own
    TriggerRequest      what it is shown of a request
    check_secret        refuses secrets that are missing or weak
    sole_header         one header's value, refused where it comes twice
    bearer_token        what follows `Bearer`
    in_development      whether the environment says so
    Clock, SYSTEM_CLOCK what signatures with a time are checked by

A verifier of your own is a class with a name and one method. This one is for a caller that signs
the body, as GitHub's webhooks do:

```
import hmac

from afterwork.errors import VerificationError
from afterwork.verify import TriggerRequest, check_secret, sole_header

class SignedBody:
    name = "signed_body"

    def __init__(self, secret: str) -> None:
        key = check_secret("WEBHOOK_SECRET", secret).encode()
        self._hmac = hmac.new(key, digestmod="sha256")      # and not the key: it has no repr

    async def verify(self, request: TriggerRequest) -> str:
        shown = sole_header(request, "x-hub-signature-256")
        signer = self._hmac.copy()
        signer.update(request.body)
        if not hmac.compare_digest(shown, b"sha256=" + signer.hexdigest().encode()):
            raise VerificationError("wrong_signature")
        return "signed by the webhook's secret"
```

Three habits make a good one. It refuses to be made without a good secret. It compares bytes and in
constant time. And it raises `VerificationError` for every wrong request, whatever is in it, with no
secret and no expected value in the message. `afterwork.testing.verifier_contract` has the tests.
"""

from __future__ import annotations

from ._bearer import Bearer, HeaderSecret
from ._clock import SYSTEM_CLOCK, Clock
from ._credentials import bearer_token, sole_header
from ._local import in_development
from ._secrets import check_secret
from ._verify import TriggerRequest, Verifier

__all__ = [
    "SYSTEM_CLOCK",
    "Bearer",
    "Clock",
    "HeaderSecret",
    "TriggerRequest",
    "Verifier",
    "bearer_token",
    "check_secret",
    "in_development",
    "sole_header",
]
