"""An alert as the body of a webhook's request.

Texts are escaped, so that no name and no error of a job can mention people, make links or change
the format: for Slack after https://docs.slack.dev/messaging/formatting-message-text, for Discord
after https://docs.discord.com/developers/resources/webhook#execute-webhook.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

from ._alert import Alert

__all__ = ["FORMATS", "body"]

MAX_TEXT = 1900
"""Characters. Discord takes 2,000."""

_DISCORD = re.compile(r"([\\`*_~|<>\[\]()#:@-])")


def slack(alert: Alert) -> dict[str, Any]:
    """For an incoming webhook of Slack, and for all that take its format, such as Mattermost."""
    icon = ":white_check_mark:" if alert.recovered else ":rotating_light:"
    lines = [f"{icon} *{_slack(alert.name)}* {alert.title}", *map(_slack, alert.details)]
    return {"text": "\n".join(lines)[:MAX_TEXT]}


def discord(alert: Alert) -> dict[str, Any]:
    """For a webhook of a Discord channel."""
    icon = "\N{WHITE HEAVY CHECK MARK}" if alert.recovered else "\N{POLICE CARS REVOLVING LIGHT}"
    lines = [f"{icon} **{_discord(alert.name)}** {alert.title}", *map(_discord, alert.details)]
    return {"content": "\n".join(lines)[:MAX_TEXT], "allowed_mentions": {"parse": []}}


FORMATS: dict[str, Callable[[Alert], dict[str, Any]]] = {
    "json": Alert.as_json,
    "slack": slack,
    "discord": discord,
}


def body(alert: Alert, style: str) -> bytes:
    """The JSON that is sent."""
    return json.dumps(FORMATS[style](alert)).encode()


def _slack(text: str) -> str:
    # These three are all that Slack can be told to take literally. Of what makes text bold or code,
    # quotes that look the same are left.
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return text.replace("`", "\N{MODIFIER LETTER GRAVE ACCENT}").replace(
        "*", "\N{ASTERISK OPERATOR}"
    )


def _discord(text: str) -> str:
    return _DISCORD.sub(r"\\\1", text)
