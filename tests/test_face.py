from __future__ import annotations

import inspect
from typing import Any

import pytest

import afterwork
import afterwork.errors
import afterwork.testing

FACE = {
    "AfterMiddleware",
    "Afterwork",
    "Bearer",
    "Cron",
    "Deferred",
    "Engine",
    "Every",
    "HeaderSecret",
    "Host",
    "HostInfo",
    "MemoryStore",
    "Outcome",
    "Reporter",
    "ResponseInfo",
    "Retry",
    "Run",
    "SQLiteStore",
    "Store",
    "Verifier",
    "after",
    "current_run",
    "status",
}


def test_the_face_is_exactly_the_list() -> None:
    assert set(afterwork.__all__) == FACE
    assert {name for name in dir(afterwork) if not name.startswith("_")} == {
        *FACE,
        "errors",
        "engines",
        "stores",
        "testing",
        "verify",
    }


def test_the_lazy_table_and_the_typed_imports_agree() -> None:
    source = inspect.getsource(afterwork)
    for name, home in afterwork._HOMES.items():
        line = next(line for line in source.splitlines() if f"from .{home} import" in line)
        assert name in line.split("import ")[1].split(", ")
        assert getattr(afterwork, name) is not None
    assert set(afterwork._HOMES) == FACE


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'before'"):
        afterwork.before  # noqa: B018


@pytest.mark.parametrize("module", [afterwork, afterwork.errors, afterwork.testing])
def test_every_public_name_says_what_it_is_for(module: Any) -> None:
    for name in module.__all__:
        thing = getattr(module, name)
        assert (thing.__doc__ or "").strip(), name
        if inspect.isclass(thing):
            for member, value in vars(thing).items():
                public = not member.startswith("_")
                if public and (inspect.isfunction(value) or isinstance(value, property)):
                    assert inspect.getdoc(getattr(thing, member)), f"{name}.{member}"


def test_every_error_is_one_of_ours() -> None:
    for name in afterwork.errors.__all__:
        assert issubclass(getattr(afterwork.errors, name), afterwork.errors.AfterworkError)
        assert name in (afterwork.errors.__doc__ or "")
