"""Who called the trigger route, and what it says of its delivery.

1. Read only after authentication: each of these headers is plain text that anybody can send.
2. A caller is told by its own headers, in the order of `CALLERS`. One that none of them fits is
   `http`: curl, GitHub Actions, pg_net, cron-job.org.
3. Anybody may name slot, delivery and attempt itself: `?slot=2026-03-08T07:00:00Z`, `?delivery=`,
   `?attempt=`, or the headers `Afterwork-Slot` and so on. `?slot=manual` says that it is no slot.
4. A header with a value that cannot be read is a mistake of the caller, never a guess of ours.

What callers send: the pages of Vercel, QStash, Cloud Scheduler, Cloud Tasks, EventBridge, GitHub.
"""

from __future__ import annotations

from datetime import UTC, datetime

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ._verify import TriggerRequest

MANUAL = "manual"
MAX_SLOT = 253_000_000_000
"""Year 9987, in seconds: what comes later is no slot."""
MILLISECONDS_FROM = 100_000_000_000
"""Numbers from here on are milliseconds: as seconds they would be in the year 5138."""
MAX_ATTEMPT = 1_000_000
MAX_DELIVERY_LENGTH = 4096


class BadCallError(Exception):
    """The caller sent what cannot be read. Its text is answered to the caller."""


class Call:
    """What a caller says of its delivery."""

    __slots__ = ("attempt", "caller", "delivery", "expression", "manual", "retries", "slot")

    def __init__(
        self,
        caller: str,
        *,
        slot: float | None = None,
        delivery: str | None = None,
        attempt: int | None = None,
        expression: str | None = None,
        retries: bool = False,
        manual: bool = False,
    ) -> None:
        self.caller = caller
        self.slot = slot
        self.delivery = delivery
        self.attempt = attempt
        self.expression = expression
        """The cron expression that set it off, where the caller says so."""
        self.retries = retries
        """Whether this caller delivers again after a 500, so that a failure may be reopened."""
        self.manual = manual


def identify(request: TriggerRequest, query: Mapping[str, str]) -> Call:
    """Raises `BadCallError`."""
    call = Call("http")
    for caller in CALLERS:
        found = caller(request)
        if found is not None:
            call = found
            break
    slot = query.get("slot") or request.header("afterwork-slot")
    delivery = query.get("delivery") or request.header("afterwork-delivery")
    attempt = query.get("attempt") or request.header("afterwork-attempt")
    if slot == MANUAL:
        call.manual = True
    elif slot:
        call.slot = read_instant("slot", slot)
    if delivery:
        call.delivery = delivery
    if attempt:
        call.attempt = read_number("attempt", attempt)
        call.retries = True
    if call.delivery is not None and len(call.delivery) > MAX_DELIVERY_LENGTH:
        raise BadCallError(f"delivery has more than {MAX_DELIVERY_LENGTH} characters")
    if call.delivery is not None and "\0" in call.delivery:
        raise BadCallError("delivery has a character that no store takes")
    return call


def _qstash(request: TriggerRequest) -> Call | None:
    message = request.header("upstash-message-id")
    if not message:
        return None
    retried = request.header("upstash-retried")
    return Call(
        "qstash",
        delivery=message,
        attempt=1 if not retried else 1 + read_number("Upstash-Retried", retried),
        retries=True,
    )


def _cloud_scheduler(request: TriggerRequest) -> Call | None:
    if request.header("x-cloudscheduler") is None:
        return None
    time = request.header("x-cloudscheduler-scheduletime")
    slot = read_instant("X-CloudScheduler-ScheduleTime", time) if time else None
    # No delivery id: the job's name and its time are the same for a run by hand and the real one.
    return Call("cloud-scheduler", slot=slot, retries=True)


def _cloud_tasks(request: TriggerRequest) -> Call | None:
    task = request.header("x-cloudtasks-taskname")
    if not task:
        return None
    queue = request.header("x-cloudtasks-queuename") or ""
    retries = request.header("x-cloudtasks-taskretrycount")
    return Call(
        "cloud-tasks",
        delivery=f"{queue}/{task}",
        attempt=1 if not retries else 1 + read_number("X-CloudTasks-TaskRetryCount", retries),
        retries=True,
    )


def _eventbridge(request: TriggerRequest) -> Call | None:
    agent = request.header("user-agent") or ""
    return Call("eventbridge", retries=True) if agent.startswith("Amazon/EventBridge/") else None


def _vercel_cron(request: TriggerRequest) -> Call | None:
    expression = request.header("x-vercel-cron-schedule")
    agent = request.header("user-agent") or ""
    if expression or agent.startswith("vercel-cron/"):
        return Call("vercel-cron", expression=expression or None)
    return None


def _standard_webhooks(request: TriggerRequest) -> Call | None:
    message = request.header("webhook-id")
    return Call("webhook", delivery=message, retries=True) if message else None


CALLERS: tuple[Callable[[TriggerRequest], Call | None], ...] = (
    _qstash,
    _cloud_scheduler,
    _cloud_tasks,
    _eventbridge,
    _vercel_cron,
    _standard_webhooks,
)

CLOUD_EVENT_HEADERS = (
    "ce-specversion",
    "ce-type",
    "ce-source",
    "ce-id",
    "ce-vssscheduleid",
    "ce-vssschedulename",
    "ce-vssnamespace",
    "ce-vssscheduledat",
    "ce-vssschedulesource",
)
CLOUD_EVENT_TYPE = "com.vercel.schedule.v1beta"


def identify_dispatch(request: TriggerRequest) -> tuple[str, Call]:
    """The schedule's name and the delivery of a Vercel function dispatch, a CloudEvent in binary
    mode. Raises `BadCallError` for anything else."""
    values = {name: request.header(name) for name in CLOUD_EVENT_HEADERS}
    missing = [name for name, value in values.items() if not value]
    if missing:
        raise BadCallError(f"the header {missing[0]} is missing")
    if values["ce-type"] != CLOUD_EVENT_TYPE:
        raise BadCallError(f"ce-type is not {CLOUD_EVENT_TYPE}")
    slot = read_instant("ce-vssscheduledat", values["ce-vssscheduledat"] or "")
    call = Call("vercel-schedule", slot=slot, delivery=values["ce-id"])
    return values["ce-vssschedulename"] or "", call


def read_number(name: str, text: str) -> int:
    """A whole number from 0 on. Raises `BadCallError`."""
    if text.isascii() and text.isdigit() and len(text) < 10 and int(text) <= MAX_ATTEMPT:
        return int(text)
    raise BadCallError(f"{name} is not a number from 0 to {MAX_ATTEMPT}")


def read_instant(name: str, text: str) -> float:
    """Seconds since the epoch, from RFC 3339 with an offset, or from a whole number of seconds or
    milliseconds. Raises `BadCallError`."""
    if text.isascii() and text.isdigit() and len(text) < 16:
        number = int(text)
        return number if number < MILLISECONDS_FROM else number / 1000
    try:
        moment = datetime.fromisoformat(text[:64])
        seconds = -1.0 if moment.tzinfo is None else moment.astimezone(UTC).timestamp()
        if 0 <= seconds <= MAX_SLOT:
            return seconds
    except (ValueError, OverflowError):
        pass
    raise BadCallError(f"{name} is not a time such as 2026-03-08T07:00:00Z")
