"""A real server as a subprocess, in a process group of its own."""

from __future__ import annotations

import os
import shlex
import signal
import socket
import subprocess
import sys
import time
from typing import TYPE_CHECKING

from .journal import Journal, until
from .wire import Connection

if TYPE_CHECKING:
    from pathlib import Path

    from .rows import Row

ATTEMPTS = 3
STOP_SECONDS = 1.0
"""How long a server that is not needed any more may take before it is killed."""


class Server:
    """A server that accepts requests once this is made. It runs until `stop`.

    `options` go to the server's command line, `environ` to the app. A variable that is empty is not
    there.
    """

    def __init__(self, row: Row, directory: Path, options: str = "", **environ: str) -> None:
        self.row = row
        self.directory = directory
        self.journal = Journal(directory / "journal")
        self.environ = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join(filter(None, (row.home, os.environ.get("PYTHONPATH")))),
            "PYTHONUNBUFFERED": "1",
            "SHOP_JOURNAL": str(self.journal.path),
            **environ,
        }
        for name in [name for name, value in environ.items() if not value]:
            del self.environ[name]
        self.connections: list[Connection] = []
        self.signalled = 0.0
        for attempt in range(1, ATTEMPTS + 1):
            self.port = _free_port()
            self.process = self._start(f"{row.command.format(port=self.port)} {options}")
            try:
                until(lambda: self._is_up() or self._is_gone(), f"{row} to listen")
            except BaseException:
                self.stop()
                print(self.log)  # nobody else has this server yet
                raise
            if not self._is_gone():
                return
            self.stop()
            # Somebody else may have taken the port since it was found free.
            assert attempt < ATTEMPTS, f"{row} did not start:\n{self.log}"

    @property
    def log(self) -> str:
        """What the server has written to stdout and stderr."""
        return (self.directory / "log").read_text(errors="replace")

    def connect(self) -> Connection:
        """A connection that stays open until it is closed, or at the latest until `stop`."""
        self.connections.append(Connection(self.port))
        return self.connections[-1]

    def terminate(self) -> None:
        """SIGTERM to the main process, as whoever runs it would send it."""
        self.signalled = time.monotonic()
        self.process.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """SIGKILL to the main process, without a word before."""
        self.process.kill()

    def exited(self) -> float:
        """Waits until the main process is gone. Returns how long that took since the signal."""
        until(self._is_gone, f"{self.row} to exit")
        return time.monotonic() - self.signalled

    def stop(self) -> None:
        """Ends the main process and then whatever is left of its group."""
        for connection in self.connections:
            connection.fin()
        if not self._is_gone():
            self.terminate()
            end = time.monotonic() + STOP_SECONDS
            while not self._is_gone() and time.monotonic() < end:
                time.sleep(0.01)
        # The process has not been reaped so far, so the number is still that of our group.
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def _start(self, command: str) -> subprocess.Popen[bytes]:
        with (self.directory / "log").open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", *shlex.split(command)],
                cwd=self.directory,
                env=self.environ,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def _is_up(self) -> bool:
        try:
            with Connection(self.port) as connection:
                return connection.get().status < 500
        except OSError:
            return False

    def _is_gone(self) -> bool:
        options = os.WEXITED | os.WNOHANG | os.WNOWAIT
        return os.waitid(os.P_PID, self.process.pid, options) is not None


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
