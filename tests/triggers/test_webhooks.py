"""Standard Webhooks, sent with the library of those who wrote them."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from standardwebhooks import Webhook

from .credentials import WEBHOOK_SECRET

if TYPE_CHECKING:
    import httpx

    from .site import Site

BODY = '{"seconds": 0}'


def send(
    site: Site, message: str, path: str = "/nap", secret: str = WEBHOOK_SECRET, age: float = 0
) -> httpx.Response:
    at = datetime.now(UTC) - timedelta(seconds=age)
    headers = {
        "webhook-id": message,
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": Webhook(secret).sign(message, at, BODY),
        "content-type": "application/json",
    }
    return site.call(path, headers=headers, content=BODY)


def new_message() -> str:
    return f"msg_{uuid.uuid4().hex}"


def test_a_signed_webhook_runs_a_job_with_its_body_once(site: Site) -> None:
    """T1, T3: the sender's id says that a second delivery is the same."""
    message = new_message()

    first, second = send(site, message), send(site, message)

    assert (first.status_code, first.json()["status"]) == (200, "ok")
    assert (second.status_code, second.json()["status"]) == (200, "duplicate")
    assert second.json()["run_id"] == first.json()["run_id"]
    assert len(site.journal.lines("done", first.json()["run_id"])) == 1


def test_a_webhook_that_failed_is_delivered_again_as_the_next_attempt(site: Site) -> None:
    """T5, for a sender that does not count its deliveries. A job without arguments takes no body
    amiss."""
    message = new_message()

    first, second = send(site, message, "/flaky"), send(site, message, "/flaky")

    assert (first.status_code, second.status_code) == (500, 200)
    assert second.json()["run_id"] == first.json()["run_id"]
    assert second.json()["attempt"] == 2


def test_another_secret_and_an_old_signature_are_refused(site: Site) -> None:
    """A13: 401, as for every signature that does not fit."""
    stranger = send(site, new_message(), secret="whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD")
    old = send(site, new_message(), age=600)

    assert stranger.status_code == old.status_code == 401
