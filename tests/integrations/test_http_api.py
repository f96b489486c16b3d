from __future__ import annotations

import logging
import socket
import time

import pytest
import trio
from afterwork_integrations._http_api import HttpApi

from afterwork.errors import EngineError
from tests.integrations.receiver import receiving

SECRET = {"Authorization": "Bearer a-token-that-nobody-may-see"}


async def ask(api: HttpApi) -> int:
    answer = await api.ask("take calls in", "POST", "/v1", headers=SECRET, content=b"{}")
    return answer.status_code


@pytest.mark.parametrize("first", [500, 502, 503, 429, "close"])
async def test_what_may_pass_is_tried_again(first: int | str) -> None:
    """Three times in all."""
    with receiving(first, first, 200) as receiver:
        api = HttpApi("x", receiver.url, 5)
        assert await ask(api) == 200
        await api.close()
    assert receiver.paths == ["/v1"] * 3
    assert {request.body for request in receiver.got} == {b"{}"}


@pytest.mark.parametrize("status", [400, 401, 404, 409, 302])
async def test_a_refusal_is_final_and_a_redirect_is_one(status: int) -> None:
    with receiving(status, 200) as receiver:
        api = HttpApi("x", receiver.url, 5)
        assert await ask(api) == status
        await api.close()
    assert len(receiver.got) == 1


async def test_what_goes_on_failing_is_told() -> None:
    """The last answer, where there is one."""
    with receiving(500) as receiver:
        api = HttpApi("x", receiver.url, 5)
        assert await ask(api) == 500
        await api.close()
    assert len(receiver.got) == 3


async def test_a_port_that_nobody_listens_on_is_an_error_within_its_time(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    api = HttpApi("qstash", f"http://127.0.0.1:{port}", 5)
    with pytest.raises(EngineError) as caught:
        await ask(api)
    await api.close()
    assert str(caught.value) == (
        "the engine qstash could not take calls in: ConnectError. "
        "Check that 127.0.0.1 can be reached from here."
    )
    assert "nobody-may-see" not in caplog.text


async def test_who_never_answers_is_given_up() -> None:
    """In the time for the whole, tries included."""
    with receiving("hang") as receiver:
        api = HttpApi("x", receiver.url, 0.3)
        start = time.monotonic()
        with pytest.raises(EngineError, match=r"no answer within 0\.3 seconds"):
            await ask(api)
        await api.close()
        assert time.monotonic() - start < 2


async def test_there_is_no_try_that_could_not_end_in_time() -> None:
    with receiving(500) as receiver:
        api = HttpApi("x", receiver.url, 0.15)
        assert await ask(api) == 500
        await api.close()
    assert len(receiver.got) == 1


def test_it_works_on_one_loop_after_the_other_and_on_trio() -> None:
    """Connections are of a loop."""
    import asyncio

    with receiving(200) as receiver:
        api = HttpApi("x", receiver.url, 5)

        async def twice() -> None:
            assert await ask(api) == 200
            assert await ask(api) == 200
            await api.close()
            await api.close()

        asyncio.run(twice())
        asyncio.run(twice())
        trio.run(twice)
    assert len(receiver.got) == 6


async def test_two_first_calls_at_once_share_a_client() -> None:
    import asyncio

    with receiving(200) as receiver:
        api = HttpApi("x", receiver.url, 5)
        assert [*await asyncio.gather(ask(api), ask(api))] == [200, 200]
        await api.close()


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b'{"error": "no such queue"}', ", 'no such queue'"),
        (b'{"error": {"message": "no\\nqueue"}}', ", 'noqueue'"),
        (b'{"error": 5}', ""),
        (b'{"error": {}}', ""),
        (b"[]", ""),
        (b"no JSON", ""),
        (b'{"error": "' + b"x" * 300 + b'"}', ", '" + "x" * 200 + "'"),
    ],
)
def test_a_refusal_tells_what_the_vendor_says(body: bytes, said: str) -> None:
    """In so far as it is short."""
    import httpx

    error = HttpApi("x", "http://x", 5).refusal("do it", httpx.Response(400, content=body), "Look.")
    assert str(error) == f"the engine x could not do it: it answered 400{said}. Look."
