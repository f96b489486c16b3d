"""Jobs: named callables with a policy, and usually a schedule."""

from __future__ import annotations

from . import _kinds
from ._job_policy import check_name
from ._options import Options
from .errors import InvalidJobError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, Generic, ParamSpec, TypeVar

    from ._job_policy import JobPolicy
    from ._schedule import Schedule
    from ._ticket import Ticket

    P = ParamSpec("P")
    R = TypeVar("R", covariant=True)

    class Base(Generic[P, R]):
        """Makes `Job` generic for type checkers alone."""
else:

    class Base:
        """The same without the import of `typing`."""

        __slots__ = ()

        def __class_getitem__(cls, item: object) -> type:
            return cls


class Job(Base["P", "R"]):
    """A named callable, registered on an `Afterwork` by `cron`, `every` or `job`.

    Calling it calls the function, and nothing else. `after(job, ...)` runs it after the response,
    with the job's timeout, retries and overlap policy, and leaves a record in the store.
    """

    __slots__ = ("__wrapped__", "_ticket", "description", "fn", "name", "options", "policy")

    def __init__(
        self,
        fn: Callable[P, R],
        policy: JobPolicy,
        ticket: Callable[[Job[..., Any]], Ticket],
        name: str | None = None,
    ) -> None:
        inner: Any = fn
        if isinstance(inner, Job):  # a second schedule for the same function
            inner = inner.fn
        if not callable(inner):
            raise InvalidJobError(f"a job is a function; it was given {inner!r}")
        _kinds.kind_of(inner)
        self.__wrapped__: Any = inner
        self.fn: Callable[P, R] = self.__wrapped__
        self.name = name or policy.name or check_name(getattr(inner, "__name__", None))
        """What names it in URLs, logs and records."""
        self.description: str = (getattr(inner, "__doc__", None) or "").strip()
        """The function's docstring."""
        self.policy = policy
        self.options = policy.options(self.name)
        self._ticket = ticket

    if TYPE_CHECKING:

        def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R: ...

    else:

        def __call__(self, *args, **kwargs):
            return self.fn(*args, **kwargs)

    @property
    def schedule(self) -> Schedule | None:
        """When it is due; None for a job that is only set off by others."""
        return self.policy.schedule

    @property
    def tags(self) -> tuple[str, ...]:
        """Its tags."""
        return self.policy.tags

    def __afterwork__(self, options: Options) -> tuple[Callable[..., object], Options, Ticket]:
        """What `after(job)` queues: the function, with the job's options under those of the call,
        and a ticket."""
        given = {**self.options.given, **options.given}
        return self.fn, Options(**given), self._ticket(self)

    def __repr__(self) -> str:
        return f"<Job {self.name}{'' if self.schedule is None else f' {self.schedule}'}>"
