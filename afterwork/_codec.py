"""The one codec for the arguments and results of durable calls: JSON, and a few types beside it.

| type | as JSON |
|---|---|
| None, bool, int, finite float, str, list, dict with text keys | itself |
| tuple, set, frozenset | `{"$tuple": [...]}`, `{"$set": [...]}`, `{"$frozenset": [...]}` |
| datetime, date, time | `{"$datetime": "<ISO 8601>"}`, `{"$date": ...}`, `{"$time": ...}` |
| timedelta | `{"$timedelta": [days, seconds, microseconds]}` |
| UUID, Decimal | `{"$uuid": "..."}`, `{"$decimal": "..."}` |
| bytes | `{"$bytes": "<base64>"}` |
| dataclass, pydantic model | `{"$object": ["Name", {...}]}`; third, fields that were not given |
| Enum | `{"$enum": ["Name", "MEMBER"]}` |
| a dict with a key that begins with `$` | `{"$dict": [[key, value], ...]}` |

1. Exact types only: what is read is what was written. A subclass is refused, and so is everything
   else, with the argument's name, at the call.
2. Classes are those that the function's annotations name, at any depth (`Order`, `list[Order]`, the
   fields of `Order`). What is read makes an object of no other class, and imports nothing.
3. An object is what its fields make. It is made of them once at the call, too: one that comes out
   differently is refused there, and not when it is read.
4. What is read is checked as a whole before the function is called.
"""

from __future__ import annotations

import inspect
import json

from .errors import PayloadError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

MOST_DEPTH = 100
"""How deep values may lie in one another."""

POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
PLAIN = frozenset((type(None), bool, int, str))
JSON_TYPES = "JSON, or one of datetime, UUID, Decimal, bytes, a dataclass or a pydantic model"


class Codec:
    """Writes and reads the arguments of one function."""

    __slots__ = ("_classes", "_fn", "_least", "_most", "_parameters")

    def __init__(self, fn: Callable[..., object]) -> None:
        self._fn = fn
        self._classes: dict[str, Any] | None = None
        try:
            self._parameters: inspect.Signature | None = inspect.signature(fn)
        except (TypeError, ValueError):  # written in C, and it does not tell
            self._parameters = None
        self._least, self._most = _how_many(self._parameters)

    def encode(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> str:
        """The arguments as JSON text. Raises `PayloadError` with the argument's name, and
        `TypeError` as the function's own call would."""
        if self._parameters is not None and (kwargs or not self._least <= len(args) <= self._most):
            self._parameters.bind(*args, **kwargs)
        if not kwargs:
            for value in args:
                if type(value) not in PLAIN:
                    break
            else:  # the usual case: an id or two
                return _dumps((args, {}), "the arguments together")
        given = [self._write(value, self._name(at)) for at, value in enumerate(args)]
        named = {name: self._write(value, name) for name, value in kwargs.items()}
        return _dumps((given, named), "the arguments together")

    def decode(self, text: str) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """The arguments again. Raises `PayloadError`; also where they do not fit the function, as
        after a deploy that changed it."""
        try:
            values: Any = json.loads(text, parse_constant=_refuse)
        except (ValueError, RecursionError):
            raise PayloadError("the payload", "JSON", "something else") from None
        if not (
            isinstance(values, list)
            and len(values) == 2
            and isinstance(values[0], list)
            and isinstance(values[1], dict)
        ):
            raise PayloadError("the payload", "[[arguments], {named ones}]", "something else")
        args = tuple(self._read(value, self._name(at)) for at, value in enumerate(values[0]))
        kwargs = {name: self._read(value, name) for name, value in values[1].items()}
        if self._parameters is not None:
            try:
                self._parameters.bind(*args, **kwargs)
            except TypeError as error:
                raise PayloadError("the payload", "what the job takes", str(error)) from None
        return args, kwargs

    def encode_result(self, value: Any) -> str:
        """What the function returned, as JSON text. Raises `PayloadError`."""
        return _dumps(self._write(value, "the result"), "the result")

    def decode_result(self, text: str) -> Any:
        """What the function returned. Raises `PayloadError`."""
        try:
            value: Any = json.loads(text, parse_constant=_refuse)
        except (ValueError, RecursionError):
            raise PayloadError("the result", "as it was written", "something else") from None
        return self._read(value, "the result")

    @property
    def names(self) -> list[str]:
        """The names of the function's parameters, in their order."""
        return [] if self._parameters is None else list(self._parameters.parameters)

    def takes(self, name: str) -> bool:
        """Whether the function has a parameter of that name."""
        return self._parameters is not None and name in self._parameters.parameters

    # -- names and classes

    def _name(self, position: int) -> str:
        if self._parameters is not None:
            for at, each in enumerate(self._parameters.parameters.values()):
                if at == position or each.kind is each.VAR_POSITIONAL:
                    return each.name
        return f"argument {position + 1}"

    @property
    def classes(self) -> dict[str, Any]:
        """The classes that the annotations name, by name."""
        if self._classes is None:
            from ._codec_classes import classes_of

            self._classes = classes_of(self._fn)
        return self._classes

    # -- one value

    def _write(self, value: Any, name: str, depth: int = 0) -> Any:
        kind = type(value)
        if kind in PLAIN:
            return value
        if depth > MOST_DEPTH:
            raise PayloadError(_argument(name), f"at most {MOST_DEPTH} levels deep", "deeper")
        below = depth + 1
        if kind is float:
            if value - value != 0:
                raise PayloadError(_argument(name), "a finite number", repr(value))
            return value
        if kind is list:
            return [self._write(each, name, below) for each in value]
        if kind is dict:
            return self._write_dict(value, name, below)
        from . import _codec_types

        tag = _codec_types.TAGS.get(kind)
        if tag is not None:
            if _codec_types.has_lost_zone(value):
                raise PayloadError(
                    _argument(name), "naive, or have an offset", "in a zone that gives it none"
                )
            return {tag: _codec_types.WRITE[tag](value)}
        sequence = _codec_types.SEQUENCES.get(kind)
        if sequence is not None:
            return {sequence: [self._write(each, name, below) for each in value]}
        return self._write_object(value, kind, name, below)

    def _write_dict(self, value: dict[Any, Any], name: str, depth: int) -> Any:
        for key in value:
            if type(key) is not str:
                raise PayloadError(
                    _argument(name), "a dict with text keys", f"one with {type(key).__name__} keys"
                )
        items = [(key, self._write(each, name, depth)) for key, each in value.items()]
        if any(key.startswith("$") for key in value):
            return {"$dict": [list(item) for item in items]}
        return dict(items)

    def _write_object(self, value: Any, kind: type, name: str, depth: int) -> Any:
        from . import _codec_classes

        if self.classes.get(kind.__qualname__) is not kind:
            hint = kind.__qualname__
            if _codec_classes.is_known(kind):
                hint += (
                    f". Annotate the parameter: `{name}: {kind.__qualname__}`, with a name that is "
                    "there when the code runs"
                )
            raise PayloadError(_argument(name), JSON_TYPES, f"of type {hint}")
        if _codec_classes.is_enum(kind):
            return {"$enum": [kind.__qualname__, _codec_classes.member_name(value)]}
        apart = _codec_classes.take_apart(value)
        written = [
            {key: self._write(each, name, depth) for key, each in fields.items()}
            for fields in apart
        ]
        if not _codec_classes.can_be_made_again(value, apart):
            raise PayloadError(
                _argument(name),
                "an object that its fields make again",
                f"a {kind.__qualname__}, of which they make another, or none",
            )
        return {"$object": [kind.__qualname__, *written]}

    def _read(self, value: Any, name: str, depth: int = 0) -> Any:
        kind = type(value)
        if kind in PLAIN or kind is float:
            return value
        if depth > 2 * MOST_DEPTH:
            raise PayloadError(_argument(name), "as it was written", "deeper than that can be")
        if kind is list:
            return [self._read(each, name, depth + 1) for each in value]
        if len(value) != 1 or not next(iter(value)).startswith("$"):
            if any(key.startswith("$") for key in value):
                raise PayloadError(_argument(name), "as it was written", "marked twice")
            return {key: self._read(each, name, depth + 1) for key, each in value.items()}
        ((tag, inner),) = value.items()
        try:
            return self._read_tagged(tag, inner, name, depth + 1)
        except PayloadError:
            raise
        except Exception as error:  # whatever a constructor says of a value that does not fit
            raise PayloadError(
                _argument(name), "as it was written", f"no {tag} ({type(error).__name__})"
            ) from error

    def _read_tagged(self, tag: str, inner: Any, name: str, depth: int) -> Any:
        from . import _codec_classes, _codec_types

        if tag in _codec_types.READ:
            return _codec_types.READ[tag](inner)
        if tag in _codec_types.MAKE:
            return _codec_types.MAKE[tag](self._read(each, name, depth) for each in _list(inner))
        if tag == "$dict":
            return {_key(key): self._read(each, name, depth) for key, each in map(_list, inner)}
        if tag in ("$object", "$enum"):
            known, first, *rest = _list(inner)
            kind = self.classes.get(known)
            if kind is None:
                raise PayloadError(
                    _argument(name), "of a class that the job names", f"a {str(known)[:60]!r}"
                )
            if tag == "$enum":
                return _codec_classes.member(kind, first)
            fields, more = (
                {key: self._read(each, name, depth) for key, each in part.items()}
                for part in (first, *(rest or [{}]))
            )
            return _codec_classes.put_together(kind, fields, more)
        raise PayloadError(_argument(name), "as it was written", f"marked {tag[:40]!r}")


def _how_many(signature: inspect.Signature | None) -> tuple[int, int]:
    """How many positional arguments fit by their number alone, at least and at most. Binding them
    costs more than all the rest of a small call."""
    parameters = [] if signature is None else list(signature.parameters.values())
    positional = [each for each in parameters if each.kind in POSITIONAL]
    if any(each.kind is each.KEYWORD_ONLY and each.default is each.empty for each in parameters):
        return 1, 0  # none do
    return sum(each.default is each.empty for each in positional), len(positional)


def _argument(name: str) -> str:
    return name if name.startswith(("the ", "argument ")) else f"the argument {name!r}"


def _key(key: Any) -> str:
    if type(key) is not str:
        raise TypeError("a key")
    return key


def _list(value: Any) -> list[Any]:
    if type(value) is not list:
        raise TypeError("not a list")
    return value


def _dumps(value: Any, name: str) -> str:
    try:
        return json.dumps(value, allow_nan=False)
    except ValueError:  # of an int, since all else was looked at
        raise PayloadError(
            name, "without whole numbers of thousands of digits", "with one; give it as a text"
        ) from None


def _refuse(constant: str) -> Any:
    raise ValueError(constant)
