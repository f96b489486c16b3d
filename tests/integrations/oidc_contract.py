"""What the verifiers of all OIDC issuers have to keep, whatever their tokens say beyond that."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from typing import Any

import anyio
import jwt
import pytest
import trio
from jwt.algorithms import RSAAlgorithm

from afterwork.errors import InvalidOptionError, VerifierUnavailableError
from afterwork.verify import TriggerRequest, Verifier
from tests.contracts.verifier import VerifierContract
from tests.integrations.signing import (
    NOW,
    ManualClock,
    b64url,
    issuer,
    jwk,
    refusal,
    rs256,
    rsa_key,
    signed_request,
)
from tests.support import until


class OIDCContract(VerifierContract):
    """A subclass says how its verifier is made and what its issuer claims."""

    issuer_claim: str
    audience = "https://app.example/cron"

    def make(self, **options: Any) -> Verifier:
        """A verifier with `keys_url` and `clock` and these options."""
        raise NotImplementedError

    def own_claims(self) -> dict[str, Any]:
        """The claims that only this issuer makes."""
        raise NotImplementedError

    @pytest.fixture(autouse=True)
    def _issuer(self) -> Iterator[None]:
        self.clock = ManualClock()
        with issuer() as self.issuer:
            yield

    def make_verifier(self) -> Verifier:
        return self.make(keys_url=self.issuer.url, clock=self.clock, audience=self.audience)

    def good_request(self) -> TriggerRequest:
        return self.asked()

    def secrets(self) -> list[str]:
        return []

    def claims(self, **changed: Any) -> dict[str, Any]:
        at = int(self.clock.seconds)
        claims = {"iss": self.issuer_claim, "aud": self.audience, "iat": at, "exp": at + 300}
        claims = {**claims, **self.own_claims(), **changed}
        return {name: value for name, value in claims.items() if value is not None}

    def asked(self, kid: str = "one", key: str | None = None, **changed: Any) -> TriggerRequest:
        return self.showing(rs256(self.claims(**changed), kid, key=key or kid))

    def showing(self, token: str) -> TriggerRequest:
        return signed_request({"Authorization": f"Bearer {token}"})

    async def why(self, **changed: Any) -> str:
        """The reason for which a token with these claims is refused."""
        return (await refusal(self.make_verifier(), self.asked(**changed))).reason

    @pytest.mark.parametrize(
        ("changed", "reason"),
        [
            ({"iss": "https://evil.example"}, "wrong_issuer"),
            ({"iss": None}, "wrong_issuer"),
            ({"iss": "https://accounts.google.com.evil.example"}, "wrong_issuer"),
            ({"aud": "https://app.example/cron/"}, "wrong_audience"),
            ({"aud": None}, "wrong_audience"),
            ({"aud": ["https://app.example/cron"]}, "wrong_audience"),
            ({"exp": NOW - 60}, "expired"),
            ({"exp": None}, "malformed_token"),
            ({"iat": NOW + 60}, "issued_in_future"),
            ({"iat": None}, "malformed_token"),
            ({"nbf": NOW + 60}, "not_yet_valid"),
            ({"nbf": "now"}, "malformed_token"),
        ],
    )
    async def test_issuer_audience_and_times_are_exact(
        self, changed: dict[str, Any], reason: str
    ) -> None:
        assert await self.why(**changed) == reason

    async def test_clocks_may_differ_by_ten_seconds(self) -> None:
        assert await self.make_verifier().verify(self.asked(exp=NOW - 9, iat=NOW + 9, nbf=NOW + 9))

    async def test_another_algorithm_is_refused_whatever_it_is_signed_with(self) -> None:
        """The public key as an HMAC secret is the classic."""
        verifier = self.make_verifier()
        header = b64url(json.dumps({"alg": "none", "kid": "one"}).encode())
        payload = b64url(json.dumps(self.claims()).encode())
        shared = "a secret that is long enough for HMAC with SHA-256"
        for token in (
            f"{header}.{payload}.",
            jwt.encode(self.claims(), shared, "HS256", {"kid": "one"}),
            jwt.encode(self.claims(), rsa_key("one"), "RS512", {"kid": "one"}),
            jwt.encode(self.claims(), rsa_key("one"), "PS256", {"kid": "one"}),
        ):
            error = await refusal(verifier, self.showing(token))
            assert error.reason == "wrong_algorithm"
        assert self.issuer.asked == 0

    async def test_a_key_of_somebody_else_is_refused(self) -> None:
        """By signature, where it uses the name of a good one; by name, where it does not. A token
        that names no key, and one that brings its own, are refused too."""
        verifier = self.make_verifier()
        stolen = rs256(self.claims(), "one", key="mallory")
        assert (await refusal(verifier, self.showing(stolen))).reason == "wrong_signature"
        theirs = rs256(self.claims(), "mallory", jwk=jwk("mallory"), jku="https://evil.example")
        assert (await refusal(verifier, self.showing(theirs))).reason == "unknown_key"
        nameless = jwt.encode(self.claims(), rsa_key("one"), "RS256")
        assert (await refusal(verifier, self.showing(nameless))).reason == "malformed_token"

    async def test_keys_are_fetched_once_for_many_requests(self) -> None:
        """Single flight, and then kept for five minutes."""
        verifier = self.make_verifier()
        async with anyio.create_task_group() as group:
            for _ in range(50):
                group.start_soon(verifier.verify, self.good_request())
        assert self.issuer.asked == 1

        self.clock.seconds += 299
        await verifier.verify(self.good_request())
        assert self.issuer.asked == 1
        self.clock.seconds += 1
        await verifier.verify(self.good_request())
        assert self.issuer.asked == 2

    async def test_a16_an_unknown_key_is_looked_for_once_in_thirty_seconds(self) -> None:
        """A16: one refresh, then refused."""
        verifier = self.make_verifier()
        await verifier.verify(self.good_request())

        for _ in range(5):
            error = await refusal(verifier, self.asked("two"))
            assert error.reason == "unknown_key"
        assert self.issuer.asked == 2

        self.issuer.keys.append(jwk("two"))
        self.clock.seconds += 29
        await refusal(verifier, self.asked("two"))
        assert self.issuer.asked == 2
        self.clock.seconds += 1
        assert await verifier.verify(self.asked("two"))
        assert self.issuer.asked == 3

    async def test_a16_a_new_key_is_found_at_once_by_all_who_show_it(self) -> None:
        """A16: nobody is refused because somebody else is looking already."""
        verifier = self.make_verifier()
        await verifier.verify(self.good_request())
        self.issuer.keys = [jwk("two")]

        async with anyio.create_task_group() as group:
            for _ in range(20):
                group.start_soon(verifier.verify, self.asked("two"))
        assert self.issuer.asked == 2

    async def test_a16_without_the_issuer_the_last_good_keys_are_used_for_a_day(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        """A16: and not silently. It is given a pause before it is asked again."""
        caplog.set_level(logging.WARNING, "afterwork")
        verifier = self.make_verifier()
        await verifier.verify(self.good_request())
        self.issuer.status = 500

        self.clock.seconds += 300
        for _ in range(3):
            assert await verifier.verify(self.good_request())
        assert self.issuer.asked == 2
        (record,) = caplog.records
        assert record.getMessage() == (
            f"oidc.keys_stale url={self.issuer.url!r} age_seconds=300 "
            "problem='ValueError: it answered 500'"
        )

        self.clock.seconds += 10
        with pytest.raises(VerifierUnavailableError, match="it answered 500"):
            await verifier.verify(self.asked("two"))
        assert self.issuer.asked == 3

        self.clock.seconds += 86_400
        with pytest.raises(VerifierUnavailableError, match="it answered 500"):
            await verifier.verify(self.good_request())
        self.issuer.status = 200
        self.clock.seconds += 10
        assert await verifier.verify(self.good_request())

    async def test_a16_without_any_keys_nobody_can_tell(self) -> None:
        """A16: 503, after one try for all who wait, and no more for ten seconds."""
        self.issuer.status = 503
        verifier = self.make_verifier()

        async def one() -> None:
            with pytest.raises(VerifierUnavailableError, match="no keys from http://127.0.0.1"):
                await verifier.verify(self.good_request())

        async with anyio.create_task_group() as group:
            for _ in range(20):
                group.start_soon(one)
        await one()
        assert self.issuer.asked == 1

        self.issuer.status = 200
        self.clock.seconds += 10
        assert await verifier.verify(self.good_request())

    async def test_an_issuer_that_cannot_be_reached_is_unavailable(self) -> None:
        verifier = self.make(
            keys_url="http://127.0.0.1:9/certs", clock=self.clock, audience=self.audience
        )
        with pytest.raises(VerifierUnavailableError, match="no keys from http://127.0.0.1:9/certs"):
            await verifier.verify(self.good_request())

    @pytest.mark.parametrize(
        ("answer", "problem"),
        [
            (b"", "Expecting value"),
            (b"<html>", "Expecting value"),
            (b"\xff\xfe", "ValueError|UnicodeDecodeError|JSONDecodeError"),
            (b"[]", "no key set"),
            (b"{}", "no key set"),
            (b'{"keys": 1}', "no key set"),
            (b"[" * 100_000, "no key set|too many"),
            (b'{"keys": [1, {}]}', "no key that can be used"),
            (b'{"keys": []}', "no key that can be used"),
            (b" " * 300_000, "more than 262144 bytes"),
        ],
    )
    async def test_an_answer_that_is_no_key_set_is_no_answer(
        self, answer: bytes, problem: str
    ) -> None:
        self.issuer.answer = answer
        with pytest.raises(VerifierUnavailableError, match=problem):
            await self.make_verifier().verify(self.good_request())

    @pytest.mark.parametrize(
        "changed",
        [
            {"kty": "EC"},
            {"kty": "oct", "k": "c2VjcmV0"},
            {"use": "enc"},
            {"alg": "RS512"},
            {"kid": 1},
            {"n": "!"},
            {"n": 1},
            {"n": None, "e": None},
            {"d": "AQAB"},
        ],
    )
    async def test_a_key_for_something_else_is_not_used(self, changed: dict[str, Any]) -> None:
        """The others of the answer are."""
        bad = {
            name: value for name, value in {**jwk("one"), **changed}.items() if value is not None
        }
        self.issuer.keys = [bad, jwk("two")]
        verifier = self.make_verifier()

        assert await verifier.verify(self.asked("two"))
        assert (await refusal(verifier, self.good_request())).reason == "unknown_key"

    async def test_a_short_key_is_not_used(self) -> None:
        """RFC 7518 asks for 2048 bits."""
        self.issuer.keys = [jwk("short", 1024)]
        with pytest.raises(VerifierUnavailableError, match="no key that can be used"):
            await self.make_verifier().verify(self.good_request())

    async def test_a_redirect_is_not_followed(self) -> None:
        self.issuer.status = 302
        self.issuer.headers = {"Location": self.issuer.url}
        with pytest.raises(VerifierUnavailableError, match="it answered 302"):
            await self.make_verifier().verify(self.good_request())
        assert self.issuer.asked == 1

    async def test_an_issuer_that_hangs_is_given_up(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("afterwork_integrations._jwks.TIMEOUT", 0.05)
        self.issuer.gate.clear()
        with pytest.raises(VerifierUnavailableError, match="Timeout"):
            await self.make_verifier().verify(self.good_request())

    async def test_an_issuer_that_answers_drop_by_drop_is_given_up(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """No single read takes long, but the whole does."""
        monkeypatch.setattr("afterwork_integrations._jwks.TIMEOUT", 0.2)
        self.issuer.drips = True
        with pytest.raises(VerifierUnavailableError, match=": TimeoutError$"):
            await self.make_verifier().verify(self.good_request())

    async def test_a_key_that_is_not_public_is_not_used(self) -> None:
        """An issuer that shows its private key has lost it."""
        private = RSAAlgorithm.to_jwk(rsa_key("one"), as_dict=True)
        self.issuer.keys = [{**private, "kid": "one"}, jwk("two")]
        verifier = self.make_verifier()
        assert (await refusal(verifier, self.good_request())).reason == "unknown_key"

    async def test_whoever_is_cancelled_leaves_the_fetch_to_the_next(self) -> None:
        verifier = self.make_verifier()
        self.issuer.gate.clear()
        async with anyio.create_task_group() as group:
            group.start_soon(verifier.verify, self.good_request())
            await until(lambda: self.issuer.asked == 1)
            group.cancel_scope.cancel()
        self.issuer.gate.set()

        assert await verifier.verify(self.good_request())

    def test_it_works_on_trio(self) -> None:
        verifier = self.make_verifier()

        async def main() -> None:
            with trio.fail_after(5):
                async with trio.open_nursery() as nursery:
                    for _ in range(10):
                        nursery.start_soon(verifier.verify, self.good_request())
                assert (await refusal(verifier, self.asked("two"))).reason == "unknown_key"

        trio.run(main)
        assert self.issuer.asked == 2

    @pytest.mark.parametrize(
        "options",
        [
            {"audience": ""},
            {"audience": " x"},
            {"audience": None},
            {"leeway": -1},
            {"leeway": 301},
            {"leeway": "10"},
            {"keys_url": "http://keys.example/certs"},
            {"keys_url": "ftp://127.0.0.1/certs"},
            {"keys_url": "https://"},
            {"keys_url": "https://x:port/"},
            {"keys_url": 1},
        ],
    )
    def test_options_that_make_no_sense_are_refused(self, options: dict[str, Any]) -> None:
        (name,) = options
        with pytest.raises(InvalidOptionError, match=f"{name} must be"):
            self.make(**{"audience": self.audience, **options})
