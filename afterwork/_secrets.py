"""What makes a secret good enough to guard a route.

1. A secret is what nobody else can guess. What was forgotten, was cut off, or came out of an
   example is none, and is refused where it is configured, not at the first attack.
2. A reason says what is wrong, and never what the secret is: it ends up in logs.
"""

from __future__ import annotations

import re

from .errors import InsecureSecretError

MIN_LENGTH = 16
"""Characters. Vercel asks for the same of a CRON_SECRET; 16 random letters and digits are about 95
bits, which nobody tries over a network."""

MAX_LENGTH = 4096
"""Characters. More does not pass the limits that servers have for a header."""

MIN_DIFFERENT = 5
"""Different characters. Less than one in a million random secrets of 16 hexadecimal digits has
fewer."""

MISSING = ("none", "null", "undefined", "nil", "nan", "true", "false", "void", "empty")
"""What a missing value becomes once something has made a text of it."""

_PLACEHOLDER = re.compile(
    r"(?:your|some|this|the|super|default|please|change|replace|insert|enter|put|with|here|me|my|it"
    r"|to|do|very|top|secrets?|password|passwd|passphrase|token|key|value|cron|api|auth|bearer"
    r"|signing|random|string|example|sample|placeholder|dummy|demo|dev|development|test|testing"
    r"|admin|root|foo|bar|baz|hunter2|letmein|qwerty|abc|x++|none|null|undefined"
    r"|1234567890|0123456789|123456789|12345678|123456|12345|1234|123)+"
)
_TEMPLATE = re.compile(r"<.*>|\[.*\]|\$\{.*\}|\$\(.*\)|\{\{.*\}\}|\$\w+|%\w+%")


def check_secret(name: str, secret: str | None) -> str:
    """Returns the secret if it is a good one. For verifiers that are given secrets.

    `name` says where the secret comes from, for the message: an environment variable, for example.

    Raises `InsecureSecretError`, each time with the reason, for a secret that is missing (None),
    empty, or whitespace only; that begins or ends with whitespace, as a file's last line does; that
    holds characters which a header cannot carry (only ASCII from space to `~` can be sent by
    everybody); that is shorter than 16 characters or longer than 4096; that has fewer than five
    different characters; and for what only stands for a secret: `None`, `undefined`, `changeme`,
    `your-secret-here`, `${CRON_SECRET}` and the like. The message never shows the secret.
    """
    if secret is None:
        raise InsecureSecretError(name, "it is not set")
    problem = _problem(secret)
    if problem is not None:
        raise InsecureSecretError(name, problem)
    return secret


def _problem(secret: object) -> str | None:
    """What is wrong with a secret, or None. The first reason that helps comes first: who reads that
    `None` is too short might choose a longer name for nothing."""
    if not isinstance(secret, str):
        return f"it has to be a str and is of type {type(secret).__name__}"
    if not secret:
        return "it is empty"
    if secret.isspace():
        return "it is nothing but whitespace"
    if secret != secret.strip():
        return "it begins or ends with whitespace, such as the newline of the file it was read from"
    if secret[0] == secret[-1] and secret[0] in "\"'":
        return "it is in quotation marks, which are part of it here and not in a shell"
    for position, character in enumerate(secret):
        if not " " <= character <= "~":
            return f"its character {position + 1} is not printable ASCII, so no header can carry it"
    return _weakness(secret)


def _weakness(secret: str) -> str | None:
    """What is wrong with a text that could be sent."""
    if len(secret) > MAX_LENGTH:
        return f"it has {len(secret)} characters and may have {MAX_LENGTH} at most"
    plain = re.sub(r"[^a-z0-9]", "", secret.lower())
    if plain in MISSING:
        return "it is a word that a missing value turns into, so something has not been set"
    if _TEMPLATE.fullmatch(secret):
        return "it is a template that nothing has been put into"
    if _PLACEHOLDER.fullmatch(plain):
        return "it is a placeholder out of an example"
    if len(secret) < MIN_LENGTH:
        return f"it has {len(secret)} characters and needs {MIN_LENGTH} at least"
    if len(set(secret)) < MIN_DIFFERENT:
        return f"it has only {len(set(secret))} different characters"
    return None
