"""Which app is meant, and what is said where it cannot be had."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.cli.support import SHOP

if TYPE_CHECKING:
    from tests.cli.support import Shell


def test_an_empty_folder_is_told_what_to_do(empty: Shell) -> None:
    done = empty("list")
    assert done.code == 3
    assert "there is no app in" in done.err
    assert "--app shop.main:app" in done.err
    assert "@work.cron" in done.err
    assert done.out == ""


@pytest.mark.parametrize("name", ["main.py", "app.py", "api.py", "app/main.py", "src/app.py"])
def test_the_usual_files_are_found(empty: Shell, name: str) -> None:
    empty.write(SHOP, name)
    assert empty("list", "--json").document["jobs"][0]["job"] == "nightly"


def test_a_package_is_imported_from_its_top(empty: Shell) -> None:
    empty.write("", "app/__init__.py")
    empty.write("NAME = 'deep'", "app/names.py")
    empty.write(
        "from afterwork import Afterwork\nfrom .names import NAME\nwork = Afterwork()\n"
        "work.job(name=NAME)(lambda: None)",
        "app/main.py",
    )
    assert empty("list", "--json").document["app"] == "app.main:work"
    empty.write("from .main import work", "app/__init__.py")
    assert empty("list", "--app", "app/__init__.py", "--json").document["app"] == "app:work"


@pytest.mark.parametrize(
    "argv",
    [
        ("list", "--app", "shop.web:app"),
        ("--app", "shop.web:app", "list"),
        ("list", "--app", "shop/web.py"),
        ("list", "--app", "shop/web.py:work"),
        ("list", "--app", "shop.web"),
    ],
)
def test_app_names_a_module_or_a_file(empty: Shell, argv: tuple[str, ...]) -> None:
    empty.write(SHOP, "shop/web.py")
    assert "nightly" in empty(*argv).out


def test_the_variable_and_pyproject(empty: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    """The command line goes first, then the variable, then pyproject.toml."""
    empty.write(SHOP.replace("nightly", "from_web"), "web.py")
    empty.write(SHOP.replace("nightly", "from_other"), "other.py")
    empty.write('[tool.fastapi]\nentrypoint = "web:app"', "pyproject.toml")
    assert "from_web" in empty("list").out
    empty.write(
        '[tool.fastapi]\nentrypoint = "web:app"\n[tool.afterwork]\napp = "other:app"',
        "pyproject.toml",
    )
    assert "from_other" in empty("list").out
    monkeypatch.setenv("AFTERWORK_APP", "web:app")
    assert "from_web" in empty("list").out
    assert "from_other" in empty("list", "--app", "other:app").out


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("[tool.afterwork", "cannot be read"),
        ("[tool.afterwork]\napp = 3", "it is 3"),
    ],
)
def test_a_pyproject_that_makes_no_sense(empty: Shell, text: str, problem: str) -> None:
    empty.write(text, "pyproject.toml")
    done = empty("list")
    assert done.code == 2
    assert problem in done.err


def test_a_pyproject_that_says_nothing(shop: Shell) -> None:
    shop.write("[project]\nname = 'shop'", "pyproject.toml")
    assert shop("list").code == 0


def test_a_module_that_is_not_there(empty: Shell) -> None:
    for target, text in (
        ("shop.web:app", "there is no module 'shop'"),
        ("shop/web.py", "there is no file 'shop/web.py'"),
    ):
        done = empty("list", "--app", target)
        assert done.code == 3
        assert text in done.err
        assert "Traceback" not in done.err
    done = empty("list", "--app", "no-module:app")
    assert done.code == 2
    assert "MODULE:NAME" in done.err


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("import no_such_thing", "No module named 'no_such_thing'"),
        ("def (", "SyntaxError"),
        ("1 / 0", "ZeroDivisionError"),
        ("import sys; sys.exit('bye')", "SystemExit: bye"),
    ],
)
def test_an_import_that_fails_shows_the_apps_own_traceback(
    empty: Shell, source: str, text: str
) -> None:
    """The file was found, its import failed: the two are told apart."""
    empty.write(source)
    done = empty("list")
    assert done.code == 1
    assert text in done.err
    assert "main.py" in done.err
    assert "the module 'main' was found, and its import" in done.err
    assert "_import.py" not in done.err  # none of our own frames
    assert "importlib" not in done.err


def test_what_an_app_prints_at_import_is_no_data(shop: Shell) -> None:
    shop.write("print('hello')\n" + SHOP)
    done = shop("list", "--json")
    assert done.document["jobs"]
    assert "hello" in done.err


def test_an_app_without_an_afterwork_is_told_what_is_there(empty: Shell) -> None:
    empty.write("from fastapi import FastAPI\napp = FastAPI()")
    done = empty("list")
    assert done.code == 3
    assert "there is no Afterwork in it. There is: app (FastAPI)." in done.err
    empty.write("x = 1")
    assert "nothing that could be an app" in empty("list").err


def test_a_name_that_is_not_there(shop: Shell) -> None:
    done = shop("list", "--app", "main:shop")
    assert done.code == 3
    assert "there is no 'shop' in it" in done.err
    assert "work (Afterwork)" in done.err


def test_a_factory(empty: Shell) -> None:
    source = SHOP.replace("\n", "\n    ").replace(
        "app = work.wrap(inner)", "return work.wrap(inner)"
    )
    empty.write(f"def create():{source}")
    assert "nightly" in empty("list", "--app", "main:create", "--factory").out
    done = empty("list", "--app", "main:create")
    assert done.code == 3
    assert "--factory" in done.err
    empty.write('[tool.afterwork]\napp = "main:create"\nfactory = true', "pyproject.toml")
    assert "nightly" in empty("list").out
    empty.write("def create(): 1 / 0\nother = 3")
    done = empty("list")
    assert done.code == 1
    assert "ZeroDivisionError" in done.err
    assert empty("list", "--app", "main:other", "--factory").code == 2
    assert empty("list", "--app", "main", "--factory").code == 2


STARLETTE = """
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.routing import Mount, Route
from afterwork import AfterMiddleware, Afterwork, Bearer

def build():
    work = Afterwork()
    work.job(name="hidden")(lambda: None)
    async def inner(scope, receive, send): ...
    return {}
app = build()
"""


@pytest.mark.parametrize(
    "made",
    [
        "Starlette(middleware=[Middleware(AfterMiddleware, work=work)])",
        "Starlette(middleware=[Middleware(AfterMiddleware, work)])",
        "Starlette(routes=[Mount('/cron', work.routes(private=True))])",
        "work.routes(private=True).beside(inner, '/cron')",
        "AfterMiddleware(AfterMiddleware(inner), work)",
        "work.wrap(inner).__call__",
        "holding(work)",
    ],
)
def test_an_afterwork_is_found_inside_an_app(empty: Shell, made: str) -> None:
    """Wherever the app holds it, and although the module has no name for it."""
    empty.write(
        STARLETTE.format(made).replace(
            "def build",
            "def holding(work):\n    app = Starlette()\n    app.state.work = work\n"
            "    return app\n\ndef build",
        )
    )
    assert "hidden" in empty("list").out


def test_odd_objects_are_looked_past(empty: Shell) -> None:
    """Slots that nothing was put into, and a closure that is not complete yet."""
    empty.write(
        "from afterwork import Afterwork\nclass Odd:\n    __slots__ = ('app',)\nodd = Odd()\n"
        "def outer():\n    def inner(): return later\n    found.append(inner)\n    raise KeyError\n"
        "    later = 1\nfound = []\n"
        "try: outer()\nexcept KeyError: pass\nclosure = found[0]\n"
        "work = Afterwork()\nwork.job(name='there')(int)"
    )
    assert "there" in empty("list").out


def test_several_are_told_apart_by_their_jobs(empty: Shell) -> None:
    empty.write(
        "from afterwork import Afterwork\nnone = Afterwork()\none = Afterwork()\n"
        "two = Afterwork()\none.job(name='first')(lambda: None)"
    )
    assert empty("list", "--json").document["app"] == "main:one"
    with (empty.folder / "main.py").open("a") as file:
        file.write("\ntwo.job(name='second')(lambda: None)")
    done = empty("list")
    assert done.code == 2
    assert "one, two" in done.err
    assert "second" in empty("list", "--app", "main:two").out


def test_a_middleware_without_an_afterwork_is_said(empty: Shell) -> None:
    empty.write(
        "from fastapi import FastAPI\nfrom afterwork import AfterMiddleware\napp = FastAPI()\n"
        "app.add_middleware(AfterMiddleware)"
    )
    assert "no Afterwork was given to it" in empty("list").err
    empty.write(
        "from afterwork import AfterMiddleware\nasync def inner(*args): ...\n"
        "app = AfterMiddleware(inner)"
    )
    assert "no jobs are registered in main:app" in empty("list").err
