"""Amazon SQS as an engine, against moto's server."""

from __future__ import annotations

import asyncio
import importlib
import json
import logging
import socket
import sys
import time
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
import trio
from afterwork_integrations.sqs import SQSEngine, _queue
from afterwork_integrations.sqs._queue import endpoint_of, region_of
from botocore.exceptions import ClientError, NoCredentialsError, NoRegionError

from afterwork import Engine
from afterwork.engines import Envelope
from afterwork.errors import EngineError, InvalidOptionError
from tests.contracts.engine import EngineContract
from tests.integrations.receiver import receiving
from tests.integrations.signing import NOW, ManualClock
from tests.support import until

from .sqs_server import attribute, client, credentials, new_queue, put, sqs_url, waiting

VISIBILITY = 3
URL = "https://sqs.eu-central-1.amazonaws.com/123456789012/afterwork"


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    credentials(monkeypatch)
    monkeypatch.setattr(_queue, "WAIT_SECONDS", 1)


class TestSQSEngine(EngineContract):
    """A standard queue. Those of a FIFO queue are in `tests/engines`."""

    def make_engine(self) -> Engine:
        self.queue = new_queue()
        return SQSEngine(self.queue, visibility=VISIBILITY)

    async def put_garbage(self, engine: Engine, text: str) -> bool:
        put(self.queue, text or " ")
        return True


def envelope(**more: Any) -> Envelope:
    return Envelope(id=str(uuid.uuid4()), job="invoice", payload="[[1], {}]", **more)


def refusal(code: str, status: int = 400) -> ClientError:
    told: Any = {
        "Error": {"Code": code, "Message": "It says why."},
        "ResponseMetadata": {"HTTPStatusCode": status},
    }
    return ClientError(told, "SendMessageBatch")


class Client:
    """A client that writes down what it is asked, and answers or raises what it is told."""

    def __init__(self, *answers: Any) -> None:
        self.answers = [*answers]
        self.asked: list[dict[str, Any]] = []

    def send_message_batch(self, **asked: Any) -> Any:
        self.asked.append(asked)
        answer = self.answers.pop(0) if self.answers else {}
        if isinstance(answer, BaseException):
            raise answer
        return answer

    get_queue_attributes = receive_message = change_message_visibility_batch = send_message_batch


# -- what is sent


@pytest.mark.parametrize(
    ("wait", "seconds"),
    [(None, 0), (-5.0, 0), (0.0, 0), (0.001, 1), (1.0, 1), (60.5, 61), (900.0, 900), (9e6, 900)],
)
async def test_a_delay_is_never_short_and_at_most_what_sqs_keeps(
    wait: float | None, seconds: int
) -> None:
    """And always said, or the queue's own would count."""
    fake = Client()
    engine = SQSEngine(URL, client=fake, clock=ManualClock())
    call = envelope(run_at=None if wait is None else NOW + wait)
    assert await engine.enqueue([call]) == [call.id]
    assert fake.asked == [
        {
            "QueueUrl": URL,
            "Entries": [{"Id": "0", "MessageBody": call.to_json(), "DelaySeconds": seconds}],
        }
    ]


async def test_calls_go_in_tens_and_in_what_a_request_may_hold() -> None:
    fake = Client()
    engine = SQSEngine(URL, client=fake)
    await engine.enqueue([])
    await engine.enqueue([envelope() for _ in range(23)])
    assert [len(each["Entries"]) for each in fake.asked] == [10, 10, 3]
    fake.asked.clear()
    large = Envelope(id="a", job="b", payload='["' + "x" * 100_000 + '"]')
    await engine.enqueue([large] * 5)
    assert [len(each["Entries"]) for each in fake.asked] == [2, 2, 1]
    assert [entry["Id"] for entry in fake.asked[0]["Entries"]] == ["0", "1"]


async def test_in_a_fifo_queue_each_call_is_a_group_and_each_sending_is_new() -> None:
    """Else its next attempt would be taken for it."""
    fake = Client()
    engine = SQSEngine(URL + ".fifo", client=fake, clock=ManualClock())
    call, other = envelope(run_at=NOW + 5), envelope()
    await engine.enqueue([call, other])
    await engine.enqueue([call])
    entries = [entry for asked in fake.asked for entry in asked["Entries"]]
    assert len({entry["MessageDeduplicationId"] for entry in entries}) == 3
    assert len({entry["MessageGroupId"] for entry in entries}) == 2
    assert not any("DelaySeconds" in entry for entry in entries)


async def test_a_key_is_of_its_job_and_counts_for_five_minutes() -> None:
    """The first one's id is known to the process that made it."""
    clock, fake = ManualClock(), Client()
    engine = SQSEngine(URL + ".fifo", client=fake, clock=clock)
    first, second = envelope(key="k"), envelope(key="k")
    other = Envelope(id="other", job="other", key="k")
    assert await engine.enqueue([first, other]) == [first.id, "other"]
    clock.seconds += 299
    assert await engine.enqueue([second]) == [first.id]
    clock.seconds += 1
    third = envelope(key="k")
    assert await engine.enqueue([third]) == [third.id]
    ids = [e["MessageDeduplicationId"] for asked in fake.asked for e in asked["Entries"]]
    assert ids[0] == ids[2] == ids[3] != ids[1]
    assert len(ids[0]) == 64


async def test_another_process_keeps_its_own_id_and_sqs_keeps_its_call_out() -> None:
    queue = new_queue(".fifo")
    here, there = SQSEngine(queue), SQSEngine(queue)
    first, second = envelope(key="k"), envelope(key="k")
    assert await here.enqueue([first]) == [first.id]
    assert await there.enqueue([second]) == [second.id]
    for engine in (here, there):
        await engine.close()
    assert waiting(queue)[0] == 1


# -- what goes wrong


async def test_a_port_that_nobody_listens_on_is_an_error_within_its_time() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    engine = SQSEngine(f"http://127.0.0.1:{port}/1/afterwork", timeout=5)
    start = time.monotonic()
    with pytest.raises(
        EngineError, match="could not take calls in: EndpointConnectionError.*can be"
    ):
        await engine.enqueue([envelope()])
    assert time.monotonic() - start < 6
    await engine.close()


async def test_who_never_answers_is_given_up() -> None:
    with receiving("hang") as receiver:
        engine = SQSEngine(receiver.url + "/1/afterwork", timeout=0.5)
        start = time.monotonic()
        with pytest.raises(EngineError, match=r"no answer within 0\.5 s"):
            await engine.enqueue([envelope()])
        assert time.monotonic() - start < 3
        receiver.released.set()
        await engine.close()


async def test_a_queue_that_is_not_there_is_an_error() -> None:
    engine = SQSEngine(sqs_url() + "/123456789012/not-there")
    with pytest.raises(EngineError) as caught:
        await engine.enqueue([envelope()])
    with pytest.raises(EngineError, match="NonExistentQueue"):
        await engine.serve(concurrency=1, stop=asyncio.Event().wait())
    await engine.close()
    text = str(caught.value)
    assert text.startswith("the engine sqs queue not-there could not take calls in: ")
    assert text.endswith("Check the queue's address, its region, and what the role may do.")


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (refusal("AccessDenied"), "AccessDenied: It says why. Check the queue's address"),
        (refusal("RequestThrottled"), "RequestThrottled: It says why. Check that SQS can be"),
        (refusal("AWS.Simple#InternalError", 500), "InternalError: It says why. Check that SQS"),
        (NoCredentialsError(), "Unable to locate credentials. Give the process a role"),
        (NoRegionError(), "You must specify a region. Give the process a role"),
        (
            {"Failed": [{"Code": "Bad", "Message": "No.", "SenderFault": True}]},
            "Bad: No. Check the",
        ),
        ({"Failed": [{"Code": "Busy", "Message": "No."}]}, "Busy: No. Check that SQS can"),
    ],
)
async def test_what_sqs_refuses_is_an_error_that_says_why(error: Any, text: str) -> None:
    engine = SQSEngine(URL, client=Client(error))
    with pytest.raises(EngineError) as caught:
        await engine.enqueue([envelope()])
    assert text in str(caught.value)


async def test_credentials_are_missed_at_the_call(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not when the engine is made: an app may be imported without them."""
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    engine = SQSEngine(new_queue())
    with pytest.raises(EngineError, match="Unable to locate credentials"):
        await engine.enqueue([envelope()])
    await engine.close()


# -- the worker


@pytest.mark.parametrize(
    ("attributes", "problem"),
    [
        (
            {"MessageRetentionPeriod": "3600"},
            "it forgets a message that has waited for 3600 seconds",
        ),
        (
            {
                "RedrivePolicy": json.dumps(
                    {
                        "deadLetterTargetArn": "arn:aws:sqs:eu-central-1:123456789012:dead",
                        "maxReceiveCount": 1,
                    }
                )
            },
            "it gives up a message after 1 deliveries",
        ),
    ],
)
async def test_a_queue_that_loses_calls_is_not_served(
    attributes: dict[str, str], problem: str
) -> None:
    client().create_queue(QueueName="dead")
    engine = SQSEngine(new_queue(**attributes))
    with pytest.raises(EngineError, match=problem):
        await engine.serve(concurrency=1, stop=asyncio.Event().wait())
    await engine.close()


async def test_what_is_no_call_is_said_once_and_deleted(caplog: pytest.LogCaptureFixture) -> None:
    queue = new_queue()
    engine = SQSEngine(queue)

    async def run(envelope: Envelope, /, *, deadline: float | None = None) -> None:
        raise AssertionError("nothing to run")

    engine.bind(run)
    put(queue, '{"v": 1, "id": "the-secret"}')
    stop = asyncio.Event()
    serving = asyncio.create_task(engine.serve(concurrency=1, stop=stop.wait()))
    await until(lambda: waiting(queue) == (0, 0, 0))
    stop.set()
    await serving
    await engine.close()
    (line,) = [each.getMessage() for each in caplog.records if "bad_message" in each.getMessage()]
    assert line.startswith("engine.bad_message engine='sqs queue test-")
    assert "the-secret" not in line


async def test_an_early_message_of_a_fifo_queue_is_hidden_until_it_is_due() -> None:
    """What is due later than SQS can hide it is sent anew, so that it is not taken for one that
    nobody can handle."""
    clock, fake = ManualClock(), Client()
    engine = SQSEngine(URL + ".fifo", client=fake, clock=clock)
    ran: list[Envelope] = []

    async def run(envelope: Envelope, /, *, deadline: float | None = None) -> Envelope | None:
        ran.append(envelope)
        return envelope if (envelope.run_at or 0) > clock.seconds else None

    engine.bind(run)
    call = envelope(run_at=NOW + 50_000.5)

    def message(deliveries: int) -> _queue.Message:
        return _queue.Message("m", call.to_json(), "receipt", deliveries)

    assert await engine.settle(message(1)) is False
    assert fake.asked.pop()["Entries"] == [
        {"Id": "0", "ReceiptHandle": "receipt", "VisibilityTimeout": 43_000}
    ]
    clock.seconds += 43_000
    assert await engine.settle(message(2)) is True
    assert fake.asked.pop()["Entries"][0]["MessageBody"] == call.to_json()
    assert await engine.settle(message(1)) is False
    assert fake.asked.pop()["Entries"][0]["VisibilityTimeout"] == 7001
    clock.seconds += 7001
    assert await engine.settle(message(2)) is True
    assert await engine.settle(message(1)) is True
    assert len(ran) == 3

    clock.seconds -= 10  # somebody else has taken it meanwhile: it runs, and is early
    fake.answers = [{"Failed": [{"Id": "0"}]}]
    assert await engine.settle(message(1)) is True
    assert len(ran) == 4


async def test_a_call_whose_next_attempt_cannot_be_sent_comes_again(
    caplog: pytest.LogCaptureFixture,
) -> None:
    fake = Client(refusal("RequestThrottled"))
    engine = SQSEngine(URL, client=fake)

    async def run(envelope: Envelope, /, *, deadline: float | None = None) -> Envelope:
        return envelope.again(None)

    engine.bind(run)
    assert await engine.settle(_queue.Message("m", envelope().to_json(), "receipt", 1)) is False
    assert "engine.lost" in caplog.text


# -- AWS Lambda


def record(body: str, number: int = 1) -> dict[str, Any]:
    """As Lambda writes a message."""
    return {
        "messageId": f"message-{number}",
        "receiptHandle": f"receipt-{number}",
        "body": body,
        "attributes": {"ApproximateReceiveCount": "1"},
        "eventSource": "aws:sqs",
        "eventSourceARN": "arn:aws:sqs:eu-central-1:123456789012:afterwork",
        "awsRegion": "eu-central-1",
    }


async def test_lambda_is_told_which_messages_are_to_come_again() -> None:
    """The others are deleted by it. All of a batch run at once, and have the same time."""
    engine = SQSEngine(URL, client=Client(refusal("RequestThrottled")))
    deadlines: list[float | None] = []
    together = asyncio.Barrier(3)

    async def run(envelope: Envelope, /, *, deadline: float | None = None) -> Envelope | None:
        deadlines.append(deadline)
        await together.wait()
        return envelope.again(None) if envelope.job == "again" else None

    engine.bind(run)
    bodies = [envelope().to_json(), Envelope(id="2", job="again").to_json(), "garbage"]
    event = {"Records": [record(body, number) for number, body in enumerate(bodies)]}
    event["Records"].append(record(envelope().to_json(), 3))
    before = time.monotonic()
    answer = await engine.handle(event, seconds=5)
    assert answer == {"batchItemFailures": [{"itemIdentifier": "message-1"}]}
    assert all(each is not None and 5 <= each - before < 6 for each in deadlines)

    together = asyncio.Barrier(1)
    assert await engine.handle({"Records": [record(bodies[0])]}) == {"batchItemFailures": []}
    assert deadlines[-1] is None


# -- options


@pytest.mark.parametrize(
    ("host", "region", "usual"),
    [
        ("https://sqs.eu-central-1.amazonaws.com", "eu-central-1", True),
        ("https://sqs.cn-north-1.amazonaws.com.cn", "cn-north-1", True),
        ("https://us-east-2.queue.amazonaws.com", "us-east-2", True),
        ("https://sqs-fips.us-gov-west-1.amazonaws.com", "us-gov-west-1", False),
        ("https://vpce-1-2.sqs.eu-west-1.vpce.amazonaws.com", "eu-west-1", False),
        ("http://127.0.0.1:4566", None, False),
        ("https://queue.example", None, False),
    ],
)
def test_a_queues_address_says_its_region(host: str, region: str | None, usual: bool) -> None:
    """One that is not the usual one of its region is where requests go."""
    assert region_of(host + "/1/q") == region
    assert endpoint_of(host + "/1/q") == (None if usual else host)


def test_it_says_what_it_can() -> None:
    """As its settings are."""
    standard, fifo = SQSEngine(URL, visibility=30), SQSEngine(URL + ".fifo")
    assert (standard.capabilities.mode, standard.capabilities.recovery_seconds) == ("pull", 30)
    assert (standard.capabilities.keys, standard.capabilities.max_delay) == ("none", 900)
    assert (fifo.capabilities.keys, fifo.capabilities.max_delay) == ("window", 43_000)
    assert repr(standard) == "<SQSEngine sqs queue afterwork>"


async def test_a_client_of_yours_is_used_and_not_closed() -> None:
    own = client()
    queue = new_queue()
    engine = SQSEngine(queue, client=own)
    call = envelope()
    await engine.enqueue([call])
    await engine.close()
    await engine.enqueue([call])
    assert waiting(queue)[0] == 2
    assert await engine.status(call.id) is None
    assert await engine.cancel(call.id) is False


def test_it_works_on_one_loop_after_the_other_and_on_trio() -> None:
    """Taking calls in, that is."""
    queue = new_queue()
    engine = SQSEngine(queue, endpoint_url=sqs_url(), region="eu-central-1")

    async def send() -> None:
        await engine.enqueue([envelope()])
        await engine.close()
        await engine.close()

    asyncio.run(send())
    trio.run(send)
    assert attribute(queue, "ApproximateNumberOfMessages") == 2


@pytest.mark.parametrize(
    "options",
    [
        {"queue_url": "afterwork"},
        {"queue_url": None},
        {"visibility": 2},
        {"visibility": 43_201},
        {"visibility": 30.0},
        {"endpoint_url": "https://sqs.example/path"},
        {"client": object()},
        {"timeout": 0},
    ],
)
def test_options_that_make_no_sense_are_refused(options: dict[str, Any]) -> None:
    (name,) = options
    with pytest.raises(InvalidOptionError, match=f"{name} must be"):
        SQSEngine(**{"queue_url": URL, **options})


@pytest.fixture
def _without_botocore(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    kept = {n: m for n, m in sys.modules.items() if n.startswith("afterwork_integrations.sqs")}
    for name in kept:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "botocore.session", None)
    yield
    monkeypatch.undo()


@pytest.mark.usefixtures("_without_botocore")
def test_without_botocore_it_says_what_to_install() -> None:
    with pytest.raises(ImportError, match=r"pip install 'afterwork\[sqs\]'"):
        importlib.import_module("afterwork_integrations.sqs")


def test_the_sdk_is_not_loaded_before_it_is_needed() -> None:
    """A queue's first call makes the client; what that knows of all of AWS is not read before."""
    engine = SQSEngine(URL)
    assert engine._queue._client is None
    assert logging.getLogger("afterwork") is not None
