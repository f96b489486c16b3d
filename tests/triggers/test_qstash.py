"""QStash: its tokens, its headers, and what it makes of the answers."""

from __future__ import annotations

import base64
import hashlib
import time
import uuid
from typing import TYPE_CHECKING

import jwt
import pytest
from qstash import Receiver
from qstash.errors import SignatureError

from .credentials import QSTASH_CURRENT, QSTASH_NEXT

if TYPE_CHECKING:
    import httpx

    from .site import Site


class Message:
    """One message, which QStash delivers until it is answered with 2xx or 489."""

    def __init__(self, site: Site, path: str, body: bytes = b"", key: str = QSTASH_CURRENT) -> None:
        self.site = site
        self.path = path
        self.body = body
        self.key = key
        self.id = f"msg_{uuid.uuid4().hex}"

    @property
    def url(self) -> str:
        return self.site.base + self.path

    def deliver(self, retried: int = 0, body: bytes | None = None) -> httpx.Response:
        """One delivery. `body` replaces what was signed, as something on the way may."""
        headers = {
            "Upstash-Signature": self.signature(),
            "Upstash-Message-Id": self.id,
            "Upstash-Retried": str(retried),
            "Upstash-Caller-Ip": "203.0.113.7",
            "User-Agent": "Upstash-QStash",
            "Content-Type": "application/json",
        }
        return self.site.call(
            self.path, headers=headers, content=self.body if body is None else body
        )

    def signature(self) -> str:
        """A new token for every delivery, as QStash makes them: the hash of the body is padded."""
        now = int(time.time())
        claims = {
            "iss": "Upstash",
            "sub": self.url,
            "exp": now + 300,
            "nbf": 0,
            "iat": now,
            "jti": f"jwt_{uuid.uuid4().hex}",
            "body": base64.urlsafe_b64encode(hashlib.sha256(self.body).digest()).decode(),
        }
        return jwt.encode(claims, self.key, algorithm="HS256")


def test_these_tokens_are_what_qstashs_own_receiver_accepts(site: Site) -> None:
    """A9, A11, A12: so the tests below deliver what QStash delivers."""
    receiver = Receiver(QSTASH_CURRENT, QSTASH_NEXT)
    for key in (QSTASH_CURRENT, QSTASH_NEXT):
        message = Message(site, "/nap", b'{"seconds": 0}', key)
        receiver.verify(signature=message.signature(), body=message.body.decode(), url=message.url)
        with pytest.raises(SignatureError):
            receiver.verify(signature=message.signature(), body="{}", url=message.url)


def test_a_failed_delivery_comes_again_as_the_second_attempt_of_its_run(site: Site) -> None:
    """T5, T3: 500 has QStash deliver again; the same run gets attempt 2; what is delivered after
    its success is a duplicate."""
    message = Message(site, "/flaky")

    failed = message.deliver()
    assert (failed.status_code, failed.json()["status"]) == (500, "failed")
    run = failed.json()["run_id"]
    assert (site.record(run).state, site.record(run).attempt) == ("failed", 1)

    again = message.deliver(retried=1)
    assert (again.status_code, again.json()["status"]) == (200, "ok")
    assert (again.json()["run_id"], again.json()["attempt"]) == (run, 2)
    assert (site.record(run).state, site.record(run).attempt) == ("succeeded", 2)

    late = message.deliver(retried=2)
    assert (late.status_code, late.json()["status"]) == (200, "duplicate")
    assert late.json()["run_id"] == run
    assert site.started(run) == 2
    assert "on purpose" not in failed.text


def test_a_failure_for_good_goes_to_the_dead_letter_queue_at_once(site: Site) -> None:
    """T6: the status and the header that QStash asks for."""
    answer = Message(site, "/hopeless").deliver()

    assert (answer.status_code, answer.json()["status"]) == (489, "failed")
    assert answer.headers["upstash-nonretryable-error"] == "true"


def test_two_messages_are_two_runs(site: Site) -> None:
    """T3: without a schedule only the message's id says what is the same."""
    body = b'{"seconds": 0}'
    first, second = Message(site, "/nap", body).deliver(), Message(site, "/nap", body).deliver()

    assert first.json()["status"] == second.json()["status"] == "ok"
    assert first.json()["run_id"] != second.json()["run_id"]


def test_the_next_key_is_good_and_a_third_is_not(site: Site) -> None:
    """A12: keys are rolled without a gap."""
    rolled = Message(site, "/nap", b'{"seconds": 0}', QSTASH_NEXT).deliver()
    forged = Message(site, "/nap", b'{"seconds": 0}', "sig_1pQs6YhTe3UaI0oDf7ZkXwV5rNbC").deliver()

    assert (rolled.status_code, forged.status_code) == (200, 401)


def test_a_body_that_was_written_anew_is_refused_and_is_no_failure_of_ours(site: Site) -> None:
    """A11, A13: one space less is another body, which is 401 and not 500; so is another address."""
    message = Message(site, "/nap", b'{"seconds": 0}')

    rewritten = message.deliver(body=b'{"seconds":0}')
    signature = {"Upstash-Signature": message.signature()}
    moved = site.call("/flaky", headers=signature, content=message.body)

    assert rewritten.status_code == moved.status_code == 401
    assert rewritten.text == moved.text


def test_the_address_that_was_signed_holds_its_query(site: Site) -> None:
    """A9, T10: the mount's prefix, the query and a slash at the end are all part of it."""
    slot = "2026-03-08T03:00:00Z"

    answer = Message(site, f"/nightly/?slot={slot}").deliver()

    assert (answer.status_code, answer.json()["slot"]) == (200, slot)
