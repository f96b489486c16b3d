"""A client that has its 2xx can rely on the work, whatever kills the server: `kill -9`, again and
again, at random moments. `AFTERWORK_SOAK` says how often; a few times in CI, fifty in `make
test-soak`."""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from afterwork import SQLiteStore
from tests.schedules.rows import ROOT
from tests.servers.journal import until
from tests.servers.rows import Row
from tests.servers.server import Server
from tests.servers.wire import Connection

KILLS = 3
ROUNDS = int(os.environ.get("AFTERWORK_SOAK", "5"))
CLIENTS = 4
ORDERS = Row(
    "uvicorn-2",
    "uvicorn tests.durable.orders:app --host 127.0.0.1 --port {port} --workers 2 --no-access-log",
    home=ROOT,
)


class Clients:
    """Clients that order one thing after another, and remember what was promised to them."""

    def __init__(self) -> None:
        self.port = 0
        self.promised: set[str] = set()
        self.refused: set[str] = set()
        self._done = threading.Event()
        self._threads = [
            threading.Thread(target=self._order, args=(number,)) for number in range(CLIENTS)
        ]

    @contextmanager
    def ordering(self) -> Iterator[None]:
        for thread in self._threads:
            thread.start()
        try:
            yield
        finally:
            self._done.set()
            for thread in self._threads:
                thread.join()

    def _order(self, client: int) -> None:
        number = 0
        while not self._done.is_set():
            try:
                with Connection(self.port) as connection:
                    while not self._done.is_set():
                        number += 1
                        name = f"{client}-{number}"
                        kind = "refused" if number % 5 == 0 else "order"
                        answer = connection.get(f"/{kind}/{name}")
                        known = self.promised if answer.status == 200 else self.refused
                        known.add(name)
            except (OSError, EOFError, AssertionError):
                time.sleep(0.01)  # it was killed, and comes back


def left(path: Path) -> list[str]:
    """What waits or runs."""
    store = SQLiteStore(path)
    store.open()
    try:
        with store.journal("look", writes=False) as tables:
            return [call.envelope.id for call in tables.calls(None, None, None, 1000)]
    finally:
        store.close()


@pytest.mark.parametrize("round_number", range(ROUNDS))
@pytest.mark.timeout(90)
def test_what_was_promised_is_worked(round_number: int, tmp_path: Path) -> None:
    """Two workers are killed with -9 in the middle of it, and start again. Every order whose client
    saw a 2xx is worked in the end, and none that was refused."""
    moments = random.Random(round_number)
    clients = Clients()
    server = Server(ORDERS, tmp_path)
    try:
        clients.port = server.port
        with clients.ordering():
            for _ in range(KILLS):
                so_far = len(clients.promised)
                until(lambda so_far=so_far: len(clients.promised) > so_far + 20, "orders")  # type: ignore[misc]
                time.sleep(moments.uniform(0, 0.3))  # the moment is the point
                os.killpg(server.process.pid, signal.SIGKILL)
                server.process.wait()
                server = Server(ORDERS, tmp_path)
                clients.port = server.port
        until(lambda: not left(tmp_path / "orders.db"), "the work to be done")
        worked = {line.name for line in server.journal.lines("worked")}
        assert clients.promised <= worked, sorted(clients.promised - worked)
        assert not clients.refused & worked
        assert len(clients.promised) > 60
        assert clients.refused
    finally:
        server.stop()
        print(server.log)
