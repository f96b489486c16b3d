"""moto's SQS on a port of this machine, in this process."""

from __future__ import annotations

import uuid
from functools import cache
from typing import Any

import botocore.session
import pytest
from moto.server import ThreadedMotoServer

REGION = "eu-central-1"


@cache
def sqs_url() -> str:
    """The address of a server that lives as long as the tests."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    return f"http://{host}:{port}"


def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    """What any client needs, and nothing of this machine's own."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIATESTTESTTESTTEST")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "the-secret-of-the-tests")
    monkeypatch.setenv("AWS_DEFAULT_REGION", REGION)
    monkeypatch.setenv("AWS_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")


@cache
def client() -> Any:
    """A client of the tests' own."""
    session = botocore.session.Session()
    session.set_credentials("x", "x")
    return session.create_client("sqs", region_name=REGION, endpoint_url=sqs_url())


def new_queue(suffix: str = "", **attributes: str) -> str:
    """The address of a new queue. `suffix` `.fifo` makes it one."""
    if suffix:
        attributes["FifoQueue"] = "true"
    name = f"test-{uuid.uuid4().hex}{suffix}"
    url: str = client().create_queue(QueueName=name, Attributes=attributes)["QueueUrl"]
    return url


def put(queue_url: str, body: str, **more: Any) -> None:
    """Sends a message as anybody could."""
    if queue_url.endswith(".fifo"):
        unique = uuid.uuid4().hex
        more = {"MessageGroupId": unique, "MessageDeduplicationId": unique, **more}
    client().send_message(QueueUrl=queue_url, MessageBody=body, **more)


def attribute(queue_url: str, name: str) -> int:
    """A number that the queue tells of itself."""
    found = client().get_queue_attributes(QueueUrl=queue_url, AttributeNames=[name])
    return int(found["Attributes"][name])


def waiting(queue_url: str) -> tuple[int, int, int]:
    """How many messages can be taken out, are hidden, and are delayed."""
    return (
        attribute(queue_url, "ApproximateNumberOfMessages"),
        attribute(queue_url, "ApproximateNumberOfMessagesNotVisible"),
        attribute(queue_url, "ApproximateNumberOfMessagesDelayed"),
    )
