from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from .credentials import SECRET
from .curl import curl, needs_curl

if TYPE_CHECKING:
    from .site import Site

pytestmark = needs_curl

BEARER = ("-H", f"Authorization: Bearer {SECRET}")
SLOT = "2026-03-08T03:00:00Z"


def test_get_and_post_run_a_slot_and_the_second_of_them_is_a_duplicate(site: Site) -> None:
    """T1, T3, T11: both methods run the job; who comes second is answered 200 and is told which run
    was first; nobody may keep an answer."""
    first = curl(*BEARER, f"{site.base}/nightly?slot={SLOT}")
    second = curl(*BEARER, "-X", "POST", f"{site.base}/nightly?slot={SLOT}")
    third = curl(*BEARER, "-X", "POST", f"{site.base}/nightly?slot=2026-03-09T03:00:00Z")

    assert [answer.status for answer in (first, second, third)] == [200, 200, 200]
    assert [answer.json["status"] for answer in (first, second, third)] == ["ok", "duplicate", "ok"]
    assert first.headers["cache-control"] == second.headers["cache-control"] == "no-store"
    assert second.json["run_id"] == first.json["run_id"] != third.json["run_id"]
    assert first.json["slot"] == SLOT
    assert site.started(first.json["run_id"]) == site.started(third.json["run_id"]) == 1
    assert site.record(first.json["run_id"]).state == "succeeded"


@pytest.mark.parametrize("credentials", [("-H", "Authorization: Bearer " + "x" * 34), ()])
def test_without_the_secret_nothing_runs_and_no_job_is_named(
    site: Site, credentials: tuple[str, ...]
) -> None:
    """A6, T19: 401 for a job and for what is none, with the same answer, whatever the caller says
    it is."""
    agent = ("-A", "vercel-cron/1.0", "-H", "x-vercel-cron: 1")
    known = curl(*credentials, *agent, f"{site.base}/nightly?slot=2026-03-10T03:00:00Z")
    unknown = curl(*credentials, *agent, f"{site.base}/no-such-job")

    assert known.status == unknown.status == 401
    assert known.body == unknown.body
    assert known.headers["cache-control"] == "no-store"
    assert not [run for run in site.store.runs() if run.slot == 1773111600]


def test_a_slash_at_the_end_is_served_where_it_is(site: Site) -> None:
    """T10: no redirect, which Vercel and cron-job.org would not follow."""
    answer = curl(*BEARER, "-X", "POST", f"{site.base}/nightly/?slot=2026-03-11T03:00:00Z")

    assert (answer.status, answer.json["status"]) == (200, "ok")
    assert "location" not in answer.headers


def test_json_is_sent_as_curl_sends_it(site: Site) -> None:
    """T18: with the right type, and with the one that `-d` alone gives it. Bad JSON is 400, a body
    that is too big 413, and nothing runs."""
    target = f"{site.base}/nap"
    typed = ("-H", "Content-Type: application/json")

    right = curl(*BEARER, *typed, "-d", '{"seconds": 0}', target)
    plain = curl(*BEARER, "-d", '{"seconds": 0}', target)
    wrong = curl(*BEARER, *typed, "-d", '{"seconds": ', target)
    other = curl(*BEARER, *typed, "-d", '{"minutes": 1}', target)

    assert [right.status, plain.status, wrong.status, other.status] == [200, 200, 400, 400]
    assert site.record(plain.json["run_id"]).state == "succeeded"
    assert len(site.journal.lines("done", right.json["run_id"])) == 1
    assert "seconds" in other.json["detail"]


def test_a_body_of_five_megabytes_is_refused_unread(
    site: Site, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """T18: 413, before curl has sent any of it."""
    big = tmp_path_factory.mktemp("big") / "body"
    big.write_bytes(b"x" * 5_000_000)
    waiting = ("-H", "Expect: 100-continue")

    answer = curl(*BEARER, *waiting, "--data-binary", f"@{big}", f"{site.base}/nap")

    assert (answer.status, answer.json["status"]) == (413, "too_large")


def test_head_and_other_methods_run_nothing(site: Site) -> None:
    """T2: 405, and `Allow` says what would."""
    target = f"{site.base}/nightly?slot=2026-03-12T03:00:00Z"

    head = curl(*BEARER, "-I", target)
    put = curl(*BEARER, "-X", "PUT", target)

    assert head.status == put.status == 405
    assert head.headers["allow"] == put.headers["allow"] == "GET, POST"
    assert not [run for run in site.store.runs() if run.slot == 1773284400]


def test_a_name_that_is_no_job_is_told_after_the_secret(site: Site) -> None:
    """T19: 404, and the log has an error."""
    answer = curl(*BEARER, f"{site.base}/no-such-job")

    assert (answer.status, answer.json["status"]) == (404, "unknown_job")
    assert "trigger.unknown_job" in site.log


def test_the_caller_chooses_to_be_answered_at_once(site: Site) -> None:
    """T8: `Prefer: respond-async` and `?mode=accept` say it; the run is recorded all the same."""
    body = (*BEARER, "-d", '{"seconds": 0}')

    by_header = curl(*body, "-H", "Prefer: respond-async", f"{site.base}/nap")
    by_query = curl(*body, f"{site.base}/nap?mode=accept")

    for answer in (by_header, by_query):
        assert (answer.status, answer.json["status"]) == (202, "accepted")
        assert site.ended(answer.json["run_id"]).state == "succeeded"
