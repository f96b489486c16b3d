"""`afterwork trigger`: calls the trigger route of a deployment.

The secret comes from a variable of the environment and is never on the command line, where other
users of the machine see it; it is sent over HTTPS, or to this machine. Redirects are not followed:
they would take the secret elsewhere.
"""

from __future__ import annotations

import json
import os
import re

from ._errors import FAILED, NOT_FOUND, OK, SKIPPED, TIMED_OUT, USAGE, Stop
from ._options import duration, flag, json_option, option
from ._output import plain

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from typing import Any

    from ._output import Output

NOT_RUN = ("duplicate", "paused", "skipped")
LOCAL = ("localhost", "127.0.0.1", "::1")
MAX_ANSWER = 1_048_576
"""Bytes of an answer that are read."""
HINTS = {
    401: "the secret is not the one that the deployment has, or it sends it in another way: "
    "see --secret-env and --header.",
    404: "the deployment has no such job, or its trigger route is at another address: --url is "
    "the address under which the app mounts it, such as https://shop.example/cron.",
    503: "the deployment's store or verifier is down; its log says more.",
}


def add(commands: Any) -> None:
    """Adds the command."""
    parser = commands.add_parser(
        "trigger",
        help="run a job of a deployment through its trigger route",
        description="Calls the trigger route of a deployment and prints its answer. It needs no "
        "app here.",
        epilog="Example: CRON_SECRET=... afterwork trigger nightly --url https://shop.example/cron",
    )
    parser.add_argument("job", metavar="JOB", help="the job's name")
    option(parser, "--url", metavar="URL", about="where the app mounts the route; needed")
    option(
        parser,
        "--secret-env",
        metavar="NAME",
        default="CRON_SECRET",
        about="the variable that holds the secret; default CRON_SECRET",
    )
    option(
        parser,
        "--header",
        metavar="HEADER",
        about="send the secret as the value of this header, for a HeaderSecret; default: as "
        "Authorization: Bearer",
    )
    option(parser, "--json-args", metavar="OBJECT", about="arguments of the job, as a JSON object")
    option(
        parser, "--slot", metavar="TIME", about="the slot to run, or manual; default: the route's"
    )
    option(parser, "--mode", metavar="MODE", about="wait or accept; default: the deployment's")
    option(
        parser,
        "--timeout",
        read=duration,
        default="5m",
        metavar="DURATION",
        about="how long to wait for the answer; default 5m",
    )
    flag(parser, "--ok-if-skipped", about="exit with 0 where the run was skipped")
    json_option(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace, out: Output) -> int:
    """Runs it."""
    code, answer = _send(_address(args), _headers(args), _body(args), args.timeout)
    status = str(answer.get("status", ""))
    if out.json:
        out.document(http_status=code, answer=answer)
    else:
        rest = "  ".join(
            f"{name}={plain(str(value))}" for name, value in answer.items() if name != "status"
        )
        out.line(f"{args.job} {plain(status)} (HTTP {code})  {rest}".rstrip())
    if code in HINTS:
        out.complain(f"afterwork: {HINTS[code]}")
    if code == 404:
        return NOT_FOUND
    if status == "timed_out":
        return TIMED_OUT
    if code in (200, 202) and status in ("ok", "accepted"):
        return OK
    if code == 200 and status in NOT_RUN:
        return OK if args.ok_if_skipped else SKIPPED
    return FAILED


def _address(args: argparse.Namespace) -> str:
    """The address of the job. Raises `Stop`."""
    from urllib.parse import quote, urlencode, urlsplit

    if not args.url:
        raise Stop(USAGE, "where is the deployment? --url https://shop.example/cron")
    parts = urlsplit(args.url)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.username is not None:
        raise Stop(
            USAGE, "--url is an address such as https://shop.example/cron, without a password."
        )
    if parts.scheme == "http" and parts.hostname not in LOCAL:
        raise Stop(
            USAGE,
            f"--url is not https, so everybody on the way to {parts.hostname} could read the "
            "secret.",
        )
    path = f"{parts.path.rstrip('/')}/{quote(args.job, safe='')}"
    pairs = [
        (name, value)
        for name, value in (("slot", args.slot), ("mode", args.mode))
        if value is not None
    ]
    query = "&".join(filter(None, [parts.query, urlencode(pairs)]))
    return f"{parts.scheme}://{parts.netloc}{path}{'?' if query else ''}{query}"


def _headers(args: argparse.Namespace) -> dict[str, str]:
    secret = os.environ.get(args.secret_env)
    if secret is None:
        raise Stop(
            USAGE,
            f"the variable {args.secret_env} is not set; it holds the secret of the deployment. "
            "Another one: --secret-env NAME",
        )
    from .._ids import run_id
    from .._secrets import check_secret

    check_secret(args.secret_env, secret)
    headers = {
        "User-Agent": "afterwork-cli",
        "Accept": "application/json",
        "Content-Type": "application/json",
        # A line that breaks and is tried again by hand is another delivery.
        "Afterwork-Delivery": f"cli-{run_id()}",
    }
    if args.header is None:
        return {**headers, "Authorization": f"Bearer {secret}"}
    if not re.fullmatch(r"[A-Za-z0-9_-]+", args.header):
        raise Stop(USAGE, f"--header is the name of a header; it was given {args.header!r}.")
    return {**headers, args.header: secret}


def _body(args: argparse.Namespace) -> bytes:
    if args.json_args is None:
        return b""
    try:
        given = json.loads(args.json_args)
    except ValueError as error:
        raise Stop(USAGE, f"--json-args is no JSON: {error}.") from None
    return json.dumps(given).encode()


def _send(
    address: str, headers: dict[str, str], body: bytes, seconds: float
) -> tuple[int, dict[str, Any]]:
    """The status code and the JSON of the answer. Raises `Stop`."""
    from urllib.error import HTTPError
    from urllib.request import HTTPRedirectHandler, Request, build_opener

    class Refusing(HTTPRedirectHandler):
        def redirect_request(
            self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str
        ) -> None:
            return None

    request = Request(address, data=body, headers=headers, method="POST")
    try:
        with build_opener(Refusing).open(request, timeout=seconds) as response:
            return response.status, _parsed(response.read(MAX_ANSWER))
    except HTTPError as error:
        with error:
            return error.code, _parsed(error.read(MAX_ANSWER))
    except TimeoutError:
        raise Stop(TIMED_OUT, f"no answer from {address} within {seconds:g} s.") from None
    except OSError as error:
        reason = getattr(error, "reason", error)
        if isinstance(reason, TimeoutError):
            raise Stop(TIMED_OUT, f"no answer from {address} within {seconds:g} s.") from None
        raise Stop(FAILED, f"{address} could not be called: {reason}.") from None


def _parsed(body: bytes) -> dict[str, Any]:
    """An answer's JSON; something else than the route may have answered."""
    try:
        found = json.loads(body)
    except ValueError:
        found = None
    if isinstance(found, dict):
        return found
    return {"status": "no answer of a trigger route"}
