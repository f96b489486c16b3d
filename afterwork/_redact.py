"""Arguments and results as people may see them: without what is probably a secret."""

from __future__ import annotations

import json
import re

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

HIDDEN = "[hidden]"
LONGEST_TEXT = 200
_SECRET = re.compile(
    r"pass(word|wd|phrase)|secret|token|api[_-]?key|authorization|credential|cookie|private[_-]?key"
    r"|\bpin\b|cvv|card[_-]?number|signature",
    re.IGNORECASE,
)
_URL_PASSWORD = re.compile(r"(\w+://[^\s:/@]*):[^\s/@]+@")


def redacted(value: Any, name: str = "") -> Any:
    """The same with the values of secret names hidden, passwords taken out of URLs, and long texts
    cut. For JSON values."""
    if _SECRET.search(name):
        return HIDDEN
    if isinstance(value, dict):
        return {key: redacted(each, str(key)) for key, each in value.items()}
    if isinstance(value, list):
        return [redacted(each) for each in value]
    if isinstance(value, str):
        text = _URL_PASSWORD.sub(rf"\1:{HIDDEN}@", value)
        return text if len(text) <= LONGEST_TEXT else f"{text[:LONGEST_TEXT]}..."
    return value


def arguments(payload: str, names: list[str]) -> dict[str, Any]:
    """The arguments of a durable call, by name, as people may see them. `names` are those of the
    positional ones."""
    try:
        given, named = json.loads(payload)
        listed = {
            names[at] if at < len(names) else f"argument {at + 1}": value
            for at, value in enumerate(given)
        }
        return {name: redacted(value, name) for name, value in {**listed, **named}.items()}
    except (ValueError, TypeError, AttributeError):
        return {"payload": "[not readable]"}
