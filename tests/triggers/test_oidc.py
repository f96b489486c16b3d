"""Google Cloud Scheduler and GitHub Actions: tokens of issuers, with headers as they send them."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest

from tests.integrations.signing import Issuer, issuer, jwk, rs256
from tests.servers.journal import until

from .credentials import AUDIENCE, REPOSITORY, SECRET, SERVICE_ACCOUNT
from .site import Site

if TYPE_CHECKING:
    from .conftest import Start

SLOT = "2026-03-08T03:00:00Z"


class Issuers:
    """Both issuers, each with its own keys."""

    def __init__(self, stack: ExitStack) -> None:
        self.google = self._issuer(stack, "google")
        self.github = self._issuer(stack, "github")
        self.environ = {"GOOGLE_KEYS": self.google.url, "GITHUB_KEYS": self.github.url}

    def _issuer(self, stack: ExitStack, kid: str) -> Issuer:
        found = stack.enter_context(issuer())
        found.keys = [jwk(kid)]
        return found


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A server that knows both issuers."""
    with ExitStack() as stack:
        environ = Issuers(stack).environ
        site = Site(tmp_path_factory.mktemp("shared"), **environ)
        yield site
        site.stop()


def google(**claims: Any) -> dict[str, str]:
    """What Cloud Scheduler sends, without the time."""
    now = int(time.time())
    said = {
        "iss": "https://accounts.google.com",
        "aud": AUDIENCE,
        "azp": "110169484474386276334",
        "sub": "110169484474386276334",
        "email": SERVICE_ACCOUNT,
        "email_verified": True,
        "iat": now,
        "exp": now + 3600,
    }
    return {
        "Authorization": f"Bearer {rs256({**said, **claims}, 'google')}",
        "User-Agent": "Google-Cloud-Scheduler",
        "X-CloudScheduler": "true",
        "X-CloudScheduler-JobName": "nightly",
        "Content-Type": "application/octet-stream",
    }


def scheduled(at: str) -> dict[str, str]:
    return {**google(), "X-CloudScheduler-ScheduleTime": at}


def github(kid: str = "github", **claims: Any) -> dict[str, str]:
    """What a step of a workflow sends that asks for a token and calls curl."""
    now = int(time.time())
    workflow = f"{REPOSITORY}/.github/workflows/nightly.yml@refs/heads/main"
    said = {
        "iss": "https://token.actions.githubusercontent.com",
        "aud": AUDIENCE,
        "sub": f"repo:{REPOSITORY}:ref:refs/heads/main",
        "repository": REPOSITORY,
        "repository_id": "74",
        "ref": "refs/heads/main",
        "workflow": "nightly",
        "workflow_ref": workflow,
        "job_workflow_ref": workflow,
        "event_name": "schedule",
        "run_id": "1234567890",
        "run_attempt": "1",
        "nbf": now - 300,
        "iat": now,
        "exp": now + 300,
    }
    token = rs256({**said, **claims}, kid, typ="JWT", x5t="ykNaY4qM_ta4k2TgZOCEYLkcYlA")
    return {"Authorization": f"Bearer {token}", "User-Agent": "curl/8.5.0", "Accept": "*/*"}


def test_two_deliveries_of_cloud_scheduler_are_one_run_of_its_time(site: Site) -> None:
    """T13: also where the offset is written in another way."""
    first = site.call("/nightly", headers=scheduled("2026-03-07T22:00:00-05:00"))
    second = site.call("/nightly", headers=scheduled(SLOT))

    assert (first.status_code, first.json()["status"]) == (200, "ok")
    assert (second.status_code, second.json()["status"]) == (200, "duplicate")
    assert first.json()["slot"] == SLOT
    assert second.json()["run_id"] == first.json()["run_id"]
    assert site.started(first.json()["run_id"]) == 1


def test_force_run_does_not_take_the_slot_whose_time_it_carries(site: Site) -> None:
    """T14: the console's button sends the next slot's time. That is a run by hand, and the slot
    itself runs when its time has come."""
    ahead = math.ceil(time.time()) + 6
    at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(ahead))

    by_hand = site.call("/tally", headers=scheduled(at)).json()
    # A caller's clock may be ahead of ours by five seconds, and from then on it is the slot.
    until(lambda: time.time() > ahead - 4.9, f"{at} to come")
    real = site.call("/tally", headers=scheduled(at)).json()

    assert (by_hand["status"], real["status"]) == ("ok", "ok")
    assert site.record(by_hand["run_id"]).trigger == "manual"
    assert site.record(by_hand["run_id"]).slot is None
    assert site.record(real["run_id"]).slot == ahead


@pytest.mark.parametrize(
    "claims",
    [
        {"email": "scheduler@their-project.iam.gserviceaccount.com"},
        {"email_verified": False},
        {"email_verified": "true"},
        {"aud": "https://other.example"},
        {"iss": "https://accounts.google.example"},
    ],
    ids=str,
)
def test_only_the_own_service_account_counts(site: Site, claims: dict[str, Any]) -> None:
    """A15: everybody can have a good token of Google; 401 unless it is for us and from ours."""
    assert site.call("/nightly", headers=google(**claims)).status_code == 401


def test_cloud_schedulers_headers_alone_prove_nothing(site: Site) -> None:
    """A7"""
    headers = scheduled(SLOT)
    del headers["Authorization"]
    assert site.call("/nightly", headers=headers).status_code == 401


def test_a_workflow_runs_a_job_and_tells_which_delivery_it_is(site: Site) -> None:
    """A16, T3: its token is good although Google, who is asked first, does not know its key; a step
    that is run again with the same `delivery` is a duplicate."""
    path = "/nap?delivery=1234567890"

    first = site.call(path, headers=github(), json={"seconds": 0})
    again = site.call(path, headers=github(), json={"seconds": 0})

    assert (first.status_code, first.json()["status"]) == (200, "ok")
    assert (again.status_code, again.json()["status"]) == (200, "duplicate")
    assert again.json()["run_id"] == first.json()["run_id"]


@pytest.mark.parametrize(
    "claims",
    [
        {"repository": "stranger/name"},
        {"ref": "refs/pull/7/merge", "event_name": "pull_request"},
        {"event_name": "pull_request_target"},
        {"aud": "https://github.com/owner"},
        {"kid": "nobody"},
    ],
    ids=str,
)
def test_another_repository_ref_or_event_is_refused(site: Site, claims: dict[str, Any]) -> None:
    """A16: so is a key that GitHub does not have."""
    assert site.call("/nightly", headers=github(**claims)).status_code == 401


def test_an_issuer_that_is_down_later_keeps_nobody_out_whose_key_is_known(start: Start) -> None:
    """A16: Google's and GitHub's callers still come in; for a key that nobody can look up the
    answer is 503, for a wrong secret it stays 401."""
    with ExitStack() as stack:
        site = start(**Issuers(stack).environ)
        for headers in (google(), github()):
            assert site.call("/tally?slot=manual", headers=headers).status_code == 200

    new_key = site.call("/tally?slot=manual", headers=github("new"))
    assert (new_key.status_code, new_key.headers["retry-after"]) == (503, "60")
    for headers in (google(), github(), {"Authorization": f"Bearer {SECRET}"}):
        assert site.call("/tally?slot=manual", headers=headers).status_code == 200
    wrong = site.call("/tally?slot=manual", headers={"Authorization": "Bearer wrong"})
    assert wrong.status_code == 401


def test_an_issuer_that_was_never_there_keeps_out_its_own_callers_only(start: Start) -> None:
    """A16: 503 for Google's, while GitHub's and those with the secret come in."""
    with ExitStack() as stack:
        site = start(GITHUB_KEYS=Issuers(stack).github.url)

        assert site.call("/tally?slot=manual", headers=google()).status_code == 503
        for headers in (github(), {"Authorization": f"Bearer {SECRET}"}):
            assert site.call("/tally?slot=manual", headers=headers).status_code == 200
    assert "trigger.unavailable" in site.log
