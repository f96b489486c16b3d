from __future__ import annotations

import hashlib
import hmac
import json
import pickle
import time
from collections.abc import Callable
from typing import Any

import jwt
import pytest
from afterwork_integrations.qstash import PUBLISHED, QStashSignature
from qstash import Receiver
from qstash.errors import SignatureError

from afterwork.errors import InsecureSecretError, InvalidOptionError
from afterwork.verify import TriggerRequest, Verifier
from tests.contracts.verifier import VerifierContract
from tests.integrations.signing import NOW, ManualClock, b64url, refusal, signed_request

CURRENT = "sig_4fLq8ZtXw2RkV9mBs6HyPcN3dTgE"
NEXT = "sig_9tGd5KxWq7LzC2vRn8JbFhM4uSaY"
THIRD = "sig_1pQs6YhTe3UaI0oDf7ZkXwV5rNbC"
URL = "https://app.example/cron/nightly"
BODY = b'{"hello":"world"}'


def hashed(body: bytes, pad: str = "=") -> str:
    return b64url(hashlib.sha256(body).digest()) + pad


def claims_of(now: float = NOW, **changed: Any) -> dict[str, Any]:
    """What QStash claims. None takes a claim out."""
    at = int(now)
    claims = {"iss": "Upstash", "sub": URL, "exp": at + 300, "nbf": 0, "iat": at, "jti": "jwt_1"}
    claims = {**claims, "body": hashed(BODY), **changed}
    return {name: value for name, value in claims.items() if value is not None}


def sign(claims: Any, key: str = CURRENT, header: Any = None) -> str:
    """A token as QStash makes it. `claims` and `header` may be bytes, for what is not JSON."""
    parts = []
    for part in ({"alg": "HS256", "typ": "JWT"} if header is None else header, claims):
        parts.append(b64url(part if isinstance(part, bytes) else json.dumps(part).encode()))
    signed = ".".join(parts)
    return f"{signed}.{b64url(hmac.digest(key.encode(), signed.encode(), 'sha256'))}"


def asked(token: str, body: bytes = BODY, target: str = "/cron/nightly") -> TriggerRequest:
    return signed_request({"Upstash-Signature": token}, body, target)


def verifier(**options: Any) -> QStashSignature:
    return QStashSignature(CURRENT, NEXT, **{"clock": ManualClock(), **options})


class TestContract(VerifierContract):
    headers = ("upstash-signature",)
    signs_body = True

    def make_verifier(self) -> Verifier:
        return verifier()

    def good_request(self) -> TriggerRequest:
        return asked(sign(claims_of()))

    def secrets(self) -> list[str]:
        return [CURRENT, NEXT, hashed(BODY, "")]


async def test_a9_a12_what_qstash_signs_is_let_in_with_the_current_and_the_next_key() -> None:
    """A9: a good token. A12: either key."""
    assert await verifier().verify(asked(sign(claims_of()))) == "current key"
    assert await verifier().verify(asked(sign(claims_of(), NEXT))) == "next key"


async def test_a12_a_third_key_is_refused_and_so_is_an_empty_one() -> None:
    """A12: what anybody can sign with nothing is never accepted."""
    for key in (THIRD, "", "None", "\x00"):
        assert (
            await refusal(verifier(), asked(sign(claims_of(), key)))
        ).reason == "wrong_signature"


@pytest.mark.parametrize("bad", [None, "", " ", "None", "undefined", "short", CURRENT + "\n"])
def test_a12_a_bad_key_cannot_be_configured(
    bad: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A12: either of the two, given or from the environment."""
    pairs: list[Any] = [(bad, NEXT), (CURRENT, bad)]
    for keys in pairs:
        wrong = "current_key" if keys[0] == bad else "next_key"
        with pytest.raises(InsecureSecretError, match=f"the secret {wrong} is refused"):
            QStashSignature(*keys)
        for name, key in zip(("CURRENT", "NEXT"), keys, strict=True):
            if key is None:
                monkeypatch.delenv(f"QSTASH_{name}_SIGNING_KEY", raising=False)
            else:
                monkeypatch.setenv(f"QSTASH_{name}_SIGNING_KEY", key)
        variable = f"QSTASH_{wrong[:-4].upper()}_SIGNING_KEY"
        with pytest.raises(InsecureSecretError, match=f"the secret {variable} is refused"):
            QStashSignature.from_env()


def test_the_development_servers_keys_are_for_development_only(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Everybody knows them."""
    monkeypatch.delenv("VERCEL_ENV", raising=False)
    monkeypatch.delenv("AFTERWORK_ENV", raising=False)
    monkeypatch.setenv("QSTASH_CURRENT_SIGNING_KEY", PUBLISHED[0])
    monkeypatch.setenv("QSTASH_NEXT_SIGNING_KEY", PUBLISHED[1])
    with pytest.raises(
        InsecureSecretError, match="CURRENT_SIGNING_KEY is refused: it is the one of"
    ):
        QStashSignature.from_env()
    with pytest.raises(InsecureSecretError, match="next_key is refused: it is the one of QStash's"):
        QStashSignature(CURRENT, PUBLISHED[1])

    monkeypatch.setenv("AFTERWORK_ENV", "development")
    assert QStashSignature.from_env()


async def test_a14_qstash_dev_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """A14: neither what is accepted nor which keys may be configured."""
    monkeypatch.setenv("QSTASH_DEV", "true")
    monkeypatch.delenv("AFTERWORK_ENV", raising=False)
    monkeypatch.delenv("VERCEL_ENV", raising=False)

    assert (await refusal(verifier(), asked("x"))).reason == "malformed_token"
    assert (await refusal(verifier(), signed_request({}))).reason == "no_credentials"
    assert (await refusal(verifier(), asked(sign(claims_of(), THIRD)))).reason == "wrong_signature"
    with pytest.raises(InsecureSecretError):
        QStashSignature(*PUBLISHED)
    monkeypatch.delenv("QSTASH_CURRENT_SIGNING_KEY", raising=False)
    with pytest.raises(InsecureSecretError, match="QSTASH_CURRENT_SIGNING_KEY is refused"):
        QStashSignature.from_env()


@pytest.mark.parametrize("issuer", ["upstash", "https://upstash.com", "", None, 1, ["Upstash"]])
async def test_a9_another_issuer_is_refused(issuer: Any) -> None:
    assert (await refusal(verifier(), asked(sign(claims_of(iss=issuer))))).reason == "wrong_issuer"


@pytest.mark.parametrize(
    "signed",
    [URL + "/", URL.replace("https", "http"), URL + "?a=1", URL.upper(), "", None, 7, "\ud800"],
)
async def test_a9_another_url_is_refused_and_the_log_has_both(signed: Any) -> None:
    """A9: a slash more, another scheme, another query."""
    error = await refusal(verifier(), asked(sign(claims_of(sub=signed))))

    assert error.reason == "wrong_url"
    assert "url differs" in error.detail
    assert ascii(signed) in error.detail
    assert repr(URL) in error.detail


async def test_a9_a_long_url_does_not_fill_the_log() -> None:
    error = await refusal(verifier(), asked(sign(claims_of(sub=URL + "x" * 1000))))
    assert len(error.detail) < 600


@pytest.mark.parametrize("base", ["https://public.example", "https://public.example/"])
async def test_a9_behind_a_proxy_the_public_base_is_given(base: str) -> None:
    """The path and the query stay the request's."""
    behind = verifier(url=base)
    for target in ("/cron/nightly", "/cron/nightly/", "/cron/a%20b?x=1&y=%2F"):
        good = sign(claims_of(sub=f"https://public.example{target}"))
        assert await behind.verify(asked(good, target=target)) == "current key"
    assert (await refusal(behind, asked(sign(claims_of())))).reason == "wrong_url"
    other = sign(claims_of(sub="https://public.example/cron/other"))
    assert (await refusal(behind, asked(other))).reason == "wrong_url"


@pytest.mark.parametrize(
    "url",
    [
        *("", "app.example", "ftp://x", "https://", "https://x?a", "https://x#a", "https://x?"),
        *("https://u:p@x", "https://x\n", "https://é", "https://[x", "//x", 1),
    ],
)
def test_a_base_that_is_none_cannot_be_configured(url: Any) -> None:
    with pytest.raises(InvalidOptionError, match="url must be the public base of the app"):
        verifier(url=url)


@pytest.mark.parametrize("leeway", [-1, float("nan"), float("inf"), 301, True, "10", None])
def test_a_leeway_that_is_none_cannot_be_configured(leeway: Any) -> None:
    with pytest.raises(InvalidOptionError, match="leeway must be a number of seconds from 0"):
        verifier(leeway=leeway)


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"exp": NOW - 9}, None),
        ({"exp": NOW - 10}, "expired"),
        ({"exp": NOW - 3600}, "expired"),
        ({"iat": NOW + 3}, None),
        ({"iat": NOW + 10}, None),
        ({"iat": NOW + 60}, "issued_in_future"),
        ({"nbf": NOW + 3}, None),
        ({"nbf": NOW + 60}, "not_yet_valid"),
        ({"nbf": NOW - 1}, None),
        *(({name: None}, "malformed_token") for name in ("exp", "nbf", "iat")),
        *(({name: True}, "malformed_token") for name in ("exp", "nbf", "iat")),
        ({"exp": str(NOW + 100)}, "malformed_token"),
        ({"exp": float("inf")}, "malformed_token"),
        ({"exp": float("nan")}, "malformed_token"),
        ({"exp": 10**400}, "malformed_token"),
        ({"exp": [NOW]}, "malformed_token"),
    ],
)
async def test_a10_times_are_checked_with_ten_seconds_of_leeway(
    changed: dict[str, Any], reason: str | None
) -> None:
    """A10: 3 s in the future is accepted, 60 s is not."""
    request = asked(sign(claims_of(**changed)))
    if reason is None:
        assert await verifier().verify(request)
    else:
        assert (await refusal(verifier(), request)).reason == reason


async def test_a10_the_leeway_is_a_setting_and_the_clock_moves() -> None:
    clock = ManualClock()
    strict = verifier(leeway=0, clock=clock)
    request = asked(sign(claims_of()))

    assert await strict.verify(request)
    clock.seconds += 299
    assert await strict.verify(request)
    clock.seconds += 1
    assert (await refusal(strict, request)).reason == "expired"
    clock.seconds = NOW - 1
    assert (await refusal(strict, request)).reason == "issued_in_future"


@pytest.mark.parametrize("pad", ["", "=", "=="])
@pytest.mark.parametrize("body", [b"", BODY, b"\x00\xff\xfe\x80", b"x" * 100_000])
async def test_a11_the_raw_body_is_compared_padded_or_not(body: bytes, pad: str) -> None:
    """A11: an empty and a binary body too."""
    request = asked(sign(claims_of(body=hashed(body, pad))), body)
    assert await verifier().verify(request) == "current key"


@pytest.mark.parametrize("body", [b'{"hello": "world"}', b"", BODY + b"\n", b"\xff"])
async def test_a11_a_body_that_was_read_and_written_again_is_refused(body: bytes) -> None:
    """A11: one space is enough."""
    error = await refusal(verifier(), asked(sign(claims_of()), body))
    assert error.reason == "wrong_body"
    assert hashed(BODY, "") not in str(error)


@pytest.mark.parametrize("claim", [None, 1, "", "=", hashed(BODY).replace("-", "+") + "A"])
async def test_a11_a_body_claim_that_is_none_is_refused(claim: Any) -> None:
    assert (await refusal(verifier(), asked(sign({**claims_of(), "body": claim})))).reason == (
        "wrong_body"
    )


def unsigned(header: Any, payload: Any) -> str:
    parts = [json.dumps(part).encode() for part in (header, payload)]
    return f"{b64url(parts[0])}.{b64url(parts[1])}."


@pytest.mark.parametrize(
    ("token", "reason"),
    [
        (lambda: unsigned({"alg": "none"}, claims_of()), "wrong_algorithm"),
        (lambda: unsigned({"alg": "HS256"}, claims_of()), "wrong_signature"),
        (lambda: sign(claims_of(), header={"alg": "none"}), "wrong_algorithm"),
        (lambda: sign(claims_of(), header={"alg": "HS512"}), "wrong_algorithm"),
        (lambda: sign(claims_of(), header={"alg": "hs256"}), "wrong_algorithm"),
        (lambda: sign(claims_of(), header={"alg": ["HS256"]}), "wrong_algorithm"),
        (lambda: sign(claims_of(), header={"typ": "JWT"}), "wrong_algorithm"),
        (lambda: sign(claims_of(), header={"alg": "HS256", "crit": ["x"]}), "malformed_token"),
        (lambda: sign(claims_of(), header={"alg": "HS256", "b64": False}), "malformed_token"),
        (lambda: sign(claims_of(), header=b"[]"), "malformed_token"),
        (lambda: sign(claims_of(), header=b"{"), "malformed_token"),
        (lambda: sign(claims_of(), header=b"\xff"), "malformed_token"),
        (lambda: sign(claims_of(), header=b"[" * 5000), "malformed_token"),
        (lambda: sign(claims_of(), header=b'{"a":' + b"9" * 5000 + b"}"), "malformed_token"),
        (lambda: sign(b"[]"), "malformed_token"),
        (lambda: sign(b"nonsense"), "malformed_token"),
        (lambda: sign(b""), "malformed_token"),
        (lambda: sign(claims_of()) + "=", "malformed_token"),
        (lambda: sign(claims_of()) + ".x", "malformed_token"),
        (lambda: sign(claims_of()).rpartition(".")[0], "malformed_token"),
        (lambda: sign(claims_of()).replace(".", "..", 1), "malformed_token"),
        (lambda: "+" + sign(claims_of())[1:], "malformed_token"),
        (lambda: "AAAAA." + sign(claims_of()).partition(".")[2], "malformed_token"),
        (lambda: "..", "malformed_token"),
        (lambda: "e30", "malformed_token"),
        (lambda: "Bearer " + sign(claims_of()), "malformed_token"),
        (lambda: sign(claims_of(pad="x" * 9000)), "too_long"),
    ],
)
async def test_a13_whatever_the_token_is_it_is_refused_and_nothing_fails(
    token: Callable[[], str], reason: str
) -> None:
    """A13: no error but `VerificationError`, so that the route answers 401 and not 500."""
    assert (await refusal(verifier(), asked(token()))).reason == reason


async def test_a_token_has_one_spelling() -> None:
    """The last character of a signature holds two bits that stand for nothing."""
    token = sign(claims_of())
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    twin = token[:-1] + alphabet[alphabet.index(token[-1]) ^ 1]

    assert (await refusal(verifier(), asked(twin))).reason == "malformed_token"


async def test_the_sdk_accepts_what_the_signer_here_makes_and_so_does_the_verifier() -> None:
    """Both ways: the real SDK's receiver, and a token that its JWT library made."""
    now = time.time()
    ours = QStashSignature(CURRENT, NEXT)
    receiver = Receiver(CURRENT, NEXT)
    for key in (CURRENT, NEXT):
        claims = claims_of(now=now)
        for token in (sign(claims, key), jwt.encode(claims, key, algorithm="HS256")):
            receiver.verify(signature=token, body=BODY.decode(), url=URL)
            assert await ours.verify(asked(token))


@pytest.mark.parametrize(
    "changed", [{"sub": URL + "/"}, {"iss": "other"}, {"exp": 1}, {"body": hashed(b"")}]
)
async def test_the_sdk_refuses_what_the_verifier_refuses(changed: dict[str, Any]) -> None:
    token = sign(claims_of(now=time.time(), **changed))

    with pytest.raises(SignatureError):
        Receiver(CURRENT, NEXT).verify(signature=token, body=BODY.decode(), url=URL)
    await refusal(QStashSignature(CURRENT, NEXT), asked(token))


async def test_a10_unlike_the_sdk_a_clock_that_is_three_seconds_late_is_no_reason() -> None:
    """A10: the SDK's tolerance has no effect. Of two keys it only says what the next one gave."""
    token = sign(claims_of(now=time.time(), iat=int(time.time()) + 5), NEXT)

    with pytest.raises(SignatureError, match="not yet valid"):
        Receiver(CURRENT, NEXT).verify(
            signature=token, body=BODY.decode(), url=URL, clock_tolerance=10
        )
    assert await QStashSignature(CURRENT, NEXT).verify(asked(token))


def test_a18_keys_are_not_kept_as_texts(monkeypatch: pytest.MonkeyPatch) -> None:
    """A18: and so there is nothing to pickle."""
    monkeypatch.setenv("MY_CURRENT", CURRENT)
    monkeypatch.setenv("MY_NEXT", NEXT)
    made = QStashSignature.from_env("MY_CURRENT", "MY_NEXT", url="https://app.example")

    assert repr(made) == "<QStashSignature, url https://app.example>"
    assert CURRENT not in repr(vars(made))
    with pytest.raises(TypeError):
        pickle.dumps(made)
