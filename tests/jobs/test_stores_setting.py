"""Which store an app has: an object, a URL, a variable, or the default."""

from __future__ import annotations

from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import pytest

from afterwork import (
    AfterMiddleware,
    Afterwork,
    MemoryStore,
    SQLiteStore,
    _open_store,
    _stores,
)
from afterwork.errors import InvalidOptionError, StoreError
from tests.jobs.support import Broken, caller, new_work, until
from tests.support import answering, events, fields, lifespan

PASSWORD = "hush-hush"


def test_a_store_is_taken_as_it_is() -> None:
    store = MemoryStore()
    assert Afterwork(store=store).store is store


def test_urls_name_the_stores_of_this_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is opened yet: making an app makes no file."""
    monkeypatch.chdir(tmp_path)

    assert isinstance(Afterwork(store="memory:").store, MemoryStore)
    assert isinstance(Afterwork(store="sqlite:///a.db").store, SQLiteStore)
    assert isinstance(Afterwork(store=f"sqlite:///{tmp_path}/b.db").store, SQLiteStore)
    assert list(tmp_path.iterdir()) == []


def test_without_a_setting_the_variable_counts_and_then_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AFTERWORK_STORE", "memory:")
    work = Afterwork()
    assert isinstance(work.store, MemoryStore)
    assert work.store is work.store

    monkeypatch.setenv("AFTERWORK_STORE", "")
    store = Afterwork().store
    assert isinstance(store, SQLiteStore)
    store.open()
    store.close()
    assert (tmp_path / "afterwork.db").exists()


def test_other_schemes_are_plugins(monkeypatch: pytest.MonkeyPatch) -> None:
    """An entry point makes a store from the whole URL."""
    asked: list[tuple[str, str]] = []

    def entry_points(*, group: str, name: str) -> list[EntryPoint]:
        asked.append((group, name))
        return [EntryPoint(name, f"{__name__}:_plugin", group)]

    monkeypatch.setattr("importlib.metadata.entry_points", entry_points)

    store: Any = _stores.as_store(f"odd://user:{PASSWORD}@host/1")

    assert store.url == f"odd://user:{PASSWORD}@host/1"
    assert asked == [("afterwork.stores", "odd")]


def _plugin(url: str) -> Any:
    store: Any = MemoryStore()
    store.url = url
    return store


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (5, "5"),
        (object(), "object"),
        ("afterwork.db", "without a scheme"),
        (f"nobody://user:{PASSWORD}@host", "the scheme 'nobody'"),
        ("sqlite:afterwork.db", "sqlite:///afterwork.db"),
        ("sqlite:///", "sqlite:///afterwork.db"),
    ],
)
def test_what_is_no_store_is_said_without_a_password(value: Any, words: str) -> None:
    with pytest.raises(InvalidOptionError) as caught:
        Afterwork(store=value)

    assert words in str(caught.value)
    assert PASSWORD not in str(caught.value)


@pytest.mark.parametrize(
    "wrong",
    [
        {"on_store_error": "skip"},
        {"lease": 0},
        {"environment": ""},
        {"record": "some"},
        {"slow": -1},
        {"clock": 5},
    ],
)
def test_settings_of_jobs_are_checked(wrong: dict[str, Any]) -> None:
    with pytest.raises(InvalidOptionError, match=next(iter(wrong))):
        Afterwork(**wrong)


async def test_the_store_is_opened_while_the_app_starts(caplog: Any) -> None:
    """A wrong one shows then, and not at night; the app starts all the same."""
    store = Broken()
    work = new_work(store=store)
    work.job(name="job")(lambda: None)

    async with lifespan(AfterMiddleware(answering(lambda: None), work)):
        await until(lambda: "store.error" in events(caplog))

    assert fields(caplog, "store.error")["doing"] == "open"


async def test_a_store_that_cannot_be_opened_is_left_alone_for_a_moment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A burst of requests does not wait for it again and again."""
    store = Broken()
    work = new_work(store=store)
    for _ in range(5):
        with pytest.raises(StoreError):
            work.dispatch.store()
    assert store.calls == 1

    store.down = False
    monkeypatch.setattr(_open_store, "REOPEN_SECONDS", 0.0)
    assert work.dispatch.store() is store


async def test_jobs_registered_later_are_known_to_the_store() -> None:
    work = new_work()
    work.job(name="one")(lambda: None)
    call = caller(work)
    await call("/one")
    work.job(name="two")(lambda: None)
    await call("/one")

    assert set(work.store.jobs()) == {"one", "two"}


def test_claims_count_longer_than_a_delivery_can_be_late() -> None:
    """O3: at least a day and two intervals, at most a year."""
    work = new_work()
    dispatch = work.dispatch
    day = 86_400

    assert dispatch.keep_seconds(work.job(name="a")(_nothing)) == day
    assert dispatch.keep_seconds(work.every("1h", name="b")(_nothing)) == day
    assert dispatch.keep_seconds(work.every("7d", name="c")(_nothing)) == 14 * day
    assert dispatch.keep_seconds(work.cron("0 0 29 2 *", name="d")(_nothing)) == 366 * day


def _nothing() -> None: ...
