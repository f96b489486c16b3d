"""Options, settings, hosts, retries: what they take, and what they say to what they do not."""

from __future__ import annotations

import asyncio
import functools
import sys
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from afterwork import AfterMiddleware, Afterwork, HostInfo, Outcome, ResponseInfo, Retry, after
from afterwork._detect import TABLE, detect
from afterwork._hosts import FunctionHost, PlainHost, as_host
from afterwork._ids import run_id
from afterwork._kinds import ASYNC, AWAITABLE, SYNC, discard, kind_of, name_of
from afterwork._options import UNSET, Options
from afterwork._settings import Settings
from afterwork._sites import CHAIN_LENGTH, describe, extend
from afterwork.errors import (
    InvalidCallbackError,
    InvalidHostError,
    InvalidOptionError,
    UnknownOptionError,
)


async def app(scope: Any, receive: Any, send: Any) -> None: ...


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"timeout": -1}, "timeout .* more than zero; it was given -1"),
        ({"timeout": 0}, "more than zero"),
        ({"timeout": True}, "a number of seconds"),
        ({"timeout": "5"}, "it was given '5'"),
        ({"timeout": float("nan")}, "nan"),
        ({"timeout": float("inf")}, "inf"),
        ({"budget": 0}, "budget"),
        ({"grace": -0.1}, "grace must be a number of seconds, zero or more"),
        ({"retry": 3}, r"a Retry, like Retry\(3\)"),
        ({"sequential": 1}, "sequential must be True or False"),
        ({"early": None}, "early must be True or False"),
        ({"limit": 0}, "limit .* a whole number from 1 on"),
        ({"limit": 1.5}, "limit"),
        ({"at_limit": "drop"}, "one of 'wait', 'reject'; it was given 'drop'"),
        ({"at_limit": None}, "at_limit"),
        ({"threads": True}, "threads"),
        ({"reporters": print}, "reporters must be a list of plain"),
        ({"reporters": [1]}, "reporters"),
        ({"around": [None]}, "around"),
        ({"on_abandon": 1}, "on_abandon must be a plain"),
        ({"on_missing": "ignore"}, "'raise', 'warn'"),
    ],
)
def test_an_impossible_setting_is_refused_by_name_with_what_was_expected(
    values: dict[str, Any], message: str
) -> None:
    with pytest.raises(InvalidOptionError, match=message):
        AfterMiddleware(app, **values)
    with pytest.raises(ValueError, match=message):
        Afterwork(**values)


def test_an_unknown_setting_is_told_the_nearest_name_or_all_of_them() -> None:
    with pytest.raises(UnknownOptionError, match="no setting 'tiemout'. Did you mean 'timeout'?"):
        AfterMiddleware(app, tiemout=3)  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="Known are: around, at_limit, budget"):
        Afterwork(xyz=3)  # type: ignore[call-arg]
    with pytest.raises(UnknownOptionError, match="Did you mean 'retry'"):
        after.options(retries=3)  # type: ignore[call-arg]


def test_the_defaults_are_the_documented_ones() -> None:
    settings = Settings()
    assert (settings.timeout, settings.budget, settings.grace) == (None, None, 25.0)
    assert (settings.limit, settings.at_limit, settings.threads) == (100, "wait", 32)
    assert (settings.sequential, settings.early, settings.retry) == (False, False, None)
    assert (settings.on_missing, settings.on_abandon, settings.host) == ("raise", None, None)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"on": "sucess"}, "'always', 'success', 'error' or a function"),
        ({"on": None}, "on must be"),
        ({"timeout": -1}, "timeout"),
        ({"retry": 3}, "a Retry"),
        ({"name": ""}, "name must be a text that is not empty"),
        ({"key": 7}, "key"),
        ({"early": "yes"}, "early"),
    ],
)
def test_an_impossible_option_is_refused(values: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidOptionError, match=message):
        after.options(**values)


def test_an_option_that_was_not_given_is_told_from_one_given_as_none() -> None:
    assert Options().timeout is UNSET
    assert Options(timeout=None).timeout is None
    assert Options(retry=None).retry is None
    assert repr(UNSET) == "UNSET"


def test_a_middleware_needs_an_app_and_takes_settings_in_one_place() -> None:
    with pytest.raises(TypeError, match="wraps an ASGI app; it was given None"):
        AfterMiddleware(None)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="give the settings timeout to the Afterwork"):
        AfterMiddleware(app, Afterwork(), timeout=3)


def test_an_afterwork_wraps_apps_under_its_settings() -> None:
    work = Afterwork(timeout=3)
    assert work.wrap(app).pipeline is work.pipeline
    assert AfterMiddleware(app, work).pipeline.settings.timeout == 3
    assert repr(work) == "<Afterwork on plain>"


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"attempts": 0}, "attempts must be a whole number"),
        ({"attempts": 2, "backoff": "random"}, "'exponential', 'linear', 'fixed'"),
        ({"attempts": 2, "delay": -1}, "delay"),
        ({"attempts": 2, "max_delay": None}, "max_delay"),
        ({"attempts": 2, "jitter": 1}, "jitter"),
        ({"attempts": 2, "on": BaseException}, "a subclass of Exception"),
        ({"attempts": 2, "on": "OSError"}, "a subclass of Exception"),
    ],
)
def test_an_impossible_retry_is_refused(values: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidOptionError, match=message):
        Retry(**values)


@pytest.mark.parametrize(
    ("backoff", "waits"),
    [("fixed", [2, 2, 2, 2]), ("linear", [2, 4, 6, 7]), ("exponential", [2, 4, 7, 7])],
)
def test_a_retry_waits_as_its_backoff_says_up_to_the_most(backoff: Any, waits: list[int]) -> None:
    retry = Retry(5, backoff=backoff, delay=2, max_delay=7, jitter=False)
    assert [retry.wait(attempt) for attempt in (1, 2, 3, 4)] == waits
    assert repr(retry) == f"Retry(5, backoff={backoff!r}, delay=2)"


@given(st.integers(1, 10_000), st.floats(0, 1e6))
def test_a_retry_never_waits_longer_than_its_most_nor_less_than_half(
    attempt: int, delay: float
) -> None:
    exact = Retry(2, delay=delay, jitter=False).wait(attempt)
    assert exact / 2 <= Retry(2, delay=delay).wait(attempt) <= exact <= 60


def test_hosts_come_in_four_forms() -> None:
    plain = PlainHost()
    assert as_host(plain) is plain
    assert as_host("before_end").info.mode == "before_end"

    def wait_until(work: Any) -> None: ...

    host = as_host(wait_until)
    assert isinstance(host, FunctionHost)
    assert host.info.mode == "handover"
    assert host.info.name.endswith("wait_until")
    assert host.deadline({}) is None
    assert plain.deadline({}) is None
    assert repr(plain.info) == "<HostInfo plain, detached>"


class WithoutDeadline:
    info = HostInfo("x")

    def wait_until(self, scope: Any, work: Any) -> None: ...


class WithoutInfo(WithoutDeadline):
    info = None  # type: ignore[assignment]

    def deadline(self, scope: Any) -> None: ...


class Async(WithoutDeadline):
    async def wait_until(self, scope: Any, work: Any) -> None: ...  # type: ignore[override]

    def deadline(self, scope: Any) -> None: ...


async def async_wait_until(work: Any) -> None: ...


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (3, "it was given int 3"),
        ("handover", "the text 'handover'"),
        ("plan", "the text 'plan'"),
        (PlainHost, "the class PlainHost; give an instance"),
        (WithoutDeadline(), r"WithoutDeadline without deadline\(\)"),
        (WithoutInfo(), "whose info is no HostInfo"),
        (Async(), "the async function 'Async.wait_until'; make it a plain function"),
        (async_wait_until, "the async function 'async_wait_until'"),
    ],
)
def test_what_is_no_host_is_refused_with_the_reason(given: Any, message: str) -> None:
    with pytest.raises(InvalidHostError, match=message):
        AfterMiddleware(app, host=given)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"name": ""}, "name"),
        ({"name": "x", "mode": "later"}, "'detached', 'inline', 'handover', 'before_end'"),
        ({"name": "x", "max_seconds": 0}, "max_seconds"),
        ({"name": "x", "lifespan_is_process": 1}, "lifespan_is_process"),
        ({"name": "x", "note": ""}, "note"),
    ],
)
def test_an_impossible_host_info_is_refused(values: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidOptionError, match=message):
        HostInfo(**values)


async def test_a_mode_that_hands_over_needs_something_to_hand_to() -> None:
    with pytest.raises(InvalidHostError, match="without a wait_until"):
        PlainHost(HostInfo("mine", "handover")).wait_until({}, Awaitable_())


LAMBDA = {"AWS_LAMBDA_RUNTIME_API": "127.0.0.1:9001"}


@pytest.mark.parametrize(
    ("environ", "name", "mode", "noted"),
    [
        ({}, "plain", "detached", False),
        ({"VERCEL": "1", "VERCEL_IPC_PATH": "/x", **LAMBDA}, "vercel", "inline", False),
        ({"VERCEL": "1", **LAMBDA}, "vercel", "before_end", True),
        (LAMBDA, "aws-lambda", "before_end", True),
        (
            {**LAMBDA, "AWS_LAMBDA_MAX_CONCURRENCY": "10"},
            "aws-lambda-managed-instances",
            "detached",
            False,
        ),
        ({"FUNCTIONS_WORKER_RUNTIME": "python"}, "azure-functions", "before_end", True),
        ({"MODAL_IS_REMOTE": "1"}, "modal", "inline", False),
        ({"K_SERVICE": "shop"}, "cloud-run", "detached", True),
        ({"FUNCTION_TARGET": "serve"}, "cloud-run", "detached", True),
        ({"FLY_MACHINE_ID": "1"}, "fly", "detached", False),
        ({"RENDER": "true", "KUBERNETES_SERVICE_HOST": "10.0.0.1"}, "render", "detached", False),
        ({"DYNO": "web.1"}, "heroku", "detached", False),
        ({"KUBERNETES_SERVICE_HOST": "10.0.0.1"}, "kubernetes", "detached", False),
    ],
)
def test_the_platform_is_found_in_the_environment(
    environ: dict[str, str], name: str, mode: str, noted: bool
) -> None:
    info = detect(environ).info
    assert (info.name, info.mode, info.note is not None) == (name, mode, noted)


def test_cloudflare_is_known_by_its_interpreter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "emscripten")
    assert detect({"VERCEL": "1"}).info.name == "cloudflare"


def test_azure_is_known_by_its_worker_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no variable says it."""
    monkeypatch.setitem(sys.modules, "azure_functions_runtime", ModuleType("its worker's"))
    assert detect({}).info.name == "azure-functions"
    assert detect({"VERCEL": "1"}).info.name == "vercel"


def test_the_middleware_uses_what_was_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODAL_IS_REMOTE", "1")
    assert AfterMiddleware(app).pipeline.host.info.name == "modal"
    assert AfterMiddleware(app, host="detached").pipeline.host.info.name == "plain"


def test_every_note_names_a_way_out() -> None:
    for _, _, info in TABLE:
        assert info.note is None or ('host="' in info.note and "queue" in info.note)
        assert info.after_response == (info.mode != "before_end")


class Callable_:
    def __call__(self) -> None: ...


class AsyncCallable:
    async def __call__(self) -> None: ...


class Awaitable_:
    def __await__(self) -> Any:
        yield


async def coroutine_function() -> None: ...


@pytest.mark.parametrize(
    ("thing", "kind", "name"),
    [
        (print, SYNC, "print"),
        (int, SYNC, "int"),
        (Callable_(), SYNC, "Callable_"),
        (AsyncCallable(), ASYNC, "AsyncCallable"),
        (Callable_().__call__, SYNC, "Callable_.__call__"),
        (AsyncCallable().__call__, ASYNC, "AsyncCallable.__call__"),
        (coroutine_function, ASYNC, "coroutine_function"),
        (functools.partial(functools.partial(coroutine_function)), ASYNC, "coroutine_function"),
        (functools.partial(print, 1), SYNC, "print"),
        (Awaitable_(), AWAITABLE, "Awaitable_"),
        (lambda: 1, SYNC, "<lambda>"),
    ],
)
def test_what_is_given_is_known_for_what_it_is(thing: Any, kind: int, name: str) -> None:
    assert kind_of(thing) == kind
    assert name_of(thing) == name


async def test_a_task_goes_by_the_name_of_its_coroutine() -> None:
    task = asyncio.ensure_future(coroutine_function())
    assert kind_of(task) == AWAITABLE
    assert name_of(task) == "coroutine_function"
    discard(task)  # it is its maker's, and runs on
    await task


def test_a_long_thing_is_shortened_in_the_error() -> None:
    with pytest.raises(InvalidCallbackError, match=r"given str 'x{56}\.\.\.\. Write"):
        kind_of("x" * 100)


def test_a_site_names_file_line_and_function() -> None:
    frame = sys._getframe()
    first = frame.f_code.co_firstlineno
    text = describe((frame.f_code, frame.f_lasti))
    assert text == f"{__file__}:{first + 3} in test_a_site_names_file_line_and_function"
    assert describe((frame.f_code, 10**9)).startswith(f"{__file__}:{first} in ")


def test_a_chain_of_sites_keeps_the_newest() -> None:
    code = sys._getframe().f_code
    chain: tuple[Any, ...] = ()
    for number in range(100):
        chain = extend(chain, (code, number))
    assert [number for _, number in chain] == list(range(99, 99 - CHAIN_LENGTH, -1))


def test_run_ids_are_uuid_version_7_and_sort_by_time(monkeypatch: pytest.MonkeyPatch) -> None:
    import time
    import uuid

    ids = []
    for second in (1, 2, 3):
        monkeypatch.setattr(time, "time_ns", lambda second=second: second * 10**9)
        ids += [run_id(), run_id()]
    assert len(set(ids)) == 6
    assert sorted(ids, key=lambda text: text[:13]) == ids
    for text in ids:
        parsed = uuid.UUID(text)
        assert (str(parsed), parsed.variant, parsed.version) == (text, uuid.RFC_4122, 7)
        assert parsed.int >> 80 in (1000, 2000, 3000)


def test_outcomes_are_words() -> None:
    assert Outcome.SUCCEEDED == "succeeded"
    assert repr(Outcome.TIMED_OUT) == "Outcome.TIMED_OUT"
    assert hash(Outcome.FAILED) == hash("failed")
    words = {value for value in vars(Outcome).values() if isinstance(value, Outcome)}
    assert words == {
        "succeeded",
        "failed",
        "timed_out",
        "cancelled",
        "skipped",
        "missed",
        "abandoned",
    }


def test_a_response_can_be_made_for_a_test_of_a_condition() -> None:
    assert ResponseInfo(302).success
    assert not ResponseInfo(404).success
    assert not ResponseInfo(200, error=ValueError()).success
    assert repr(ResponseInfo(500, completed=False)) == "<ResponseInfo 500 incomplete, 0 bytes>"
    assert repr(after) == "<afterwork.after>"
