"""What a trigger's body holds, and how a job is given it.

1. An empty body is fine. One that is sent as JSON, as text, as a form (curl's default) or without a
   type has to be JSON. Anything else is handed on as it is.
2. A job whose function takes arguments gets them from a JSON object, by name. Every job can ask for
   the whole: `current_run().payload`.
3. A body that does not fit is the caller's mistake, and is told before any work.
"""

from __future__ import annotations

import inspect
import json

from ._callers import BadCallError, read_instant

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

TEXT_TYPES = ("json", "text/", "application/x-www-form-urlencoded")
OPTIONAL = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


def read(body: bytes, content_type: str | None) -> Any:
    """The payload: parsed JSON, bytes, or None. Raises `BadCallError`."""
    if not body:
        return None
    kind = (content_type or "json").lower()
    if not any(each in kind for each in TEXT_TYPES):
        return body
    try:
        return json.loads(body, parse_constant=_refuse)
    except (ValueError, RecursionError):
        raise BadCallError("the body is not JSON") from None


def bind(fn: Callable[..., object], payload: Any) -> dict[str, Any]:
    """The arguments for a job's function. Raises `BadCallError`."""
    parameters = _parameters(fn).values()
    if not parameters:
        return {}
    given = {} if payload is None else payload
    if not isinstance(given, dict):
        raise BadCallError("the body is not a JSON object with the job's arguments")
    takes_any = any(each.kind is inspect.Parameter.VAR_KEYWORD for each in parameters)
    names = {
        each.name
        for each in parameters
        if each.kind not in (*OPTIONAL, inspect.Parameter.POSITIONAL_ONLY)
    }
    for each in parameters:
        if each.default is each.empty and each.kind not in OPTIONAL and each.name not in given:
            raise BadCallError(f"the job's argument {each.name!r} is missing in the body")
    if not takes_any:
        for name in given:
            if name not in names and name != "slot":
                raise BadCallError(f"the job has no argument {str(name)[:60]!r}")
    return {name: value for name, value in given.items() if takes_any or name in names}


def slot_in(fn: Callable[..., object], payload: Any) -> float | None:
    """The slot that a body names, `{"slot": "2026-03-08T07:00:00Z"}`, unless it is an argument of
    the job. Body templates are all that some schedulers can fill in."""
    if not isinstance(payload, dict) or "slot" not in payload:
        return None
    if "slot" in _parameters(fn):
        return None
    return read_instant("slot", str(payload["slot"]))


def _parameters(fn: Callable[..., object]) -> Mapping[str, inspect.Parameter]:
    """A function's parameters; none for one written in C that does not tell them."""
    try:
        return inspect.signature(fn).parameters
    except ValueError:
        return {}


def _refuse(constant: str) -> Any:
    raise ValueError(constant)
