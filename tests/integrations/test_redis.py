"""The store on Redis, against real servers."""

from __future__ import annotations

import os
import socket
import threading
import time
import uuid
from collections.abc import Callable
from typing import Any

import pytest
import redis
from afterwork_integrations.redis import RedisStore
from redis.cluster import RedisCluster
from redis.exceptions import RedisClusterException, RedisError

from afterwork.errors import InvalidOptionError, StoreError
from afterwork.stores import Store
from afterwork.testing._store_tests import claim, claimed, end, ended, ids, record, until
from tests.contracts.store import SharedStoreContract, StoreContract
from tests.services import Proxy, own_redis, redis_url

SECRET = "s3cret-pa55word"


class OnServer:
    """Every store has a namespace of its own, which is removed."""

    def setup_method(self) -> None:
        super().setup_method()  # type: ignore[misc]
        self.namespaces: list[str] = []

    def teardown_method(self) -> None:
        super().teardown_method()  # type: ignore[misc]
        with redis.Redis.from_url(redis_url()) as client:
            for namespace in self.namespaces:
                for key in client.scan_iter(f"afterwork:{{{namespace}}}:*", count=10_000):
                    client.unlink(key)

    def namespace(self) -> str:
        self.namespaces.append(f"test-{uuid.uuid4().hex}")
        return self.namespaces[-1]


class TestRedisStore(OnServer, SharedStoreContract):
    def make_store(self) -> Store:
        return RedisStore(redis_url(), namespace=self.namespace())

    def opener(self) -> tuple[str, str]:
        mark = "&" if "?" in redis_url() else "?"
        return "tests.services:redis_store", f"{redis_url()}{mark}namespace={self.namespace()}"


class TestOwnClient(OnServer, StoreContract):
    """A client of the user's, which decodes by itself and speaks RESP3."""

    def make_store(self) -> Store:
        client = redis.Redis.from_url(redis_url(), decode_responses=True, protocol=3)
        self.clients.append(client)
        return RedisStore(client, namespace=self.namespace())

    def setup_method(self) -> None:
        super().setup_method()
        self.clients: list[Any] = []

    def teardown_method(self) -> None:
        super().teardown_method()
        for client in self.clients:
            assert client.ping(), "close() leaves it open"
            client.close()


@pytest.fixture(scope="module")
def cluster_url() -> str:
    url = own_redis("--cluster-enabled", "yes")
    with redis.Redis.from_url(url) as client:
        client.execute_command("CLUSTER", "ADDSLOTSRANGE", 0, 16383)
    return url


class TestCluster(StoreContract):
    """All keys of a namespace hash to one slot."""

    @pytest.fixture(autouse=True)
    def _cluster(self, cluster_url: str) -> Any:
        self.client = _eventually(lambda: _cluster_client(cluster_url))
        yield
        self.client.close()

    def make_store(self) -> Store:
        return RedisStore(self.client, namespace=uuid.uuid4().hex)

    def test_the_policy_of_every_node_counts(self) -> None:
        node = self.client.get_random_node()
        self.client.config_set("maxmemory", "100mb", target_nodes=node)
        self.client.config_set("maxmemory-policy", "allkeys-lru", target_nodes=node)
        with pytest.raises(StoreError, match="redis cluster could not trust it"):
            self.make_store().open()
        self.client.config_set("maxmemory", "0", target_nodes=node)
        self.make_store().open()


def _cluster_client(url: str) -> Any:
    client = RedisCluster.from_url(url)
    client.set("ready", "1")
    return client


def _eventually(make: Callable[[], Any]) -> Any:
    start = time.monotonic()
    while True:
        try:
            return make()
        except (RedisError, RedisClusterException):
            assert time.monotonic() - start < 20


@pytest.fixture
def store() -> Any:
    namespace = f"test-{uuid.uuid4().hex}"
    store = RedisStore(redis_url(), namespace=namespace)
    store.open()
    yield store
    for key in store._client.scan_iter(f"afterwork:{{{namespace}}}:*", count=10_000):
        store._client.unlink(key)
    store.close()


def test_a_server_that_forgets_is_refused() -> None:
    """An evicted claim would run its slot twice. A policy that evicts what has a time to live
    does no harm, nor does one without a limit."""
    url = own_redis("--maxmemory-policy", "allkeys-lru")
    with redis.Redis.from_url(url) as client:
        store = RedisStore(client)
        store.open()
        client.config_set("maxmemory", "100mb")
        with pytest.raises(StoreError, match=r"policy allkeys-lru.*noeviction"):
            store.open()
        client.config_set("maxmemory-policy", "volatile-lru")
        store.open()

        claim(store, keys=["k"])
        store.put("k", "v", ttl=60)
        assert {client.ttl(key) for key in client.scan_iter()} == {-1}, "nothing to be evicted"
        client.execute_command("ACL", "SETUSER", "shy", "on", "nopass", "~*", "+@all", "-info")
        client.config_set("maxmemory-policy", "allkeys-lru")
        with redis.Redis.from_url(url, username="shy", password="any") as shy:
            RedisStore(shy).open()


def test_a_full_server_changes_nothing() -> None:
    with redis.Redis.from_url(own_redis("--maxmemory-policy", "noeviction")) as client:
        store = RedisStore(client)
        store.open()
        claim(store, keys=["before"])
        client.config_set("maxmemory", "1mb")
        before = client.dbsize()
        with pytest.raises(StoreError, match="used memory"):
            claim(store, keys=["k"])
        assert client.dbsize() == before
        client.config_set("maxmemory", "0")
        assert claim(store, keys=["k"]).mine


def test_data_of_a_newer_version_is_refused(store: RedisStore) -> None:
    store._client.set(f"{store._prefix}:schema", 2)
    with pytest.raises(StoreError, match=r"version 2.*knows up to 1\. Upgrade afterwork"):
        store.open()
    assert store._client.get(f"{store._prefix}:schema") == b"2"


def test_a_server_that_is_not_there_is_an_error_at_once() -> None:
    """O11: fail closed, and soon."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    store = RedisStore(f"redis://user:{SECRET}@127.0.0.1:{port}/0", timeout=1)
    start = time.monotonic()
    with pytest.raises(StoreError) as caught:
        store.open()
    assert time.monotonic() - start < 3
    assert caught.value.store == f"redis://127.0.0.1:{port}/0"
    assert "could not open it" in str(caught.value)
    assert "can be reached" in str(caught.value)
    assert isinstance(caught.value.__cause__, redis.ConnectionError)
    assert SECRET not in f"{caught.value!r} {caught.value.__cause__!r} {store!r}"


def test_a_server_that_does_not_answer_is_an_error_within_the_timeout() -> None:
    """O11: a line that is dead without anybody being told, and afterwards it works again."""
    with Proxy(redis_url(), 6379) as proxy:
        store = RedisStore(proxy.url, timeout=0.5, namespace=f"test-{uuid.uuid4().hex}")
        store.now()
        proxy.go_dead()
        start = time.monotonic()
        with pytest.raises(StoreError):
            store.now()
        assert time.monotonic() - start < 3
        proxy._dead.clear()
        proxy.cut()
        assert store.now() > 0
        store.close()


def test_a_connection_that_was_dropped_is_made_anew() -> None:
    with Proxy(redis_url(), 6379) as proxy:
        store = RedisStore(proxy.url, namespace=f"test-{uuid.uuid4().hex}")
        for _ in range(3):
            assert store.now() > 0
            proxy.cut()
        store.close()


def test_scripts_that_the_server_lost_are_loaded_again(store: RedisStore) -> None:
    """As after its restart."""
    store.put("k", "v")
    store._client.script_flush()
    assert store.get("k") == "v"


@pytest.mark.parametrize(
    ("url", "name"),
    [
        (f"redis://user:{SECRET}@host:6380/2", "redis://host:6380/2"),
        (f"rediss://:{SECRET}@host/1?ssl_cert_reqs=none", "rediss://host/1"),
        (f"redis://host:6379/0?password={SECRET}", "redis://host:6379/0"),
        (f"unix://:{SECRET}@/run/redis.sock?db=1", "unix:///run/redis.sock"),
        (f"redis://:{SECRET}@[::1]:6379/0", "redis://[::1]:6379/0"),
    ],
)
def test_a_password_is_never_shown(url: str, name: str) -> None:
    assert repr(RedisStore(url)) == f"RedisStore({name!r}, namespace='default')"


@pytest.mark.parametrize("password", ["p/1", "1/2", "p#1", "1#2", "p?1", "1?2", "1[2"])
def test_a_password_in_a_url_that_cannot_be_read_is_not_shown_either(password: str) -> None:
    """Which part of it is the password is anybody's guess."""
    try:
        store = RedisStore.from_url(f"redis://:{password}@host:6379/0")
    except StoreError as error:
        assert error.store == "redis"
        assert password not in str(error)
        assert error.__cause__ is None
    else:
        assert password not in repr(store)
        assert "1" not in repr(store)


def test_what_cannot_be_understood_is_refused_where_it_is_given() -> None:
    with pytest.raises(InvalidOptionError, match="redis.asyncio"):
        RedisStore(object())  # type: ignore[arg-type]
    with pytest.raises(InvalidOptionError, match="redis.asyncio"):
        RedisStore(redis.asyncio.Redis())  # type: ignore[arg-type]
    with pytest.raises(InvalidOptionError, match="namespace"):
        RedisStore("redis://", namespace="a{b}")
    with pytest.raises(InvalidOptionError, match="timeout"):
        RedisStore("redis://", timeout=0)
    with pytest.raises(InvalidOptionError, match="timeout"):
        RedisStore.from_url("redis://host?timeout=soon")
    with pytest.raises(StoreError, match="none that redis-py understands"):
        RedisStore("http://host")


def test_a_url_has_the_options_too() -> None:
    store = RedisStore.from_url("redis://host/3?namespace=shop&timeout=2&client_name=x")
    options = store._client.connection_pool.connection_kwargs
    assert repr(store) == "RedisStore('redis://host/3', namespace='shop')"
    assert (options["socket_timeout"], options["client_name"]) == (2.0, "x")
    assert repr(RedisStore.from_url("redis://host")).endswith("namespace='default')")
    assert repr(RedisStore.from_url("redis://host?client_name=x")).endswith("'default')")


def test_a_client_is_named_by_where_it_leads() -> None:
    assert "'redis://host:1/2'" in repr(RedisStore(redis.Redis("host", 1, 2)))
    unix = redis.Redis(unix_socket_path="/run/r.sock")
    assert "'redis:///run/r.sock/0'" in repr(RedisStore(unix))


def test_text_that_is_none_is_an_error_of_the_store(store: RedisStore) -> None:
    with pytest.raises(StoreError, match="surrogates"):
        store.put("k", "\ud800")


def test_a_run_whose_keys_count_is_pruned_once_they_do_not(store: RedisStore) -> None:
    """It is put aside, and taken up again."""
    *keyed, bare = ids(4)
    for name in keyed:
        end(store, claim(store, record(id=name), [name], keep=0.3).run.id)
    ended(store, id=bare)
    claimed(store)
    assert store.prune(age=1000, keep=1) == 0
    assert store.prune(age=0, keep=0) == 1
    assert store.run(bare) is None
    deleted: list[int] = []

    def alone() -> bool:
        deleted.append(store.prune(age=1000, keep=0))
        return len(store.runs()) == 1

    until(alone)
    assert sum(deleted) == 3


def test_what_has_expired_does_not_pile_up(store: RedisStore) -> None:
    """Even where nobody prunes."""
    for number in range(40):
        claim(store, keys=[str(number)], keep=0)
        store.put(str(number), "v", ttl=0)
    client = store._client
    for kind in ("keys", "keys-until", "notes", "notes-until", "notes-names"):
        key = f"{store._prefix}:{kind}"
        count = client.zcard(key) if client.type(key) == b"zset" else client.hlen(key)
        assert count <= 2


@pytest.mark.skipif(not hasattr(os, "fork"), reason="a system without fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
def test_a_fork_has_connections_of_its_own(store: RedisStore) -> None:
    """gunicorn with preload forks after start-up."""
    assert store.now() > 0
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            for number in range(50):
                store.put(f"child-{number}", str(number))
            os.write(write, b"ok")
        finally:
            os._exit(0)
    for number in range(50):
        store.put(f"parent-{number}", str(number))
    os.waitpid(pid, 0)
    assert os.read(read, 2) == b"ok"
    os.close(read)
    os.close(write)
    assert len(store.notes("child-")) == len(store.notes("parent-")) == 50


def test_threads_share_a_store(store: RedisStore) -> None:
    def work(number: int) -> None:
        for _ in range(20):
            store.put(f"{number}", str(number))
            assert store.get(f"{number}") == str(number)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(store.notes("")) == 8


def test_without_redis_py_the_error_names_the_install(monkeypatch: pytest.MonkeyPatch) -> None:
    import importlib
    import sys

    for module in [name for name in sys.modules if name.startswith("afterwork_integrations.redis")]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, "redis", None)
    with pytest.raises(ImportError, match=r"pip install 'afterwork\[redis\]'"):
        importlib.import_module("afterwork_integrations.redis")
