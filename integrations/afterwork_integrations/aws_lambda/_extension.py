"""The internal extension: a thread because of which Lambda does not freeze the process too early.

1. An invocation ends when the runtime and every extension that is told of invocations have asked
   for the next event; the caller has the response before that. So this thread asks for the next
   event only when the invocation's work is over.
2. It asks at the latest a moment before the function's deadline: an extension that is late makes
   the invocation time out, and the process is ended.
3. It cannot die. Without it every later invocation would last until its deadline, so whatever goes
   wrong here is said, and it goes on.

Facts: https://docs.aws.amazon.com/lambda/latest/dg/runtimes-extensions-api.html. Internal ones may
be told of INVOKE only, and registering is closed once the runtime has asked for its first event.
"""

from __future__ import annotations

import json
import logging
from http.client import HTTPConnection
from threading import Event, Thread
from typing import Any

from ._ledger import Ledger

NAME = "afterwork"
LAST_MOMENT_SECONDS = 0.1
"""How long before the deadline an invocation is let go, whatever runs."""
REGISTER_SECONDS = 5.0
FAILED_SECONDS = 0.1
"""How long it waits after a failure before it asks again."""

_log = logging.getLogger("afterwork.aws_lambda")


class RegistrationError(Exception):
    """Lambda did not take the extension."""


class Extension:
    """A registered extension. `begin` starts its thread.

    Raises `RegistrationError` and `OSError`.
    """

    def __init__(self, api: str, ledger: Ledger) -> None:
        self.ledger = ledger
        self._api = api
        self._stopped = Event()
        self._identifier = self._register()
        self._thread = Thread(target=self._run, name="afterwork-extension", daemon=True)

    def begin(self) -> None:
        """Starts the thread, once. Lambda's init phase ends only when it has asked for an event."""
        if not self._thread.is_alive():
            self._thread.start()

    def stop(self) -> None:
        """Ends the thread after its next event or failure. For tests: in a function that lives on
        it must not end."""
        self._stopped.set()

    @property
    def alive(self) -> bool:
        return self._thread.is_alive()

    def _register(self) -> str:
        connection = HTTPConnection(self._api, timeout=REGISTER_SECONDS)
        try:
            connection.request(
                "POST",
                "/2020-01-01/extension/register",
                json.dumps({"events": ["INVOKE"]}),
                {"Lambda-Extension-Name": NAME, "Content-Type": "application/json"},
            )
            answer = connection.getresponse()
            body = answer.read()
            identifier = answer.getheader("Lambda-Extension-Identifier")
        finally:
            connection.close()
        if answer.status != 200 or not identifier:
            raise RegistrationError(f"Lambda answered {answer.status}: {body[:300]!r}")
        return identifier

    def _run(self) -> None:
        while not self._stopped.is_set():
            try:
                event = self._next()
                if event.get("eventType") == "INVOKE":
                    self._hold(event["requestId"], event["deadlineMs"] / 1000)
            except BaseException:
                _log.exception("the extension failed and goes on")
                self._stopped.wait(FAILED_SECONDS)

    def _next(self) -> dict[str, Any]:
        # A connection of its own each time: one that was kept over a freeze may be dead. And no
        # timeout, said explicitly, for the app may have set a default for all sockets.
        connection = HTTPConnection(self._api, timeout=None)
        try:
            connection.request(
                "GET",
                "/2020-01-01/extension/event/next",
                headers={"Lambda-Extension-Identifier": self._identifier},
            )
            answer = connection.getresponse()
            body = answer.read()
        finally:
            connection.close()
        if answer.status != 200:
            raise RegistrationError(f"Lambda answered {answer.status}: {body[:300]!r}")
        event: dict[str, Any] = json.loads(body)
        return event

    def _hold(self, request_id: str, deadline: float) -> None:
        if not self.ledger.wait(request_id, deadline - LAST_MOMENT_SECONDS):
            _log.error(
                "invocation %s was let go at its deadline with unfinished work. It goes on, or is "
                "lost, when the process is used again. Give the function more time, or "
                "hand long work to a queue",
                request_id,
            )
