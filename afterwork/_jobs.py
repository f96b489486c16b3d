"""The jobs of one app, by name."""

from __future__ import annotations

from .errors import InvalidJobError, UnknownJobError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from ._job import Job


class Jobs:
    """What was registered, in that order."""

    __slots__ = ("_jobs",)

    def __init__(self) -> None:
        self._jobs: dict[str, Job[..., Any]] = {}

    def add(self, job: Job[..., Any]) -> None:
        """Raises `InvalidJobError` if the name is taken: a run's record says only the name."""
        known = self._jobs.get(job.name)
        if known is not None:
            raise InvalidJobError(
                f"there are two jobs {job.name!r}: {_place(known)} and {_place(job)}. Give one of "
                f"them another name: name='{job.name}-2'"
            )
        self._jobs[job.name] = job

    def get(self, name: str) -> Job[..., Any]:
        """Raises `UnknownJobError`."""
        job = self._jobs.get(name)
        if job is None:
            raise UnknownJobError(name, self._jobs)
        return job

    def find(self, name: str) -> Job[..., Any] | None:
        """The job of that name, or None."""
        return self._jobs.get(name)

    def __iter__(self) -> Iterator[Job[..., Any]]:
        return iter(list(self._jobs.values()))

    def __len__(self) -> int:
        return len(self._jobs)

    def __contains__(self, name: object) -> bool:
        return name in self._jobs


def _place(job: Job[..., Any]) -> str:
    code = getattr(job.fn, "__code__", None)
    return repr(job.fn) if code is None else f"{code.co_filename}:{code.co_firstlineno}"
