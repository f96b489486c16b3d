"""The program of the processes that the contract of stores starts, run in this one."""

from __future__ import annotations

import io
import json

import pytest

from afterwork._store import Store
from afterwork._store_memory import MemoryStore
from afterwork.testing._store_process import Child, main
from afterwork.testing.store_contract import SharedStoreContract

MEMORY: dict[str, MemoryStore] = {}


def remembered(name: str) -> Store:
    """The same store for the same name."""
    return MEMORY.setdefault(name, MemoryStore())


def heard(*arguments: str) -> list[str]:
    """What the program says."""
    out = io.StringIO()
    main([f"{__name__}:remembered", *arguments], io.StringIO("\n"), out)
    return out.getvalue().splitlines()


def test_a_racer_says_what_it_won() -> None:
    MEMORY.clear()
    assert heard("one", "race", "3", "4") == ["ready", json.dumps([0, 1, 2, 3])]
    assert heard("one", "race", "4", "5") == ["ready", json.dumps([4])]
    assert remembered("one").jobs()["race"].counts == {"succeeded": 5}


def test_a_holder_says_which_run_holds() -> None:
    MEMORY.clear()
    ready, run = heard("one", "hold", "lock")
    assert ready == "ready"
    found = remembered("one").run(run)
    assert found is not None
    assert found.state == "running"


def test_a_process_that_cannot_open_the_store_fails_the_test() -> None:
    nowhere = ("no_such_module:open", "")
    said_nothing = pytest.raises(AssertionError, match="said nothing and ended with 1")
    with Child(nowhere, "race", 0, 1) as child, said_nothing:
        child.heard()


def test_the_contract_says_what_is_missing() -> None:
    with pytest.raises(TypeError, match=r"has to define opener\(\)"):
        SharedStoreContract().opener()


def test_the_contract_notices_a_store_that_is_not_shared() -> None:
    """A suite that nobody can fail is none."""

    class Alone(SharedStoreContract):
        def opener(self) -> tuple[str, str]:
            return f"{__name__}:alone", ""

    suite = Alone()
    suite.setup_method()
    with pytest.raises(AssertionError):
        suite.test_two_connections_see_the_same()
    suite.teardown_method()


def alone(_: str) -> Store:
    """A new store each time."""
    return MemoryStore()
