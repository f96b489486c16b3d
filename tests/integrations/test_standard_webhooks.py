from __future__ import annotations

import base64
import hashlib
import hmac
import pickle
from datetime import UTC, datetime
from typing import Any

import pytest
from afterwork_integrations.standard_webhooks import StandardWebhooks
from standardwebhooks.webhooks import Webhook

from afterwork.errors import InsecureSecretError, InvalidOptionError
from afterwork.verify import TriggerRequest, Verifier
from tests.contracts.verifier import VerifierContract
from tests.integrations.signing import NOW, ManualClock, refusal, signed_request

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
OTHER = "whsec_" + base64.b64encode(bytes(range(200, 264 - 8))).decode()
THIRD = "whsec_" + base64.b64encode(bytes(range(10, 42))).decode()
BODY = b'{"test": 2432232314}'


def signature(
    secret: str = SECRET, at: float = NOW, body: bytes = BODY, name: str = "msg_1"
) -> str:
    """Made by the reference library."""
    when = datetime.fromtimestamp(int(at), UTC)
    return Webhook(secret).sign(msg_id=name, timestamp=when, data=body.decode())


def asked(
    shown: str | bytes, at: Any = int(NOW), body: bytes = BODY, name: str = "msg_1"
) -> TriggerRequest:
    headers = {"webhook-id": name, "webhook-timestamp": str(at), "webhook-signature": shown}
    return signed_request(headers, body)


def verifier(*secrets: str, **options: Any) -> StandardWebhooks:
    return StandardWebhooks(*(secrets or (SECRET,)), **{"clock": ManualClock(), **options})


class TestContract(VerifierContract):
    headers = ("webhook-signature", "webhook-id", "webhook-timestamp")
    signs_body = True

    def make_verifier(self) -> Verifier:
        return verifier(OTHER, SECRET)

    def good_request(self) -> TriggerRequest:
        return asked(signature())

    def secrets(self) -> list[str]:
        return [SECRET, OTHER, SECRET.removeprefix("whsec_")]

    def same(self, header: str, before: bytes, after: bytes) -> bool:
        """A list that has the good signature among others is good."""
        return super().same(header, before, after) or before in after.split(b" ")


def test_the_published_example_is_signed_as_published() -> None:
    """The test vector of the reference libraries."""
    shown = signature(at=1614265330, name="msg_p5jXN8AQM9LWM0D4loKWxJek")
    assert shown == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


async def test_what_the_reference_library_signs_is_let_in() -> None:
    assert await verifier().verify(asked(signature())) == "secret 1"
    assert await verifier(OTHER, SECRET).verify(asked(signature())) == "secret 2"
    assert await verifier(OTHER, SECRET).verify(asked(signature(OTHER))) == "secret 1"
    empty = asked(signature(body=b""), body=b"")
    assert await verifier().verify(empty) == "secret 1"


async def test_a_secret_of_another_is_refused() -> None:
    assert (await refusal(verifier(), asked(signature(THIRD)))).reason == "wrong_signature"


@pytest.mark.parametrize(
    "listed",
    [
        *("{right} {wrong}", "{wrong} {right}", "{right} {right}", "  {right}  "),
        *("v1a,abc {right}", "v2 {right}", "v1,??? {right}"),
    ],
)
async def test_one_right_signature_of_several_is_enough(listed: str) -> None:
    shown = listed.format(right=signature(), wrong=signature(THIRD))
    assert await verifier().verify(asked(shown)) == "secret 1"


async def test_a_list_has_a_limit() -> None:
    shown = " ".join([signature(THIRD)] * 16 + [signature()])
    assert (await refusal(verifier(), asked(shown))).reason == "wrong_signature"


@pytest.mark.parametrize(
    "shown", ["v1", "v1,", "v1,???", "v1,é", "v1a,abcd", "v1=abc", ",", "v1,YQ", "v1,YR=="]
)
async def test_a_header_without_a_readable_signature_is_refused(shown: str) -> None:
    error = await refusal(verifier(), asked(shown))
    assert error.reason in ("malformed_signature", "wrong_signature")


async def test_id_timestamp_and_body_are_all_signed() -> None:
    for wrong in (
        asked(signature(), name="msg_2"),
        asked(signature(), at=int(NOW) + 1),
        asked(signature(), body=BODY + b" "),
    ):
        assert (await refusal(verifier(), wrong)).reason == "wrong_signature"


@pytest.mark.parametrize(
    ("off", "reason"),
    [
        (0, None),
        (-300, None),
        (300, None),
        (-301, "expired"),
        (301, "issued_in_future"),
        (-(10**8), "expired"),
    ],
)
async def test_the_timestamp_may_be_off_by_the_tolerance_both_ways(
    off: int, reason: str | None
) -> None:
    request = asked(signature(at=NOW + off), at=int(NOW) + off)
    if reason is None:
        assert await verifier().verify(request) == "secret 1"
    else:
        assert (await refusal(verifier(), request)).reason == reason
    assert await verifier(tolerance=10**8).verify(request) == "secret 1"


@pytest.mark.parametrize(
    "stamp", ["soon", "-1", "1e9", "0x10", "1790000000.0", "9" * 13, "+1", "\u0661"]
)
async def test_a_timestamp_that_is_no_number_is_refused_even_if_it_is_signed(stamp: str) -> None:
    key = base64.b64decode(SECRET.removeprefix("whsec_"))
    digest = hmac.new(key, b".".join((b"msg_1", stamp.encode(), BODY)), hashlib.sha256).digest()
    request = asked(f"v1,{base64.b64encode(digest).decode()}", at=stamp)

    assert (await refusal(verifier(), request)).reason == "malformed_timestamp"


@pytest.mark.parametrize(
    ("secret", "reason"),
    [
        (None, "it is not set"),
        ("", "it is empty"),
        (SECRET + "\n", "whitespace"),
        (SECRET.removeprefix("whsec_"), "it is not whsec_ and base64"),
        ("whsec_" + "!" * 8 + "abcdefgh", "it is not whsec_ and base64"),
        (SECRET + "A", "it is not whsec_ and base64"),
        (SECRET[:-4], "it stands for 21 bytes and may for 24 to 64"),
        ("whsec_" + base64.b64encode(bytes(range(65))).decode(), "it stands for 65 bytes"),
        ("whsec_" + base64.b64encode(b"abcd" * 8).decode(), "bytes that repeat themselves"),
        ("whsk_" + SECRET.removeprefix("whsec_"), "it is not whsec_ and base64"),
    ],
)
def test_a_bad_secret_cannot_be_configured(
    secret: str | None, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(InsecureSecretError, match=f"number 2 of StandardWebhooks.*{reason}"):
        StandardWebhooks(OTHER, secret)  # type: ignore[arg-type]
    monkeypatch.delenv("WEBHOOK_SECRET", raising=False)
    if secret is not None:
        monkeypatch.setenv("WEBHOOK_SECRET", secret)
    with pytest.raises(InsecureSecretError, match=f"WEBHOOK_SECRET is refused: .*{reason}"):
        StandardWebhooks.from_env("WEBHOOK_SECRET")


def test_no_secret_at_all_is_refused() -> None:
    with pytest.raises(InsecureSecretError, match=r"of StandardWebhooks\(\) is refused: none was"):
        StandardWebhooks()


@pytest.mark.parametrize("tolerance", [0, -1, float("nan"), float("inf"), True, "300", None])
def test_a_tolerance_that_is_none_cannot_be_configured(tolerance: Any) -> None:
    with pytest.raises(InvalidOptionError, match="tolerance must be a number of seconds"):
        verifier(tolerance=tolerance)


async def test_secrets_come_from_several_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WEBHOOK_SECRET", SECRET)
    monkeypatch.setenv("WEBHOOK_SECRET_OLD", OTHER)
    clock = ManualClock()
    made = StandardWebhooks.from_env("WEBHOOK_SECRET", "WEBHOOK_SECRET_OLD", clock=clock)

    assert await made.verify(asked(signature(OTHER))) == "secret 2"
    assert repr(made) == "<StandardWebhooks, number of secrets: 2>"
    assert SECRET not in repr(vars(made))
    with pytest.raises(TypeError):
        pickle.dumps(made)
