"""Small HTTP requests to secret addresses, against real servers."""

from __future__ import annotations

import logging
import socket
import threading
import time
from typing import Any

import httpx
import pytest
from afterwork_integrations import _letters
from afterwork_integrations._letters import Countdown, Letter, address, send, timeout_of
from afterwork_integrations._outbox import Lost

from afterwork.errors import InvalidOptionError
from tests.integrations.receiver import receiving

SECRET = "4e1f3c2a-secret"


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_letters, "PAUSES", (0.01, 0.02))
    for name in ("http_proxy", "all_proxy", "HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)


def letter(url: str, method: str = "POST", content: bytes = b"hello") -> Letter:
    return Letter(method, address("url", f"{url}/{SECRET}"), content)


def test_a_letter_arrives_once() -> None:
    with receiving(200) as receiver:
        send(letter(receiver.url), 5)
        send(letter(receiver.url, "GET", b""), 5)

    post, get = receiver.got
    assert (post.method, post.path, post.body) == ("POST", f"/{SECRET}", b"hello")
    assert post.headers["content-type"].startswith("text/plain")
    assert post.headers["user-agent"] == "afterwork"
    assert (get.method, get.body) == ("GET", b"")
    assert "content-type" not in get.headers


@pytest.mark.parametrize(
    ("answers", "problem", "tries"),
    [
        ((500,), "it answered 500", 3),
        ((404,), "it answered 404", 1),
        ((429,), "it answered 429", 1),
        (("close",), "RemoteProtocolError", 3),
        ((302,), "it answered 302", 1),
        ((307,), "it answered 307", 1),
    ],
)
def test_what_does_not_arrive_is_lost_with_a_reason(
    answers: tuple[int | str, ...], problem: str, tries: int, caplog: Any
) -> None:
    caplog.set_level(logging.DEBUG)
    with receiving() as elsewhere, receiving(*answers) as receiver:
        receiver.location = f"{elsewhere.url}/elsewhere"
        with pytest.raises(Lost) as lost:
            send(letter(receiver.url), 5)

    assert (lost.value.host, lost.value.problem) == ("127.0.0.1", problem)
    assert len(receiver.got) == tries
    assert elsewhere.got == []  # no redirect is followed
    assert SECRET not in f"{caplog.text} {lost.value!r}"


@pytest.mark.parametrize("first", [(500, 503), ("close", 500), ("close",)])
def test_a_failure_that_passes_costs_nothing(first: tuple[int | str, ...]) -> None:
    with receiving(*first, 200) as receiver:
        send(letter(receiver.url), 5)
    assert len(receiver.got) == len(first) + 1


def test_l6_one_that_hangs_is_given_up_in_time() -> None:
    """L6: after the time-out in all, and it is asked once."""
    with receiving("hang") as receiver:
        began = time.monotonic()
        with pytest.raises(Lost) as lost:
            send(letter(receiver.url), 0.2)
        took = time.monotonic() - began
    assert lost.value.problem == "ReadTimeout"
    assert 0.2 <= took < 2
    assert len(receiver.got) == 1


def test_no_try_is_made_that_would_come_too_late(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_letters, "PAUSES", (60.0,))
    with receiving(500) as receiver, pytest.raises(Lost):
        send(letter(receiver.url), 1)
    assert len(receiver.got) == 1


def test_nobody_there_is_lost_too() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and does not listen
        with pytest.raises(Lost) as lost:
            send(letter(f"http://127.0.0.1:{taken.getsockname()[1]}"), 5)
    assert lost.value.problem == "ConnectError"


def test_all_steps_share_the_time() -> None:
    """A slow connection leaves less for the answer."""
    countdown = Countdown(time.monotonic() + 10)
    assert [*countdown] == ["connect", "read", "write", "pool"]
    assert len(countdown) == 4
    assert 9 < countdown["connect"] <= 10
    countdown.end -= 20
    assert 0 < countdown["read"] < 0.01


def test_an_answer_that_never_ends_is_not_waited_for() -> None:
    """The status is all that counts."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\nO")
                connection.recv(1)  # until the other side has closed

        thread = threading.Thread(target=serve)
        thread.start()
        began = time.monotonic()
        send(letter(f"http://127.0.0.1:{server.getsockname()[1]}"), 5)
        assert time.monotonic() - began < 2
        thread.join(10)
        assert not thread.is_alive()


def test_the_proxy_of_the_environment_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    with receiving(200) as proxy, receiving(200) as direct:
        monkeypatch.setenv("http_proxy", proxy.url)
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        send(letter("http://receiver.example"), 5)
        send(letter(direct.url), 5)

    (request,) = proxy.got
    assert request.target == f"http://receiver.example/{SECRET}"
    assert direct.paths == [f"/{SECRET}"]


def test_the_repr_of_a_letter_shows_nothing() -> None:
    shown = repr(letter("https://receiver.example"))
    assert SECRET not in shown
    assert "hello" not in shown


@pytest.mark.parametrize(
    "value",
    [f"ftp://x/{SECRET}", f"https:///{SECRET}", SECRET, f"https://host:no/{SECRET}", None, 5],
)
def test_an_address_that_is_none_is_refused_without_being_shown(value: Any) -> None:
    with pytest.raises(InvalidOptionError, match="url must be an address") as refused:
        address("url", value)
    assert SECRET not in str(refused.value)


def test_addresses_are_http_or_https() -> None:
    assert address("url", "http://127.0.0.1:1/x") == httpx.URL("http://127.0.0.1:1/x")


@pytest.mark.parametrize("value", [0, -1, 5.1, float("nan"), True, "5", None])
def test_a_timeout_is_five_seconds_at_most(value: Any) -> None:
    """L6"""
    with pytest.raises(InvalidOptionError, match="at most 5"):
        timeout_of(value)
    assert timeout_of(5) == 5.0
