"""The whole circle in processes: the recipes of the engines that call the app, killed in the
middle of deliveries."""

from __future__ import annotations

import asyncio
import shutil
import signal
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from afterwork import SQLiteStore
from afterwork.engines import Envelope
from tests.engines.recipes import RECIPES, Program, command, post
from tests.integrations.engines.cloud_tasks_server import CALLER, QUEUE, CloudTasksServer
from tests.integrations.engines.qstash_server import TOKEN, QStashServer
from tests.integrations.engines.vendor import Message, Vendor
from tests.integrations.signing import issuer
from tests.integrations.test_qstash import CURRENT, NEXT, THIRD

pytestmark = pytest.mark.timeout(60)

ORDERS = 6
STAND_INS = """
import os
from afterwork_integrations.google import GoogleOIDC
from afterwork_integrations.google_cloud_tasks import CloudTasksEngine

CloudTasksEngine.__init__.__kwdefaults__["api"] = os.environ["API"]
GoogleOIDC.__init__.__kwdefaults__["keys_url"] = os.environ["KEYS_URL"]
"""
"""Google's addresses are in no setting of an app: this is loaded when its process starts."""


@contextmanager
def qstash(folder: Path) -> Iterator[tuple[Vendor, dict[str, str]]]:
    with QStashServer() as server:
        yield (
            server,
            {
                "QSTASH_TOKEN": TOKEN,
                "QSTASH_URL": server.url,
                "QSTASH_CURRENT_SIGNING_KEY": CURRENT,
                "QSTASH_NEXT_SIGNING_KEY": NEXT,
            },
        )


@contextmanager
def cloud_tasks(folder: Path) -> Iterator[tuple[Vendor, dict[str, str]]]:
    """With the credentials of a machine at Google, from its metadata server."""
    (folder / "sitecustomize.py").write_text(STAND_INS)
    with CloudTasksServer() as server, issuer() as keys:
        host = server.url.removeprefix("http://")
        yield (
            server,
            {
                "API": server.url,
                "KEYS_URL": keys.url,
                "CALLER": CALLER,
                "QUEUE": QUEUE,
                "GCE_METADATA_HOST": host,
                "GCE_METADATA_IP": host,
                "HOME": str(folder),
            },
        )


@dataclass(frozen=True)
class Recipe:
    name: str
    vendor: Callable[[Path], AbstractContextManager[tuple[Vendor, dict[str, str]]]]
    forge: Callable[[Vendor], None]
    """Makes it sign as somebody else."""


def forge_qstash(server: Vendor) -> None:
    assert isinstance(server, QStashServer)
    server.key = THIRD


def forge_google(server: Vendor) -> None:
    assert isinstance(server, CloudTasksServer)
    server.audience = "https://another.example"


BOTH = [
    Recipe("qstash", qstash, forge_qstash),
    Recipe("google_cloud_tasks", cloud_tasks, forge_google),
]


@pytest.mark.parametrize("recipe", BOTH, ids=lambda recipe: recipe.name)
async def test_what_a_recipe_accepts_is_done_whatever_is_killed(
    recipe: Recipe, tmp_path: Path, unused_tcp_port: int
) -> None:
    """The app right after its answers, and again in the middle of its deliveries. What is not
    signed for it does not run, and what has run does not run again."""
    folder = tmp_path / "shop"
    shutil.copytree(RECIPES / recipe.name, folder)
    base = f"http://127.0.0.1:{unused_tcp_port}"
    words = command(recipe.name, "uvicorn", port=str(unused_tcp_port))
    store = SQLiteStore(str(tmp_path / "shop.db"))
    with recipe.vendor(folder) as (server, vendors):
        environ = {
            **vendors,
            "APP_URL": base,
            "AFTERWORK_STORE": f"sqlite:///{tmp_path}/shop.db",
        }

        def order(number: int) -> bool:
            return post(f"{base}/orders?email={number}@example.org") == 202

        with Program(words, folder, environ, folder) as app:
            await app.until(lambda: order(0), "the app")
            for number in range(1, ORDERS):
                assert order(number)
            app.end(signal.SIGKILL)
        assert len(server.messages) == ORDERS
        store.open()

        def states(state: str) -> list[str]:
            return [run.id for run in store.runs(state=state)]

        stop = asyncio.get_running_loop().create_future()
        delivering = asyncio.create_task(server.deliver(stop=asyncio.shield(stop), concurrency=2))
        server.retry_seconds = 0.3
        with Program(words, folder, environ, folder) as doomed:
            await doomed.until(
                lambda: states("succeeded") and states("running"), "a receipt, and one under way"
            )
            doomed.end(signal.SIGKILL)
        assert len(states("succeeded")) < ORDERS
        cut = set(states("running"))
        assert cut

        for message in list(server.messages.values()):
            message.retries = 1_000_000  # a start takes longer here than QStash's first pauses
        with Program(words, folder, environ, folder) as heir:
            await heir.until(lambda: len(states("succeeded")) == ORDERS, "all receipts")
            await heir.until(lambda: not server.messages, "the last answer")
            runs = {run.id: run.attempt for run in store.runs()}
            assert {run for run, attempt in runs.items() if attempt > 1} == cut

            # The same message once more, and one that somebody else has signed.
            call = Envelope(id=next(iter(runs)), job="send_receipt", payload='[["x"], {}]')
            forged = Envelope(id="forged", job="send_receipt", payload='[["x"], {}]')
            server.messages["again"] = letter("again", base, call)
            await heir.until(lambda: not server.messages, "the duplicate")
            assert server.answers[-1] == 200
            recipe.forge(server)
            server.messages["forged"] = letter("forged", base, forged)
            await heir.until(lambda: server.answers[-1] == 401, "the forged one")
            assert {run.id: run.attempt for run in store.runs()} == runs
            stop.set_result(None)
            await delivering
            assert heir.end(signal.SIGTERM) in (0, -signal.SIGTERM)
    store.close()


def letter(name: str, base: str, envelope: Envelope) -> Message:
    return Message(name, f"{base}/jobs/work", envelope.to_json().encode(), retries=1_000_000)


async def test_what_the_app_never_takes_ends_with_qstash(
    tmp_path: Path, unused_tcp_port: int
) -> None:
    """In its dead letter queue, after as many deliveries as the engine asked for."""
    base = f"http://127.0.0.1:{unused_tcp_port}"
    with QStashServer() as server:
        server.put(f"{base}/jobs/work", Envelope(id="a", job="b").to_json())
        (message,) = server.messages.values()
        message.retries = 3
        stop = asyncio.get_running_loop().create_future()
        delivering = asyncio.create_task(server.deliver(stop=stop))
        async with asyncio.timeout(10):
            while not server.dead:
                await asyncio.sleep(0.01)
        delivering.cancel()
        assert server.answers == [0] * 4
