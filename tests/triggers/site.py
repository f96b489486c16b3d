"""The app behind a real uvicorn, and what a test sees of it: answers, the journal, the store."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx

from afterwork import SQLiteStore
from tests.servers.journal import until
from tests.servers.rows import Row
from tests.servers.server import Server

from .credentials import SECRET

if TYPE_CHECKING:
    from afterwork.stores import RunRecord

ROOT = Path(__file__).parents[2]
PATHS = (ROOT, ROOT / "integrations")
BEARER = {"Authorization": f"Bearer {SECRET}"}
TIMEOUT_SECONDS = 10.0


class Site(Server):
    """A uvicorn that serves `module`, from `directory`.

    `environ` goes to the app, in which `CRON_SECRET` is set unless it is given.
    """

    def __init__(
        self,
        directory: Path,
        options: str = "",
        module: str = "tests.triggers.app:app",
        **environ: str,
    ) -> None:
        given = {"CRON_SECRET": SECRET, "AFTERWORK_ENV": "", "VERCEL_ENV": "", **environ}
        command = f"uvicorn {module} --host 127.0.0.1 --port {{port}} --no-access-log"
        row = Row("uvicorn", f"{command} {options}")
        super().__init__(row, directory, **search_path(), **given)
        self.store = SQLiteStore(directory / "runs.db")
        self.store.open()

    @property
    def base(self) -> str:
        """The address of the trigger route."""
        return f"http://127.0.0.1:{self.port}/cron"

    def call(
        self, path: str, method: str = "POST", timeout: float = TIMEOUT_SECONDS, **request: Any
    ) -> httpx.Response:
        """One request on a connection of its own, to `path` below the trigger route. It follows no
        redirect."""
        with httpx.Client(trust_env=False, timeout=timeout) as client:
            return client.request(method, self.base + path, **request)

    def record(self, run_id: str) -> RunRecord:
        """What the store has of a run."""
        found = self.store.run(run_id)
        assert found is not None, run_id
        return found

    def ended(self, run_id: str) -> RunRecord:
        """What the store has of a run, once it is over."""
        until(lambda: not self.record(run_id).live, f"{run_id} to end")
        return self.record(run_id)

    def started(self, run_id: str) -> int:
        """How many attempts of a run have started, by what its function wrote down."""
        return len(self.journal.lines("started", run_id))

    def kill(self) -> None:
        """SIGKILL to the main process, which is gone when this returns."""
        os.kill(self.process.pid, signal.SIGKILL)
        until(self._is_gone, "the server to be gone")

    def stop(self) -> None:
        if hasattr(self, "store"):
            self.store.close()
        super().stop()


def search_path() -> dict[str, str]:
    """Lets a process import this very checkout."""
    return {"PYTHONPATH": os.pathsep.join(map(str, PATHS))}
