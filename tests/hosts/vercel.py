"""The platform around a function on Vercel: a stand-in for it. The runtime inside is the real one.

What is played here: the socket to which the runtime says what it does, the headers with which a
request comes, and that the process is frozen (SIGSTOP) as soon as all requests have their response
and their `end`, until the next one comes. Not played: the trampoline in front of the runtime, and
the price of it all.
"""

from __future__ import annotations

import base64
import http.client
import json
import os
import signal
import socket
import subprocess
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.servers.journal import Journal, until

from .runtimes import NEWEST, interpreter, runtime

if TYPE_CHECKING:
    from types import TracebackType

ROOT = Path(__file__).parents[2]
TIMEOUT_SECONDS = 10.0
VARIABLES = ("VERCEL", "AWS_", "K_SERVICE", "MODAL_", "FUNCTIONS_")
START = "import vercel_runtime.vc_init"
PROXY = """
import json, sys
import vercel_runtime.vc_init as runtime
for line in sys.stdin:
    print(json.dumps(runtime.vc_handler({"body": line}, None)), flush=True)
"""


@dataclass(frozen=True)
class Answer:
    """A response. `at` is when its last byte was here, in monotonic seconds, `seconds` how long
    that was after the request."""

    status: int
    body: bytes
    at: float
    seconds: float
    invocation: str


class Process:
    """A process with the real runtime, which serves `module:app` from `directory`."""

    def __init__(
        self, directory: Path, module: Path, code: str, version: str, variables: dict[str, str]
    ) -> None:
        self.journal = Journal(directory / "journal")
        kept = {name: value for name, value in os.environ.items() if not name.startswith(VARIABLES)}
        for name in ("COVERAGE_PROCESS_CONFIG", "COVERAGE_PROCESS_START"):
            kept.pop(name, None)  # that Python has no coverage
        path = (runtime(version), ROOT, ROOT / "integrations", module.parent)
        self.log_path = directory / "log"
        with self.log_path.open("ab") as log:
            self.process = subprocess.Popen(
                [interpreter(), "-c", code],
                cwd=directory,
                env={
                    **kept,
                    "PYTHONPATH": os.pathsep.join(map(str, path)),
                    "PYTHONDONTWRITEBYTECODE": "1",
                    "JOURNAL": str(self.journal.path),
                    "VERCEL": "1",
                    "__VC_HANDLER_ENTRYPOINT": module.name,
                    "__VC_HANDLER_ENTRYPOINT_ABS": str(module),
                    "__VC_HANDLER_MODULE_NAME": module.stem,
                    "__VC_HANDLER_VARIABLE_NAME": "app",
                    **variables,
                },
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE if code == PROXY else log,
                stderr=log,
            )

    @property
    def frozen(self) -> bool:
        """Whether the process is stopped, as the kernel says."""
        text = Path(f"/proc/{self.process.pid}/stat").read_text()
        return text.rpartition(")")[2].split()[0] == "T"

    def end(self) -> None:
        """Kills it, whatever it does."""
        self.process.kill()
        self.process.wait()
        for stream in (self.process.stdin, self.process.stdout):
            if stream is not None:
                with suppress(BrokenPipeError):
                    stream.close()


class Function(Process):
    """A function whose runtime is connected to the platform. For a `with`.

    `freezes`: whether it is frozen whenever no request is left.
    """

    def __init__(
        self,
        directory: Path,
        module: Path,
        *,
        version: str = NEWEST,
        freezes: bool = True,
        **variables: str,
    ) -> None:
        path = directory / "ipc"
        self._freezes = freezes
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(str(path))
        self._listener.listen(1)
        self._number = 0
        self._running: set[str] = set()
        self._unanswered: set[str] = set()
        self._lock = threading.Lock()
        self.messages: list[tuple[float, dict[str, Any]]] = []
        variables["VERCEL_IPC_PATH"] = str(path)
        super().__init__(directory, module, START, version, variables)
        self._reader = threading.Thread(target=self._read)
        self._reader.start()
        try:
            until(lambda: self._of("server-started") or self._gone(), "the runtime to start")
            assert not self._gone(), f"the runtime did not start:\n{self.log}"
        except BaseException:
            self.end()
            raise
        self.port = int(self._of("server-started")[0][1]["httpPort"])

    def __enter__(self) -> Function:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if kind is not None:
            print(self.log)
        self.end()

    def end(self) -> None:
        super().end()
        self._listener.shutdown(socket.SHUT_RDWR)
        self._reader.join(TIMEOUT_SECONDS)
        self._listener.close()

    @property
    def log(self) -> str:
        """What the runtime has sent as log, and what went past it."""
        logs = [payload["message"] for _, payload in self._of("log")]
        lines = [base64.b64decode(each).decode() for each in logs]
        return "\n".join([*lines, self.log_path.read_text(errors="replace")])

    def call(
        self, path: str = "/", seconds: float | None = None, method: str = "GET", **headers: str
    ) -> Answer:
        """A request and its whole response. `seconds`: how long the function may run for it."""
        asked = time.monotonic()
        connection, invocation = self.ask(path, seconds, method, **headers)
        try:
            response = connection.getresponse()
            body = response.read()
            at = time.monotonic()
        finally:
            self.leave(connection, invocation)
        return Answer(response.status, body, at, at - asked, invocation)

    def ask(
        self, path: str = "/", seconds: float | None = None, method: str = "GET", **headers: str
    ) -> tuple[http.client.HTTPConnection, str]:
        """Sends a request. Returns its connection, and which invocation it is."""
        with self._lock:
            self._number += 1
            invocation = f"inv_{self._number}"
            self._running.add(invocation)
            self._unanswered.add(invocation)
            self.process.send_signal(signal.SIGCONT)
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        sent["x-vercel-internal-invocation-id"] = invocation
        sent["x-vercel-internal-request-id"] = str(self._number)
        if seconds is not None:
            end = datetime.fromtimestamp(time.time() + seconds, UTC)
            text = end.isoformat(timespec="milliseconds").replace("+00:00", "Z")
            sent["x-vercel-internal-deadline"] = text
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=TIMEOUT_SECONDS)
        connection.connect()
        connection.request(method, path, headers=sent)
        return connection, invocation

    def leave(self, connection: http.client.HTTPConnection, invocation: str) -> None:
        """The client of this invocation wants no more."""
        connection.close()
        with self._lock:
            self._unanswered.discard(invocation)
            self._freeze()

    def ended(self, invocation: str) -> float:
        """Waits until the runtime says that this invocation is over. Returns when it said so."""

        def found() -> list[float]:
            ends = self._of("end")
            return [at for at, said in ends if said["context"]["invocationId"] == invocation]

        until(found, f"the end of {invocation}")
        return found()[0]

    def _of(self, kind: str) -> list[tuple[float, dict[str, Any]]]:
        return [(at, said["payload"]) for at, said in list(self.messages) if said["type"] == kind]

    def _gone(self) -> bool:
        return self.process.poll() is not None

    def _read(self) -> None:
        try:
            stream, _ = self._listener.accept()
        except OSError:
            return  # nothing has connected
        unread = b""
        with stream:
            while data := stream.recv(65536):
                at = time.monotonic()
                *texts, unread = (unread + data).split(b"\0")
                for text in texts:
                    self._take(at, json.loads(text))

    def _take(self, at: float, message: dict[str, Any]) -> None:
        if message["type"] == "end":
            with self._lock:
                self._running.discard(message["payload"]["context"]["invocationId"])
                self._freeze()
        self.messages.append((at, message))

    def _freeze(self) -> None:
        if self._freezes and not self._running and not self._unanswered:
            self.process.send_signal(signal.SIGSTOP)


class Unconnected(Process):
    """A function whose runtime has no connection to the platform, as on Lambda: it is over, and
    frozen, when its handler has returned the response. For a `with`."""

    def __init__(self, directory: Path, module: Path, *, version: str = NEWEST) -> None:
        super().__init__(directory, module, PROXY, version, {})

    def __enter__(self) -> Unconnected:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def call(self, path: str = "/", **headers: str) -> dict[str, Any]:
        """A request and its response. The process is frozen then."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.send_signal(signal.SIGCONT)
        request = {"method": "GET", "path": path, "headers": {"host": "shop", **headers}}
        self.process.stdin.write(json.dumps(request).encode() + b"\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        self.process.send_signal(signal.SIGSTOP)
        assert answer, f"the handler is gone:\n{self.log_path.read_text()}"
        parsed: dict[str, Any] = json.loads(answer)
        if parsed.get("encoding") == "base64":
            parsed["body"] = base64.b64decode(parsed["body"]).decode()
        return parsed
