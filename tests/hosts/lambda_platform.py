"""A stand-in for AWS Lambda: its Runtime API and Extensions API over loopback, and the freezer.

It runs a function under the real `awslambdaric`, in a process group of its own, which it stops with
SIGSTOP when the runtime and every extension that is told of invocations have asked for their next
event, and lets go on with SIGCONT for the next one. An invocation that is not over at its deadline
is a timeout: the processes are killed and started anew for the next one.

Not as on Lambda: the monotonic clock goes on while the processes are stopped.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Condition, Thread
from typing import Any

ROOT = Path(__file__).parents[2]
PATIENCE = 12.0
POLL_SECONDS = 0.002
MAX_EXTENSIONS = 10
GRACE_SECONDS = 0.5
"""Between SIGTERM and SIGKILL, where an internal extension is registered."""


@dataclass
class Result:
    """One invocation. Times are seconds from its begin, and `over_at` is `time.time()`."""

    response: Any = None
    error: Any = None
    response_after: float = 0.0
    over_after: float = 0.0
    over_at: float = 0.0
    timed_out: bool = False

    @property
    def status(self) -> int:
        status: int = self.response["statusCode"]
        return status


@dataclass
class State:
    """What the two APIs know of one set of processes."""

    runtime_parked: bool = False
    ready: bool = False
    """The runtime has asked for its first event: registering is closed."""
    extensions: dict[str, list[str]] = field(default_factory=dict)
    parked: set[str] = field(default_factory=set)
    event: tuple[str, bytes, float] | None = None
    told: set[str] = field(default_factory=set)
    result: Result | None = None
    begun: float = 0.0
    init_error: Any = None
    closed: bool = False

    @property
    def idle(self) -> bool:
        subscribed = {key for key, events in self.extensions.items() if "INVOKE" in events}
        return self.runtime_parked and subscribed <= self.parked


class Platform:
    """One execution environment. A context manager; `invoke` starts it when it has to."""

    def __init__(
        self,
        handler: str,
        folder: Path,
        *,
        timeout: float = 3.0,
        environ: dict[str, str] | None = None,
        thread_polling: bool = False,
        command: list[str] | None = None,
        code: Path | None = None,
        freezes: bool = True,
    ) -> None:
        self.handler = handler
        self.folder = folder
        self.timeout = timeout
        self.environ = environ or {}
        self.execution_env = "AWS_Lambda_python3.13" if thread_polling else "AWS_Lambda_python3.11"
        self.command = command or [sys.executable, "-m", "awslambdaric", handler]
        self.code = code or folder
        self.freezes = freezes
        """False for Lambda Managed Instances."""
        self.output = folder / "output.log"
        self.changed = Condition()
        self.state = State()
        self.process: subprocess.Popen[bytes] | None = None
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), _api(self))
        self.server.daemon_threads = True
        self.api = f"127.0.0.1:{self.server.server_address[1]}"
        self.serving = Thread(target=self.server.serve_forever, args=(0.02,), daemon=True)

    def __enter__(self) -> Platform:
        self.serving.start()
        return self

    def __exit__(self, *error: object) -> None:
        try:
            self.kill()
        finally:
            self.server.shutdown()
            self.server.server_close()
            self.serving.join()

    @property
    def log(self) -> str:
        return self.output.read_text()

    # -- the process

    def start(self) -> None:
        """The init phase: it ends when the runtime and all extensions have asked for an event."""
        self.state = State()
        environ = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "integrations")]),
            "PYTHONUNBUFFERED": "1",
            "PYTHONDONTWRITEBYTECODE": "1",
            "AWS_LAMBDA_RUNTIME_API": self.api,
            "AWS_LAMBDA_FUNCTION_NAME": "function",
            "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "256",
            "AWS_LAMBDA_LOG_GROUP_NAME": "group",
            "AWS_LAMBDA_LOG_STREAM_NAME": "stream",
            "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
            "AWS_EXECUTION_ENV": self.execution_env,
            "AWS_REGION": "eu-central-1",
            "LAMBDA_TASK_ROOT": str(self.code),
            "_HANDLER": self.handler,
            **self.environ,
        }
        with self.output.open("ab") as output:
            self.process = subprocess.Popen(
                self.command,
                cwd=self.code,
                env=environ,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.wait(lambda: self.state.idle or self.state.init_error or self.exited)
        if not self.state.idle:
            raise RuntimeError(f"init failed: {self.state.init_error}\n{self.log}")
        self.freeze()

    @property
    def exited(self) -> bool:
        return self.process is None or self.process.poll() is not None

    def freeze(self) -> None:
        if not self.freezes:
            return
        self._signal(signal.SIGSTOP)
        until(lambda: self._status() in "TZ")  # Z: it has ended by itself

    def thaw(self) -> None:
        self._signal(signal.SIGCONT)
        until(lambda: self._status() != "T")

    def kill(self) -> None:
        """Ends the process group at once."""
        with self.changed:
            self.state.closed = True
            self.changed.notify_all()
        if self.process is not None:
            self._signal(signal.SIGKILL)
            self.process.wait(PATIENCE)
            self.process = None

    def shutdown(self) -> float | None:
        """As Lambda ends an environment. Returns how long the process took, None: it was killed."""
        assert self.process is not None
        self.thaw()
        began = time.monotonic()
        took = None
        if self.state.extensions:
            self._signal(signal.SIGTERM)
            try:
                self.process.wait(GRACE_SECONDS)
                took = time.monotonic() - began
            except subprocess.TimeoutExpired:
                pass
        self.kill()
        return took

    def _signal(self, number: int) -> None:
        assert self.process is not None
        try:
            os.killpg(self.process.pid, number)
        except ProcessLookupError:
            pass

    def _status(self) -> str:
        assert self.process is not None
        return Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()[0]

    # -- invocations

    def invoke(self, event: Any) -> Result:
        """One invocation, from the thaw to the freeze."""
        if self.process is None:
            self.start()
        self.thaw()
        result = Result()
        with self.changed:
            state = self.state
            began = time.time()
            state.result = result
            state.begun = began
            state.told = set()
            deadline = began + self.timeout
            state.event = (str(uuid.uuid4()), json.dumps(event).encode(), deadline)
            state.runtime_parked = False
            state.parked = set()
            self.changed.notify_all()
        over = self.wait(lambda: state.idle or self.exited, deadline - time.time())
        result.over_at = time.time()
        result.over_after = result.over_at - began
        if over and not self.exited:
            state.event = None
            self.freeze()
        else:
            result.timed_out = not self.exited
            self.kill()
        return result

    def wait(self, condition: Callable[[], object], seconds: float = PATIENCE) -> bool:
        end = time.monotonic() + seconds
        with self.changed:
            while not condition():
                left = end - time.monotonic()
                if left <= 0:
                    return False
                self.changed.wait(min(left, 0.05))
            return True


def _api(platform: Platform) -> type[BaseHTTPRequestHandler]:
    """The HTTP face of the two APIs."""

    class Api(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def log_message(self, format: str, *args: Any) -> None: ...  # noqa: A002

        def do_GET(self) -> None:
            if self.path == "/2018-06-01/runtime/invocation/next":
                self.runtime_next()
            elif self.path == "/2020-01-01/extension/event/next":
                self.extension_next()
            else:
                self.answer(404, {"errorType": "NotFound"})

        def do_POST(self) -> None:
            body = self.body()
            parts = self.path.strip("/").split("/")
            if self.path == "/2020-01-01/extension/register":
                self.register(json.loads(body))
            elif self.path == "/2018-06-01/runtime/init/error":
                with platform.changed:
                    platform.state.init_error = json.loads(body)
                    platform.changed.notify_all()
                self.answer(202, {"status": "OK"})
            elif parts[1:3] == ["runtime", "invocation"]:
                self.done(parts[3], parts[4], json.loads(body))
            else:
                self.answer(404, {"errorType": "NotFound"})

        def runtime_next(self) -> None:
            state = platform.state
            with platform.changed:
                state.ready = state.runtime_parked = True
                platform.changed.notify_all()
                if not self.park(lambda: not state.runtime_parked):
                    return
                assert state.event is not None
                request_id, body, deadline = state.event
            self.answer(
                200,
                body,
                {
                    "Lambda-Runtime-Aws-Request-Id": request_id,
                    "Lambda-Runtime-Deadline-Ms": str(int(deadline * 1000)),
                    "Lambda-Runtime-Invoked-Function-Arn": "arn:aws:lambda:eu-central-1:1:f:f",
                    "Lambda-Runtime-Trace-Id": "Root=1-0-0;Parent=0;Sampled=0",
                },
            )

        def extension_next(self) -> None:
            state = platform.state
            key = self.headers["Lambda-Extension-Identifier"]
            if key not in state.extensions:
                self.answer(403, {"errorType": "Extension.UnknownExtensionIdentifier"})
                return
            with platform.changed:
                state.parked.add(key)
                platform.changed.notify_all()
                if not self.park(lambda: key not in state.parked):
                    return
                assert state.event is not None
                request_id, _, deadline = state.event
            self.answer(
                200,
                {
                    "eventType": "INVOKE",
                    "deadlineMs": int(deadline * 1000),
                    "requestId": request_id,
                    "invokedFunctionArn": "arn:aws:lambda:eu-central-1:1:f:f",
                    "tracing": {"type": "X-Amzn-Trace-Id", "value": ""},
                },
                {"Lambda-Extension-Event-Identifier": str(uuid.uuid4())},
            )

        def register(self, body: dict[str, Any]) -> None:
            state = platform.state
            name = self.headers["Lambda-Extension-Name"]
            events = body["events"]
            refusal = (
                "InvalidExtensionName"
                if not name
                else "RegistrationClosed"
                if state.ready
                else "InvalidEventType"
                if set(events) - {"INVOKE"}
                else "TooManyExtensions"
                if len(state.extensions) >= MAX_EXTENSIONS
                else None
            )
            if refusal:
                self.answer(403, {"errorType": f"Extension.{refusal}"})
                return
            key = str(uuid.uuid4())
            with platform.changed:
                state.extensions[key] = events
            self.answer(200, {"functionName": "function"}, {"Lambda-Extension-Identifier": key})

        def done(self, request_id: str, what: str, body: Any) -> None:
            state = platform.state
            if state.event is None or state.event[0] != request_id or state.result is None:
                self.answer(400, {"errorType": "InvalidRequestID"})
                return
            with platform.changed:
                state.result.response_after = time.time() - state.begun
                setattr(state.result, what, body)
            self.answer(202, {"status": "OK"})

        def park(self, awake: Callable[[], bool]) -> bool:
            """Waits for an event. Only with the lock."""
            state = platform.state
            while not awake():
                if state.closed or state is not platform.state:
                    self.close_connection = True
                    return False
                platform.changed.wait(0.5)
            return True

        def body(self) -> bytes:
            if self.headers.get("Transfer-Encoding") == "chunked":
                chunks = []
                while size := int(self.rfile.readline(), 16):
                    chunks.append(self.rfile.read(size))
                    self.rfile.readline()
                self.rfile.readline()
                return b"".join(chunks)
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))

        def answer(self, status: int, body: Any, headers: dict[str, str] | None = None) -> None:
            data = body if isinstance(body, bytes) else json.dumps(body).encode()
            try:
                self.send_response(status)
                for name, value in (headers or {}).items():
                    self.send_header(name, value)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)
            except OSError:
                self.close_connection = True  # the process was killed

    return Api


def until(condition: Callable[[], object], seconds: float = PATIENCE) -> None:
    """Polls until a condition holds."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise AssertionError("the condition did not come true in time")
        time.sleep(POLL_SECONDS)


def http_event(path: str, method: str = "GET", body: str = "") -> dict[str, Any]:
    """A request as API Gateway's HTTP API and function URLs send it, payload version 2.0."""
    return {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": path,
        "rawQueryString": "",
        "headers": {"host": "function.example", "x-forwarded-proto": "https"},
        "requestContext": {
            "domainName": "function.example",
            "http": {
                "method": method,
                "path": path,
                "protocol": "HTTP/1.1",
                "sourceIp": "192.0.2.1",
                "userAgent": "test",
            },
        },
        "body": body,
        "isBase64Encoded": False,
    }
