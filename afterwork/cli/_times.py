"""Times as people write and read them at a terminal."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from ._errors import USAGE, Stop

TYPE_CHECKING = False
if TYPE_CHECKING:
    from datetime import tzinfo


def rfc3339(seconds: float | None) -> str | None:
    """An instant in UTC for JSON, to the millisecond where it has a fraction."""
    if seconds is None:
        return None
    moment = datetime.fromtimestamp(seconds, UTC)
    spec = "milliseconds" if moment.microsecond else "seconds"
    return moment.isoformat(timespec=spec).replace("+00:00", "Z")


def zone_of(name: str | None) -> tzinfo | None:
    """The zone of `--tz`; None is the machine's own."""
    if name is None:
        return None
    from .._zones import load

    return load(name)


def local(seconds: float, zone: tzinfo | None) -> str:
    """An instant on the clocks of a zone, with its offset: `2026-03-10 03:00:00 -04:00`."""
    moment = datetime.fromtimestamp(seconds, UTC).astimezone(zone)
    return f"{moment:%Y-%m-%d %H:%M:%S} {offset(moment)}"


def offset(moment: datetime) -> str:
    """The offset from UTC: `-04:00`."""
    return moment.isoformat(timespec="seconds")[19:]


def ago(seconds: float) -> str:
    """How long something is away: `in 5h`, `3m ago`, `now`; rough, in its largest unit."""
    size = abs(seconds)
    for letter, unit in (("d", 86_400), ("h", 3600), ("m", 60), ("s", 1)):
        if size >= unit:
            return _in(f"{int(size // unit)}{letter}", seconds)
    return "now"


def _in(text: str, seconds: float) -> str:
    return f"in {text}" if seconds > 0 else f"{text} ago"


def lasted(seconds: float) -> str:
    """A duration: `3 ms`, `4.2 s`, `5m12s`."""
    if seconds < 1:
        return f"{round(seconds * 1000)} ms"
    if seconds < 60:
        return f"{seconds:.3g} s"
    from .._durations import compact

    return compact(round(seconds))


def moment(option: str, text: str, now: float, zone: tzinfo | None) -> float:
    """What `--until` and the like mean: a duration from now, `2h`, or a time, `2026-03-10 12:00`,
    in the zone if it has no offset of its own. Raises `Stop`."""
    from .._durations import parse
    from ..errors import DurationSyntaxError

    try:
        return now + parse(text)
    except DurationSyntaxError:
        pass
    try:
        found = datetime.fromisoformat(text)
        if found.tzinfo is None:
            found = found.replace(tzinfo=zone) if zone is not None else found.astimezone()
        return (found - datetime(1970, 1, 1, tzinfo=UTC)) / timedelta(seconds=1)
    except (ValueError, OverflowError):
        raise Stop(
            USAGE,
            f"{option} is a duration such as 2h, or a time such as 2026-03-10T12:00:00Z; it was "
            f"given {text!r}.",
        ) from None
