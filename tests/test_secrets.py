from __future__ import annotations

import secrets
import string
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from afterwork.errors import AfterworkError, InsecureSecretError
from afterwork.verify import check_secret

GOOD = "Vw3kq9rT2mXz7pLc8dHs"


@pytest.mark.parametrize(
    "secret",
    [
        GOOD,
        GOOD[:16],
        "correct horse battery staple",
        "sig_7kYjw48mhY7kAjqNGcy6cr29RJ6r",
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        "0123456789abcdef0123456789abcdef",
        r"a\"b'c,d;e=f{g}h[i]$j%k<l>m",
        "xK3" * 1364 + "9zQ",
        "abcd" * 1000 + "e",
    ],
)
def test_a_good_secret_is_given_back(secret: str) -> None:
    assert check_secret("S", secret) == secret


@pytest.mark.parametrize(
    ("secret", "reason"),
    [
        (None, "it is not set"),
        ("", "it is empty"),
        (" ", "nothing but whitespace"),
        ("\t\r\n", "nothing but whitespace"),
        ("abc\n", "begins or ends with whitespace"),
        (GOOD + "\n", "begins or ends with whitespace"),
        ("\ufeff" + GOOD, "its character 1 is not printable ASCII"),
        (" " + GOOD, "begins or ends with whitespace"),
        (GOOD + "\u00a0", "begins or ends with whitespace"),
        ("abcdefg", "it has 7 characters and needs 16 at least"),
        (GOOD[:15], "it has 15 characters and needs 16 at least"),
        (GOOD * 205, "it has 4100 characters and may have 4096 at most"),
        ("a1" * 10, "only 2 different characters"),
        ("abababababababcd", "only 4 different characters"),
        (f'"{GOOD}"', "in quotation marks"),
        (f"'{GOOD}'", "in quotation marks"),
        ('"', "in quotation marks"),
        (GOOD[:10] + "é" + GOOD[10:], "its character 11 is not printable ASCII"),
        (GOOD[:10] + "\x00" + GOOD[10:], "its character 11 is not printable ASCII"),
        (GOOD[:10] + "\n" + GOOD[10:], "its character 11 is not printable ASCII"),
        (GOOD[:10] + "\x7f" + GOOD[10:], "its character 11 is not printable ASCII"),
        (GOOD + "\ud800", "its character 21 is not printable ASCII"),
        (GOOD.encode(), "it has to be a str and is of type bytes"),
        (1234567890123456, "it has to be a str and is of type int"),
        *((word, "a missing value turns into") for word in ("None", "undefined", "null", "NaN")),
        ("[undefined]", "a missing value turns into"),
        *((word, "a template") for word in ("${CRON_SECRET}", "$CRON_SECRET", "%CRON_SECRET%")),
        *((word, "a template") for word in ("<put your secret here>", "{{ secrets.cron }}")),
        *((word, "a template") for word in ("$(openssl rand -hex 32)", "[a secret of yours]")),
        *((word, "a placeholder") for word in ("changeme", "secret", "password", "Password123")),
        *((word, "a placeholder") for word in ("your-secret-here", "CHANGE_ME_PLEASE_123456")),
        *((word, "a placeholder") for word in ("my-super-secret-token", "x" * 4096)),
        ("1234567890123456", "a placeholder"),
        ("test" * 1000 + "!", "a placeholder"),
        ("insert your random string here", "a placeholder"),
    ],
)
def test_a3_each_bad_secret_is_refused_for_its_own_reason(secret: Any, reason: str) -> None:
    """A3, with the name of where it came from."""
    with pytest.raises(InsecureSecretError) as caught:
        check_secret("CRON_SECRET", secret)

    assert reason in caught.value.problem
    assert caught.value.name == "CRON_SECRET"
    assert str(caught.value).startswith("the secret CRON_SECRET is refused: ")
    assert isinstance(caught.value, (AfterworkError, ValueError))


def test_a3_a_pasted_placeholder_of_any_length_is_refused_at_once() -> None:
    """No pattern takes long, whatever it is given."""
    for piece in ("x", "todo", "123", "abc", "testing", "to do "):
        for end in ("", "q", "!"):
            try:
                check_secret("S", piece * (4096 // len(piece) - 1) + end)
            except InsecureSecretError:
                pass


@given(st.text(min_size=4))
def test_a18_no_message_shows_the_secret(secret: str) -> None:
    """A18. Short texts may be in any sentence by chance."""
    try:
        assert check_secret("S", f"{secret}@@") == f"{secret}@@"
    except InsecureSecretError as error:
        assert f"{secret}@@" not in str(error)


@given(st.integers(16, 64), st.sampled_from([string.hexdigits, string.ascii_letters]))
def test_random_secrets_are_good(length: int, alphabet: str) -> None:
    """What the advice in the message makes, and what `openssl rand -hex` makes."""
    check_secret("S", "".join(secrets.choice(alphabet) for _ in range(length + 8)))
    check_secret("S", secrets.token_urlsafe(length))
