"""SQS's engine with processes that are killed, in a FIFO queue, and on AWS Lambda; against moto."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from afterwork_integrations.sqs import SQSEngine

from afterwork import Engine, SQLiteStore
from tests.contracts.engine import SharedEngineContract
from tests.engines.recipes import RECIPES, Program, command, post
from tests.hosts.lambda_platform import Platform, http_event
from tests.integrations.engines import test_sqs
from tests.integrations.engines.sqs_server import client, credentials, new_queue, waiting

pytestmark = pytest.mark.timeout(120)

VISIBILITY = 3
ORDERS = 6


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    credentials(monkeypatch)


def open_sqs(queue: str) -> Engine:
    return SQSEngine(queue, visibility=VISIBILITY)


class TestSQSInProcesses(SharedEngineContract):
    def opener(self) -> tuple[str, str]:
        return f"{__name__}:open_sqs", new_queue()


class TestFIFOInProcesses(SharedEngineContract):
    def opener(self) -> tuple[str, str]:
        return f"{__name__}:open_sqs", new_queue(".fifo")


class TestFIFO(test_sqs.TestSQSEngine):
    """What a standard queue does, and keys."""

    def make_engine(self) -> Engine:
        self.queue = new_queue(".fifo")
        return SQSEngine(self.queue, visibility=VISIBILITY)


async def test_what_the_recipe_accepts_is_done_whatever_is_killed(
    tmp_path: Path, unused_tcp_port: int
) -> None:
    """The web process after its answers, and a worker in the middle of its work; the next worker
    ends with 0 when it is told to stop."""
    folder = tmp_path / "shop"
    shutil.copytree(RECIPES / "sqs", folder)
    queue = new_queue()
    store = SQLiteStore(str(tmp_path / "shop.db"))
    environ = environ_of(queue, tmp_path)
    base = f"http://127.0.0.1:{unused_tcp_port}"
    with Program(command("sqs", "uvicorn", port=str(unused_tcp_port)), folder, environ) as web:
        await web.until(
            lambda: post(f"{base}/orders?email=0@example.org") == 202, "the web process"
        )
        for number in range(1, ORDERS):
            assert post(f"{base}/orders?email={number}@example.org") == 202
        web.end(signal.SIGKILL)
    assert waiting(queue)[0] == ORDERS
    store.open()

    def count(state: str) -> int:
        return len(store.runs(state=state))

    words = command("sqs", "afterwork", concurrency="2")
    with Program(words, folder, environ) as doomed:
        await doomed.until(
            lambda: count("succeeded") and count("running"), "a receipt, and one under way"
        )
        doomed.end(signal.SIGKILL)
    assert count("succeeded") < ORDERS
    with Program(words, folder, environ) as heir:
        await heir.until(lambda: count("succeeded") == ORDERS, "all receipts")
        await heir.until(lambda: waiting(queue) == (0, 0, 0), "the end of their messages")
        assert heir.end(signal.SIGTERM) == 0
    store.close()


def test_the_recipe_runs_on_lambda(tmp_path: Path) -> None:
    """A request puts a call into the queue, and the queue invokes the same function with it. What
    is under way shortly before the function's timeout is cut and sent anew."""
    queue = new_queue()
    store = SQLiteStore(str(tmp_path / "shop.db"))
    code, environ = RECIPES / "sqs", environ_of(queue, tmp_path)
    with Platform("function.handler", tmp_path, environ=environ, code=code, timeout=10) as platform:
        for number in range(3):
            order = {**http_event("/orders", "POST"), "rawQueryString": f"email={number}@x.example"}
            assert platform.invoke(order).status == 202
        store.open()

        first = take(queue, 3)
        platform.timeout = 0.9  # and what runs is cut half a second before
        cut = platform.invoke(event_of(first))
        assert (cut.response, cut.timed_out) == ({"batchItemFailures": []}, False)
        assert [run.state for run in store.runs()] == ["cancelled"] * 3

        platform.timeout = 10
        again = take(queue, 3)
        done = platform.invoke(event_of([*again, *first, garbage()]))
        assert done.response == {"batchItemFailures": []}
        assert {(run.state, run.attempt) for run in store.runs()} == {("succeeded", 2)}
        log = platform.log
    assert log.count("receipt sent to") == 3
    assert log.count("engine.bad_message") == 1
    store.close()


def test_the_template_is_good_and_reports_failures() -> None:
    """cfn-lint's own rules, and the one that nothing else checks."""
    template = RECIPES / "sqs" / "template.yaml"
    lint = str(Path(sys.executable).parent / "cfn-lint")
    done = subprocess.run(
        [lint, "--regions", "eu-central-1", "--", str(template)],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stdout
    assert "FunctionResponseTypes: [ReportBatchItemFailures]" in template.read_text()


def environ_of(queue: str, folder: Path) -> dict[str, str]:
    return {
        "QUEUE_URL": queue,
        "VISIBILITY": str(VISIBILITY),
        "AFTERWORK_STORE": f"sqlite:///{folder}/shop.db",
        "AWS_ACCESS_KEY_ID": "x",
        "AWS_SECRET_ACCESS_KEY": "x",
    }


def take(queue: str, wanted: int) -> list[dict[str, Any]]:
    """What Lambda takes out of a queue."""
    found: list[dict[str, Any]] = client().receive_message(
        QueueUrl=queue,
        MaxNumberOfMessages=10,
        VisibilityTimeout=60,
        MessageSystemAttributeNames=["All"],
    )["Messages"]
    assert len(found) == wanted
    return found


def event_of(messages: list[dict[str, Any]]) -> dict[str, Any]:
    """The event that Lambda makes of messages."""
    return {
        "Records": [
            {
                "messageId": each["MessageId"],
                "receiptHandle": each["ReceiptHandle"],
                "body": each["Body"],
                "attributes": each["Attributes"],
                "messageAttributes": {},
                "eventSource": "aws:sqs",
                "eventSourceARN": "arn:aws:sqs:eu-central-1:123456789012:afterwork",
                "awsRegion": "eu-central-1",
            }
            for each in messages
        ]
    }


def garbage() -> dict[str, Any]:
    return {
        "MessageId": "garbage",
        "ReceiptHandle": "garbage",
        "Body": json.dumps({"hello": "world"}),
        "Attributes": {"ApproximateReceiveCount": "1"},
    }
