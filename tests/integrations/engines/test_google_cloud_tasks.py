"""Google Cloud Tasks as an engine, against a stand-in that takes what Google describes."""

from __future__ import annotations

import asyncio
import base64
import importlib
import json
import sys
import time
from collections.abc import Awaitable, Iterator
from pathlib import Path
from typing import Any

import google.auth.exceptions
import pytest
import trio
from afterwork_integrations import google_cloud_tasks
from afterwork_integrations.google import GoogleOIDC
from afterwork_integrations.google_cloud_tasks import CloudTasksEngine, _credentials
from cryptography.hazmat.primitives import serialization
from google.oauth2.credentials import Credentials

from afterwork import Afterwork, Engine
from afterwork.engines import Envelope
from afterwork.errors import EngineError, InvalidOptionError
from tests.contracts.engine import PushEngineContract
from tests.integrations.receiver import receiving
from tests.integrations.signing import ManualClock, issuer, rsa_key

from .cloud_tasks_server import ACCESS, CALLER, QUEUE, CloudTasksServer
from .vendor import Door

URL = "https://app.example/cron/work"
ID = "01890000-0000-7000-8000-00000000000{}"


@pytest.fixture
def server() -> Iterator[CloudTasksServer]:
    with CloudTasksServer() as server:
        yield server


def envelope(number: int = 0, **more: Any) -> Envelope:
    return Envelope(id=ID.format(number), job="invoice", payload="[[1], {}]", **more)


def engine_of(server: CloudTasksServer, **options: Any) -> CloudTasksEngine:
    """With credentials that need no network."""
    settings = {
        "url": URL,
        "service_account": CALLER,
        "credentials": Credentials(ACCESS),  # type: ignore[no-untyped-call]
        "api": server.url,
    }
    return CloudTasksEngine(QUEUE, **{**settings, **options})


def sent(server: CloudTasksServer) -> list[dict[str, Any]]:
    """The tasks that it was asked to make."""
    path = f"/v2/{QUEUE}/tasks"
    return [json.loads(body)["task"] for method, to, _, body in server.requests if to == path]


async def test_a_call_is_a_task_that_posts_its_envelope_with_a_token(
    server: CloudTasksServer,
) -> None:
    engine = engine_of(server)
    assert await engine.enqueue([envelope()]) == [ID.format(0)]
    await engine.close()

    assert sent(server) == [
        {
            "dispatchDeadline": "600s",
            "retryConfig": {
                "maxAttempts": -1,
                "maxRetryDuration": "0s",
                "minBackoff": "1s",
                "maxBackoff": "60s",
                "maxDoublings": 6,
            },
            "httpRequest": {
                "url": URL,
                "httpMethod": "POST",
                "headers": {"Content-Type": "application/json"},
                "body": base64.b64encode(envelope().to_json().encode()).decode(),
                "oidcToken": {"serviceAccountEmail": CALLER, "audience": URL},
            },
        }
    ]
    (message,) = server.messages.values()
    assert Envelope.from_json(message.body) == envelope()


async def test_many_calls_are_made_side_by_side(server: CloudTasksServer) -> None:
    """All of them, in the order of their ids."""
    engine = engine_of(server, audience="mine")
    await engine.enqueue([])
    many = [Envelope(id=f"call {number}", job="invoice") for number in range(35)]
    assert await engine.enqueue(many) == [each.id for each in many]
    await engine.close()
    assert len(server.messages) == 35
    assert {each["httpRequest"]["oidcToken"]["audience"] for each in sent(server)} == {"mine"}


async def test_one_that_cannot_be_made_is_an_error(server: CloudTasksServer) -> None:
    """Whatever became of the others."""
    engine = engine_of(server)
    large = Envelope(id="large", job="invoice", payload='["' + "x" * 800_000 + '"]')
    with pytest.raises(EngineError, match="it answered 400, .wrong: .'size'"):
        await engine.enqueue([envelope(), large])
    await engine.close()


@pytest.mark.parametrize(
    ("wait", "scheduled"),
    [(None, None), (-1.0, None), (0.001, 1), (1.0, 1), (59.5, 60), (9e6, 2_591_400)],
)
async def test_a_delay_is_never_short_and_at_most_thirty_days(
    server: CloudTasksServer, wait: float | None, scheduled: int | None
) -> None:
    now = float(int(time.time()))
    engine = engine_of(server, clock=ManualClock(now))
    await engine.enqueue([envelope(run_at=None if wait is None else now + wait)])
    await engine.close()
    (message,) = server.messages.values()
    assert message.due == (0 if scheduled is None else now + scheduled)


async def test_a_key_is_the_name_of_a_task_and_of_its_job_and_app(server: CloudTasksServer) -> None:
    here, there = engine_of(server), engine_of(server, url=URL + "2")
    await here.enqueue([envelope(0, key="a key/Ψ"), envelope(1, key="l")])
    await here.enqueue([Envelope(id=ID.format(2), job="other", key="a key/Ψ")])
    await there.enqueue([envelope(3, key="a key/Ψ")])
    for engine in (here, there):
        await engine.close()
    assert len(server.messages) == 4


async def test_whom_a_key_kept_out_learns_the_first_ones_id(server: CloudTasksServer) -> None:
    """As long as the task is there and may be read: after that, its own."""
    engine = engine_of(server)
    await engine.enqueue([envelope(0, key="k")])
    assert await engine.enqueue([envelope(1, key="k"), envelope(2)]) == [ID.format(0), ID.format(2)]
    server.may_read = False
    assert await engine.enqueue([envelope(3, key="k")]) == [ID.format(3)]
    server.may_read = True
    (first, *_) = server.messages.values()
    first.body = b"another's"
    assert await engine.enqueue([envelope(3, key="k")]) == [ID.format(3)]
    server.messages.clear()
    assert await engine.enqueue([envelope(3, key="k")]) == [ID.format(3)]
    await engine.close()
    assert server.messages == {}


@pytest.mark.parametrize(
    ("status", "text"),
    [
        (
            401,
            "it answered 401. Run it with a service account, or: gcloud auth application-default",
        ),
        (403, f"roles/cloudtasks.enqueuer, and roles/iam.serviceAccountUser on {CALLER}."),
        (404, "gcloud tasks queues create afterwork --project=my-project --location=europe-west1"),
        (400, "it answered 400."),
        (409, "it answered 409."),
        (500, "it answered 500."),
    ],
)
async def test_what_google_refuses_is_an_error_with_the_next_step(
    server: CloudTasksServer, status: int, text: str
) -> None:
    with receiving(status) as refusing:
        engine = engine_of(server, api=refusing.url)
        with pytest.raises(EngineError) as caught:
            await engine.enqueue([envelope()])
        await engine.close()
    assert text in str(caught.value)
    assert ACCESS not in str(caught.value)


# -- credentials


def key_file(folder: Path, server: CloudTasksServer) -> str:
    """The key of a service account, as Google's console gives it out."""
    secret = rsa_key("mine").private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    path = folder / "key.json"
    key = {
        "type": "service_account",
        "project_id": "my-project",
        "private_key_id": "mine",
        "private_key": secret.decode(),
        "client_email": "app@my-project.iam.gserviceaccount.com",
        "client_id": "1",
        "token_uri": f"{server.url}/token",
        "universe_domain": "googleapis.com",
    }
    path.write_text(json.dumps(key))
    return str(path)


async def test_the_process_credentials_are_found_and_used_again(
    server: CloudTasksServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A key file, as the environment names it. One token serves for its hour."""
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", key_file(tmp_path, server))
    engine = engine_of(server, credentials=None)
    await engine.enqueue([envelope(0), envelope(1), envelope(2)])
    await engine.enqueue([envelope(3)])
    await engine.close()
    assert len(server.messages) == 4
    assert server.tokens_given == 1


async def test_a_developers_machine_without_credentials_is_told_what_to_do(
    server: CloudTasksServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("CLOUDSDK_CONFIG", str(tmp_path))
    monkeypatch.setenv("NO_GCE_CHECK", "true")
    monkeypatch.setattr("google.auth.compute_engine._metadata._NO_GCE_CHECK", True, raising=False)
    monkeypatch.delenv("GOOGLE_APPLICATION_CREDENTIALS", raising=False)
    engine = engine_of(server, credentials=None)
    with pytest.raises(EngineError, match="no credentials, DefaultCredentialsError.*gcloud auth"):
        await engine.enqueue([envelope()])


async def test_a_token_that_is_not_to_be_had_is_an_error(
    server: CloudTasksServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Within its time."""
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", key_file(tmp_path, server))
    monkeypatch.setattr(_credentials, "SECONDS", 1.0)

    def unreachable(*_: Any, **__: Any) -> None:
        raise google.auth.exceptions.RefreshError("no\nnetwork")  # type: ignore[no-untyped-call]

    def slow(*_: Any, **__: Any) -> None:
        time.sleep(0.5)

    engine = engine_of(server, credentials=None, timeout=0.2)
    monkeypatch.setattr("google.oauth2.service_account.Credentials.before_request", unreachable)
    with pytest.raises(EngineError, match="no credentials, RefreshError: nonetwork"):
        await engine.enqueue([envelope()])
    monkeypatch.setattr("google.oauth2.service_account.Credentials.before_request", slow)
    with pytest.raises(EngineError, match=r"no credentials within 0\.2 seconds"):
        await engine.enqueue([envelope()])


def test_its_transport_says_what_google_auth_wants_to_know(server: CloudTasksServer) -> None:
    transport = _credentials.Transport()
    answer = transport(
        f"{server.url}/computeMetadata/v1/x/token", headers={"Metadata-Flavor": "Google"}
    )
    assert answer.status == 200
    assert answer.headers["content-type"] == "application/json"
    assert json.loads(answer.data)["access_token"] == ACCESS
    with pytest.raises(google.auth.exceptions.TransportError, match="ConnectError at 127.0.0.1"):
        transport("http://127.0.0.1:9/")


def test_it_works_on_one_loop_after_the_other_and_on_trio(server: CloudTasksServer) -> None:
    engine = engine_of(server)

    async def send() -> None:
        await engine.enqueue([envelope(0), envelope(1)])
        await engine.close()

    asyncio.run(send())
    trio.run(send)
    assert len(server.messages) == 4


# -- what it is


async def test_nothing_is_served() -> None:
    engine = CloudTasksEngine(QUEUE, url=URL + "?x=1", service_account=CALLER)
    stop = asyncio.get_running_loop().create_future()
    with pytest.raises(EngineError, match=r"posts calls to https://app.example/cron/work\. Start"):
        await engine.serve(concurrency=1, stop=stop)
    assert await engine.status(ID.format(0)) is None
    assert await engine.cancel(ID.format(0)) is False
    await engine.close()


def test_it_says_what_it_can() -> None:
    engine = CloudTasksEngine(QUEUE, url=URL, service_account=CALLER, delivery_timeout=900)
    can = engine.capabilities
    assert (can.mode, can.keys, can.recovery_seconds) == ("push", "window", 960)
    assert can.max_delay is not None
    assert 29 * 86_400 < can.max_delay < 30 * 86_400
    assert repr(engine) == f"<CloudTasksEngine {QUEUE}>"


@pytest.mark.parametrize(
    "options",
    [
        {"queue": "afterwork"},
        {"queue": QUEUE + "/tasks"},
        {"queue": None},
        {"url": "app.example/work"},
        {"service_account": "tasks"},
        {"service_account": None},
        {"audience": " "},
        {"audience": 5},
        {"delivery_timeout": 14},
        {"delivery_timeout": 1801},
        {"delivery_timeout": 60.0},
        {"credentials": "token"},
        {"timeout": 0},
        {"api": "https://cloudtasks.googleapis.com/v2"},
    ],
)
def test_options_that_make_no_sense_are_refused(options: dict[str, Any]) -> None:
    (name,) = options
    settings = {"queue": QUEUE, "url": URL, "service_account": CALLER}
    with pytest.raises(InvalidOptionError, match=f"{name} must be"):
        CloudTasksEngine(**{**settings, **options})


def test_without_google_auth_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "google.auth", None)
    for name in ("_engine", "_credentials"):
        monkeypatch.delitem(sys.modules, f"{google_cloud_tasks.__name__}.{name}")
    with pytest.raises(ImportError, match=r"pip install 'afterwork\[google-cloud-tasks\]'"):
        importlib.reload(google_cloud_tasks)


class TestCloudTasksEngine(PushEngineContract):
    """The whole circle, over HTTP: the engine, the stand-in, the route with its verifier."""

    @pytest.fixture(autouse=True)
    def _circle(self, server: CloudTasksServer) -> Iterator[None]:
        self.server = server
        self.door = Door()
        with issuer() as self.issuer:
            yield
        self.door.close()

    def make_engine(self) -> Engine:
        return engine_of(self.server, url=f"{self.door.url}/work")

    async def serve(self, work: Afterwork, *, concurrency: int, stop: Awaitable[object]) -> None:
        verify = GoogleOIDC(
            audience=f"{self.door.url}/work", service_account=CALLER, keys_url=self.issuer.url
        )
        async with self.door.serving(work.routes(verify=verify)):
            await self.server.deliver(stop=stop, concurrency=concurrency)

    async def put_garbage(self, engine: Engine, text: str) -> bool:
        self.server.put(f"{self.door.url}/work", text)
        return True
