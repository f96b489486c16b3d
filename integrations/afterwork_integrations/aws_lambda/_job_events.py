"""Scheduled events as runs of jobs.

EventBridge Scheduler invokes a function with the input that its schedule is given, in which it
fills in its context attributes
(https://docs.aws.amazon.com/scheduler/latest/UserGuide/managing-schedule-context-attributes.html):

```
{"afterwork": {"job": "nightly_report",
               "slot": "<aws.scheduler.scheduled-time>",
               "delivery": "<aws.scheduler.execution-id>",
               "attempt": "<aws.scheduler.attempt-number>",
               "payload": {"region": "eu"}}}
```

Only `job` has to be there. A rule's own event (`"detail-type": "Scheduled Event"`) is taken too:
the rule's name names the job. That an event may come twice does no harm: a slot runs once.

They go through the trigger route, which nothing but this handler can reach: who may invoke the
function is decided by IAM.
"""

from __future__ import annotations

import json
from typing import Any

from afterwork import Afterwork

from .._door import Invoked
from ._request import Request


class JobEventError(Exception):
    """A job did not run or failed. Raised for Lambda, which tries asynchronous events again."""

    def __init__(self, job: str, status: int, answer: str) -> None:
        super().__init__(f"the job {job!r} was answered with {status}: {answer}")


def read(event: object) -> dict[str, Any] | None:
    """What an event says of a job, or None where it is none.

    Raises `ValueError` for one that names no job.
    """
    if not isinstance(event, dict):
        return None
    if event.get("source") == "aws.events" and event.get("detail-type") == "Scheduled Event":
        rule = str((event.get("resources") or [""])[0]).rpartition("/")[2]
        call = {"job": rule, "slot": event.get("time"), "delivery": event.get("id")}
    elif "afterwork" in event:
        call = event["afterwork"]
    else:
        return None
    if not isinstance(call, dict) or not isinstance(call.get("job"), str) or not call["job"]:
        raise ValueError(
            'a scheduled event has to name its job, {"afterwork": {"job": "nightly"}}; it came '
            f"with {call!r}"
        )
    return call


class JobEvents:
    """The jobs of one `Afterwork`, for events."""

    def __init__(self, work: Afterwork) -> None:
        self._routes = work.routes(verify=Invoked("aws-lambda"))

    def request(self, call: dict[str, Any], host: object, ends: float | None) -> Request:
        """The request to the trigger route that an event stands for."""
        headers = [(b"content-type", b"application/json")]
        # An attempt says that the caller tries again after a failure, as Lambda does.
        for name, default in (("slot", None), ("delivery", None), ("attempt", 1)):
            value = call.get(name) or default
            if value is not None:
                headers.append((b"afterwork-" + name.encode(), str(value).encode()))
        payload = call.get("payload")
        body = b"" if payload is None else json.dumps(payload).encode()
        headers.append((b"content-length", str(len(body)).encode()))
        scope: dict[str, Any] = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1",
            "method": "POST",
            "scheme": "https",
            "path": "/" + call["job"],
            "raw_path": None,
            "root_path": "",
            "query_string": b"",
            "headers": headers,
            "client": None,
            "server": ("lambda", 443),
        }
        if host is not None:
            scope["afterwork"] = host
        return Request(scope, body, ends)

    @property
    def app(self) -> Any:
        return self._routes

    def result(self, call: dict[str, Any], answer: dict[str, Any]) -> dict[str, Any]:
        """What the invocation returns. Raises `JobEventError`."""
        if answer["status"] >= 400:
            raise JobEventError(call["job"], answer["status"], answer["body"].decode())
        result: dict[str, Any] = json.loads(answer["body"])
        return result
