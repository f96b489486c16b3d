"""The command as a whole: help, exit codes, streams, colour, width."""

from __future__ import annotations

import importlib
import io
import json
import os
import re
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest

import afterwork.cli
from afterwork.cli._main import COMMANDS
from afterwork.cli._output import Output, plain
from afterwork.cli._times import ago, lasted, rfc3339
from tests.cli.support import COMMAND, SHOP, environment, on_terminal, piped

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.support import Shell

HELP_SECONDS = 1.5
"""An idle machine needs a tenth of that; the machine of a test may be busy."""
SUBCOMMANDS = (
    *("list", "next", "run", "retry", "trigger", "due", "work", "worker", "runs", "show"),
    *("cancel", "pause", "resume", "check", "metrics", "store"),
)


def test_help_lists_the_commands_and_is_quick(tmp_path: Path) -> None:
    done, took = piped(tmp_path, "--help"), [HELP_SECONDS]
    for _ in range(3):
        began = time.monotonic()
        piped(tmp_path, "--help")
        took.append(time.monotonic() - began)
    assert done.code == 0
    assert all(re.search(rf"^    {name} ", done.out, re.MULTILINE) for name in SUBCOMMANDS)
    assert min(took) < HELP_SECONDS


def test_help_imports_nothing_slow() -> None:
    probe = (
        "import sys\nfrom afterwork.cli import main\nmain(['--help'])\n"
        "sys.stderr.write(' '.join(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", probe], env=environment(), capture_output=True, text=True, timeout=30
    )
    loaded = set(done.stderr.split())
    slow = {"logging", "sqlite3", "urllib.request", "http.client", "importlib.metadata", "zoneinfo"}
    assert not loaded & slow
    tops = {name.partition(".")[0] for name in loaded}
    assert not {"starlette", "anyio", "httpx", "structlog"} & tops


@pytest.mark.parametrize("command", SUBCOMMANDS)
def test_every_option_names_its_variable(empty: Shell, command: str) -> None:
    argv = [command, "prune", "--help"] if command == "store" else [command, "--help"]
    done = empty(*argv)
    assert done.code == 0
    _, _, options = done.out.partition("options:")
    entries = re.split(r"\n  (?=-)", options)[1:]
    for entry in entries:
        flag = re.search(r"--([a-z-]+)", entry)
        assert flag is not None
        if flag[1] != "help":
            name = flag[1].replace("-", "_").upper()
            assert f"[AFTERWORK_{name}]" in re.sub(r"\n +", "", entry)


def test_variables_count_as_options(shop: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AFTERWORK_JSON", "yes")
    monkeypatch.setenv("AFTERWORK_COUNT", "2")
    assert len(shop("next", "@daily").document["times"]) == 2
    assert len(shop("next", "@daily", "-n", "1").document["times"]) == 1
    monkeypatch.setenv("AFTERWORK_JSON", "0")
    assert "JOB" in shop("list").out
    monkeypatch.setenv("AFTERWORK_JSON", "perhaps")
    done = shop("list")
    assert done.code == 2
    assert "argument --json: it is set to 'perhaps' and must be 1 or 0" in done.err


def test_wrong_usage(shop: Shell) -> None:
    assert shop().code == 2
    assert shop("no-such-command").code == 2
    assert shop("list", "--nonsense").code == 2
    assert "this is not known: extra" in shop("list", "extra").err
    assert shop("run", "nightly", "--json", "days=2", "--odd").code == 2


def test_version(empty: Shell) -> None:
    done = empty("--version")
    assert (done.code, done.out[:10]) == (0, "afterwork ")


def test_an_error_that_nobody_expected_is_raised(
    shop: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*args: Any) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("afterwork.cli._list.entry", fail)
    with pytest.raises(ZeroDivisionError):
        shop("list")


def test_an_interrupt_is_130(shop: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*args: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("afterwork.cli._list.entry", interrupt)
    assert shop("list").code == 130


def test_a_pipe_that_closes_is_no_traceback(tmp_path: Path) -> None:
    (tmp_path / "main.py").write_text(SHOP)
    process = subprocess.Popen(
        [*COMMAND, "next", "* * * * *", "-n", "200000"],
        cwd=tmp_path,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.readline()
    process.stdout.close()
    error = process.stderr.read()
    process.stderr.close()
    assert process.wait(30) == 141
    assert b"Traceback" not in error


def test_a_pipe_that_closes_in_this_process(shop: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    def closed(*args: Any) -> None:
        raise BrokenPipeError

    moved: list[Any] = []
    monkeypatch.setattr("afterwork.cli._list.entry", closed)
    monkeypatch.setattr("os.dup2", lambda *args: moved.append(args))
    monkeypatch.setattr("sys.stdout.fileno", lambda: 1, raising=False)
    assert shop("list").code == 141
    os.close(moved[0][0])


def test_python_m_afterwork(shop: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["afterwork", "list"])
    with pytest.raises(SystemExit) as ended:
        importlib.import_module("afterwork.__main__")
    assert ended.value.code == 0


# -- terminals


def test_colour_and_width_of_a_terminal(tmp_path: Path) -> None:
    (tmp_path / "main.py").write_text(SHOP)
    wide = on_terminal(tmp_path, "list", columns=200)
    assert wide.code == 0
    assert "\033[1mJOB" in wide.out
    assert "\033[32mok\033[0m" in wide.out
    assert "at 03:00 every day, America/New_York time" in wide.out
    narrow = on_terminal(tmp_path, "list", columns=60)
    lines = re.sub(r"\033\[\d+m", "", narrow.out).splitlines()
    assert max(map(len, lines)) <= 60
    assert "..." in narrow.out
    assert "\033" not in on_terminal(tmp_path, "list", NO_COLOR="1").out
    assert "\033" not in on_terminal(tmp_path, "list", TERM="dumb").out
    assert "\033" in piped(tmp_path, "list", FORCE_COLOR="1").out
    assert "\033" not in piped(tmp_path, "list", FORCE_COLOR="1", NO_COLOR="1").out
    assert "\033" not in piped(tmp_path, "list").out
    assert json.loads(on_terminal(tmp_path, "list", "--json").out)["version"] == 1


def test_a_run_on_a_terminal(tmp_path: Path) -> None:
    (tmp_path / "main.py").write_text(SHOP)
    done = on_terminal(tmp_path, "run", "nightly", columns=40)
    assert done.code == 0
    assert "\033[32mnightly succeeded in" in done.out


class Terminal(io.StringIO):
    """A stream that says that it is one."""

    def isatty(self) -> bool:
        return True


def test_tables_are_cut_to_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "24")
    monkeypatch.setenv("NO_COLOR", "")
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("FORCE_COLOR", raising=False)
    stream = Terminal()
    monkeypatch.setattr(sys, "stdout", stream)
    out = Output()
    out.table(("A", "B"), [("x" * 40, ("y" * 30, "red")), ("", ("z", ""))])
    first, second, third = stream.getvalue().splitlines()
    assert first == "\033[1mA\033[0m" + " " * 12 + "\033[1mB\033[0m"
    assert second == "xxxxxxxx...  \033[31myyyyyyyy...\033[0m"
    assert third.endswith("z")
    monkeypatch.setenv("COLUMNS", "5")
    tiny = Terminal()
    monkeypatch.setattr(sys, "stdout", tiny)
    Output().table(("A",), [("x" * 40,)])
    assert tiny.getvalue().splitlines()[1] == "xxxxx..."


def test_colour_rules(monkeypatch: pytest.MonkeyPatch) -> None:
    for variables, stream, coloured in (
        ({"FORCE_COLOR": "0"}, Terminal(), False),
        ({"FORCE_COLOR": "1"}, io.StringIO(), True),
        ({"FORCE_COLOR": "1", "NO_COLOR": "1"}, Terminal(), False),
        ({"TERM": "dumb"}, Terminal(), False),
        ({"TERM": "xterm"}, Terminal(), True),
    ):
        for name in ("NO_COLOR", "FORCE_COLOR", "TERM"):
            monkeypatch.delenv(name, raising=False)
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr(sys, "stdout", stream)
        Output().line("x", "red")
        assert ("\033" in stream.getvalue()) is coloured


def test_a_stream_that_cannot_write_a_character(monkeypatch: pytest.MonkeyPatch) -> None:
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding="ascii"))
    Output().line("caf\u00e9")
    assert raw.getvalue() == b"caf\\xe9\n"
    assert plain("a\nb\x1b\u202e") == "a\\nb\\x1b\\u202e"


def test_times_for_people_and_for_machines() -> None:
    assert [ago(x) for x in (0.5, 59, -60, 7300, -90_000)] == [
        "now",
        "in 59s",
        "1m ago",
        "in 2h",
        "1d ago",
    ]
    assert [lasted(x) for x in (0.0101, 3.14159, 61.2)] == ["10 ms", "3.14 s", "1m1s"]
    assert rfc3339(1.5) == "1970-01-01T00:00:01.500Z"
    assert rfc3339(1) == "1970-01-01T00:00:01Z"
    assert rfc3339(None) is None


# -- somebody who is new here


@pytest.mark.timeout(180)  # some twenty processes, one after the other
def test_the_first_minutes_of_somebody_new(tmp_path: Path) -> None:
    """From an empty folder with nothing but a FastAPI main.py: each command says what is missing
    and what to do, and in the end it works."""
    empty = piped(tmp_path, "list")
    assert empty.code == 3
    assert "[tool.afterwork]" in empty.err

    (tmp_path / "main.py").write_text("from fastapi import FastAPI\n\napp = FastAPI()\n")
    for argv, code in ((["list"], 3), (["run"], 3), (["run", "nightly"], 3), (["next", "x"], 3)):
        done = piped(tmp_path, *argv)
        assert done.code == code
        assert "There is: app (FastAPI)" in done.err
        assert "app = work.wrap(app)" in done.err
        assert "Traceback" not in done.err
    done = piped(tmp_path, "check")
    assert done.code == 1
    assert "there is no Afterwork in it" in done.out
    assert piped(tmp_path, "next", "0 3 * * *").out.count("\n") == 5

    # What the error says, pasted.
    (tmp_path / "main.py").write_text(
        "from fastapi import FastAPI\nfrom afterwork import Afterwork\n\napp = FastAPI()\n"
        "work = Afterwork()\n\n"
        '@work.cron("0 3 * * *", timezone="Europe/Paris")\nasync def nightly() -> None: ...\n\n'
        "app = work.wrap(app)\n"
    )
    assert "nightly" in piped(tmp_path, "list").out
    assert "Europe/Paris" in piped(tmp_path, "next", "nightly").err
    assert "There are: nightly" in piped(tmp_path, "run").err
    assert "nightly succeeded" in piped(tmp_path, "run", "nightly").out
    assert piped(tmp_path, "check").code == 0


def test_the_module_says_what_it_is() -> None:
    assert afterwork.cli.__all__ == ["main"]
    assert len(COMMANDS) == 14
