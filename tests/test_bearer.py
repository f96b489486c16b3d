from __future__ import annotations

import pickle
from typing import Any

import pytest

from afterwork._bearer import _Shared
from afterwork.errors import (
    InsecureSecretError,
    InvalidOptionError,
    VerificationError,
    VerifierUnavailableError,
)
from afterwork.verify import Bearer, HeaderSecret, TriggerRequest, Verifier, bearer_token
from tests.support import events, fields, http_scope

NEW = "Vw3kq9rT2mXz7pLc8dHs"
OLD = "another-8fJ2kd9Q-secret-zR"


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("CRON_SECRET", "CRON_SECRET_OLD", "AFTERWORK_ENV", "VERCEL_ENV"):
        monkeypatch.delenv(name, raising=False)


def request(*headers: tuple[str, str], client: Any = None, **more: Any) -> TriggerRequest:
    raw = [(name.encode(), value.encode("latin-1")) for name, value in headers]
    return TriggerRequest(http_scope("/cron/nightly", headers=raw, client=client, **more))


def authorized(value: str) -> TriggerRequest:
    return request(("authorization", value))


async def refusal(verifier: Verifier, asked: TriggerRequest) -> str:
    """The reason for which a request is refused."""
    with pytest.raises(VerificationError) as caught:
        await verifier.verify(asked)
    return caught.value.reason


async def test_a5_several_secrets_are_accepted_and_named_by_number() -> None:
    """A5: never by value."""
    verifier = Bearer(NEW, OLD)

    assert await verifier.verify(authorized(f"Bearer {NEW}")) == "secret 1"
    assert await verifier.verify(authorized(f"Bearer {OLD}")) == "secret 2"
    assert await refusal(verifier, authorized(f"Bearer {OLD}x")) == "wrong_secret"


async def test_a5_a_secret_that_is_given_twice_has_the_first_number() -> None:
    assert await Bearer(NEW, NEW).verify(authorized(f"Bearer {NEW}")) == "secret 1"


@pytest.mark.parametrize("scheme", ["Bearer ", "bearer ", "BEARER ", "Bearer    "])
async def test_the_scheme_is_in_any_case_and_spaces_follow_it(scheme: str) -> None:
    """RFC 9110, section 11.1; RFC 6750, section 2.1."""
    assert await Bearer(NEW).verify(authorized(scheme + NEW)) == "secret 1"
    assert await Bearer(NEW).verify(authorized(f" {scheme}{NEW}\t")) == "secret 1"


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (f"Bearer\t{NEW}", "not_bearer"),
        (f"Bearer{NEW}", "not_bearer"),
        (f"Bearer: {NEW}", "not_bearer"),
        (f"Basic {NEW}", "not_bearer"),
        (f"Bearer Bearer {NEW}", "wrong_secret"),
        (f"Bearer \t{NEW}", "wrong_secret"),
        (f"Bearer {NEW}, Bearer {NEW}", "wrong_secret"),
        (f'Bearer "{NEW}"', "wrong_secret"),
        (NEW, "not_bearer"),
        ("Bearer " + "A" * 9000, "too_long"),
        ("", "no_credentials"),
        ("Bearer ", "no_credentials"),
    ],
)
async def test_anything_else_is_refused_for_its_reason(value: str, reason: str) -> None:
    assert await refusal(Bearer(NEW), authorized(value)) == reason


async def test_a4_a_byte_that_is_not_ascii_is_refused_like_any_other() -> None:
    """A4: byte 0xE9."""
    assert await refusal(Bearer(NEW), authorized("Bearer \xe9")) == "wrong_secret"
    assert await refusal(Bearer(NEW), authorized("\xe9")) == "not_bearer"
    assert await refusal(HeaderSecret("x-s", NEW), request(("x-s", "\xe9"))) == "wrong_secret"


async def test_two_authorization_headers_are_refused_even_if_both_are_right() -> None:
    twice = request(("authorization", f"Bearer {NEW}"), ("Authorization", f"Bearer {NEW}"))
    assert await refusal(Bearer(NEW), twice) == "duplicate_header"


async def test_a6_a7_a8_what_anybody_can_send_proves_nothing() -> None:
    """A6: the headers of Vercel. A7: of Cloud Scheduler. A8: the secret in the query."""
    vercel = request(("user-agent", "vercel-cron/1.0"), ("x-vercel-cron", "1"))
    google = request(("x-cloudscheduler", "true"), ("x-cloudscheduler-jobname", "nightly"))
    query = request(query_string=f"secret={NEW}&token={NEW}".encode())

    for asked in (vercel, google, query):
        assert await refusal(Bearer(NEW), asked) == "no_credentials"


def test_a1_without_the_variable_it_cannot_be_made() -> None:
    """A1: start-up fails with the variable's name."""
    with pytest.raises(InsecureSecretError, match="the secret CRON_SECRET is refused: it is not"):
        Bearer.from_env("CRON_SECRET")
    with pytest.raises(InsecureSecretError, match="the secret CRON_SECRET is refused: it is not"):
        HeaderSecret.from_env("x-cron-secret", "CRON_SECRET")


@pytest.mark.parametrize("secret", ["", " ", "abc\n", "abcdefg", "None", "undefined", "changeme"])
def test_a3_a_bad_secret_cannot_be_configured(secret: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A3, wherever it comes from, and also where missing is allowed or another one is good."""
    monkeypatch.setenv("CRON_SECRET", secret)
    monkeypatch.setenv("CRON_SECRET_OLD", OLD)
    for make in (
        lambda: Bearer.from_env("CRON_SECRET"),
        lambda: Bearer.from_env("CRON_SECRET", open_in_dev=True),
        lambda: Bearer.from_env("CRON_SECRET_OLD", "CRON_SECRET"),
        lambda: HeaderSecret.from_env("x-cron-secret", "CRON_SECRET"),
    ):
        with pytest.raises(InsecureSecretError, match="the secret CRON_SECRET is refused"):
            make()
    with pytest.raises(InsecureSecretError, match=r"the secret number 2 of Bearer\(\) is refused"):
        Bearer(NEW, secret)
    with pytest.raises(InsecureSecretError, match=r"the secret number 1 of HeaderSecret\(\) is"):
        HeaderSecret("x-cron-secret", secret)


def test_no_secret_at_all_is_refused() -> None:
    with pytest.raises(InsecureSecretError, match=r"the secret of Bearer\(\) is refused: none was"):
        Bearer()


async def test_a2_once_the_secret_is_gone_everybody_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A2: a running app, whose secret is unset or spoilt."""
    monkeypatch.setenv("CRON_SECRET", NEW)
    verifier = Bearer.from_env("CRON_SECRET", open_in_dev=True)
    monkeypatch.setenv("AFTERWORK_ENV", "development")
    shown = (NEW, "None", "undefined", "null", "")
    asked = [request(client=("127.0.0.1", 1)), *(authorized(f"Bearer {text}") for text in shown)]

    for spoilt in (None, "", "None", "undefined", "null", "short"):
        if spoilt is None:
            monkeypatch.delenv("CRON_SECRET")
        else:
            monkeypatch.setenv("CRON_SECRET", spoilt)
        for one in asked:
            with pytest.raises(VerifierUnavailableError, match="the secret CRON_SECRET is refused"):
                await verifier.verify(one)

    monkeypatch.setenv("CRON_SECRET", OLD)
    assert await verifier.verify(authorized(f"Bearer {OLD}")) == "secret 1 (CRON_SECRET)"


async def test_a_secret_is_replaced_without_a_restart(monkeypatch: pytest.MonkeyPatch) -> None:
    """The variables after the first may come and go, but what they hold has to be good."""
    monkeypatch.setenv("CRON_SECRET", OLD)
    verifier = HeaderSecret.from_env("X-Cron-Secret", "CRON_SECRET", "CRON_SECRET_OLD")
    new, old = request(("x-cron-secret", NEW)), request(("x-cron-secret", OLD))
    assert await verifier.verify(old) == "secret 1 (CRON_SECRET)"

    monkeypatch.setenv("CRON_SECRET", NEW)
    monkeypatch.setenv("CRON_SECRET_OLD", OLD)
    assert await verifier.verify(new) == "secret 1 (CRON_SECRET)"
    assert await verifier.verify(old) == "secret 2 (CRON_SECRET_OLD)"

    monkeypatch.setenv("CRON_SECRET_OLD", "")
    with pytest.raises(VerifierUnavailableError, match="CRON_SECRET_OLD is refused: it is empty"):
        await verifier.verify(new)

    monkeypatch.delenv("CRON_SECRET_OLD")
    assert await verifier.verify(new) == "secret 1 (CRON_SECRET)"
    assert await refusal(verifier, old) == "wrong_secret"


def opened(caplog: Any) -> Bearer:
    verifier = Bearer.from_env("CRON_SECRET", "CRON_SECRET_OLD", open_in_dev=True)
    assert events(caplog) == ["trigger.open"]
    assert fields(caplog, "trigger.open")["variable"] == "CRON_SECRET"
    return verifier


@pytest.mark.parametrize("address", ["127.0.0.1", "127.8.9.1", "::1", "::ffff:127.0.0.1"])
async def test_a1_open_in_dev_lets_this_machine_in(
    address: str, caplog: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A1: it starts and warns."""
    verifier = opened(caplog)
    monkeypatch.setenv("AFTERWORK_ENV", "development")

    assert await verifier.verify(request(client=(address, 50000))) == "open in development"
    for host in ("localhost", "LOCALHOST:8000", "app.localhost:8000", "127.0.0.1:8000", "[::1]:80"):
        typed = request(("host", host), ("sec-fetch-site", "none"), client=(address, 1))
        assert await verifier.verify(typed) == "open in development"


@pytest.mark.parametrize(
    ("headers", "address"),
    [
        ([], "10.0.0.1"),
        ([], "::2"),
        ([], "::ffff:10.0.0.1"),
        ([], "testclient"),
        ([], None),
        ([("X-Forwarded-For", "127.0.0.1")], "127.0.0.1"),
        ([("X-Forwarded-Host", "localhost")], "127.0.0.1"),
        ([("Forwarded", "for=127.0.0.1")], "127.0.0.1"),
        ([("X-Real-IP", "127.0.0.1")], "127.0.0.1"),
        ([("Via", "1.1 proxy")], "127.0.0.1"),
        ([("Host", "app.example")], "127.0.0.1"),
        ([("Host", "localhost.example:8000")], "127.0.0.1"),
        ([("Host", "10.0.0.1")], "127.0.0.1"),
        ([("Host", "\xe9")], "127.0.0.1"),
        ([("Host", "")], "127.0.0.1"),
        ([("Sec-Fetch-Site", "cross-site")], "127.0.0.1"),
        ([("Sec-Fetch-Site", "same-site")], "127.0.0.1"),
    ],
)
async def test_a1_open_in_dev_lets_nobody_else_in(
    headers: list[tuple[str, str]],
    address: str | None,
    caplog: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Nobody from outside, and no proxy, tunnel or page in a browser on this machine."""
    verifier = opened(caplog)
    monkeypatch.setenv("VERCEL_ENV", "development")

    client = None if address is None else (address, 1)
    assert await refusal(verifier, request(*headers, client=client)) == "not_local"


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {"AFTERWORK_ENV": "production"},
        {"AFTERWORK_ENV": ""},
        {"VERCEL_ENV": "preview"},
        {"AFTERWORK_ENV": "development", "VERCEL_ENV": "production"},
    ],
)
async def test_a1_open_in_dev_is_closed_where_nothing_says_development(
    environment: dict[str, str], caplog: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There a secret is missing, and who is asked cannot tell who is who."""
    verifier = opened(caplog)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)

    with pytest.raises(VerifierUnavailableError, match="does not say development"):
        await verifier.verify(request(client=("127.0.0.1", 1)))


@pytest.mark.parametrize("late", [False, True])
async def test_open_in_dev_changes_nothing_where_a_secret_is_set(
    late: bool, caplog: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AFTERWORK_ENV", "development")
    if late:
        verifier = opened(caplog)
        monkeypatch.setenv("CRON_SECRET", NEW)
    else:
        monkeypatch.setenv("CRON_SECRET", NEW)
        verifier = Bearer.from_env("CRON_SECRET", open_in_dev=True)
        assert events(caplog) == []

    assert await refusal(verifier, request(client=("127.0.0.1", 1))) == "no_credentials"
    assert await verifier.verify(authorized(f"Bearer {NEW}")) == "secret 1 (CRON_SECRET)"


def test_open_in_dev_does_not_make_up_for_the_first_of_two(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CRON_SECRET_OLD", OLD)
    with pytest.raises(InsecureSecretError, match="the secret CRON_SECRET is refused: it is not"):
        Bearer.from_env("CRON_SECRET", "CRON_SECRET_OLD", open_in_dev=True)


@pytest.mark.parametrize("verifier", [Bearer(NEW, OLD), HeaderSecret("X-Cron-Secret", NEW, OLD)])
def test_a18_nothing_keeps_the_secret(verifier: Bearer | HeaderSecret) -> None:
    """A18: not the repr, not the object's insides, and no pickle."""
    assert repr(verifier).endswith("2 secrets>")
    inside = repr([getattr(verifier._keys, name) for name in ("_hashes",)])
    assert NEW not in inside
    with pytest.raises(TypeError, match="a verifier with secrets is not pickled"):
        pickle.dumps(verifier)


def test_a_verifier_from_the_environment_names_its_variables(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """And may be pickled, because it holds no secret."""
    monkeypatch.setenv("CRON_SECRET", NEW)
    verifier = Bearer.from_env("CRON_SECRET", "CRON_SECRET_OLD")
    header = HeaderSecret.from_env("X-S", "CRON_SECRET")

    assert repr(verifier) == "<Bearer, secrets in CRON_SECRET, CRON_SECRET_OLD>"
    assert repr(header) == "<HeaderSecret x-s, secrets in CRON_SECRET>"
    assert repr(Bearer(NEW)) == "<Bearer, 1 secret>"
    dumped = pickle.dumps(verifier)
    assert NEW.encode() not in dumped
    assert repr(pickle.loads(dumped)) == repr(verifier)


@pytest.mark.parametrize("name", ["", "x secret", "x:y", "é", NEW + " ", None, b"x-s"])
def test_a_header_needs_a_name_and_what_came_instead_is_not_shown(name: Any) -> None:
    """Whoever mixes up name and value has given the secret as the name."""
    with pytest.raises(InvalidOptionError, match="header must be a header's name") as caught:
        HeaderSecret(name, NEW)
    assert NEW not in str(caught.value)


@pytest.mark.parametrize("name", ["", OLD, None, "1X", "A B", b"CRON_SECRET"])
def test_variables_need_names_and_what_came_instead_is_not_shown(name: Any) -> None:
    with pytest.raises(InvalidOptionError, match="from_env must be given names") as caught:
        Bearer.from_env("CRON_SECRET", name, open_in_dev=True)
    assert OLD not in str(caught.value)


def test_open_in_dev_is_a_flag() -> None:
    with pytest.raises(InvalidOptionError, match="open_in_dev must be True or False"):
        Bearer.from_env("CRON_SECRET", open_in_dev=1)  # type: ignore[arg-type]


def test_what_is_shown_is_each_verifiers_own_matter() -> None:
    with pytest.raises(NotImplementedError):
        _Shared()._shown(request())


def test_a_bearer_token_is_given_as_bytes() -> None:
    assert bearer_token(authorized("Bearer a.b.c")) == b"a.b.c"
    assert bearer_token(authorized("Bearer \xe9")) == b"\xe9"
