"""Every error that afterwork raises on purpose.

AfterworkError
├── NoRequestError (RuntimeError)         after() outside a request
├── NoRunError (RuntimeError)             current_run() outside a callback
├── QueueClosedError (RuntimeError)       after() once the request's work is over
├── LimitReachedError (RuntimeError)      after() at the process-wide limit, policy "reject"
├── HostUnavailableError (RuntimeError)   the host cannot run anything after this response
├── ResponseSentError (RuntimeError)      send() once the response is over
├── InvalidCallbackError (TypeError)      what was given to after() cannot be run
├── InvalidHostError (TypeError)          what was given as host is none
├── UnknownOptionError (TypeError)        a setting that does not exist
├── InvalidOptionError (ValueError)       a setting with an impossible value
├── InvalidJobError (ValueError)          a job that cannot be registered as it is
├── UnknownJobError (LookupError)         a job that nobody registered
├── CronSyntaxError (ValueError)          a cron expression that cannot be read, or never fires
├── DurationSyntaxError (ValueError)      a duration that cannot be read
├── NaiveDatetimeError (ValueError)       a datetime without a time zone
├── UnknownTimezoneError (ValueError)     a time zone that this machine does not know
├── InsecureSecretError (ValueError)      a secret that is missing, weak or not one at all
├── VerificationError                     a trigger request that is not authentic
├── VerifierUnavailableError              a verifier that cannot tell at the moment
├── StoreError                            the store could not do what it was asked
├── EngineError                           the engine could not do what it was asked
├── UnsupportedError (ValueError)         the engine cannot do what a call asks of it
├── PayloadError (ValueError)             a durable call's arguments cannot be kept as they are
├── PermanentFailure                      raised by a job: trying again is pointless
├── RetryLater                            raised by a job: try again, but not before so long
└── CallbackTimeoutError (TimeoutError)   a callback ran longer than its timeout

Each class takes the facts and builds its own sentence: what was expected, what came, what to do
next."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = [
    "AfterworkError",
    "CallbackTimeoutError",
    "CronSyntaxError",
    "DurationSyntaxError",
    "EngineError",
    "HostUnavailableError",
    "InsecureSecretError",
    "InvalidCallbackError",
    "InvalidHostError",
    "InvalidJobError",
    "InvalidOptionError",
    "LimitReachedError",
    "NaiveDatetimeError",
    "NoRequestError",
    "NoRunError",
    "PayloadError",
    "PermanentFailure",
    "QueueClosedError",
    "ResponseSentError",
    "RetryLater",
    "StoreError",
    "UnknownJobError",
    "UnknownOptionError",
    "UnknownTimezoneError",
    "UnsupportedError",
    "VerificationError",
    "VerifierUnavailableError",
]


class AfterworkError(Exception):
    """The base of all errors of this package. Catch it to catch any of them."""


class NoRequestError(AfterworkError, RuntimeError):
    """`after()` was called where no request is being answered, so there is no response to wait
    for."""

    def __init__(self) -> None:
        super().__init__(
            "after() needs a request that is being answered, and there is none here. "
            "Wrap the app once, outermost: app = AfterMiddleware(app). "
            "In start-up code, scripts and workers call the function directly, or write down a "
            "call of a durable job with `await after.enqueue(job, ...)`; "
            "in tests use `with afterwork.testing.scope():`."
        )


class NoRunError(AfterworkError, RuntimeError):
    """`current_run()` was called outside a callback."""

    def __init__(self) -> None:
        super().__init__(
            "current_run() answers only inside a callback that afterwork runs. "
            "Call it in the function that you gave to after()."
        )


class QueueClosedError(AfterworkError, RuntimeError):
    """`after()` was called for a request whose response and callbacks are all over."""

    def __init__(self) -> None:
        super().__init__(
            "after() came too late: this request's response and all its callbacks are over. "
            "A task that outlives its request must be handed over while the request is open, "
            "after(task); then its own after() calls are accepted until it ends."
        )


class LimitReachedError(AfterworkError, RuntimeError):
    """As many callbacks are unfinished as the process may hold, and `at_limit` is `"reject"`."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        super().__init__(
            f"after() refused: {limit} callbacks of this process are unfinished, which is the "
            'limit, and at_limit="reject" is set. Answer 503, raise `limit`, or set '
            'at_limit="wait".'
        )


class HostUnavailableError(AfterworkError, RuntimeError):
    """The configured host said that it cannot run anything after this response."""

    def __init__(self, host: str, reason: str) -> None:
        self.host = host
        self.reason = reason
        super().__init__(
            f"the host {host!r} cannot run work after this response: {reason}. Nothing was queued. "
            'Catch this error, choose another host, or set on_missing="warn" to run the work '
            "inside the process."
        )


class ResponseSentError(AfterworkError, RuntimeError):
    """Something tried to send a message of a response that is already over."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        super().__init__(
            f"a {kind!r} message was sent after the response was over. A callback runs after the "
            "response and can only read it, as current_run().response; change the response in "
            "the handler."
        )


class InvalidCallbackError(AfterworkError, TypeError):
    """What was given to `after()` cannot be run."""

    def __init__(self, what: str, hint: str) -> None:
        super().__init__(
            "after() takes a sync or async callable, a coroutine, a Task or a Future; it was "
            f"given {what}. {hint}"
        )


class InvalidHostError(AfterworkError, TypeError):
    """What was given as `host` is not a host."""

    def __init__(self, what: str) -> None:
        super().__init__(
            "host takes an object with `info`, `wait_until(scope, work)` and `deadline(scope)`, "
            "a plain function wait_until(awaitable), or one of the words 'detached', 'inline', "
            f"'before_end'; it was given {what}."
        )


class UnknownOptionError(AfterworkError, TypeError):
    """A setting with a name that does not exist."""

    def __init__(self, name: str, known: Iterable[str]) -> None:
        import difflib

        names = sorted(known)
        near = difflib.get_close_matches(name, names, n=1)
        hint = f"Did you mean {near[0]!r}?" if near else f"Known are: {', '.join(names)}."
        super().__init__(f"there is no setting {name!r}. {hint}")


class InvalidOptionError(AfterworkError, ValueError):
    """A setting with a value that it cannot have."""

    def __init__(self, name: str, expected: str, value: object) -> None:
        super().__init__(f"{name} must be {expected}; it was given {value!r}.")


class InvalidJobError(AfterworkError, ValueError):
    """A job cannot be registered as it is: its name, its function or its options do not do."""

    def __init__(self, problem: str) -> None:
        super().__init__(f"{problem}.")


class UnknownJobError(AfterworkError, LookupError):
    """A job was asked for that nobody registered."""

    def __init__(self, name: str, known: Iterable[str]) -> None:
        import difflib

        self.name = name
        names = sorted(known)
        near = difflib.get_close_matches(name[:100], names, n=1)
        hint = f"Did you mean {near[0]!r}?" if near else f"There are: {', '.join(names) or 'none'}."
        super().__init__(f"there is no job {name[:100]!r}. {hint}")


class CronSyntaxError(AfterworkError, ValueError):
    """A cron expression that cannot be read, or that names only dates which do not exist.

    `position` is the index of the first wrong character in `expression`; it is the length of the
    expression where something is missing at its end.
    """

    def __init__(self, expression: str, position: int, problem: str, hint: str) -> None:
        self.expression = expression
        self.position = position
        super().__init__(
            f"this cron expression is refused: {problem}. {hint}\n{_caret(expression, position)}"
        )


class DurationSyntaxError(AfterworkError, ValueError):
    """A duration that cannot be read.

    `position` is the index of the first wrong character in `text`; it is the length of the text
    where something is missing at its end.
    """

    def __init__(self, text: str, position: int, problem: str, hint: str) -> None:
        self.text = text
        self.position = position
        super().__init__(f"this duration is refused: {problem}. {hint}\n{_caret(text, position)}")


class NaiveDatetimeError(AfterworkError, ValueError):
    """A moment was given without a time zone, so nobody can say which moment it is."""

    def __init__(self, name: str, value: object) -> None:
        super().__init__(
            f"{name} must be an aware datetime, such as datetime.now(timezone.utc); it was given "
            f"{value!r}."
        )


class UnknownTimezoneError(AfterworkError, ValueError):
    """A time zone that this machine's zone data does not hold, or a machine without zone data."""

    def __init__(self, name: str, known: Iterable[str]) -> None:
        self.name = name
        names = sorted(known)
        if names:
            import difflib

            near = difflib.get_close_matches(name[:60], names, n=1)
            hint = f"Did you mean {near[0]!r}?" if near else "Write a name such as 'Europe/Paris'."
            hint += " If the name is right, the zone data is too old: pip install -U tzdata"
        else:
            hint = "This machine has no zone data at all: pip install tzdata"
        super().__init__(f"there is no time zone {name!r} here. {hint}")


class InsecureSecretError(AfterworkError, ValueError):
    """A secret that is missing, weak, or a word that stands for a missing one.

    `name` is where it was to come from, for example an environment variable. The secret itself is
    in no message.
    """

    def __init__(self, name: str, problem: str) -> None:
        self.name = name
        self.problem = problem
        super().__init__(
            f"the secret {name} is refused: {problem}. Nobody may trigger jobs without a good one. "
            "Make one with: python -c 'import secrets; print(secrets.token_urlsafe(32))'"
        )


class VerificationError(AfterworkError):
    """A trigger request is not authentic. Verifiers raise it; the caller is answered 401 and learns
    nothing of this.

    `reason` is a short constant for logs and metrics, such as `"wrong_secret"`; `detail` is for the
    log and holds no secret.
    """

    def __init__(self, reason: str, detail: str = "") -> None:
        self.reason = reason
        self.detail = detail
        super().__init__(f"{reason}: {detail}" if detail else reason)


class VerifierUnavailableError(AfterworkError):
    """A verifier cannot tell at the moment, for example because keys cannot be fetched. The caller
    is answered 503, and nothing runs. `detail` holds no secret."""

    def __init__(self, detail: str) -> None:
        self.detail = detail
        super().__init__(detail)


class StoreError(AfterworkError):
    """The store could not do what it was asked: it is down, locked, full, damaged or not ours.

    `store` names it without a password. The library's own error is the `__cause__`.
    """

    def __init__(self, store: str, doing: str, problem: str, hint: str = "") -> None:
        self.store = store
        super().__init__(f"the store {store} could not {doing}: {problem}. {hint}".rstrip())


class EngineError(AfterworkError):
    """The engine could not do what it was asked: it is down, full, or refuses.

    `engine` names it without a password. The library's own error is the `__cause__`.
    """

    def __init__(self, engine: str, doing: str, problem: str, hint: str = "") -> None:
        self.engine = engine
        super().__init__(f"the engine {engine} could not {doing}: {problem}. {hint}".rstrip())


class UnsupportedError(AfterworkError, ValueError):
    """A durable call asks for something that the engine cannot do, such as a key or a delay. It is
    raised at the call, and nothing is queued."""

    def __init__(self, engine: str, what: str, hint: str) -> None:
        self.engine = engine
        super().__init__(f"the engine {engine} has no {what}. {hint}")


class PayloadError(AfterworkError, ValueError):
    """The arguments of a durable call cannot be written as JSON and read again, or what was to be
    read is not what was written. `where` names the argument; its value is in no message."""

    def __init__(self, where: str, expected: str, found: str) -> None:
        self.where = where
        super().__init__(f"{where} must be {expected}; it is {found}.")


class PermanentFailure(AfterworkError):
    """Raise it in a job or callback where trying again is pointless, for example for data that is
    wrong. The run fails at once, whatever its `Retry`, and an outside caller is told not to deliver
    again."""


class RetryLater(AfterworkError):
    """Raise it in a job or callback that should be tried again after `seconds`, for example because
    a service said so.

    With a `Retry` that has attempts left, the next one is made then. Without one the run fails, and
    an outside caller that retries is told with `Retry-After` when to come again. At most a day is
    counted.
    """

    def __init__(self, seconds: float, message: str = "") -> None:
        if isinstance(seconds, bool) or not isinstance(seconds, (int, float)) or not seconds >= 0:
            raise InvalidOptionError("seconds", "a number of seconds, zero or more", seconds)
        self.seconds = min(float(seconds), 86_400.0)
        super().__init__(message or f"try again in {self.seconds:g} s")


class CallbackTimeoutError(AfterworkError, TimeoutError):
    """A callback ran longer than its timeout. It is the `error` of a run whose outcome is
    `timed_out`."""

    def __init__(self, name: str, seconds: float) -> None:
        self.seconds = seconds
        super().__init__(f"{name} ran longer than its timeout of {seconds:g} s")


def _caret(text: str, position: int) -> str:
    """The text on a line of its own, and under it a caret at the position."""
    start = max(0, position - 60)
    line = "".join(c if c.isprintable() else " " for c in text[start : start + 76])
    return f"    {line}\n    {' ' * (position - start)}^"
