from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeAlias

import pytest

from .rows import ROWS, Row
from .server import Server

Start: TypeAlias = Callable[..., Server]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """`start(row, "--option 1", SHOP_GRACE="1")`: a server for one test."""
    servers: list[Server] = []

    def start(row: Row, options: str = "", **environ: str) -> Server:
        servers.append(Server(row, tmp_path, options, **environ))
        return servers[-1]

    yield start
    for server in servers:
        server.stop()
        print(server.log)  # shown where the test has failed


@pytest.fixture(scope="module", params=ROWS, ids=str)
def shared(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    """A server of every row, for all the tests of a module that do not end it."""
    row: Row = request.param
    server = Server(row, tmp_path_factory.mktemp(row.name))
    yield server
    server.stop()


@pytest.fixture
def server(shared: Server) -> Iterator[Server]:
    yield shared
    print(shared.log)  # shown where the test has failed


@pytest.fixture
def name(request: pytest.FixtureRequest) -> str:
    """A name for the callback that no other test has on the same server."""
    name: str = request.node.name
    return name
