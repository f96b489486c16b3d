"""How a schedule calls the route: address, mode, time-out, and the curl command that several
targets share.

The slot is named by callers that know the scheduled moment. Those that only know when they were
started (curl in a pod or a crontab) leave it out: the route floors to the most recent occurrence,
which is right for a late start, where a time of their own would name a slot that does not exist.
"""

from __future__ import annotations

import math

from .._job_policy import MODES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ._items import Item
    from ._plan import Entry, Plan

WAIT, ACCEPT = MODES
DEFAULT_SECONDS = 300
"""How long a call waits for a job that has no timeout."""
SPARE_SECONDS = 5
"""What a call waits longer than the job may take."""


def address(plan: Plan, item: Item, *, most: float | None = None, path: bool = False) -> str:
    """The job's URL (or its path), which asks for the answer 202 at once where the caller waits at
    most so many seconds and the job may take longer."""
    base = plan.settings.path if path else plan.settings.url
    url = f"{base}/{item.name}"
    if most is None or not late(item, most):
        return url
    if item.mode == WAIT:
        plan.warn(
            f"{item.name}: {plan.dialect.title} waits {most:g} s at most, and the job has "
            f"mode='wait' and no timeout below that; it will look failed there when it is not"
        )
    return f"{url}?mode={ACCEPT}"


def late(item: Item, most: float) -> bool:
    """Whether a caller that waits so long may not see the end."""
    return item.mode != ACCEPT and (item.timeout is None or item.timeout + SPARE_SECONDS > most)


def seconds(item: Item, most: float = math.inf) -> int:
    """How long a call should wait for the answer."""
    if item.mode == ACCEPT:
        return 30
    wanted = DEFAULT_SECONDS if item.timeout is None else item.timeout + SPARE_SECONDS
    return math.ceil(min(wanted, most))


def curl(plan: Plan, entry: Entry) -> str:
    """A command for a POSIX shell. The secret is read from the environment and goes to curl through
    a pipe, so no list of processes shows it. A job that failed makes it exit with 22."""
    secret = plan.settings.secret
    return (
        f"printf 'Authorization: Bearer %s' \"${secret}\" | curl --header @- "
        "--silent --show-error --fail-with-body --request POST "
        f"--max-time {seconds(entry.item)} '{address(plan, entry.item)}'"
    )


def comment(entry: Entry) -> str:
    """What a document says of an entry: the job, and its schedule in words."""
    return f"{entry.item.name}: {entry.words}"
