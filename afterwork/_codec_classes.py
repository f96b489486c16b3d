"""The classes of a user's own that the codec writes: dataclasses, pydantic models, enums.

What is kept of an object is its fields: of a dataclass also those that are not in its `__init__`,
of a pydantic model also its extra ones, and which of them were set. Private attributes are not.
"""

from __future__ import annotations

import dataclasses
import enum
import functools
import inspect
import sys
import types
import typing

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any


def classes_of(fn: Callable[..., object]) -> dict[str, Any]:
    """The classes that a function's annotations name, at any depth, by their qualified names. Of
    two with one name the first counts."""
    found: dict[str, Any] = {}
    todo = list(_hints(_function_of(fn)).values())
    while todo:
        for kind in _classes_in(todo.pop(0)):
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


def member_name(value: Any) -> Any:
    """The name of an enum's member; the number of several flags together."""
    return value.name if value.name in type(value).__members__ else value.value


def member(kind: Any, name: Any) -> Any:
    """The member again. Raises what its class raises."""
    if not is_enum(kind):
        raise TypeError("not an enum")
    return kind[name] if isinstance(name, str) else kind(name)


def take_apart(value: Any) -> list[dict[str, Any]]:
    """The fields of an object that its class can be made from; second, if there are any, those
    that only have to be there again."""
    kind = type(value)
    if not _is_model(kind):
        fields = dataclasses.fields(value)
        given = {field.name: getattr(value, field.name) for field in fields if field.init}
        own = {f.name: getattr(value, f.name) for f in fields if not f.init and _has(value, f)}
        return [given, own] if own else [given]
    everything = {name: getattr(value, name) for name in kind.model_fields}
    everything.update(value.model_extra or {})
    given = {name: each for name, each in everything.items() if name in value.model_fields_set}
    rest = {name: each for name, each in everything.items() if name not in given}
    return [given, rest] if rest else [given]


def put_together(kind: Any, given: dict[str, Any], rest: dict[str, Any]) -> Any:
    """The object again. Raises what its class raises."""
    if is_enum(kind):
        raise TypeError("an enum")
    if not _is_model(kind):
        made = kind(**given)
        own = {field.name for field in dataclasses.fields(kind) if not field.init}
        if not rest.keys() <= own:
            raise TypeError("a field that is not there")
        for name, each in rest.items():
            object.__setattr__(made, name, each)  # also where it is frozen
        return made
    everything = {**given, **rest}
    if getattr(kind, "__pydantic_root_model__", False):
        made = kind.model_validate(everything["root"])
    else:
        # By the names that the model's own validation knows.
        fields = kind.model_fields
        names = {name: _alias(fields[name], name) for name in everything if name in fields}
        made = kind.model_validate({names.get(name, name): everything[name] for name in everything})
    made.model_fields_set.difference_update(rest)
    return made


def can_be_made_again(value: Any, apart: list[dict[str, Any]]) -> bool:
    """Whether the same object comes of its fields: not, for example, where its `__init__` needs
    more, or a validator changes what it has changed already."""
    try:
        again = take_apart(put_together(type(value), apart[0], {} if len(apart) < 2 else apart[1]))
        return [_typed(each) for each in again] == [_typed(each) for each in apart]
    except Exception:  # whatever a constructor says of a value that does not fit
        return False


def _typed(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: (type(each), each) for name, each in fields.items()}


def _has(value: Any, field: dataclasses.Field[Any]) -> bool:
    return hasattr(value, field.name)


def _alias(field: Any, name: str) -> str:
    alias = field.validation_alias or field.alias
    choices = getattr(alias, "choices", None)
    if choices:
        alias = choices[0]
    return alias if isinstance(alias, str) else name


def _is_model(kind: Any) -> bool:
    return hasattr(kind, "model_validate") and hasattr(kind, "model_fields")


def _function_of(fn: Any) -> Any:
    """What has the annotations: of a partial its function, of an object its `__call__`."""
    while isinstance(fn, functools.partial):
        fn = fn.func
    if isinstance(fn, type):
        return fn.__init__  # type: ignore[misc]
    return fn if inspect.isroutine(fn) else type(fn).__call__


def _hints(thing: Any) -> dict[str, Any]:
    if _is_model(thing):
        return {name: field.annotation for name, field in thing.model_fields.items()}
    try:
        return typing.get_type_hints(thing)
    except Exception:  # names that exist for type checkers only: the others count all the same
        return _hints_one_by_one(thing)


def _hints_one_by_one(thing: Any) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for each in thing.__mro__ if isinstance(thing, type) else (inspect.unwrap(thing),):
        names = vars(sys.modules[each.__module__]) if isinstance(each, type) else each.__globals__
        for name, hint in getattr(each, "__annotations__", {}).items():
            holder = types.SimpleNamespace(__annotations__={name: hint})
            try:
                found.setdefault(name, typing.get_type_hints(holder, names)[name])
            except Exception:
                continue
    return found


def _classes_in(hint: Any) -> Iterator[Any]:
    # Of `Box[Order]` both; of a NewType and of `type Name = ...` what it stands for.
    hint = getattr(hint, "__supertype__", getattr(hint, "__value__", hint))
    yield typing.get_origin(hint) or hint
    for each in typing.get_args(hint):
        yield from _classes_in(each)
