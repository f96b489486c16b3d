"""The rows of the journal, in memory and in a file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from afterwork import SQLiteStore
from afterwork._group_commit import Write
from afterwork._journal_tables import MOST_IDS, Limits
from afterwork._journal_writes import Add, End, add_all, apply, end_all, fail
from afterwork._rate import Rate
from afterwork._store import RunRecord
from tests.clock import HandClock
from tests.journal.support import add, calls, envelope, limits, states, tables, take


def record(run_id: str, state: str = "succeeded", **fields: Any) -> RunRecord:
    return RunRecord(id=run_id, job="job", trigger="after", state=state, worker="w", **fields)


def ids(envelopes: Sequence[Any]) -> list[str]:
    return [each.id for each in envelopes]


# -- order


def test_the_most_important_goes_first_then_the_oldest(store: Any, clock: HandClock) -> None:
    now = clock.now()
    add(store, envelope(1), envelope(2, priority=5), envelope(3, priority=-5))
    add(store, envelope(4, run_at=now - 10), envelope(5, priority=5, run_at=now - 1))
    assert ids(take(store, most=3)) == ["call-0005", "call-0002", "call-0004"]
    assert ids(take(store)) == ["call-0001", "call-0003"]
    assert take(store) == []


def test_nothing_is_taken_before_its_time(store: Any, clock: HandClock) -> None:
    add(store, envelope(1, run_at=clock.now() + 5), envelope(2, priority=9, run_at=clock.now() + 9))
    with tables(store, writes=False) as rows:
        assert rows.due_at(["job"]) == clock.now() + 5
        assert rows.due_at(["other"]) is None
        assert rows.due_at([]) is None
    clock.advance(4.999)
    assert take(store) == []
    clock.advance(0.001)
    assert ids(take(store)) == ["call-0001"]


def test_what_nobody_here_knows_waits(store: Any) -> None:
    add(store, envelope(1, job="b"), envelope(2, job="a"), envelope(3, job="b"), envelope(4))
    with tables(store, writes=False) as rows:
        assert rows.jobs_waiting() == ["a", "b", "job"]
    assert ids(take(store)) == ["call-0004"]
    assert take(store, jobs=[]) == []
    assert set(states(store).values()) == {"waiting", "running"}


def test_a_call_comes_back_as_it_was(store: Any, clock: HandClock) -> None:
    whole = envelope(
        1,
        payload='[[1], {"a": "\\u0000"}]',
        run_at=clock.now(),
        key="k",
        priority=3,
        attempt=2,
        crashes=1,
        retry='{"attempts": 3}',
        trace="00-1-2-01",
    )
    add(store, whole)
    assert take(store) == [whole]
    assert calls(store)["call-0001"].envelope == whole


def test_many_are_added_and_ended_in_one_go(store: Any) -> None:
    many = [envelope(number) for number in range(MOST_IDS + 50)]
    add(store, *many, owner="a")
    with tables(store) as rows:
        assert all(end_all(rows, [End(each, "a", record(each.id)) for each in many]))
    assert calls(store) == {}
    assert store.jobs()["job"].counts == {"succeeded": MOST_IDS + 50}


# -- owning


def test_only_its_owner_in_that_attempt_ends_a_call(store: Any) -> None:
    first = envelope(1)
    add(store, first, owner="a")
    again = first.again(None)
    for each, owner in ((first, "b"), (again, "a")):
        with tables(store) as rows:
            assert end_all(rows, [End(each, owner, record(each.id))]) == [False]
            assert not fail(rows, each, owner, record(each.id, "failed"))
            assert not rows.give_back(each, owner, again, None)
    assert store.run(first.id) is None
    assert states(store) == {first.id: "running"}
    with tables(store) as rows:
        assert end_all(rows, [End(first, "a", record(first.id))]) == [True]
        assert end_all(rows, []) == []
    assert states(store) == {}


def test_a_call_that_is_given_back_waits_with_its_key(store: Any, clock: HandClock) -> None:
    first = envelope(1, key="k")
    add(store, first, owner="a")
    with tables(store) as rows:
        assert rows.give_back(first, "a", first.again(clock.now() + 5), "ValueError: 1")
        assert rows.with_key("job", "k") == first.id
    call = calls(store)[first.id]
    assert (call.state, call.owner, call.error) == ("waiting", None, "ValueError: 1")
    assert (call.envelope.attempt, call.envelope.run_at) == (2, clock.now() + 5)
    clock.advance(5)
    (second,) = take(store)
    with tables(store) as rows:
        assert rows.give_back(second, "a", second.again(None, crashed=True), None)
    call = calls(store)[first.id]
    assert (call.envelope.attempt, call.envelope.crashes, call.error) == (3, 1, "ValueError: 1")


def test_a_dead_owner_is_seen_and_what_he_had_waits(store: Any, clock: HandClock) -> None:
    add(store, envelope(1), envelope(2), owner="a")
    add(store, envelope(3), owner="b")
    with tables(store) as rows:
        rows.enter("a", "w", 10)
        assert rows.beat("b", "w", 30) == ["call-0003"]
        assert rows.dead_owners() == []
    clock.advance(10)
    with tables(store) as rows:
        rows.enter("a", "w", 10)  # makes nobody live longer
        assert rows.dead_owners() == ["a"]
        left = rows.take_over("a")
        assert [(each.owner, each.envelope.attempt) for each in left] == [("a", 1), ("a", 1)]
        assert rows.dead_owners() == []
    assert states(store) == {"call-0001": "waiting", "call-0002": "waiting", "call-0003": "running"}
    call = calls(store)["call-0001"]
    assert (call.envelope.attempt, call.envelope.crashes) == (2, 1)


# -- keys


def test_a_key_is_free_once_its_call_is_over(store: Any) -> None:
    first, second, other = envelope(1, key="k"), envelope(2, key="k"), envelope(3, "b", key="k")
    with tables(store) as rows:
        batch = [Add([first, other], [None, None]), Add([second, envelope(4)], ["a", "a"])]
        assert add_all(rows, batch) == [[first.id, other.id], [first.id, "call-0004"]]
    (taken,) = take(store)
    with tables(store) as rows:
        assert rows.with_key("job", "k") == first.id
        assert fail(rows, taken, "a", record(taken.id, "failed"))
        assert rows.with_key("job", "k") is None
        assert add_all(rows, [Add([second], [None])]) == [[second.id]]


@pytest.mark.parametrize("how", ["end", "fail", "withdraw"])
def test_a_call_made_after_the_end_of_another_takes_its_key(store: Any, how: str) -> None:
    """In the same transaction too: what happened before the call counts."""
    first, second = envelope(1, key="k"), envelope(2, key="k")
    add(store, first, owner=None if how == "withdraw" else "a")
    ends: dict[str, Any] = {
        "fail": lambda rows: fail(rows, first, "a", record(first.id, "failed")),
        "withdraw": lambda rows: rows.withdraw(first.id),
    }
    over: Any = End(first, "a", record(first.id)) if how == "end" else Write(ends[how])
    added = Add([second], [None])
    with tables(store) as rows:
        apply(rows, [Add([envelope(3)], [None]), over, added, Add([envelope(4)], [None])])
    assert over.answer
    assert added.answer == [second.id]
    assert states(store)[second.id] == "waiting"


def test_a_single_add_or_end_is_a_write_like_any_other(store: Any) -> None:
    added, over = Add([envelope(1)], ["a"]), End(envelope(1), "a", record("call-0001"))
    with tables(store) as rows:
        assert added.call(rows) == ["call-0001"]
        assert over.call(rows) is True


# -- limits


@pytest.fixture
def both(tmp_path: Path, clock: HandClock) -> Any:
    """Two processes' stores on one file."""
    stores = [SQLiteStore(tmp_path / "both.db", clock=clock) for _ in range(2)]
    for each in stores:
        each.open()
    yield stores
    for each in stores:
        each.close()


def test_concurrency_holds_over_all_processes(both: Any) -> None:
    one, two = both
    add(one, *(envelope(number) for number in range(6)))
    add(one, envelope(9, job="free"))
    held = limits(concurrency=3)
    first = take(one, "a", 2, held)
    second = take(two, "b", 10, held, jobs=["job", "free"])
    assert ids(second) == ["call-0002", "call-0009"]
    assert take(one, "a", 10, held) == []
    with tables(two) as rows:
        end_all(rows, [End(first[0], "a", record(first[0].id))])
        rows.give_back(first[1], "a", first[1].again(None), None)
    assert len(take(one, "a", 10, held)) == 2
    assert take(two, "b", 10, held) == []


def test_a_rate_holds_in_any_window(store: Any, clock: HandClock) -> None:
    """All at once where none has started for so long; after that no more than so many in any span
    of that length, and none waits for longer than that."""
    add(store, *(envelope(number) for number in range(40)))
    held = limits(rate="3/10s")
    began = clock.now()
    starts: list[float] = []
    step = 0
    while len(starts) < 30:
        most = 1 if step % 3 else 10
        starts += [clock.now()] * len(take(store, most=most, held=held))
        step += 1
        clock.advance(0.7 + step % 4)
    assert starts[:3] == [began] * 3
    for early, late in zip(starts, starts[3:], strict=False):
        assert late - early >= 10
        assert late - early <= 10 + 4 * 4


def test_a_rate_holds_over_all_processes(both: Any, clock: HandClock) -> None:
    one, two = both
    add(one, *(envelope(number) for number in range(6)))
    held = limits(rate="2/m")
    assert len(take(one, "a", 1, held)) == 1
    assert len(take(two, "b", 10, held)) == 1
    assert take(one, "a", 10, held) == []
    clock.advance(60)
    assert len(take(two, "b", 10, held)) == 2


def test_a_clock_that_is_set_back_holds_nobody_for_ever(store: Any, clock: HandClock) -> None:
    add(store, *(envelope(number, run_at=0.0) for number in range(4)))
    held = limits(rate="1/m")
    assert len(take(store, held=held)) == 1
    clock.advance(-30)
    assert take(store, held=held) == []
    clock.advance(-86_400)
    assert len(take(store, held=held)) == 1


def test_what_is_held_back_keeps_no_other_waiting(store: Any) -> None:
    add(store, *(envelope(number, priority=9) for number in range(5)), envelope(9, job="b"))
    held = {"job": Limits(1, Rate.parse("5/m")), "b": Limits(None, None)}
    assert ids(take(store, held=held, jobs=["job", "b"])) == ["call-0000", "call-0009"]
    assert ids(take(store, held=held, jobs=["job", "b"])) == []


def test_only_as_many_starts_are_kept_as_count(store: Any, clock: HandClock) -> None:
    add(store, *(envelope(number) for number in range(9)))
    for _ in range(3):
        assert len(take(store, held=limits(rate="2/s"))) == 2
        clock.advance(1)
    with tables(store) as rows:
        assert rows._connection.execute("SELECT count(*) FROM starts").fetchone() == (2,)


# -- looking and deciding


def test_pages_of_calls(store: Any) -> None:
    add(store, *(envelope(number) for number in range(3)), envelope(7, job="b"))
    add(store, *(envelope(number) for number in range(3, 6)), owner="a")
    for number in (3, 5):
        with tables(store) as rows:
            assert fail(rows, envelope(number), "a", record("x", "failed", error="E: 1"))

    def page(*asked: Any) -> list[str]:
        with tables(store, writes=False) as rows:
            return [each.envelope.id[-1] for each in rows.calls(*asked)]

    assert page(None, None, None, 100) == ["7", "5", "4", "3", "2", "1", "0"]
    assert page(None, None, "call-0004", 2) == ["3", "2"]
    assert page("waiting", "job", None, 2) == ["2", "1"]
    assert page("failed", None, None, 10) == ["5", "3"]
    assert page("failed", "job", "call-0005", 10) == ["3"]
    assert page("failed", "b", None, 10) == []


def test_what_waits_can_be_taken_back(store: Any) -> None:
    add(store, envelope(1))
    add(store, envelope(2), owner="a")
    with tables(store) as rows:
        call = rows.withdraw("call-0001")
        assert call is not None
        assert call.envelope.id == "call-0001"
        assert rows.withdraw("call-0001") is None
        assert rows.withdraw("call-0002") is None
    assert states(store) == {"call-0002": "running"}


def test_dead_letters_are_revived_or_buried(store: Any, clock: HandClock) -> None:
    dead = [envelope(number, key=f"k{number}", priority=2, attempt=5) for number in range(3)]
    add(store, *dead, owner="a")
    add(store, envelope(9))
    with tables(store) as rows:
        for each in dead:
            assert fail(rows, each, "a", record(each.id, "failed", error="E: 1"))
        new = iter(["new-1"])
        assert rows.revive(["unknown", "call-0000", "call-0009"], new.__next__) == ["new-1"]
        assert rows.bury(["call-0001", "call-0009", "unknown"]) == 1
    assert states(store) == {"new-1": "waiting", "call-0002": "failed", "call-0009": "waiting"}
    fresh = calls(store)["new-1"].envelope
    assert (fresh.attempt, fresh.crashes, fresh.key, fresh.priority) == (1, 0, None, 2)
    assert fresh.run_at == clock.now()


def test_the_record_has_the_time_of_its_last_attempt(store: Any, clock: HandClock) -> None:
    add(store, envelope(1), envelope(2), owner="a")
    over = [record("call-0001", duration=2.0), record("call-0002")]
    with tables(store) as rows:
        end_all(rows, [End(envelope(n + 1), "a", each) for n, each in enumerate(over)])
    runs = [store.run("call-0001"), store.run("call-0002")]
    assert [run.started_at for run in runs] == [clock.now() - 2, None]


def test_namespaces_keep_journals_apart(tmp_path: Path) -> None:
    one = SQLiteStore(tmp_path / "a.db", namespace="one")
    two = SQLiteStore(tmp_path / "a.db", namespace="two")
    for each in (one, two):
        each.open()
    add(one, envelope(1, key="k"))
    add(two, envelope(1, key="k"))
    assert ids(take(one)) == ["call-0001"]
    assert states(two) == {"call-0001": "waiting"}
    with tables(two) as rows:
        assert rows.bury(["call-0001"]) == 0
        assert rows.take_over("a") == []
    assert states(one) == {"call-0001": "running"}
    for each in (one, two):
        each.close()


def test_a_hundred_thousand_that_wait_cost_the_next_step_nothing(store: Any) -> None:
    """Each question is a few steps in an index, however many calls wait."""
    with tables(store) as rows:
        plans = {
            "calls_due": "SELECT min(run_at_seconds) FROM calls INDEXED BY calls_due "
            "WHERE namespace = '' AND state = 'waiting' AND job = 'j'",
            "calls_waiting": "SELECT id FROM calls INDEXED BY calls_waiting WHERE namespace = '' "
            "AND state = 'waiting' AND priority = 0 AND run_at_seconds <= 1 ORDER BY "
            "run_at_seconds, id LIMIT 1",
        }
        for index, statement in plans.items():
            (plan,) = rows._connection.execute(f"EXPLAIN QUERY PLAN {statement}").fetchall()
            assert "SEARCH" in plan[-1]
            assert index in plan[-1]


def test_a_transaction_that_fails_leaves_nothing(store: Any) -> None:
    with pytest.raises(ZeroDivisionError), tables(store) as rows:
        rows.add([(envelope(1), None)])
        rows.record([record("call-0002")])
        rows.keep("note", "text", 1e12)
        raise ZeroDivisionError
    assert calls(store) == {}
    assert store.run("call-0002") is None
    assert store.get("note") is None
    add(store, envelope(1))
