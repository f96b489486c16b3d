"""Reads one field of a cron expression. The rules are Debian's:

1. A field is a list of items with commas between them. An item is `*`, a value or a range `2-5`,
   and `*` and ranges may have a step: `*/15`, `9-17/2`. A range rises.
2. Values are made of the digits 0 to 9. Months and days of the week have names too, three letters
   in either case. Days of the week are 0 to 7; both 0 and 7 are Sunday.
3. A step counts from the start of its range, and may be longer than it: `*/25` for hours is hour 0.

A set of values is a bit mask: bit 5 stands for the value 5."""

from __future__ import annotations

from .errors import CronSyntaxError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
# days of each month, leap years included
LONGEST = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
WEEKDAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")

# name, lowest value, highest value, names of the values from the lowest on
KINDS = (
    ("minute", 0, 59, ()),
    ("hour", 0, 23, ()),
    ("day of month", 1, 31, ()),
    ("month", 1, 12, MONTHS),
    ("day of week", 0, 7, WEEKDAYS),
)
DIGITS = frozenset("0123456789")


class Field:
    """Reads one kind of field of an expression; the expression is for the errors."""

    __slots__ = ("expression", "high", "low", "name", "names")

    def __init__(
        self, expression: str, name: str, low: int, high: int, names: tuple[str, ...]
    ) -> None:
        self.expression = expression
        self.name = name
        self.low = low
        self.high = high
        self.names = names

    def read(self, text: str, at: int) -> int:
        mask = 0
        for item in text.split(","):
            mask |= self._item(item, at)
            at += len(item) + 1
        return mask

    def _item(self, item: str, at: int) -> int:
        head, slash, step_text = item.partition("/")
        low_text, dash, high_text = head.partition("-")
        if head == "*":
            low, high = self.low, self.high
        else:
            low = high = self._value(low_text, at)
            if dash:
                high_at = at + len(low_text) + 1
                high = self._value(high_text, high_at)
                if low > high:
                    self._refuse(high_at, f"the range {head} falls", self._split_hint(low, high))
        if not slash:
            return (2 << high) - (1 << low)
        step_at = at + len(head) + 1
        if head != "*" and not dash:
            hint = f"Write {head}-{self._top()}/{step_text}."
            self._refuse(step_at - 1, "a step needs a range or * before it", hint)
        step = self._number(step_text, step_at, "a step of 1 or more")
        if step == 0:
            self._refuse(step_at, "a step of 0 leads nowhere", "Use a step of 1 or more.")
        return sum(1 << value for value in range(low, high + 1, step))

    def _value(self, text: str, at: int) -> int:
        name = text.lower()
        if name in self.names:
            return self.low + self.names.index(name)
        expected = f"{self.low}-{self.high}"
        if self.names:
            expected += f" or {self.names[0]}-{self.names[-1]}"
        number = self._number(text, at, expected)
        if not self.low <= number <= self.high:
            self._refuse(at, f"{self.name} {text} does not exist", f"Use {expected}.")
        return number

    def _number(self, text: str, at: int, expected: str) -> int:
        for index, character in enumerate(text):
            if character not in DIGITS:
                self._refuse(
                    at + index,
                    f"{character!r} cannot stand in {text!r} of the {self.name}",
                    self._hint(text, character, expected),
                )
        if not text:
            self._refuse(at, f"a value of the {self.name} is missing", f"Expected {expected}.")
        return int(text)

    def _hint(self, text: str, character: str, expected: str) -> str:
        if character.isdigit():
            return "Use the digits 0 to 9."
        if character == "?":
            return "Use * for any."
        if character in "lLwW#" and self.name.startswith("day"):
            return "L, W and # belong to other dialects. Pick the day in the job."
        if character == "*":
            return "* stands alone or before a step: * or */5."
        if text[:3].lower() in self.names:
            return f"Names have three letters: {text[:3]}."
        return f"Expected {expected}."

    def _split_hint(self, low: int, high: int) -> str:
        if self.names is WEEKDAYS and high == 0:
            return f"Sunday ends a week as 7: {low}-7."
        first = f"{low}-{self._top()}" if low < self._top() else f"{low}"
        second = f"{self.low}-{high}" if self.low < high else f"{high}"
        return f"Ranges rise: write {first},{second}."

    def _top(self) -> int:
        """The highest value that is not another name for a lower one."""
        return min(self.high, self.low + len(self.names) - 1) if self.names else self.high

    def _refuse(self, at: int, problem: str, hint: str) -> NoReturn:
        raise CronSyntaxError(self.expression, at, problem, hint)


def values(mask: int) -> list[int]:
    """The values in a mask, rising."""
    return [value for value in range(mask.bit_length()) if mask >> value & 1]
