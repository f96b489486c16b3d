"""What a server counts as load."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from .rows import UVICORN_LIFESPAN_OFF, UVICORN_ROWS

if TYPE_CHECKING:
    from .conftest import Start
    from .rows import Row
    from .server import Server


@pytest.mark.parametrize("row", UVICORN_ROWS, ids=str)
def test_running_callbacks_do_not_count_against_the_limit_of_concurrency(
    row: Row, start: Start
) -> None:
    """With three callbacks running at a limit of three, the next request is answered."""
    assert _status_with_three_callbacks(start(row, "--limit-concurrency 3")) == 200


def test_without_lifespan_they_do_count(start: Start) -> None:
    """uvicorn's own doing: without a lifespan it tells nobody that the process ends, so the ASGI
    call has to last as long as its callbacks, and uvicorn counts calls. Whoever uses both options
    should know."""
    assert _status_with_three_callbacks(start(UVICORN_LIFESPAN_OFF, "--limit-concurrency 3")) == 503


def _status_with_three_callbacks(server: Server) -> int:
    # On one connection, since uvicorn counts connections as well.
    with server.connect() as client:
        for name in ("one", "two", "three"):
            assert client.get(name=name, seconds=5).status == 200
            server.journal.wait("started", name)
        status = client.get().status
        assert not server.journal.lines("done")
    return status
