"""Jobs: named callables with a policy, and usually a schedule."""

from __future__ import annotations

from . import _kinds
from ._job_policy import check_name
from ._options import Options
from .errors import InvalidJobError, InvalidOptionError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, Generic, ParamSpec, Protocol, TypeVar

    from ._codec import Codec
    from ._durable_calls import DurableCalls
    from ._job_policy import JobPolicy
    from ._schedule import Schedule
    from ._ticket import Ticket

    P = ParamSpec("P")
    R = TypeVar("R", covariant=True)

    class Callers(Protocol):
        """Who makes runs of jobs: the dispatch of the app."""

        def ticket(self, job: Job[..., Any]) -> Ticket:
            """The ticket of a call of a job."""
            ...

        @property
        def durable(self) -> DurableCalls:
            """Who writes calls of durable jobs down."""
            ...

    class Base(Generic[P, R]):
        """Makes `Job` generic for type checkers alone."""
else:

    class Base:
        """The same without the import of `typing`."""

        __slots__ = ()

        def __class_getitem__(cls, item: object) -> type:
            return cls


OF_REQUESTS = ("early", "on", "when")
"""Options that say something of a response."""


class Job(Base["P", "R"]):
    """A named callable, registered on an `Afterwork` by `cron`, `every` or `job`.

    Calling it calls the function, and nothing else. `after(job, ...)` runs it after the response,
    with the job's timeout, retries and overlap policy, and leaves a record in the store.
    """

    __slots__ = (
        "__wrapped__",
        "_callers",
        "_codec",
        "description",
        "fn",
        "name",
        "options",
        "policy",
    )

    def __init__(
        self,
        fn: Callable[P, R],
        policy: JobPolicy,
        callers: Callers,
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
        self._callers = callers
        self._codec: Codec | None = None

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

    @property
    def codec(self) -> Codec:
        """Writes and reads the arguments of a durable call."""
        if self._codec is None:
            from ._codec import Codec

            self._codec = Codec(self.fn)
        return self._codec

    def __afterwork__(
        self, options: Options, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[Callable[..., object], Options, Ticket]:
        """What `after(job)` queues: the function, with the job's options under those of the call,
        and a ticket. For a durable job its arguments are checked here."""
        if not self.policy.durable:
            if options.durable_only is not None:
                expected = f"left out, or {self.name!r} be registered with durable=True"
                raise InvalidOptionError(options.durable_only, expected, "given")
            return self.fn, self._merged(options), self._callers.ticket(self)
        if "commit" in kwargs and not self.codec.takes("commit"):
            options = Options(**options.given, commit=kwargs.pop("commit"))
        merged = self._merged(options)
        return self.fn, merged, self._callers.durable.ticket(self, options, args, kwargs)

    async def __afterwork_enqueue__(
        self, options: Options, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> str:
        """What `after.enqueue(job)` does."""
        if not self.policy.durable:
            raise InvalidJobError(
                f"the job {self.name!r} is not durable, so there is nothing to write down. "
                "Register it with durable=True"
            )
        for name in OF_REQUESTS:
            if name in options.given:
                expected = "left out: enqueue() waits for no response"
                raise InvalidOptionError(name, expected, options.given[name])
        return await self._callers.durable.enqueue(self, options, args, kwargs)

    def _merged(self, options: Options) -> Options:
        if not options.given:
            return self.options
        return Options(**{**self.options.given, **options.given})

    def __repr__(self) -> str:
        return f"<Job {self.name}{'' if self.schedule is None else f' {self.schedule}'}>"
