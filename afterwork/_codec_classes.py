"""The classes of a user's own that the codec writes: dataclasses, pydantic models, enums."""

from __future__ import annotations

import dataclasses
import enum
import typing

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any


def classes_of(fn: Callable[..., object]) -> dict[str, Any]:
    """The classes that a function's annotations name, at any depth, by their qualified names. Of
    two with one name the first counts."""
    found: dict[str, Any] = {}
    todo = list(_hints(fn).values())
    while todo:
        for kind in _classes_in(todo.pop()):
            if is_known(kind) and kind.__qualname__ not in found:
                found[kind.__qualname__] = kind
                if not is_enum(kind):
                    todo += _hints(kind).values()
    return found


def is_known(kind: Any) -> bool:
    """Whether it is a class of one of the kinds."""
    return isinstance(kind, type) and (
        dataclasses.is_dataclass(kind) or _is_model(kind) or is_enum(kind)
    )


def is_enum(kind: Any) -> bool:
    """Whether it is an enum with members."""
    return isinstance(kind, enum.EnumMeta) and len(kind) > 0


def take_apart(value: Any) -> dict[str, Any]:
    """The fields of an object that its class can be made from."""
    if _is_model(type(value)):
        return {name: getattr(value, name) for name in type(value).model_fields}
    return {
        field.name: getattr(value, field.name) for field in dataclasses.fields(value) if field.init
    }


def put_together(kind: Any, fields: dict[str, Any]) -> Any:
    """The object again. Raises what its class raises."""
    if _is_model(kind):
        names = {name: each.alias or name for name, each in kind.model_fields.items()}
        # By the names that the model's own validation knows.
        return kind.model_validate({names.get(name, name): each for name, each in fields.items()})
    return kind(**fields)


def _is_model(kind: Any) -> bool:
    return hasattr(kind, "model_validate") and hasattr(kind, "model_fields")


def _hints(thing: Any) -> dict[str, Any]:
    try:
        return typing.get_type_hints(thing)
    except Exception:  # names that exist for type checkers only
        return dict(getattr(thing, "__annotations__", {}))


def _classes_in(hint: Any) -> Iterator[Any]:
    inner = typing.get_args(hint)
    if not inner:
        yield hint
    for each in inner:
        yield from _classes_in(each)
