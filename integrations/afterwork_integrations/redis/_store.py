"""The store on Redis. Every method is one script, so it happens wholly or not at all."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Literal

from afterwork.errors import InvalidOptionError, StoreError
from afterwork.stores import Claim, JobState, Lease, RunRecord, kept_error

from .._urls import split_options, without_password
from ._scripts import decoded, fields, job_state, mapping, record, source

try:
    import redis
    from redis.backoff import NoBackoff
    from redis.cluster import RedisCluster
    from redis.exceptions import RedisClusterException, RedisError
    from redis.retry import Retry
except ImportError as error:
    raise ImportError(
        "afterwork_integrations.redis needs redis-py: pip install 'afterwork[redis]'"
    ) from error

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

SCHEMA = 1
"""The version of the layout that `lua/common.lua` describes."""
IDLE = 30
"""Seconds after which a connection is tried with a PING before it is used again."""


class RedisStore:
    """A store for all replicas of an app, on redis-py.

    `url_or_client` is a URL (`redis://`, `rediss://`, `unix://`), a `redis.Redis` or a
    `redis.RedisCluster`. A client of yours keeps its own time limits and is never closed; give it
    a `socket_timeout`, or a dead server blocks its callers. `namespace` keeps apart the apps that
    share a server. `timeout` is how many seconds connecting, and after that an answer, may take.

    The clock is the server's. Any number of threads may use it, and processes forked from one that
    has it open. It costs one round trip per call.

    A server that is full must refuse to write, not forget: with a `maxmemory` and one of the
    `allkeys-*` policies a claim could be evicted and its slot run twice, so `open` refuses it.
    Where the server does not tell its policy, that is up to you. The `volatile-*` policies do no
    harm, because none of the keys has a time to live.
    """

    shared: Literal["process", "machine", "network"] = "network"

    def __init__(
        self,
        url_or_client: str | redis.Redis | RedisCluster,
        *,
        namespace: str = "default",
        timeout: float = 5.0,
    ) -> None:
        if not re.fullmatch(r"[\w.:-]{1,100}", namespace):
            expected = "1 to 100 letters, digits and the characters . : _ -"
            raise InvalidOptionError("namespace", expected, namespace)
        if not 0 < timeout <= 60:
            raise InvalidOptionError("timeout", "seconds, more than 0 and at most 60", timeout)
        self._own = isinstance(url_or_client, str)
        self._name, self._client = _connect(url_or_client, timeout)
        self._prefix = f"afterwork:{{{namespace}}}"
        self._namespace = namespace
        self._scripts: dict[str, Any] = {}

    @classmethod
    def from_url(cls, url: str) -> RedisStore:
        """A store from a URL alone; `?namespace=` and `?timeout=` are taken from its query, the
        rest of it is redis-py's."""
        url, options = split_options(url, ("namespace", "timeout"))
        try:
            timeout = float(options.get("timeout", 5.0))
        except ValueError:
            raise InvalidOptionError("timeout", "a number of seconds", options["timeout"]) from None
        return cls(url, namespace=options.get("namespace", "default"), timeout=timeout)

    def __repr__(self) -> str:
        return f"RedisStore({self._name!r}, namespace={self._namespace!r})"

    def open(self) -> None:
        version = self._run("open", "open it", SCHEMA)
        if version > SCHEMA:
            raise StoreError(
                self._name,
                "open it",
                f"its data is of version {version}, and this afterwork knows up to {SCHEMA}",
                "Upgrade afterwork, or use another namespace.",
            )
        policy = self._evicts()
        if policy:
            raise StoreError(
                self._name,
                "trust it",
                f"it has a maxmemory and the policy {policy}, so it forgets claims when it is full",
                "Set maxmemory-policy to noeviction, or use a server that is no cache.",
            )

    def close(self) -> None:
        if self._own:
            self._client.close()

    def now(self) -> float:
        return float(self._run("now", "tell the time"))

    # -- claims and leases

    def claim(
        self, run: RunRecord, keys: Sequence[str], *, keep: float, ttl: float, reopen: bool = False
    ) -> Claim:
        values = fields(
            id=run.id,
            job=run.job,
            trigger=run.trigger,
            state=run.state,
            slot=run.slot,
            delivery=run.delivery,
            attempt=run.attempt,
            worker=run.worker,
            started_at=run.started_at,
            duration=run.duration,
            reason=kept_error(run.reason),
            error=kept_error(run.error),
        )
        mine, found = self._run(
            "claim", f"claim {run.job}", keep, ttl, int(reopen), len(keys), *keys, *values
        )
        return Claim(record(mapping(found)), mine == 1)

    def acquire(self, run_id: str, lock: str | None, *, ttl: float) -> Lease:
        which = () if lock is None else (lock,)
        holder, mine, token = self._run("acquire", "start a run", run_id, ttl, *which)
        return Lease(holder, mine == 1, token)

    def wait(self, run_id: str, lock: str) -> bool:
        return bool(self._run("wait", "let a run wait", run_id, lock))

    def stop(self, lock: str, reason: str) -> bool:
        return bool(self._run("stop", "stop a run", lock, kept_error(reason)))

    def renew(self, run_id: str, *, ttl: float) -> str | None:
        reason: str | None = self._run("renew", "renew a run", run_id, ttl)
        return reason

    def finish(self, run: RunRecord) -> bool:
        end = fields(
            state=run.state,
            attempt=run.attempt,
            duration=run.duration,
            reason=kept_error(run.reason),
            error=kept_error(run.error),
        )
        return bool(self._run("finish", f"write the end of {run.job}", run.id, *end))

    def reap(self) -> list[RunRecord]:
        reaped = self._run("reap", "look for dead runs")
        return [record(mapping(run)) for run in reaped]

    # -- runs

    def run(self, run_id: str) -> RunRecord | None:
        found = self._run("run", "read a run", run_id)
        return None if found is None else record(mapping(found))

    def runs(
        self,
        *,
        job: str | None = None,
        state: str | None = None,
        before: str | None = None,
        limit: int = 50,
    ) -> list[RunRecord]:
        which = () if job is None else (job,)
        found = self._run("runs", "read runs", state or "", before or "", max(0, limit), *which)
        return [record(mapping(run)) for run in found]

    def prune(self, *, age: float, keep: int) -> int:
        deleted: int = self._run("prune", "prune", age, keep)
        return deleted

    # -- jobs

    def register(self, jobs: Iterable[str]) -> None:
        self._run("register", "register jobs", *jobs)

    def jobs(self, name: str | None = None) -> dict[str, JobState]:
        now, *found = self._run("jobs", "read the jobs", *(() if name is None else (name,)))
        return {
            name: job_state(name, registered_at, mapping(values), float(now))
            for name, registered_at, values in found
        }

    def pause(self, job: str, *, seconds: float | None = None, note: str | None = None) -> None:
        which = () if note is None else (note,)
        self._run("pause", f"pause {job}", job, "" if seconds is None else seconds, *which)

    def resume(self, job: str) -> bool:
        return bool(self._run("resume", f"resume {job}", job))

    # -- notes

    def put(self, key: str, value: str, *, ttl: float | None = None) -> None:
        self._run("put", "write a note", key, value, "" if ttl is None else ttl, 0)

    def add(self, key: str, value: str, *, ttl: float | None = None) -> bool:
        return bool(self._run("put", "write a note", key, value, "" if ttl is None else ttl, 1))

    def get(self, key: str) -> str | None:
        found: str | None = self._run("get", "read a note", key)
        return found

    def delete(self, key: str) -> bool:
        return bool(self._run("delete", "delete a note", key))

    def notes(self, prefix: str) -> dict[str, str]:
        return mapping(self._run("notes", "read notes", prefix))

    # -- how it talks to Redis

    def _run(self, name: str, doing: str, *args: Any) -> Any:
        """Runs a script. Loads it where the server does not have it, as after its restart."""
        try:
            script = self._scripts.get(name)
            if script is None:
                script = self._scripts[name] = self._client.register_script(source(name))
            return decoded(script(keys=[self._prefix], args=args))
        except (RedisError, RedisClusterException, OSError, UnicodeError) as error:
            # Without the place in the script, which Redis appends.
            problem = str(error).partition(" script: ")[0].rstrip(".") or type(error).__name__
            raise StoreError(self._name, doing, problem, _hint(error)) from error

    def _evicts(self) -> str | None:
        """The policy by which the server forgets what it was told to keep, if it has such a one."""
        try:
            info: Any = self._client.info("memory")
        except (RedisError, RedisClusterException):
            return None  # a server that gives no such information away
        nodes = [info] if "maxmemory" in info else info.values()
        for node in nodes:
            policy = str(node.get("maxmemory_policy", ""))
            if node.get("maxmemory") and policy.startswith("allkeys"):
                return policy
        return None


def _connect(url_or_client: Any, timeout: float) -> tuple[str, Any]:
    """A name without a password, and the client."""
    if isinstance(url_or_client, str):
        name = without_password(url_or_client)
        try:
            return name, redis.Redis.from_url(
                url_or_client,
                socket_timeout=timeout,
                socket_connect_timeout=timeout,
                health_check_interval=IDLE,
                # A repeated call could find its own traces, and would take longer than promised.
                retry=Retry(NoBackoff(), 0),
            )
        except ValueError:
            # The reason may quote a part of the password.
            raise StoreError(
                name,
                "read its URL",
                "it is none that redis-py understands",
                "Write redis://user:password@host:6379/0, with special characters as %XX.",
            ) from None
    if not isinstance(url_or_client, (redis.Redis, RedisCluster)):
        expected = "a URL, a redis.Redis or a redis.RedisCluster (not one of redis.asyncio)"
        raise InvalidOptionError("url_or_client", expected, type(url_or_client))
    if isinstance(url_or_client, RedisCluster):
        return "redis cluster", url_or_client
    options = url_or_client.connection_pool.connection_kwargs
    address = options.get("path") or f"{options.get('host', '')}:{options.get('port', '')}"
    return f"redis://{address}/{options.get('db') or 0}", url_or_client


def _hint(error: Exception) -> str:
    if isinstance(error, (redis.ConnectionError, redis.TimeoutError)):
        return "Check that the server runs and can be reached from here."
    return ""
