"""A machine of a cloud: a stand-in for what a platform does to a real server.

What is played here: the command and the variables that the platform's configuration gives; that the
CPU is taken away (SIGSTOP) while no request is in flight, as with Cloud Run's request-based
billing; and how it ends: a signal, and SIGKILL when the time after it is over. Not played: proxies,
images, and the price of it all.
"""

from __future__ import annotations

import http.client
import os
import shlex
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tests.servers.journal import Journal, until

if TYPE_CHECKING:
    from types import TracebackType

ROOT = Path(__file__).parents[2]
TIMEOUT_SECONDS = 15.0
VARIABLES = ("VERCEL", "AWS_", "K_", "FUNCTION", "MODAL_", "FUNCTIONS_", "AFTERWORK_", "PORT")
ATTEMPTS = 3
NOTHING: Mapping[str, str] = {}


@dataclass(frozen=True)
class Answer:
    """A response. `at` is when its last byte was here, in monotonic seconds, `seconds` how long
    that was after the request."""

    status: int
    body: bytes
    at: float
    seconds: float


class Machine:
    """A process that serves HTTP on `$PORT`. For a `with`.

    `command`: for bash, which makes way for a single command. `freezes`: whether it is stopped
    whenever no request is in flight. `kill_after`: seconds between the signal that ends it and
    SIGKILL.
    """

    def __init__(
        self,
        directory: Path,
        command: str,
        environ: Mapping[str, str],
        *,
        freezes: bool = False,
        kill_after: float = 30.0,
        path: tuple[Path, ...] = (),
    ) -> None:
        self.directory = directory
        self.journal = Journal(directory / "journal")
        self.kill_after = kill_after
        self._freezes = freezes
        self._flights = 0
        self._lock = threading.Lock()
        self._ended = False
        kept = {name: value for name, value in os.environ.items() if not name.startswith(VARIABLES)}
        self._environ = {
            **kept,
            "PATH": os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"])),
            "PYTHONPATH": os.pathsep.join(map(str, (*path, ROOT, ROOT / "integrations"))),
            "PYTHONDONTWRITEBYTECODE": "1",
            "PYTHONUNBUFFERED": "1",
            "SHOP_JOURNAL": str(self.journal.path),
            **environ,
        }
        for attempt in range(1, ATTEMPTS + 1):
            self.port = _free_port()
            self._start(command)
            try:
                until(lambda: self._listens() or self.gone, f"{command!r} to listen")
            except BaseException:
                self.end()
                print(self.log)
                raise
            if not self.gone:
                break
            # Somebody else may have taken the port since it was found free.
            assert attempt < ATTEMPTS, f"{command!r} did not start:\n{self.log}"

    def __enter__(self) -> Machine:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.end()
        if kind is not None:
            print(self.log)

    @property
    def log(self) -> str:
        """What the process has written to stdout and stderr."""
        return (self.directory / "log").read_text(errors="replace")

    @property
    def frozen(self) -> bool:
        """Whether the process is stopped, as the kernel says."""
        text = Path(f"/proc/{self.process.pid}/stat").read_text()
        return text.rpartition(")")[2].split()[0] == "T"

    @property
    def gone(self) -> bool:
        return self.process.poll() is not None

    def call(
        self,
        path: str = "/",
        method: str = "GET",
        content: bytes = b"",
        headers: Mapping[str, str] = NOTHING,
    ) -> Answer:
        """A request and its whole response."""
        asked = time.monotonic()
        with self.flight() as connection:
            connection.request(method, path, content, {"Connection": "close", **headers})
            response = connection.getresponse()
            body = response.read()
            at = time.monotonic()
        return Answer(response.status, body, at, at - asked)

    @contextmanager
    def flight(self) -> Iterator[http.client.HTTPConnection]:
        """A connection with a request in flight as long as this lasts: the process has its CPU."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=TIMEOUT_SECONDS)
        with self._lock:
            self._flights += 1
            self._signal(signal.SIGCONT)
        try:
            yield connection
        finally:
            connection.close()
            with self._lock:
                self._flights -= 1
                if self._freezes and not self._flights:
                    self._signal(signal.SIGSTOP)

    def shut_down(self, number: signal.Signals = signal.SIGTERM) -> tuple[float, bool]:
        """What the platform does to end it. Returns how many seconds it took and whether it had to
        be killed."""
        began = time.monotonic()
        self._signal(signal.SIGCONT)
        self._signal(number)
        try:
            self.process.wait(self.kill_after)
            killed = False
        except subprocess.TimeoutExpired:
            self._signal(signal.SIGKILL)
            self.process.wait(TIMEOUT_SECONDS)
            killed = True
        return time.monotonic() - began, killed

    def end(self) -> None:
        """Kills it, and what is left of its group, whatever it does."""
        if not self._ended:
            self._ended = True
            try:
                os.killpg(self.process.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
            self.process.wait(TIMEOUT_SECONDS)

    def _start(self, command: str) -> None:
        with (self.directory / "log").open("ab") as log:
            self.process: subprocess.Popen[bytes] = subprocess.Popen(
                ["bash", "-c", command],
                cwd=self.directory,
                env={**self._environ, "PORT": str(self.port)},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def _signal(self, number: signal.Signals) -> None:
        """To all processes of the machine, as platforms do it."""
        try:
            os.killpg(self.process.pid, number)
        except ProcessLookupError:
            pass

    def _listens(self) -> bool:
        try:
            socket.create_connection(("127.0.0.1", self.port), 1).close()
        except OSError:
            return False
        return True


def local(command: str) -> str:
    """A command of a configuration, which listens to the whole network there and to this machine
    here."""
    assert "0.0.0.0" in command, command
    return command.replace("0.0.0.0", "127.0.0.1")


def words(command: list[str]) -> str:
    """A command in a list, as one for a shell, in place of which it is run."""
    return f"exec {shlex.join(command)}"


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
