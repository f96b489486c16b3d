"""Reads a cron expression. The grammar is Debian's; `_cron_field` has the rules of a single field.

1. Five fields with spaces or tabs between them: minute, hour, day of month, month, day of week.
   Or one of the words in `ALIASES`.
2. A field that *starts with* `*` is a star field, whatever follows. This decides two things later:
   how the two day fields go together (`either_day`), and whether a job follows real time where the
   clock is put forward or back (`follows_clock`).
3. What could never fire is refused: day 31 of February.
"""

from __future__ import annotations

from ._cron_field import KINDS, LONGEST, MONTHS, Field, values
from .errors import CronSyntaxError

# Sixty minutes, written out, take 169 characters; five fields written out stay under this.
MAX_LENGTH = 512

ALIASES = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}

ALL_DAYS = (1 << 32) - 2
ALL_WEEKDAYS = (1 << 7) - 1
SHAPE = "minute, hour, day of month, month, day of week"


class Fields:
    """What a cron expression says, as sets of values.

    `text`
        The expression with single spaces, aliases as they were written.
    `minutes`, `hours`, `days`, `months`, `weekdays`
        Bit masks. Weekdays are 0 to 6, from Sunday on.
    `either_day`
        True where a day has to match only one of the two day fields, False where it has to match
        both. It is False as soon as one of the two is a star field.
    `every_day`
        True where the two day fields leave out no day.
    `follows_clock`
        True where minute or hour is a star field: the job fires at every real minute that matches.

    Raises `CronSyntaxError`.
    """

    __slots__ = (
        "days",
        "either_day",
        "every_day",
        "follows_clock",
        "hours",
        "minutes",
        "months",
        "text",
        "weekdays",
    )

    def __init__(self, expression: str) -> None:
        if len(expression) > MAX_LENGTH:
            raise CronSyntaxError(
                expression,
                MAX_LENGTH,
                f"it has {len(expression)} characters",
                f"At most {MAX_LENGTH} are read. Use ranges and steps instead of long lists.",
            )
        words = _words(expression)
        self.text = " ".join(word for word, _ in words)
        if self.text.startswith("@"):
            words = _words(_alias(expression, words))
        _check_count(expression, words)
        masks = [
            Field(expression, *kind).read(word, at)
            for kind, (word, at) in zip(KINDS, words, strict=True)
        ]
        stars = [word.startswith("*") for word, _ in words]
        self.minutes, self.hours, self.days, self.months, weekdays = masks
        self.weekdays = (weekdays & ALL_WEEKDAYS) | (weekdays >> 7)
        self.either_day = not (stars[2] or stars[4])
        full = self.days == ALL_DAYS, self.weekdays == ALL_WEEKDAYS
        self.every_day = any(full) if self.either_day else all(full)
        self.follows_clock = stars[0] or stars[1]
        if not self.either_day:
            self._check_dates(expression, words[2][1])

    def _check_dates(self, expression: str, at: int) -> None:
        first = (self.days & -self.days).bit_length() - 1
        months = values(self.months)
        if any(first <= LONGEST[month - 1] for month in months):
            return
        names = ", ".join(MONTHS[month - 1].capitalize() for month in months)
        raise CronSyntaxError(
            expression,
            at,
            f"it never fires, there is no day {first} in {names}",
            "Choose a day that one of the months has.",
        )


def _words(expression: str) -> list[tuple[str, int]]:
    """The fields with the position of each. Only spaces and tabs divide them, as in cron."""
    for at, character in enumerate(expression):
        if character.isspace() and character not in " \t":
            hint = "Only spaces and tabs may stand between the fields."
            raise CronSyntaxError(expression, at, f"{character!r} is no space", hint)
    words: list[tuple[str, int]] = []
    at = 0
    for word in expression.replace("\t", " ").split(" "):
        if word:
            words.append((word, at))
        at += len(word) + 1
    return words


def _alias(expression: str, words: list[tuple[str, int]]) -> str:
    word, at = words[0]
    meaning = ALIASES.get(word.lower())
    if meaning is not None and len(words) == 1:
        return meaning
    if meaning is not None:
        raise CronSyntaxError(
            expression, words[1][1], f"{word} stands alone", "Remove what follows it."
        )
    hint = f"Known are {', '.join(ALIASES)}."
    if word.lower() == "@reboot":
        hint = "It is no time of day. Start-up work belongs in the app's lifespan."
    elif word.lower() == "@every":
        hint = 'An interval is an Every: Every("10m").'
    raise CronSyntaxError(expression, at, f"{word!r} names no schedule", hint)


def _check_count(expression: str, words: list[tuple[str, int]]) -> None:
    if words and "TZ=" in words[0][0]:
        raise CronSyntaxError(
            expression,
            words[0][1],
            "a time zone is no part of it",
            'Give it as an argument: timezone="Europe/Paris".',
        )
    if len(words) < len(KINDS):
        missing = ", ".join(kind[0] for kind in KINDS[len(words) :])
        raise CronSyntaxError(
            expression,
            len(expression),
            f"it has {len(words)} of five fields",
            f"They are {SHAPE}; missing: {missing}.",
        )
    if len(words) > len(KINDS):
        raise CronSyntaxError(
            expression,
            words[len(KINDS)][1],
            f"it has {len(words)} fields and not five",
            f"They are {SHAPE}. There is no field for seconds or years.",
        )
