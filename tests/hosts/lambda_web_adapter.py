"""A small stand-in for the Lambda Web Adapter: runs uvicorn, waits until it answers, registers as
an extension without events, and turns invocations into HTTP requests.

`python -m tests.hosts.lambda_web_adapter module:app`
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from http.client import HTTPConnection
from typing import Any

API = os.environ["AWS_LAMBDA_RUNTIME_API"]


def ask(
    address: str, method: str, path: str, body: str = "", headers: dict[str, str] | None = None
) -> tuple[int, bytes, Any]:
    connection = HTTPConnection(address, timeout=None)
    try:
        connection.request(method, path, body, headers or {})
        answer = connection.getresponse()
        return answer.status, answer.read(), answer.headers
    finally:
        connection.close()


def free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        port: int = listening.getsockname()[1]
        return port


def main() -> None:
    port = free_port()
    command = [sys.executable, "-m", "uvicorn", sys.argv[1], "--port", str(port)]
    server = subprocess.Popen(command)
    web = f"127.0.0.1:{port}"
    ask(
        API,
        "POST",
        "/2020-01-01/extension/register",
        json.dumps({"events": []}),
        {"Lambda-Extension-Name": "web-adapter"},
    )
    while True:  # readiness checks, which belong to no invocation
        try:
            ask(web, "GET", "/ready")
            break
        except OSError:
            if server.poll() is not None:
                sys.exit("uvicorn ended")
            time.sleep(0.02)
    while True:
        _, event, headers = ask(API, "GET", "/2018-06-01/runtime/invocation/next")
        request_id = headers["Lambda-Runtime-Aws-Request-Id"]
        context = {
            "request_id": request_id,
            "deadline": int(headers["Lambda-Runtime-Deadline-Ms"]),
        }
        status, body, _ = ask(
            web,
            json.loads(event)["requestContext"]["http"]["method"],
            json.loads(event)["rawPath"],
            headers={"x-amzn-lambda-context": json.dumps(context)},
        )
        ask(
            API,
            "POST",
            f"/2018-06-01/runtime/invocation/{request_id}/response",
            json.dumps({"statusCode": status, "body": body.decode()}),
        )


if __name__ == "__main__":
    main()
