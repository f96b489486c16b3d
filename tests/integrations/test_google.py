from __future__ import annotations

from typing import Any

import pytest
from afterwork_integrations.google import GoogleOIDC

from afterwork.errors import InvalidOptionError
from afterwork.verify import Verifier
from tests.integrations.oidc_contract import OIDCContract
from tests.integrations.signing import refusal, signed_request

ACCOUNT = "scheduler@my-project.iam.gserviceaccount.com"


class TestGoogle(OIDCContract):
    issuer_claim = "https://accounts.google.com"

    def make(self, **options: Any) -> Verifier:
        return GoogleOIDC(**{"service_account": ACCOUNT, **options})

    def own_claims(self) -> dict[str, Any]:
        return {"email": ACCOUNT, "email_verified": True, "sub": "1137", "azp": "1137"}

    async def test_the_log_says_which_account_it_was(self) -> None:
        assert await self.make_verifier().verify(self.good_request()) == ACCOUNT
        assert repr(self.make_verifier()) == f"<GoogleOIDC {ACCOUNT}>"

    async def test_google_writes_its_name_in_two_ways(self) -> None:
        assert await self.make_verifier().verify(self.asked(iss="accounts.google.com"))

    @pytest.mark.parametrize(
        "email", ["other@my-project.iam.gserviceaccount.com", ACCOUNT.upper(), "", None, [ACCOUNT]]
    )
    async def test_a15_another_account_is_refused(self, email: Any) -> None:
        """A15: the issuer and the audience are right."""
        error = await refusal(self.make_verifier(), self.asked(email=email))
        assert error.reason == "wrong_email"
        assert ACCOUNT not in error.detail or email == [ACCOUNT]

    @pytest.mark.parametrize("verified", [False, None, "true", 1])
    async def test_a15_an_address_that_google_has_not_verified_is_refused(
        self, verified: Any
    ) -> None:
        """A15: only true is true."""
        assert await self.why(email_verified=verified) == "wrong_email_verified"

    async def test_a7_the_headers_of_cloud_scheduler_prove_nothing(self) -> None:
        """A7."""
        headers = {"X-CloudScheduler": "true", "X-CloudScheduler-JobName": "nightly"}
        error = await refusal(self.make_verifier(), signed_request(headers))
        assert error.reason == "no_credentials"


@pytest.mark.parametrize("account", ["", "scheduler", "a@b@c", " a@b", None])
def test_the_account_has_to_be_named(account: Any) -> None:
    with pytest.raises(InvalidOptionError, match="service_account must be"):
        GoogleOIDC(audience="https://app.example", service_account=account)
