"""From jobs to entries: what of them a target can express, under which warnings.

The order of the checks is the order in which a person would ask: has the job a schedule, can its
times be said at all, in the target's zone, in the target's fields, as often as the target allows.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from .. import _durations
from .._every import Every
from .._slots import MAX_GRACE_SECONDS, MIN_GRACE_SECONDS
from . import _clocks, _times
from ._refusals import ExportRefusedError, Refused

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from .._afterwork import Afterwork
    from ._clocks import Clock, Difference
    from ._items import Item
    from ._options import Settings
    from ._times import Times


@dataclass(frozen=True, slots=True)
class Dialect:
    """What a target's schedules can say. The facts are those of the vendors' pages that the
    target's own file names."""

    title: str
    text: Callable[[Times], str]
    clock: Clock = "repeat"
    """What it does where a clock changes; see `_clocks.crons`."""
    zoned: bool = True
    """Each schedule has its own zone; otherwise all run on the one of `--zone`, default UTC."""
    either: bool = True
    """Two day fields of which one is enough. Otherwise such a job becomes two entries."""
    halves: bool = True
    """Whether those two may: the app knows what fires for both as one slot. A command does not."""
    splits: bool = True
    """A job may become several entries."""
    both: bool = False
    """Two day fields that both have to match."""
    seconds: bool = False
    """Intervals below a minute."""
    least: int = 60
    """The shortest interval, in seconds."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One schedule of a target."""

    item: Item
    name: str
    times: Times
    zone: str
    text: str
    words: str

    @property
    def grace(self) -> int:
        """Seconds that a start may be late: as the app counts it, from the shortest interval."""
        if self.item.grace is not None:
            return int(self.item.grace)
        return int(min(max(self.times.gap() / 2, MIN_GRACE_SECONDS), MAX_GRACE_SECONDS))


@dataclass(slots=True)
class Plan:
    """What a target has to print, and what is to be said of it."""

    settings: Settings
    dialect: Dialect
    entries: list[Entry] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    refusals: list[ExportRefusedError] = field(default_factory=list)
    differences: dict[str, list[Difference]] = field(default_factory=dict)

    def warn(self, text: str) -> None:
        """Each is said once."""
        if text not in self.warnings:
            self.warnings.append(text)

    def refuse(self, item: Item, problem: str, way: str) -> None:
        """Takes a job out again."""
        self.entries = [entry for entry in self.entries if entry.item is not item]
        self.refusals.append(ExportRefusedError(item.name, self.dialect.title, problem, way))

    def add(self, item: Item, now: float) -> None:
        try:
            self.entries.extend(self._entries(item, now))
        except Refused as refused:
            self.refuse(item, refused.problem, refused.way)

    def _entries(self, item: Item, now: float) -> list[Entry]:
        dialect, schedule = self.dialect, item.schedule
        if isinstance(schedule, Every):
            times, zone = _times.of_every(schedule), "UTC"
        else:
            times, zone = _times.of_cron(schedule), schedule.timezone
        self._check(times)
        pieces = [times]
        if not dialect.zoned and zone != self.settings.zone:
            pieces = _clocks.moved(times, zone, self.settings.zone, now)
        if not dialect.either and times.rule == "either" and not dialect.halves:
            raise Refused(
                "one of its two day fields is enough, which cannot be said there, and on a day "
                "that matches both two schedules would run it twice",
                "restrict one of the two day fields",
            )
        if not dialect.either:
            pieces = [half for piece in pieces for half in piece.halves()]
        if len(pieces) > 1 and not dialect.splits:
            raise Refused(
                "it needs several schedules there, and the target has one",
                "make several jobs of it, or choose times on the same date in both zones",
            )
        at = zone if dialect.zoned else self.settings.zone
        words = f"{schedule.words()}".rstrip(".")
        entries = [
            Entry(item, _numbered(item.name, index), piece, at, dialect.text(piece), words)
            for index, piece in enumerate(pieces, 1)
        ]
        if times.seconds == 1:
            self._compare(item, pieces, {at, zone}, at, now)
        return entries

    def _check(self, times: Times) -> None:
        dialect = self.dialect
        if times.seconds != 1 and not dialect.seconds:
            raise Refused("it runs more often than once a minute", "choose 1m or more")
        if times.gap() < dialect.least:
            raise Refused(
                f"it runs more often than every {_durations.words(dialect.least)}, the least there",
                f"choose {_durations.compact(dialect.least)} or more",
            )
        if times.rule == "both" and not dialect.both:
            raise Refused(
                "a day has to match both its day of month and its day of week (one of them starts "
                "with a star), which cannot be said there",
                "restrict one of the two day fields and pick the day in the job",
            )

    def _compare(
        self, item: Item, pieces: list[Times], zones: set[str], at: str, now: float
    ) -> None:
        dialect = self.dialect
        theirs = _clocks.crons(pieces, at, dialect.clock)
        found = _clocks.differences(item.schedule, theirs, zones, now)
        if dialect.clock == "late":
            found = [each for each in found if not (each.forward and each.zone == at)]
        self.differences[item.name] = found
        if dialect.clock in ("late", "unknown") and any(each.zone == at for each in found):
            changes = "is put back" if dialect.clock == "late" else "changes"
            self.warn(
                f"{item.name}: what {dialect.title} does where the clock of {at} {changes} is not "
                "documented; in such hours it may run twice, late or not at all"
            )
            return
        for difference in found:
            self.warn(f"{item.name}: {difference.words(dialect.title)}")

    def warn_of_rare_ticks(self, work: Afterwork, tick: Every) -> None:
        """A job that is due more often than the tick comes runs once for several slots."""
        for job in work.jobs:
            schedule: Any = job.schedule
            if schedule is None:
                continue
            if isinstance(schedule, Every):
                gap = schedule.seconds
            else:
                gap = _times.of_cron(schedule).gap()
            if gap < tick.seconds:
                self.warn(
                    f"{job.name} is due after {_durations.words(gap)}, and the tick comes every "
                    f"{_durations.words(tick.seconds)}: slots between two ticks are misfires"
                )


def _numbered(name: str, index: int) -> str:
    return name if index == 1 else f"{name}-{index}"
