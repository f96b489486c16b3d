"""The real servers that tests talk to.

Each is the one that an environment variable names (`REDIS_URL`, `DATABASE_URL`), else one on its
usual local port, else one of our own, started in a temporary folder from the binary on PATH and
ended with the tests. Where there is none, the test is skipped, which fails in CI.
"""

from __future__ import annotations

import atexit
import os
import shutil
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest

if TYPE_CHECKING:
    from afterwork_integrations.postgresql import PostgreSQLStore
    from afterwork_integrations.redis import RedisStore

PATIENCE = 20.0
"""Seconds that a server gets to start."""


@cache
def redis_url() -> str:
    """A Redis server that tests may write to."""
    import redis

    def answers(url: str) -> bool:
        try:
            with redis.Redis.from_url(url, socket_timeout=2, socket_connect_timeout=2) as client:
                return bool(client.ping())
        except redis.RedisError:
            return False

    if named := os.environ.get("REDIS_URL"):
        return named
    usual = "redis://127.0.0.1:6379/0"
    return usual if answers(usual) else own_redis()


def own_redis(*options: str) -> str:
    """A Redis server of our own, with these options on its command line."""
    import redis

    binary = shutil.which("redis-server")
    if binary is None:
        pytest.skip("there is no Redis: set REDIS_URL, or install redis-server")
    folder, port = _folder(), _free_port()
    command = [binary, "--port", str(port), "--dir", folder, "--save", "", *options]
    process = _start(command)
    url = f"redis://127.0.0.1:{port}/0"

    def up() -> bool:
        try:
            with redis.Redis.from_url(url, socket_timeout=2) as client:
                return bool(client.ping())
        except redis.RedisError:
            return False

    _until(up, process)
    return url


def redis_store(url: str) -> RedisStore:
    """What a process of a race opens."""
    from afterwork_integrations.redis import RedisStore

    return RedisStore.from_url(url)


@cache
def database_url() -> str:
    """A PostgreSQL database in which tests may make schemas."""
    if named := os.environ.get("DATABASE_URL"):
        return named
    for user in ("postgres", "root"):
        usual = f"postgresql://{user}@127.0.0.1:5432/test"
        if _accepts(usual):
            return usual
    return own_postgresql()


def own_postgresql() -> str:
    """A PostgreSQL server of our own."""
    binaries = [shutil.which("initdb"), *map(str, Path("/usr/lib/postgresql").glob("*/bin/initdb"))]
    initdb = next(filter(None, binaries), None)
    if initdb is None:
        pytest.skip("there is no PostgreSQL: set DATABASE_URL, or install postgresql")
    folder, port = _folder(), _free_port()
    # PostgreSQL does not run as root.
    user = "nobody" if os.geteuid() == 0 else None
    if user is not None:
        shutil.chown(folder, user)
    data = f"{folder}/data"
    init = [initdb, "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-sync"]
    subprocess.run(init, user=user, check=True, capture_output=True, cwd=folder, timeout=60)
    server = str(Path(initdb).with_name("postgres"))
    options = ["-p", str(port), "-c", f"unix_socket_directories={folder}", "-c", "fsync=off"]
    process = _start([server, "-D", data, *options], user, folder)
    url = f"postgresql://postgres@127.0.0.1:{port}/postgres"
    _until(lambda: _accepts(url), process)
    return url


def postgresql_store(url: str) -> PostgreSQLStore:
    """What a process of a race opens."""
    from afterwork_integrations.postgresql import PostgreSQLStore

    return PostgreSQLStore.from_url(url)


@cache
def rabbitmq_url() -> str:
    """A RabbitMQ server in which tests may make queues. It is not started here: that takes
    longer than a test may."""
    if named := os.environ.get("RABBITMQ_URL"):
        return named
    try:
        socket.create_connection(("127.0.0.1", 5672), 2).close()
    except OSError:
        pytest.skip("there is no RabbitMQ: set RABBITMQ_URL, or start rabbitmq-server")
    return "amqp://guest:guest@127.0.0.1:5672/"


class Proxy:
    """A port that leads to a server until the line is cut, or goes dead without anybody being told.
    For a `with`."""

    def __init__(self, url: str, default_port: int) -> None:
        parts = urlsplit(url)
        self._target = (parts.hostname or "127.0.0.1", parts.port or default_port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._ends: list[socket.socket] = []
        self._lock = threading.Lock()
        self._over = False
        self._dead = threading.Event()
        self._refusing = threading.Event()
        self.port: int = self._listener.getsockname()[1]
        account, at, _ = parts.netloc.rpartition("@")
        self.url = parts._replace(netloc=f"{account}{at}127.0.0.1:{self.port}").geturl()

    def __enter__(self) -> Proxy:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._over = True
        # Waking who waits in accept() needs more than closing.
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.cut()

    def cut(self) -> None:
        """Ends all connections; new ones are taken."""
        with self._lock:
            ends, self._ends = self._ends, []
        for end in ends:
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass  # it was over
            end.close()

    def refuse(self) -> None:
        """Ends all connections, and those that come, until `accept`."""
        self._refusing.set()
        self.cut()

    def accept(self) -> None:
        """Takes connections again."""
        self._refusing.clear()

    def go_dead(self) -> None:
        """From now on nothing comes through, in neither direction."""
        self._dead.set()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            if self._refusing.is_set():
                near.close()
                continue
            try:
                far = socket.create_connection(self._target, PATIENCE)
            except OSError:
                near.close()
                return
            far.settimeout(None)
            with self._lock:
                if not self._over:
                    self._ends += near, far
            if self._over:  # it came in the last moment
                near.close()
                far.close()
                return
            for source, sink in ((near, far), (far, near)):
                threading.Thread(target=self._carry, args=(source, sink), daemon=True).start()

    def _carry(self, source: socket.socket, sink: socket.socket) -> None:
        try:
            while data := source.recv(65536):
                if not self._dead.is_set():
                    sink.sendall(data)
            sink.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass  # it was cut


def _accepts(url: str) -> bool:
    import psycopg

    try:
        psycopg.connect(url, connect_timeout=2).close()
    except psycopg.OperationalError:
        return False
    return True


def _folder() -> str:
    folder = tempfile.mkdtemp(prefix="afterwork-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


def _start(
    command: list[str], user: str | None = None, folder: str | None = None
) -> subprocess.Popen[bytes]:
    quiet = subprocess.DEVNULL
    process = subprocess.Popen(command, user=user, cwd=folder, stdout=quiet, stderr=quiet)

    def end() -> None:
        process.terminate()
        try:
            process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    # Runs before the folder is removed: what was registered last goes first.
    atexit.register(end)
    return process


def _until(up: Callable[[], bool], process: subprocess.Popen[bytes]) -> None:
    start = time.monotonic()
    while not up():
        assert process.poll() is None, f"{process.args!r} ended with {process.returncode}"
        assert time.monotonic() - start < PATIENCE, f"{process.args!r} does not answer"
        time.sleep(0.02)
