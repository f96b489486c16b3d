from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeAlias

import pytest

from tests.servers.rows import Row
from tests.servers.server import Server

Start: TypeAlias = Callable[..., Server]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """`start(row, CLOCKWORK_GRACE="1")`: a server for one test. Those of one test share a folder,
    and with it the journal, the log and the default store."""
    servers: list[Server] = []

    def start(row: Row, **environ: str) -> Server:
        servers.append(Server(row, tmp_path, **environ))
        return servers[-1]

    yield start
    for server in servers:
        server.stop()
    if servers:
        print(servers[0].log)  # shown where the test has failed
