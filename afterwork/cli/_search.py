"""Finds what is ours in an app, whichever framework it is of.

It follows what frameworks have in common: an app inside another (`app`), Starlette's
`user_middleware`, `routes` with what is mounted, `state`, and what a function closes over. It looks
at attributes and calls nothing.
"""

from __future__ import annotations

from types import FunctionType, MethodType, ModuleType

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .._middleware import AfterMiddleware
    from .._pipeline import Pipeline
    from .._routes import Routes

ASGI_ARGUMENTS = 3
CO_COROUTINE = 0x80  # as in `inspect`, which is slow to import
MOST_OBJECTS = 2000
"""How many objects are looked at before the search ends."""
INNER = ("app", "_app", "asgi_app", "asgi_handler", "application", "router")
LISTS = ("user_middleware", "middleware", "routes")


class Findings:
    """What was found, in the order in which it was met: the outermost first."""

    def __init__(self) -> None:
        self.pipelines: list[Pipeline] = []
        """One for each Afterwork."""
        self.routes: list[Routes] = []
        self.middlewares: list[AfterMiddleware] = []
        self.bare = 0
        """How many middlewares there are that no `Afterwork` was given to, and so have no jobs."""
        self._seen: dict[int, Any] = {}

    def search(self, value: Any) -> Findings:
        """Looks through one object. Returns itself."""
        waiting = [value]
        while waiting and len(self._seen) < MOST_OBJECTS:
            each = waiting.pop(0)
            if id(each) in self._seen:
                continue
            self._seen[id(each)] = each  # kept, so that no other object gets its id
            waiting.extend(self._look(each))
        return self

    def _look(self, value: Any) -> list[Any]:
        """Takes down what an object is. Returns what is to be looked at next."""
        from .._afterwork import Afterwork
        from .._middleware import AfterMiddleware
        from .._routes import Routes

        if isinstance(value, Afterwork):
            self._add(value.pipeline)
            return []
        if isinstance(value, AfterMiddleware):
            self.middlewares.append(value)
            self._add(value.pipeline)
            return [value.app]
        if isinstance(value, Routes):
            self.routes.append(value)
            self._add(value._dispatch.pipeline)
            return []
        if isinstance(value, (list, tuple)):
            return list(value)
        if isinstance(value, MethodType):
            return [value.__self__]
        if isinstance(value, FunctionType):
            return [cell.cell_contents for cell in value.__closure__ or () if _is_full(cell)]
        if isinstance(value, (type, ModuleType, str, bytes, int, float, dict, set, type(None))):
            return []
        return self._inside(value)

    def _inside(self, value: Any) -> list[Any]:
        """What an app, a route or an entry of a list of middlewares holds."""
        from .._middleware import AfterMiddleware

        attributes = _attributes(value)
        # Starlette's Middleware and Litestar's DefineMiddleware: a class and its arguments.
        made = attributes.get("cls", attributes.get("middleware"))
        if isinstance(made, type):
            given = [
                *_items(attributes.get("args")),
                *_items(attributes.get("kwargs")),
                *_items(attributes.get("options")),
            ]
            if issubclass(made, AfterMiddleware) and not any(map(_is_afterwork, given)):
                self.bare += 1
            return given
        found = [attributes[name] for name in INNER if name in attributes]
        for name in LISTS:
            found += _items(attributes.get(name))
        state = attributes.get("state")
        found += filter(_is_ours, _items(getattr(state, "_state", None)))
        found += filter(_is_ours, attributes.values())
        return found

    def _add(self, pipeline: Pipeline) -> None:
        if pipeline not in self.pipelines:
            self.pipelines.append(pipeline)


def described(module: ModuleType) -> list[str]:
    """The objects of a module that might be an app, such as `app (FastAPI)`, for people."""
    found: list[str] = []
    for name, value in vars(module).items():
        kind = type(value)
        if not name.startswith("_") and kind.__module__ not in ("builtins", "__future__"):
            found.append(f"{name} ({kind.__name__})")
    return found


def is_app(value: object) -> bool:
    """Whether an object looks like an ASGI app that a server could be given: one of a framework, or
    an async function of scope, receive and send."""
    if isinstance(value, FunctionType):
        code = value.__code__
        return bool(code.co_flags & CO_COROUTINE) and code.co_argcount == ASGI_ARGUMENTS
    if isinstance(value, (type, MethodType)):
        return False
    attributes = _attributes(value)
    return callable(value) and any(name in attributes for name in (*INNER, *LISTS))


def _attributes(value: object) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for kind in type(value).__mro__:
        names = kind.__dict__.get("__slots__", ())
        for name in (names,) if isinstance(names, str) else names:
            if hasattr(value, name):
                found[name] = getattr(value, name)
    found.update(getattr(value, "__dict__", {}))
    return found


def _items(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return list(value.values())
    return list(value) if isinstance(value, (list, tuple)) else []


def _is_ours(value: object) -> bool:
    from .._middleware import AfterMiddleware
    from .._routes import Routes

    return _is_afterwork(value) or isinstance(value, (AfterMiddleware, Routes))


def _is_afterwork(value: object) -> bool:
    from .._afterwork import Afterwork

    return isinstance(value, Afterwork)


def _is_full(cell: Any) -> bool:
    try:
        return cell.cell_contents is not cell
    except ValueError:
        return False
