from __future__ import annotations

import hmac
import logging
import re
from typing import Any

import pytest

import afterwork.verify
from afterwork.errors import VerificationError
from afterwork.verify import Bearer, HeaderSecret, TriggerRequest, Verifier
from tests.contracts.verifier import VerifierContract

SECRET = "Vw3kq9rT2mXz7pLc8dHs"
OLD = "another-8fJ2kd9Q-secret-zR"


class TestBearer(VerifierContract):
    def make_verifier(self) -> Verifier:
        return Bearer(OLD, SECRET)

    def good_request(self) -> TriggerRequest:
        return self.request({"Authorization": f"Bearer {SECRET}"})

    def secrets(self) -> list[str]:
        return [SECRET, OLD]


class TestBearerFromEnv(TestBearer):
    @pytest.fixture(autouse=True)
    def _environment(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("CRON_SECRET", SECRET)
        monkeypatch.setenv("CRON_SECRET_OLD", OLD)

    def make_verifier(self) -> Verifier:
        return Bearer.from_env("CRON_SECRET", "CRON_SECRET_OLD", "CRON_SECRET_OLDER")


class TestHeaderSecret(TestBearer):
    headers = ("x-cron-secret",)

    def make_verifier(self) -> Verifier:
        return HeaderSecret("X-Cron-Secret", OLD, SECRET)

    def good_request(self) -> TriggerRequest:
        return self.request({"x-cron-secret": SECRET})


def example() -> Any:
    """The class that the documentation of `afterwork.verify` shows."""
    code = re.findall(r"```\n(.*?)```", afterwork.verify.__doc__ or "", re.DOTALL)[0]
    names: dict[str, Any] = {}
    exec(code, names)
    return names["SignedBody"]


class TestTheDocumentedExample(VerifierContract):
    """A verifier of ten lines keeps all the rules."""

    headers = ("x-hub-signature-256",)
    signs_body = True

    def make_verifier(self) -> Verifier:
        verifier: Verifier = example()(SECRET)
        return verifier

    def good_request(self) -> TriggerRequest:
        digest = hmac.new(SECRET.encode(), b'{"a": 1}', "sha256").hexdigest()
        return self.request({"X-Hub-Signature-256": f"sha256={digest}"}, b'{"a": 1}')

    def secrets(self) -> list[str]:
        return [SECRET]


@pytest.mark.parametrize("method", ["make_verifier", "good_request", "secrets"])
def test_the_contract_says_what_is_missing(method: str) -> None:
    with pytest.raises(TypeError, match=rf"has to define {method}\(\)"):
        getattr(VerifierContract(), method)()


class Careless(TestBearer):
    """Lets in what begins right, and says and shows too much."""

    __test__ = False

    def make_verifier(self) -> Verifier:
        return CarelessVerifier()


class CarelessVerifier:
    name = "Careless Verifier"

    async def verify(self, request: TriggerRequest) -> str:
        shown = request.header("authorization") or ""
        logging.getLogger("careless").warning("comparing with %s", SECRET)
        if not shown.startswith(f"Bearer {SECRET[:8]}") or request.body:
            raise VerificationError("wrong", f"expected {SECRET}")
        return f"hello {SECRET}"

    def __repr__(self) -> str:
        return f"CarelessVerifier({SECRET})"


@pytest.mark.parametrize(
    ("test", "complaint"),
    [
        ("test_its_name_is_a_short_lower_case_word", "Careless Verifier"),
        ("test_a_good_request_is_let_in_and_nothing_secret_is_said", "holds a secret"),
        ("test_its_repr_shows_no_secret", "holds a secret"),
        ("test_missing_and_empty_credentials_are_refused", "holds a secret"),
        ("test_wrong_credentials_are_refused", "was let in"),
    ],
)
async def test_the_contract_notices_a_careless_verifier(test: str, complaint: str) -> None:
    """A suite that nobody can fail is none."""
    with pytest.raises(AssertionError, match=complaint):
        found = getattr(Careless(), test)()
        if found is not None:
            await found


async def test_the_contract_notices_another_error() -> None:
    class Clumsy(Bearer):
        async def verify(self, request: TriggerRequest) -> str:
            (request.header_bytes("authorization") or b"").decode()
            return await super().verify(request)

    class OfClumsy(TestBearer):
        def make_verifier(self) -> Verifier:
            return Clumsy(SECRET)

    with pytest.raises(AssertionError, match="raised UnicodeDecodeError, which is not a Verif"):
        await OfClumsy().test_whatever_is_in_a_header_it_is_let_in_or_refused()


async def test_the_contract_notices_a_header_that_is_not_there() -> None:
    class Elsewhere(TestBearer):
        headers = ("x-elsewhere",)

    with pytest.raises(AssertionError, match="has no x-elsewhere header"):
        await Elsewhere().test_wrong_credentials_are_refused()
