"""The options of an export, and their check."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from urllib.parse import urlsplit

from .. import _zones
from .._every import Every
from ..errors import AfterworkError
from ._refusals import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from typing import Any

    from ._target import Target

VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
URL_CHARACTERS = re.compile(r"[A-Za-z0-9._~!*+,=:@%/-]*\Z")
"""What may stand in the address of the route: nothing that a shell, a template or SQL reads."""


@dataclass(frozen=True, slots=True)
class Settings:
    """Checked options."""

    url: str = ""
    """The address of the trigger route with its prefix and without a slash at its end; empty where
    commands are exported."""
    secret: str = "CRON_SECRET"
    """The name of the variable that holds the secret. The value is never looked at."""
    plan: str = "pro"
    zone: str = "UTC"
    shape: str = ""
    only: frozenset[str] = frozenset()
    tick: Every | None = None
    image: str = ""
    auth: str = "secret"
    account: str = ""
    known: str = ""
    cronie: bool = False

    @property
    def path(self) -> str:
        """The path of the trigger route, with the prefix under which it is mounted."""
        return urlsplit(self.url).path

    @property
    def origin(self) -> str:
        parts = urlsplit(self.url)
        return f"{parts.scheme}://{parts.netloc}" if parts.scheme else ""


# flag, variable, help, further arguments for argparse
FLAGS: tuple[tuple[str, str, str, dict[str, Any]], ...] = (
    (
        "--url",
        "AFTERWORK_URL",
        "the trigger route with its prefix, https://app.example.com/cron; for vercel its path",
        {},
    ),
    (
        "--secret-env",
        "AFTERWORK_SECRET_ENV",
        "the name of the variable or secret that the target holds; default CRON_SECRET",
        {"metavar": "NAME", "default": "CRON_SECRET"},
    ),
    (
        "--only",
        "AFTERWORK_EXPORT_ONLY",
        "the jobs to export, names with commas between them; default all with a schedule",
        {"metavar": "JOB"},
    ),
    (
        "--tick",
        "AFTERWORK_EXPORT_TICK",
        "export one call of /tick instead, so often, such as 1m or 5m; the app decides what is due",
        {"metavar": "INTERVAL"},
    ),
    (
        "--plan",
        "AFTERWORK_EXPORT_PLAN",
        "vercel: hobby or pro (default), whose limits differ",
        {"choices": ("hobby", "pro"), "default": "pro"},
    ),
    (
        "--zone",
        "AFTERWORK_EXPORT_ZONE",
        "the zone of a machine or service that has one for all (crontab, pg-cron, azure); UTC",
        {"default": "UTC"},
    ),
    (
        "--shape",
        "AFTERWORK_EXPORT_SHAPE",
        "the form of the document where a target knows several",
        {},
    ),
    (
        "--auth",
        "AFTERWORK_EXPORT_AUTH",
        "github: how the call proves itself, secret (default) or oidc",
        {"choices": ("secret", "oidc"), "default": "secret"},
    ),
    (
        "--service-account",
        "AFTERWORK_EXPORT_ACCOUNT",
        "cloud-scheduler: the account whose token the call carries; default: a variable",
        {"metavar": "EMAIL", "default": ""},
    ),
    (
        "--image",
        "AFTERWORK_EXPORT_IMAGE",
        "kubernetes: the app's image, which runs the command instead of calling a URL",
        {"default": ""},
    ),
    (
        "--known",
        "AFTERWORK_EXPORT_KNOWN",
        "qstash: a file with the answer of GET /v2/schedules; proposes to delete what is gone",
        {"metavar": "FILE", "default": ""},
    ),
)


def add_to(parser: argparse.ArgumentParser) -> None:
    """The options that all targets share. Each can be set by a variable too."""
    for flag, variable, text, extra in FLAGS:
        default = os.environ.get(variable) or extra.get("default")
        rest = {name: value for name, value in extra.items() if name != "default"}
        parser.add_argument(flag, default=default, help=f"{text} [{variable}]", **rest)
    parser.add_argument(
        "--cronie",
        action="store_true",
        default=bool(os.environ.get("AFTERWORK_EXPORT_CRONIE")),
        help="crontab: it is cronie, which reads CRON_TZ [AFTERWORK_EXPORT_CRONIE]",
    )


def read(args: argparse.Namespace, target: Target) -> Settings:
    """Raises `UsageError`."""
    if not VARIABLE.match(args.secret_env):
        raise UsageError(
            f"--secret-env is the name of a variable, such as CRON_SECRET, and "
            f"{len(args.secret_env)} characters came that are none",
            "Give the name; the secret itself belongs into no export",
        )
    try:
        _zones.load(args.zone)
        tick = None if args.tick is None else Every(args.tick)
    except AfterworkError as error:
        raise UsageError(str(error), "See --help") from None
    shape = args.shape or (target.shapes[0] if target.shapes else "")
    if shape and shape not in target.shapes:
        known = ", ".join(target.shapes) or "none"
        raise UsageError(f"{target.name} has no shape {shape!r}; known are: {known}", "See --help")
    only = frozenset(filter(None, (args.only or "").split(",")))
    return Settings(
        url=_url(args.url or "", target, args.image, shape),
        secret=args.secret_env,
        plan=args.plan,
        zone=args.zone,
        shape=shape,
        only=only,
        tick=tick,
        image=args.image,
        auth=args.auth,
        account=args.service_account,
        known=args.known,
        cronie=args.cronie,
    )


def _url(url: str, target: Target, image: str, shape: str) -> str:
    if not url:
        if target.url in ("none", "optional") or (target.url == "image" and image):
            return ""
        if target.url == "worker" and shape != "worker":
            return ""
        example = "/cron" if target.url == "path" else "https://app.example.com/cron"
        raise UsageError(
            f"{target.name} needs the address of the trigger route, with the prefix under which it "
            "is mounted",
            f"Add --url {example}",
        )
    parts = urlsplit(url)
    if parts.username or parts.password or parts.query or parts.fragment:
        raise UsageError(
            "--url holds a user, a password, a query or a fragment, where secrets would show",
            "Give the plain address, such as https://app.example.com/cron",
        )
    relative = not parts.scheme and url.startswith("/")
    if not (parts.scheme in ("http", "https") and parts.netloc) and not (
        relative and target.url == "path"
    ):
        raise UsageError(
            f"--url has to be an address such as https://app.example.com/cron; it is {url!r}",
            "Give the address of the trigger route",
        )
    if not URL_CHARACTERS.match(url):
        raise UsageError(
            "--url holds characters that have a meaning in shells or templates",
            "Write them percent-encoded",
        )
    return url.rstrip("/")
