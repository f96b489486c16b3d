"""Google Cloud: lets in Cloud Scheduler, Cloud Tasks and Pub/Sub push, by their OIDC tokens.

```
from afterwork_integrations.google import GoogleOIDC

verify = GoogleOIDC(
    audience="https://app.example/cron/nightly",
    service_account="scheduler@my-project.iam.gserviceaccount.com",
)
```

Needs `pip install 'afterwork[oidc]'`.
"""

from __future__ import annotations

from afterwork.errors import InvalidOptionError
from afterwork.verify import SYSTEM_CLOCK, Clock, TriggerRequest

try:
    from ._oidc import TokenCheck, require, text
except ImportError as error:
    raise ImportError(
        "afterwork_integrations.google needs PyJWT with cryptography, and httpx: "
        "pip install 'afterwork[oidc]'"
    ) from error

__all__ = ["GoogleOIDC"]

ISSUERS = ("https://accounts.google.com", "accounts.google.com")
KEYS_URL = "https://www.googleapis.com/oauth2/v3/certs"


class GoogleOIDC:
    """Lets in a request with a token that Google has made for one service account of yours.

    `audience`
        What the token has to be for, exactly. Cloud Scheduler and Cloud Tasks put the target's
        address there unless the job says otherwise (`--oidc-token-audience`); Pub/Sub likewise with
        the push endpoint. Example: `"https://app.example/cron/nightly"`.
    `service_account`
        Its e-mail address. It is needed, because anybody with a Google project gets good tokens for
        any audience; only the address says that it was yours. Give it to the scheduler alone.
    `leeway`
        Default 10.0: seconds by which the two clocks may differ, from 0 to 300.
    `keys_url`, `clock`
        For tests.

    The token is in `Authorization: Bearer`. Checked are its signature (RS256, with Google's keys,
    kept for five minutes), issuer, audience, times, `email`, and that `email_verified` is true. See
    https://cloud.google.com/pubsub/docs/authenticate-push-subscriptions. Headers such as
    `X-CloudScheduler` prove nothing. A token may be used again until it expires, within an hour.

    While Google's keys cannot be fetched, the last ones are used for a day; without any, requests
    are refused with `VerifierUnavailableError`. Raises `InvalidOptionError` for options that make
    no sense.
    """

    name = "google"

    def __init__(
        self,
        *,
        audience: str,
        service_account: str,
        leeway: float = 10.0,
        keys_url: str = KEYS_URL,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self.service_account = text("service_account", service_account)
        if self.service_account.count("@") != 1:
            raise InvalidOptionError("service_account", "an e-mail address", service_account)
        self._token = TokenCheck(ISSUERS, audience, keys_url, leeway, clock)

    def __repr__(self) -> str:
        return f"<GoogleOIDC {self.service_account}>"

    async def verify(self, request: TriggerRequest) -> str:
        """Returns the service account's address. Raises `VerificationError`, or
        `VerifierUnavailableError` without keys."""
        claims = await self._token.claims(request)
        require(claims, "email", (self.service_account,))
        require(claims, "email_verified", (True,))
        return self.service_account
