"""Alerts that are posted, to real servers, and what is in them."""

from __future__ import annotations

import json
import logging
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from afterwork_integrations import _letters
from afterwork_integrations.alerts import Alert, WebhookAlerts
from afterwork_integrations.alerts._bodies import MAX_TEXT, body

from afterwork import MemoryStore
from afterwork.errors import InvalidOptionError
from tests.integrations.receiver import Receiver, receiving
from tests.jobs.support import caller, new_work

if TYPE_CHECKING:
    from collections.abc import Iterator

SECRET = "T000-B000-XXXXsecret"
ALERT = Alert(
    event="failing",
    name="sync_all",
    is_job=True,
    since=datetime(2026, 3, 10, 12, 0, tzinfo=UTC),
    at=datetime(2026, 3, 10, 12, 0, tzinfo=UTC),
    run_id="0195-id",
    outcome="failed",
    trigger="schedule",
    attempt=2,
    scheduled_for=datetime(2026, 3, 10, 12, 0, tzinfo=UTC),
    duration=1.5,
    error="ValueError",
    error_text=None,
    reason=None,
)


@pytest.fixture
def receiver(monkeypatch: pytest.MonkeyPatch) -> Iterator[Receiver]:
    monkeypatch.setattr(_letters, "PAUSES", ())
    with receiving(204) as found:
        yield found


async def test_a_change_is_posted_as_json(receiver: Receiver) -> None:
    alerts = WebhookAlerts(f"{receiver.url}/{SECRET}", store := MemoryStore())
    work = new_work(store=store, reporters=[alerts])
    fails = [True, True, False]

    @work.cron("0 * * * *")
    def nightly() -> None:
        if fails.pop(0):
            raise ValueError("password=hunter2")

    for slot in ("10:00", "11:00", "12:00"):
        await caller(work)(f"/nightly?slot=2026-03-10T{slot}:00Z")
    alerts.flush(5)

    failing, recovered = (json.loads(request.body) for request in receiver.got)
    last, _, first = store.runs()  # the newest first
    assert failing.pop("duration_seconds") >= 0
    assert failing == {
        "version": 1,
        "event": "failing",
        "kind": "job",
        "name": "nightly",
        "since": failing["at"],
        "at": failing["at"],
        "run_id": first.id,
        "outcome": "failed",
        "trigger": "http",
        "attempt": 1,
        "scheduled_for": "2026-03-10T10:00:00+00:00",
        "error": "ValueError",
        "error_text": None,
        "reason": None,
    }
    assert (recovered["event"], recovered["run_id"]) == ("recovered", last.id)
    assert (recovered["since"], recovered["outcome"]) == (failing["at"], "succeeded")
    assert {request.path for request in receiver.got} == {f"/{SECRET}"}
    assert {request.headers["content-type"] for request in receiver.got} == {"application/json"}


async def test_l6_a_post_that_fails_is_made_with_the_next_failure(
    receiver: Receiver, caplog: Any
) -> None:
    """L6: the job is unaffected; one warning, and no secret anywhere."""
    caplog.set_level(logging.DEBUG)
    receiver.answers = ["close", "hang", 404, 200]
    alerts = WebhookAlerts(f"{receiver.url}/{SECRET}", store := MemoryStore(), timeout=0.2)
    work = new_work(store=store, reporters=[alerts])

    @work.job
    def job() -> None:
        raise ValueError

    for _ in range(6):
        assert (await work.run(job)).outcome == "failed"
    alerts.flush(10)

    assert len(receiver.got) == 4  # the fourth arrived, and two were no change
    warnings = [r.getMessage() for r in caplog.records if r.name == "afterwork.alerts"]
    assert len(warnings) == 1
    assert "host='127.0.0.1'" in warnings[0]
    assert SECRET not in caplog.text
    assert SECRET not in repr(alerts)


@pytest.mark.parametrize("style", ["slack", "discord"])
async def test_a_chat_gets_a_text(style: Any, receiver: Receiver) -> None:
    alerts = WebhookAlerts(receiver.url, store := MemoryStore(), format=style, include_error=True)
    work = new_work(store=store, reporters=[alerts])

    @work.job(name="sync_all")
    def job() -> None:
        raise ValueError("<!channel> @everyone `x`")

    await work.run(job)
    alerts.flush(5)
    sent = json.loads(receiver.got[0].body)
    text = sent["text"] if style == "slack" else sent["content"]
    assert "is failing" in text
    assert "<!channel>" not in text
    assert ("\\@everyone" in text) is (style == "discord")


def test_what_slack_is_told() -> None:
    assert json.loads(body(ALERT, "slack")) == {
        "text": ":rotating_light: *sync_all* is failing\n"
        "failed: ValueError\n"
        "run 0195-id, attempt 2, by schedule, due 2026-03-10 12:00 UTC"
    }
    later = ALERT.at + timedelta(hours=1)
    text = json.loads(
        body(
            replace(
                ALERT, event="still_failing", at=later, error_text="a & b <!here> *`", name="<x>"
            ),
            "slack",
        )
    )["text"]
    assert text.splitlines()[:4] == [
        ":rotating_light: *&lt;x&gt;* is still failing",
        "failed: ValueError",
        "a &amp; b &lt;!here&gt; \N{ASTERISK OPERATOR}\N{MODIFIER LETTER GRAVE ACCENT}",
        "failing since 2026-03-10 12:00 UTC",
    ]


def test_what_discord_is_told() -> None:
    recovered = replace(ALERT, event="recovered", outcome="succeeded", error=None)
    assert json.loads(body(recovered, "discord")) == {
        "content": "\N{WHITE HEAVY CHECK MARK} **sync\\_all** has recovered\n"
        "succeeded\n"
        "run 0195\\-id, attempt 2, by schedule, due 2026\\-03\\-10 12\\:00 UTC",
        "allowed_mentions": {"parse": []},
    }
    cut = replace(ALERT, error=None, reason="not renewed in time", scheduled_for=None)
    content = json.loads(body(cut, "discord"))["content"]
    assert content.splitlines()[1:] == [
        "failed\\: not renewed in time",
        "run 0195\\-id, attempt 2, by schedule",
    ]


@pytest.mark.parametrize("style", ["slack", "discord"])
def test_no_text_is_too_long(style: str) -> None:
    sent = json.loads(body(replace(ALERT, name="*" * 3000), style))
    assert len(sent.get("text") or sent["content"]) == MAX_TEXT


def test_json_has_no_slot_where_there_is_none() -> None:
    told = json.loads(body(replace(ALERT, scheduled_for=None, is_job=False), "json"))
    assert (told["scheduled_for"], told["kind"]) == (None, "callback")


async def test_a_new_address_begins_anew(receiver: Receiver) -> None:
    store = MemoryStore()
    works = []
    for path in ("a", "a", "b"):
        alerts = WebhookAlerts(f"{receiver.url}/{path}", store)
        work = new_work(store=store, reporters=[alerts])
        works.append((work, alerts))
        work.job(name="job")(lambda: 1 / 0)
    for work, alerts in works:
        await work.run("job")
        alerts.flush(5)
    assert receiver.paths == ["/a", "/b"]
    assert SECRET not in str(store.notes("alerts:"))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"url": f"hooks.slack.com/{SECRET}"}, "url must be an address"),
        ({"url": None}, "url must be an address"),
        ({"format": "teams"}, "format must be"),
        ({"timeout": 6}, "at most 5"),
        ({"name": ""}, "name must be"),
    ],
)
def test_what_cannot_be_is_refused(options: Any, message: str) -> None:
    given = {"url": "https://hooks.slack.com/x", "store": MemoryStore(), **options}
    with pytest.raises(InvalidOptionError, match=message) as refused:
        WebhookAlerts(**given)
    assert SECRET not in str(refused.value)


def test_the_repr_shows_the_host_alone() -> None:
    alerts = WebhookAlerts(f"https://hooks.slack.com/{SECRET}", MemoryStore(), format="slack")
    assert repr(alerts) == "<WebhookAlerts hooks.slack.com slack>"
