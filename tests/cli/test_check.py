"""`check`: each problem with its fix."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any, TextIO

import pytest

from afterwork import SQLiteStore
from afterwork.stores import RunRecord
from tests.cli.support import SHOP

if TYPE_CHECKING:
    import argparse

    from tests.cli.support import Shell

SECRET = "a-secret-for-tests-only-0123456789"
STARLETTE = """
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.routing import Mount
from afterwork import AfterMiddleware, Afterwork, Bearer

work = Afterwork()

@work.cron("0 3 * * *")
def nightly(): ...

def build():
    work = Afterwork()
    return work

async def bare(scope, receive, send): ...

class Outer:
    def __init__(self, app):
        self.app = app
    def __call__(self, *args): ...

"""


def points(shell: Shell) -> dict[str, list[dict[str, Any]]]:
    done = shell("check", "--json")
    document = done.document
    found: dict[str, list[dict[str, Any]]] = {}
    for point in document["points"]:
        found.setdefault(point["what"], []).append(point)
        assert (point["verdict"] == "problem") <= (point["fix"] is not None)
    bad = any(point["verdict"] == "problem" for each in found.values() for point in each)
    assert (document["ok"], done.code) == (not bad, 1 if bad else 0)
    return found


def only(shell: Shell, what: str) -> dict[str, Any]:
    (point,) = points(shell)[what]
    return point


def test_an_app_without_problems(shop: Shell) -> None:
    done = shop("check")
    assert done.code == 0
    assert "ok       app: main:app, from the file main.py" in done.out
    assert "ok       jobs: 4 registered, 2 with a schedule, in America/New_York, UTC" in done.out
    assert "shared by the whole machine" in done.out
    assert "problems: 0, notes: 0" in done.err


def test_an_app_that_cannot_be_imported(empty: Shell) -> None:
    empty.write("import no_such_thing")
    done = empty("check")
    assert done.code == 1
    assert "problem  app: the module 'main' was found, and its import raised" in done.out
    assert "No module named 'no_such_thing'" in done.out
    assert "problems: 1" in done.err


def test_no_app_and_no_afterwork(empty: Shell) -> None:
    assert only(empty, "app")["text"].startswith("there is no app in")
    empty.write("from fastapi import FastAPI\napp = FastAPI()")
    assert "there is no Afterwork in it" in only(empty, "app")["text"]
    assert "\n                  work = Afterwork()\n" in empty("check").out
    assert "@work.cron" in only(empty, "app")["fix"]
    empty.write("import sys\nsys.exit()")
    assert only(empty, "app")["verdict"] == "problem"


def test_an_app_without_jobs(empty: Shell) -> None:
    empty.write("from afterwork import Afterwork\nwork = Afterwork()")
    found = points(empty)
    assert found["jobs"][0]["verdict"] == "note"
    assert "store" not in found
    assert "triggers" not in found
    assert found["middleware"][0]["verdict"] == "note"
    empty.write("from afterwork import Afterwork\nwork = Afterwork()\nwork.job(name='x')(int)")
    assert only(empty, "jobs")["text"] == "1 registered, 0 with a schedule"


def test_schedules_that_never_fire_or_lie_in_a_gap(empty: Shell) -> None:
    empty.write(
        "from afterwork import Afterwork\nwork = Afterwork()\n"
        "ny = {'timezone': 'America/New_York'}\n"
        "work.cron('30 2 * * *', name='moved', **ny)(int)\n"
        "work.cron('*/5 * * * *', name='follows', **ny)(int)\n"
        "work.every('1h', name='hourly')(int)\n"
        "class Never:\n"
        "    def next(self, after): return None\n"
        "    prev = next\n"
        "    def upcoming(self, n, after): return []\n"
        "    def words(self): return 'never'\n"
        "from afterwork._every import Every\n"
        "work._registrar(Never(), 'UTC', {'name': 'never'})(int)\n"
    )
    found = points(empty)
    assert "moved: 02:30" in found["job moved"][0]["text"]
    assert found["job moved"][0]["verdict"] == "note"
    assert "never fires again" in found["job never"][0]["text"]
    assert "job follows" not in found
    assert "job hourly" not in found


# -- the store


def test_stores_that_do_not_do(shop: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    shop.write(SHOP.replace("Afterwork()", "Afterwork(store='memory:')"))
    assert "each process has its own" in only(shop, "store")["text"]
    shop.write(SHOP.replace("Afterwork()", "Afterwork(store='sqlite:///missing/a.db')"))
    assert "cannot be made" in only(shop, "store")["text"]
    shop.write(SHOP)
    monkeypatch.setattr(SQLiteStore, "get", lambda self, key: None)
    assert "what was written is not there" in only(shop, "store")["text"]
    monkeypatch.undo()


def test_a_file_on_a_host_without_a_disk(shop: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VERCEL", "1")
    found = points(shop)
    assert "keeps none" in found["store"][0]["text"]
    assert "nothing runs the jobs" in found["triggers"][0]["text"]
    assert found["host"][0]["verdict"] == "note"


def beat(shop: Shell, worker: str, age: float = 0) -> None:
    store = SQLiteStore(shop.folder / "afterwork.db")
    store.open()
    at = store.now() - age
    store.put(f"scheduler:{worker}", f'{{"at": {at}, "period_seconds": 30}}')
    store.close()


def test_schedulers_at_one_store(shop: Shell) -> None:
    assert "schedulers" not in points(shop)
    beat(shop, "a:1", age=1000)
    assert "none of a:1 has turned" in only(shop, "schedulers")["text"]
    beat(shop, "a:2")
    assert only(shop, "schedulers")["text"] == "1 at this store: a:2"
    beat(shop, "a:3")
    assert "each slot runs once" in only(shop, "schedulers")["text"]
    beat(shop, "b:1")
    assert "several machines use one SQLite file: a, b" in only(shop, "schedulers")["text"]


def test_another_app_at_the_store(shop: Shell) -> None:
    store = SQLiteStore(shop.folder / "afterwork.db")
    store.open()
    run = RunRecord(id="7" * 36, job="foreign", trigger="schedule", slot=int(store.now()))
    store.claim(run, ("slot:1",), keep=60, ttl=60)
    store.close()
    assert "schedulers" not in points(shop)
    beat(shop, "a:1")
    texts = [point["text"] for point in points(shop)["schedulers"]]
    assert "not in this app: foreign" in texts[1]


# -- middleware, triggers, host


@pytest.mark.parametrize(
    ("app", "verdict", "text"),
    [
        ("work.wrap(Starlette())", "ok", "AfterMiddleware is outermost around Starlette"),
        ("work.wrap(build)", "ok", "outermost around build"),
        (
            "Starlette(middleware=[Middleware(AfterMiddleware, work=work)])",
            "ok",
            "AfterMiddleware is the outermost of Starlette",
        ),
        (
            "Starlette(middleware=[Middleware(GZipMiddleware), Middleware(AfterMiddleware, work)])",
            "problem",
            "not outermost in Starlette: GZipMiddleware is around it",
        ),
        (
            "Starlette(middleware=[Middleware(AfterMiddleware)])",
            "problem",
            "was not given this Afterwork",
        ),
        ("AfterMiddleware(Starlette())", "problem", "was not given this Afterwork"),
        ("build", "note", "has no app beside the Afterwork"),
        ("lambda: None", "note", "has no app beside the Afterwork"),
        ("bare", "problem", "nothing wraps the app (function)"),
        ("work.routes(private=True).beside(bare, '/cron')", "problem", "nothing wraps the app"),
        ("Outer(work.wrap(Starlette()))", "problem", "not outermost: Outer is around it"),
        ("Starlette(middleware=[Middleware(GZipMiddleware)])", "problem", "nothing wraps the app"),
    ],
)
def test_whether_the_app_is_wrapped(empty: Shell, app: str, verdict: str, text: str) -> None:
    empty.write(f"{STARLETTE}app = {app}")
    found = only(empty, "middleware")
    assert found["verdict"] == verdict
    assert text in found["text"]


@pytest.mark.parametrize(
    ("settings", "routes", "verdict", "text"),
    [
        ("", False, "ok", "the app's own scheduler runs the jobs"),
        ("", True, "ok", "the trigger route is there, too"),
        ("scheduler=False", True, "ok", "make sure that something calls it"),
        ("scheduler=False", False, "problem", "no scheduler: scheduler=False"),
        ("host='inline', scheduler=True", False, "problem", "scheduler=True, and the host"),
        ("host='inline'", False, "problem", "stops or freezes the process"),
    ],
)
def test_whether_something_runs_the_jobs(
    empty: Shell, settings: str, routes: bool, verdict: str, text: str
) -> None:
    empty.write(
        STARLETTE.replace("work = Afterwork()", f"work = Afterwork({settings})", 1)
        + ("route = work.routes(private=True)\n" if routes else "")
        + "app = work.wrap(Starlette())"
    )
    found = only(empty, "triggers")
    assert found["verdict"] == verdict
    assert text in found["text"]


@pytest.mark.parametrize(
    ("host", "verdict", "text"),
    [
        ("'detached'", "ok", "plain, mode detached"),
        ("'before_end'", "note", "the client waits for all work"),
        ("PlainHost(HostInfo('own', max_seconds=30))", "ok", "at most 30 s"),
    ],
)
def test_the_host(empty: Shell, host: str, verdict: str, text: str) -> None:
    empty.write(
        "from afterwork import Afterwork, HostInfo\nfrom afterwork._hosts import PlainHost\n"
        f"work = Afterwork(host={host})"
    )
    found = only(empty, "host")
    assert found["verdict"] == verdict
    assert text in found["text"]


# -- the route and its secrets


def test_a_closed_route(empty: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CRON_SECRET", SECRET)
    empty.write(
        STARLETTE + "routes = work.routes(verify=[Bearer.from_env('CRON_SECRET'), "
        f"Bearer('{SECRET}', '{SECRET[::-1]}')])\n"
        "app = work.wrap(Starlette(routes=[Mount('/cron', routes)]))"
    )
    found = points(empty)
    assert [each["text"] for each in found["secrets"]] == [
        "bearer: 1 good secret (CRON_SECRET)",
        "bearer: 2 good secrets (given in code)",
    ]
    assert found["route"][0]["text"] == "closed: a stranger is answered 401"
    assert SECRET not in empty("check").out


def test_a_secret_that_is_missing(empty: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without `open_in_dev` the import already refuses it; with it, everybody is refused."""
    empty.write(STARLETTE + "app = work.routes(verify=Bearer.from_env('CRON_SECRET'))")
    assert "the secret CRON_SECRET is refused: it is not set" in only(empty, "app")["text"]
    empty.write(
        STARLETTE + "app = work.routes(verify=Bearer.from_env('CRON_SECRET', open_in_dev=True))"
    )
    found = points(empty)
    assert "CRON_SECRET" in found["secrets"][0]["text"]
    assert found["secrets"][0]["verdict"] == "problem"
    assert "closed to everybody" in found["route"][0]["text"]


def test_an_open_route(empty: Shell) -> None:
    empty.write(
        STARLETTE + "class Anybody:\n    name = 'anybody'\n"
        "    async def verify(self, request): return 'anybody'\n"
        "app = work.routes(verify=Anybody())"
    )
    found = points(empty)
    assert found["route"][0]["text"] == "open: a stranger is answered 200, and may run jobs"
    assert found["secrets"][0]["text"] == "anybody looks after its own"


def test_a_private_route(empty: Shell) -> None:
    empty.write(STARLETTE + "app = work.routes(private=True)")
    first, second = points(empty)["route"]
    assert "Never mount it on a public address" in first["text"]
    assert second["text"] == "closed: a stranger is answered 400"


# -- exported files


class FakeExport(ModuleType):
    """What the exporters offer to the command line."""

    def __init__(self) -> None:
        super().__init__("afterwork.export")
        from importlib.machinery import ModuleSpec

        self.__spec__ = ModuleSpec("afterwork.export", None, origin="here")
        self.answer = 0

    def targets(self) -> list[str]:
        return ["vercel"]

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("target", choices=self.targets())
        parser.add_argument("--check", action="store_true")

    def run(self, work: Any, args: argparse.Namespace, out: TextIO, err: TextIO) -> int:
        out.write(f"{len(work.jobs)} jobs for {args.target}\n")
        if self.answer:
            err.write("one is missing\n")
        return self.answer


@pytest.fixture
def export(monkeypatch: pytest.MonkeyPatch) -> FakeExport:
    found = FakeExport()
    monkeypatch.setitem(sys.modules, "afterwork.export", found)
    return found


def test_exported_files_are_compared_with_the_code(shop: Shell, export: FakeExport) -> None:
    assert "export" not in points(shop)
    shop.write("{}", "vercel.json")
    assert "export" not in points(shop)
    shop.write('{"crons": []}', "vercel.json")
    assert only(shop, "export")["verdict"] == "ok"
    export.answer = 1
    found = only(shop, "export")
    assert found["text"] == "vercel.json is not in step with the code\none is missing"
    assert found["fix"] == "afterwork export vercel --write"
    export.answer = 2
    found = only(shop, "export")
    assert found["verdict"] == "note"
    assert found["text"] == "vercel.json could not be compared: one is missing"
    assert "AFTERWORK_URL" in found["fix"]


def test_export_is_wired(shop: Shell, export: FakeExport) -> None:
    done = shop("export", "vercel")
    assert (done.code, done.out) == (0, "4 jobs for vercel\n")
    export.answer = 1
    assert shop("export", "vercel", "--check").code == 1
    assert "--app MODULE:NAME" in shop("export", "--help").out
    assert "export" in shop("--help").out


def test_without_exporters_there_is_no_such_command(
    shop: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("afterwork.cli._export.find_spec", lambda name: None)
    assert "export" not in points(shop)
    assert "invalid choice: 'export'" in shop("export", "vercel").err
