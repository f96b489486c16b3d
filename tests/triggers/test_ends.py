"""The end of the process, told by SIGTERM or not told at all, while jobs are running."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import httpx

from afterwork import Afterwork
from tests.servers.journal import until

from .site import BEARER

if TYPE_CHECKING:
    from .conftest import Start
    from .site import Site

LEASE_SECONDS = 1.0


class Waiting:
    """A call in mode wait, on its way in a thread."""

    def __init__(self, site: Site, seconds: float) -> None:
        self.site = site
        self.seconds = seconds
        self.answer: httpx.Response | None = None
        self.thread = threading.Thread(target=self._call)
        self.thread.start()

    def _call(self) -> None:
        try:
            self.answer = self.site.call("/nap", headers=BEARER, json={"seconds": self.seconds})
        except httpx.TransportError:
            pass

    def over(self) -> httpx.Response | None:
        """The answer, or None where the connection was cut."""
        self.thread.join(10)
        assert not self.thread.is_alive()
        return self.answer


def both(site: Site, seconds: float) -> tuple[Waiting, list[str]]:
    """Two runs that are under way, the first in mode wait, the second accepted."""
    waiting = Waiting(site, seconds)
    until(lambda: site.journal.lines("started"), "the run in mode wait to start")
    body = {"seconds": seconds}
    accepted = site.call("/nap?mode=accept", headers=BEARER, json=body).json()["run_id"]
    site.journal.wait("started", accepted)
    return waiting, [site.journal.lines("started")[0].name, accepted]


def test_sigterm_waits_for_both_kinds_of_runs_and_they_are_recorded(start: Start) -> None:
    """L4: within the grace both end by themselves, and who waits has the answer."""
    site = start(GRACE="10")
    waiting, runs = both(site, 1.5)

    site.terminate()
    site.exited()

    answer = waiting.over()
    assert answer is not None
    assert (answer.status_code, answer.json()["run_id"]) == (200, runs[0])
    assert [site.record(run).state for run in runs] == ["succeeded", "succeeded"]


def test_beyond_the_grace_both_are_recorded_as_cancelled(start: Start) -> None:
    """L4: a request that waits is one that the server waits for, until it loses patience
    (`--timeout-graceful-shutdown`); then the grace begins. Afterwards nothing is left running."""
    site = start("--timeout-graceful-shutdown 1", GRACE="0.5")
    waiting, runs = both(site, 60)

    site.terminate()
    seconds = site.exited()

    waiting.over()
    assert seconds < 5
    records = [site.record(run) for run in runs]
    assert [record.state for record in records] == ["cancelled", "cancelled"]
    assert [record.reason for record in records] == ["shutdown", "shutdown"]
    assert not site.journal.lines("done")


def test_a_caller_that_waits_holds_up_the_end_beyond_the_grace(start: Start) -> None:
    """L4 needs the server's help in mode wait: uvicorn without `--timeout-graceful-shutdown` tells
    nobody of the end while a request is open. So such a run ends by itself, however long it takes;
    mode accept keeps to the grace."""
    site = start(GRACE="0.2")
    waiting = Waiting(site, 1.5)
    until(lambda: site.journal.lines("started"), "the run to start")

    site.terminate()
    assert site.exited() > 1

    answer = waiting.over()
    assert answer is not None
    assert (answer.status_code, answer.json()["status"]) == (200, "ok")


def test_a_sync_job_beyond_the_grace_is_recorded_as_abandoned(start: Start) -> None:
    """L4: a thread cannot be stopped, so nobody knows how far it came; the process ends all the
    same, and its caller may deliver the job again."""
    site = start(GRACE="0.5")
    path = "/nap_in_thread?mode=accept&delivery=d1&attempt="
    body = {"seconds": 60}
    run = site.call(f"{path}1", headers=BEARER, json=body).json()["run_id"]
    site.journal.wait("started", run)

    site.terminate()
    assert site.exited() < 5
    assert site.record(run).state == "abandoned"

    again = start().call(f"{path}2", headers=BEARER, json={"seconds": 0}).json()
    assert (again["status"], again["run_id"]) == ("accepted", run)
    assert (site.ended(run).state, site.record(run).attempt) == ("succeeded", 2)


async def test_a_killed_servers_lease_ends_and_another_process_runs_the_job(start: Start) -> None:
    """O5: SIGKILL tells nobody. Until its lease is over the run counts as running, and one by hand
    is skipped; after at most that time one runs, and the dead one shows as abandoned."""
    site = start(LEASE=str(LEASE_SECONDS))
    dead = site.call("/long?mode=accept&slot=2026-03-08T04:30:00Z", headers=BEARER).json()["run_id"]
    site.journal.wait("started", dead)
    other = Afterwork(store=site.store, lease=LEASE_SECONDS)
    ran: list[str] = []
    other.job(lambda: ran.append("here"), name="long", overlap="skip")  # type: ignore[call-overload]

    site.kill()
    early = await other.run("long")
    assert (early.outcome, ran) == ("skipped", [])

    alive_until = site.record(dead).alive_until
    assert alive_until is not None
    until(lambda: site.store.now() > alive_until, "the lease to end")
    late = await other.run("long")
    assert (late.outcome, ran) == ("succeeded", ["here"])
    assert site.record(dead).state == "abandoned"


def test_a_killed_servers_delivery_comes_again_as_the_next_attempt(start: Start) -> None:
    """O5, T5: the caller saw its connection break and delivers again; the new process of the same
    app reopens the run once its lease is over, and does not call it a duplicate for ever."""
    first = start(LEASE=str(LEASE_SECONDS))
    path = "/long?mode=accept&delivery=d1&attempt="
    dead = first.call(f"{path}1", headers=BEARER).json()["run_id"]
    first.journal.wait("started", dead)
    first.kill()

    second = start(LEASE=str(LEASE_SECONDS))
    alive_until = second.record(dead).alive_until
    assert alive_until is not None
    until(lambda: second.store.now() > alive_until, "the lease to end")
    again = second.call(f"{path}2", headers=BEARER)

    assert (again.status_code, again.json()["status"]) == (202, "accepted")
    assert again.json()["run_id"] == dead
    until(lambda: second.started(dead) == 2, "the second attempt")
    assert (second.record(dead).state, second.record(dead).attempt) == ("running", 2)
