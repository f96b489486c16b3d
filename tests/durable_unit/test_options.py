"""Mistakes in the options of durable jobs and calls are shown where they are made."""

from __future__ import annotations

import asyncio
import datetime as dt
import functools
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from afterwork import Afterwork, Every, MemoryStore, Retry, after
from afterwork._job_policy import JobPolicy
from afterwork._options import Options
from afterwork._rate import Rate
from afterwork._retry_codec import options_for, own_retry, retry_of, to_json
from afterwork._settings import Settings
from afterwork._ticket import Plain
from afterwork.engines import Capabilities, Envelope
from afterwork.errors import (
    DurationSyntaxError,
    InvalidJobError,
    InvalidOptionError,
    NaiveDatetimeError,
    PayloadError,
    UnknownOptionError,
    UnsupportedError,
)
from tests.durable_unit.support import ListEngine, Nowhere, new_work


def _any(**values: Any) -> Any:
    return values


@pytest.mark.parametrize(
    ("value", "seconds"),
    [(0, 0.0), (1.5, 1.5), ("5m", 300.0), (timedelta(hours=1), 3600.0), (None, None)],
)
def test_a_delay_is_seconds_a_text_or_a_timedelta(value: Any, seconds: float | None) -> None:
    assert Options(delay=value).delay == seconds


def test_a_delay_is_an_aware_moment() -> None:
    moment = datetime(2026, 1, 1, tzinfo=timezone(timedelta(hours=2)))
    assert Options(delay=moment).delay is moment


@pytest.mark.parametrize(
    ("value", "error", "message"),
    [
        (datetime(2026, 1, 1), NaiveDatetimeError, "delay must be an aware datetime"),
        (datetime(2026, 1, 1, tzinfo=Nowhere()), NaiveDatetimeError, "aware"),
        (-1, InvalidOptionError, "delay must be a number of seconds, zero or more"),
        (timedelta(seconds=-1), InvalidOptionError, "zero or more"),
        (float("nan"), InvalidOptionError, "zero or more"),
        (float("inf"), InvalidOptionError, "zero or more"),
        (10**400, InvalidOptionError, "zero or more"),
        (1e12, InvalidOptionError, "at most 1000 years"),
        (True, InvalidOptionError, "a number of seconds"),
        (dt.time(12, tzinfo=UTC), InvalidOptionError, "a number of seconds"),
        (dt.date(2026, 1, 1), InvalidOptionError, "a number of seconds"),
        ("", DurationSyntaxError, "a number is missing"),
        ("5", DurationSyntaxError, "5 has no unit"),
    ],
)
def test_no_other_delay(value: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        after.options(delay=value)


@pytest.mark.parametrize("value", [1001, -1001, 1.0, True, "1", None])
def test_a_priority_is_a_whole_number(value: Any) -> None:
    with pytest.raises(InvalidOptionError, match="a whole number from -1000 to 1000"):
        after.options(priority=value)
    assert Options(priority=-1000).priority == -1000


def test_when_is_one_of_two_words() -> None:
    with pytest.raises(InvalidOptionError, match="when must be one of 'recorded', 'sent'"):
        after.options(**_any(when="soon"))
    assert Options(when="sent").when == "sent"


def test_defaults_and_what_only_durable_jobs_know() -> None:
    plain = Options()
    assert (plain.delay, plain.priority, plain.when, plain.commit, plain.connection) == (
        None, 0, "recorded", None, None,
    )  # fmt: skip
    assert plain.durable_only is None
    assert Options(on="error", delay=0).durable_only == "delay"
    marks = object(), object()
    given = Options(commit=marks[0], connection=marks[1])
    assert (given.commit, given.connection, given.durable_only) == (*marks, "commit")
    with pytest.raises(UnknownOptionError, match="Did you mean 'delay'"):
        after.options(**_any(delai=1))


# -- the engine cannot


def enqueue(work: Afterwork, job: Any, *args: Any, **options: Any) -> str:
    return asyncio.run(after.options(**options).enqueue(job, *args))


@pytest.mark.parametrize(
    ("capabilities", "options", "policy", "message"),
    [
        (Capabilities(), {"key": "k"}, {}, r"has no keys \(key=\). Choose an engine that has it"),
        (Capabilities(max_delay=0), {"delay": 1}, {}, r"has no delays \(delay=\)"),
        (Capabilities(), {"priority": 1}, {}, r"has no priorities \(priority=\)"),
        (Capabilities(), {"connection": 1}, {}, "into your transaction .* Use commit= instead"),
        (Capabilities(), {}, {"concurrency": 1}, "limits over all workers .* Take them out"),
        (Capabilities(), {}, {"rate": "1/s"}, "limits over all workers"),
    ],
)
def test_what_an_engine_cannot_do_is_refused_at_the_call(
    capabilities: Capabilities, options: Any, policy: Any, message: str
) -> None:
    engine = ListEngine(capabilities)
    work = new_work(engine)
    job = work.job(name="job", durable=True, **policy)(len)
    with pytest.raises(
        UnsupportedError, match=f"the engine list {'has no'}.*{message[7:]}|{message}"
    ):
        enqueue(work, job, [], **options)
    assert engine.asked == 0


def test_what_it_can_do_is_not() -> None:
    everything = Capabilities(keys="window", priority=True, transaction=True, limits=True)
    engine = ListEngine(everything)
    work = new_work(engine)
    job = work.job(name="job", durable=True, concurrency=2, rate="10/m")(len)
    enqueue(work, job, [], key="k" * 200, delay=9, priority=-5, connection=engine)
    (envelope,) = engine.envelopes
    assert envelope.run_at == work.pipeline.clock.now() + 9
    assert (envelope.key, envelope.priority, engine.connections) == ("k" * 200, -5, [engine])


def test_a_long_key_and_options_that_no_worker_would_know_are_refused() -> None:
    work = new_work()
    job = work.job(name="job", durable=True)(len)
    with pytest.raises(InvalidOptionError, match="key must be a text of at most 200 characters"):
        enqueue(work, job, [], key="k" * 201)
    given: dict[str, Any]
    for given in ({"timeout": 5}, {"name": "other"}):
        with pytest.raises(InvalidOptionError, match="give it to the job 'job'"):
            enqueue(work, job, [], **given)


@pytest.mark.parametrize(
    ("delay", "run_at"), [(0, None), (timedelta(days=-1), None), (timedelta(days=1), 86_400)]
)
def test_a_moment_that_has_passed_is_at_once(delay: Any, run_at: float | None) -> None:
    engine = ListEngine()
    work = new_work(engine)
    job = work.job(name="job", durable=True)(len)
    now = work.pipeline.clock.now()
    moment = datetime.fromtimestamp(now, UTC) + delay if isinstance(delay, timedelta) else delay
    enqueue(work, job, [], delay=moment)
    assert engine.envelopes[0].run_at == (None if run_at is None else now + run_at)


def test_arguments_that_are_too_long_are_refused_with_the_advice_to_give_an_id() -> None:
    engine = ListEngine(Capabilities(max_payload=1000))
    work = new_work(engine, max_payload=100)
    job = work.job(name="job", durable=True)(len)
    with pytest.raises(
        PayloadError, match=r"at most 100 characters of JSON \(setting max_payload\)"
    ):
        enqueue(work, job, "x" * 100)
    enqueue(work, job, "x" * 90)
    other = new_work(engine)
    job = other.job(name="job", durable=True)(len)
    with pytest.raises(PayloadError, match="small enough for list, which takes 1000 bytes"):
        enqueue(other, job, "x" * 1000)


@given(st.integers(500, 1000))
def test_a_later_attempt_fits_where_the_first_did(length: int) -> None:
    engine = ListEngine(Capabilities(max_payload=1000))
    work = new_work(engine)
    job = work.job(name="job", durable=True)(len)
    try:
        enqueue(work, job, "x" * length)
    except PayloadError:
        return
    later = engine.envelopes[0].again(1893456000.1234567, crashed=True)
    for _ in range(9):
        later = later.again(1893456000.1234567, crashed=True)
    assert len(later.to_json()) <= 1000


# -- policies of jobs


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"concurrency": 1}, "concurrency= and rate= hold back calls .* add durable=True"),
        ({"rate": "1/s"}, "add durable=True"),
        ({"durable": True, "overlap": "skip"}, "overlap='skip' would drop calls .* concurrency=1"),
    ],
)
def test_a_policy_that_would_do_nothing_or_drop_calls_is_refused(
    options: Any, message: str
) -> None:
    with pytest.raises(InvalidJobError, match=message):
        JobPolicy(None, "UTC", **options)


def test_a_job_with_a_schedule_is_not_durable() -> None:
    with pytest.raises(InvalidJobError, match="a job with a schedule is not durable"):
        JobPolicy(Every("10m"), "UTC", durable=True)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"durable": 1}, "durable must be True or False"),
        ({"durable": True, "concurrency": 0}, "concurrency .* a whole number from 1 on"),
        ({"durable": True, "concurrency": True}, "a whole number from 1 on"),
        ({"durable": True, "rate": 10}, "rate must be a number and a time"),
    ],
)
def test_impossible_values_of_a_job(options: Any, message: str) -> None:
    with pytest.raises(InvalidOptionError, match=message):
        JobPolicy(None, "UTC", **options)


def test_a_durable_job_with_limits() -> None:
    policy = JobPolicy(None, "UTC", durable=True, concurrency=3, rate="10/m", overlap="allow")
    assert (policy.durable, policy.concurrency, policy.rate) == (True, 3, Rate(10, 60.0))


@pytest.mark.parametrize(
    ("text", "rate"),
    [
        ("10/m", Rate(10, 60.0)),
        ("1/30s", Rate(1, 30.0)),
        (" 500 / h ", Rate(500, 3600.0)),
        ("3/1h30m", Rate(3, 5400.0)),
        ("7/2d", Rate(7, 172_800.0)),
    ],
)
def test_a_rate_is_a_number_and_a_time(text: str, rate: Rate) -> None:
    assert Rate.parse(text) == rate
    assert rate.interval * rate.count == pytest.approx(rate.seconds)


@pytest.mark.parametrize(
    "text",
    ["", "10",
     "/m", "10/", "0/m", "-1/m", "1.5/m", "1/0s", "1/x", "1/m/m", "\u0661/m", "²/m", "1/²m",
     "9" * 5000 + "/m", "1/" + "9" * 5000 + "s", None, b"1/m", 1],
)  # fmt: skip
def test_no_other_rate(text: Any) -> None:
    with pytest.raises(InvalidOptionError, match="rate must be a number and a time, such as"):
        Rate.parse(text)


@given(st.text())
def test_any_text_is_a_rate_or_refused(text: str) -> None:
    try:
        assert Rate.parse(text).interval > 0
    except InvalidOptionError:
        pass


# -- settings


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"engine": object()}, "engine must be an object with bind, enqueue, serve"),
        ({"max_payload": 0}, "max_payload must be a whole number from 1 on"),
        ({"concurrency": 0}, "concurrency must be a whole number from 1 on"),
        ({"worker": "yes"}, "worker must be 'auto', True or False"),
    ],
)
def test_impossible_settings(settings: Any, message: str) -> None:
    with pytest.raises(InvalidOptionError, match=message):
        Settings(**settings)


def test_the_settings_of_durable_calls() -> None:
    plain = Settings()
    assert (plain.engine, plain.max_payload, plain.concurrency, plain.worker) == (
        None, 262_144, 10, "auto",
    )  # fmt: skip
    engine = ListEngine()
    given = Settings(engine=engine, max_payload=1, concurrency=2, worker=False)
    assert (given.engine, given.max_payload, given.concurrency, given.worker) == (
        engine, 1, 2, False,
    )  # fmt: skip


# -- the policy of a call


POLICIES = st.builds(
    Retry,
    st.integers(1, 100),
    backoff=st.sampled_from(["fixed", "linear", "exponential"]),
    delay=st.floats(0, 1e9),
    max_delay=st.floats(0, 1e9),
    jitter=st.booleans(),
)


@given(POLICIES)
def test_the_policy_of_a_call_is_read_as_it_was_written(policy: Retry) -> None:
    job = new_work().job(name="job", durable=True, retry=Retry(9, on=OSError))(len)
    text = own_retry(Options(retry=policy))
    read = retry_of(job, Envelope(id="i", job="job", retry=text), None)
    assert read is not None
    assert read.on == (OSError,)
    assert to_json(read) == text == to_json(policy)


def test_a_call_without_a_policy_of_its_own() -> None:
    default = Retry(4)
    own = Retry(5)
    envelope = Envelope(id="i", job="job")
    work = new_work()
    assert own_retry(Options()) is None
    plain = work.job(name="plain", durable=True)(len)
    assert retry_of(plain, envelope, default) is default
    assert retry_of(plain, envelope, None) is None
    assert retry_of(work.job(name="own", durable=True, retry=own)(len), envelope, default) is own
    none = work.job(name="none", durable=True, retry=None, timeout=5)(len)
    options = options_for(none, envelope, default)
    assert (options.retry, options.timeout, options.name) == (None, 5.0, "none")


def test_a_call_may_ask_for_no_policy_and_may_not_name_classes() -> None:
    engine = ListEngine()
    work = new_work(engine)
    job = work.job(name="job", durable=True, retry=Retry(9))(len)
    enqueue(work, job, [], retry=None)
    read = retry_of(job, engine.envelopes[0], None)
    assert read is not None
    assert not read.again(1, ValueError())
    with pytest.raises(InvalidOptionError, match="retry must be without on= for a durable call"):
        enqueue(work, job, [], retry=Retry(3, on=OSError))


# -- jobs and tickets


def test_a_job_from_a_partial_and_from_a_method() -> None:
    engine = ListEngine()
    work = new_work(engine)
    partial = work.job(name="partial", durable=True)(functools.partial(max, 1))
    assert enqueue(work, partial, 2) == engine.envelopes[0].id
    found: list[int] = []
    method = work.job(name="method", durable=True)(found.append)
    enqueue(work, method, 2)
    assert [each.payload for each in engine.envelopes] == ["[[2], {}]", "[[2], {}]"]


def test_most_tickets_write_nothing_ahead() -> None:
    plain = Plain()
    assert (plain.unwritten, plain.admitted, plain.gone, plain.earlier_failures) == (
        False, False, False, 0,
    )  # fmt: skip
    assert plain.call_id is None
    work: Any = None
    asyncio.run(plain.write(work))
    assert not plain.again(work, 0.0, ValueError())


def test_a_store_without_a_journal_asks_for_an_engine() -> None:
    class Other(MemoryStore):
        def __getattribute__(self, name: str) -> Any:
            if name == "journal":
                raise AttributeError
            return super().__getattribute__(name)

    work = Afterwork(store=Other())
    job = work.job(name="job", durable=True)(len)
    with pytest.raises(InvalidOptionError, match="Other keeps no durable calls"):
        enqueue(work, job, [])
