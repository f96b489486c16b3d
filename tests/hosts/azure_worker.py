"""A worker of Azure Functions: a stand-in for it. What it calls is made by `azure-functions`.

`python -m tests.hosts.azure_worker` serves the function app in the working directory on `$PORT`.

What is played here, as `azure-functions-runtime` does it: functions are indexed from
`function_app.py`, async ones are awaited on the one loop of the worker, sync ones run in threads;
HTTP requests come as `HttpRequest`, timers as what the package makes of the platform's JSON. As in
Azure, `POST /admin/functions/{name}` sets off a function that is not HTTP, and a function's retry
policy is kept, without its delay. Not played: the host process, its limits, keys and scaling.
"""

from __future__ import annotations

import asyncio
import importlib
import inspect
import json
import logging
import os
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import azure.functions as func
from azure.functions.meta import Datum
from azure.functions.timer import TimerRequestConverter

from . import moment

ADMIN = "/admin/functions/"
TIMER = '{"Schedule": {"AdjustForDST": true}, "ScheduleStatus": null, "IsPastDue": false}'


class Worker:
    """The functions of one app, and the loop they run on."""

    def __init__(self, app: func.FunctionApp, prefix: str) -> None:
        self.loop = asyncio.new_event_loop()
        self.prefix = prefix
        self.timers: dict[str, Any] = {}
        for each in app.get_functions():
            if each.is_http_function():
                self.http = each
                self.route: str = each.get_trigger().route  # type: ignore[union-attr]
            else:
                self.timers[str(each.get_function_name())] = each

    async def answer(self, request: func.HttpRequest) -> func.HttpResponse:
        """What the app's HTTP function answers."""
        answer: func.HttpResponse = await self._call(self.http, 0, 0, req=request)
        return answer

    async def fire(self, name: str) -> None:
        """Sets off a timer, and again after a failure, as often as its policy says."""
        function = self.timers[name]
        trigger = function.get_trigger()
        policy = function.get_settings_dict("retry_policy")
        most = int(policy["max_retry_count"]) if policy else 0
        for count in range(most + 1):
            timer = TimerRequestConverter.decode(Datum(TIMER, "json"), trigger_metadata=None)
            try:
                await self._call(function, count, most, **{trigger.name: timer})
                return
            except Exception:
                logging.exception("the function %s failed", name)
                if count == most:
                    raise

    async def _call(self, function: Any, count: int, most: int, **values: Any) -> Any:
        context = SimpleNamespace(
            function_name=function.get_function_name(),
            function_directory=os.getcwd(),
            invocation_id="an-invocation",
            thread_local_storage=threading.local(),
            trace_context=None,
            retry_context=SimpleNamespace(retry_count=count, max_retry_count=most),
        )
        user = function.get_user_function()
        if inspect.iscoroutinefunction(user):
            return await user(context=context, **values)
        return await asyncio.to_thread(user, context=context, **values)


class Handler(BaseHTTPRequestHandler):
    """The HTTP side, in threads of its own."""

    worker: Worker

    def do_GET(self) -> None:
        self._serve()

    def do_POST(self) -> None:
        self._serve()

    def log_request(self, code: object = "-", size: object = "-") -> None: ...

    def _serve(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        try:
            if self.path.startswith(ADMIN):
                self._run(self.worker.fire(self.path.removeprefix(ADMIN)))
                self._send(202, {}, b"")
                return
            # The one route of an ASGI function app takes everything below the prefix.
            assert self.worker.route == "/{*route}"
            if not self.path.startswith(self.worker.prefix):
                self._send(404, {}, b"")
                return
            url = f"https://shop.azurewebsites.net{self.path}"
            headers = dict(self.headers.items())
            request = func.HttpRequest(self.command, url, headers=headers, body=body)
            answer = self._run(self.worker.answer(request))
            self._send(answer.status_code, dict(answer.headers), answer.get_body())
        except Exception:
            logging.exception("an invocation failed")
            self._send(500, {}, b"")

    def _run(self, coroutine: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, self.worker.loop).result()

    def _send(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.send_response(status)
        for name, value in headers.items():
            if name.lower() != "content-length":
                self.send_header(name, value)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def main() -> None:
    """Serves until it is killed."""
    moment.keep()
    os.environ["FUNCTIONS_WORKER_RUNTIME"] = "python"
    host = json.loads(Path("host.json").read_text())
    prefix = host.get("extensions", {}).get("http", {}).get("routePrefix", "api")
    sys.path.insert(0, os.getcwd())
    module = importlib.import_module("function_app")
    Handler.worker = worker = Worker(module.app, f"/{prefix}/" if prefix else "/")
    server = ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    asyncio.set_event_loop(worker.loop)
    worker.loop.run_forever()


if __name__ == "__main__":
    main()
