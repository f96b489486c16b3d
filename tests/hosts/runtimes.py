"""The vendors' own runtimes, from PyPI and npm, that are not installed beside everything else.

Vercel's needs Python 3.12, so where the tests run on an older one they look for another: on PATH,
and where pyenv and uv put theirs. Cloudflare's runs in Pyodide, which needs Node. Where there is
none, tests are skipped, which fails in CI. Google's functions framework brings versions of its own.
Each is installed once per version into a folder of the temporary directory, by the first test or by
`python -m tests.hosts.runtimes`.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
import tempfile
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

NEWEST = "0.24.1"
OLD = "0.17.0"
"""Without `get_deadline` and without a `wait_until` that waits."""
FUNCTIONS_FRAMEWORK = "3.10.2"
LEAST = (3, 12)
NAMES = ("python3.12", "python3.13", "python3.14", "python3", "python")
SECONDS = 120.0

PYODIDE = "314.0.7"
WORKERS_SDK = "1.9.5"
LEAST_NODE = 20

ASK = f"import sys; print(sys.executable); sys.exit(sys.version_info < {LEAST})"


@cache
def interpreter() -> str:
    """A Python from 3.12 on."""
    if sys.version_info >= LEAST:
        return sys.executable
    for candidate in _candidates():
        # One on PATH may be a shim that leads nowhere.
        asked = subprocess.run([candidate, "-c", ASK], capture_output=True, text=True, timeout=20)
        if asked.returncode == 0:
            return asked.stdout.strip()
    pytest.skip(f"Vercel's runtime needs Python 3.12: install one, as one of {', '.join(NAMES)}")


def _candidates() -> list[str]:
    home = Path.home()
    pyenv = Path(os.environ.get("PYENV_ROOT") or home / ".pyenv") / "versions"
    found = [path for name in NAMES if (path := shutil.which(name))]
    for folder in (pyenv, home / ".local/share/uv/python"):
        found += map(str, sorted(folder.glob("*3.1[2-9]*/bin/python3")))
    return found


@cache
def runtime(version: str = NEWEST) -> Path:
    """A folder for `sys.path` with Vercel's runtime, and with FastAPI for the app."""
    packages = (f"vercel-runtime=={version}", "fastapi>=0.115")
    return _folder(f"vercel-runtime-{version}-fastapi", interpreter(), packages)


@cache
def functions_framework() -> Path:
    """A folder for `sys.path` of this interpreter, with Google's framework, and with FastAPI."""
    packages = (f"functions-framework=={FUNCTIONS_FRAMEWORK}", "fastapi>=0.115")
    return _folder(f"functions-framework-{FUNCTIONS_FRAMEWORK}", sys.executable, packages)


def _folder(name: str, python: str, packages: tuple[str, ...]) -> Path:
    asked = [python, "-c", "import sys; print('%d.%d' % sys.version_info[:2])"]
    series = subprocess.run(asked, capture_output=True, text=True, check=True).stdout.strip()
    wheels = ["--only-binary=:all:", "--python-version", series]
    # The pip of this environment installs for that interpreter, which may have none.
    return _once(f"{name}-python-{series}", lambda target: _pip(target, *wheels, *packages))


@cache
def node() -> str:
    """A Node that runs Pyodide."""
    found = shutil.which("node")
    if found is not None:
        asked = subprocess.run([found, "--version"], capture_output=True, text=True, timeout=20)
        if int(asked.stdout.lstrip("v").partition(".")[0] or 0) >= LEAST_NODE:
            return found
    pytest.skip(f"Python Workers run on Pyodide: it needs Node {LEAST_NODE} or newer on PATH")


@cache
def pyodide() -> Path:
    """The folder of the npm package."""
    node()
    npm = ["npm", "install", "--no-audit", "--no-fund", "--no-save", f"pyodide@{PYODIDE}"]
    target = _once(f"pyodide-{PYODIDE}", lambda target: _run(*npm, "--prefix", str(target)))
    return target / "node_modules" / "pyodide"


@cache
def workers_sdk() -> Path:
    """A folder for Pyodide's `sys.path` with Cloudflare's SDK, and with Starlette for the app."""
    # Pure Python: what Pyodide's series is matters to none of these.
    wheels = ["--only-binary=:all:", "--platform", "any", "--python-version", "3.13"]
    packages = (f"workers-runtime-sdk=={WORKERS_SDK}", "starlette>=0.40")
    name = f"workers-runtime-sdk-{WORKERS_SDK}-starlette"
    return _once(name, lambda target: _pip(target, *wheels, *packages))


def _once(name: str, install: Callable[[Path], None]) -> Path:
    """A folder of the temporary directory into which something was installed."""
    folder = Path(tempfile.gettempdir()) / f"afterwork-tests-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    assert folder.stat().st_uid == os.getuid(), f"{folder} belongs to somebody else"
    target = folder / name
    # Test processes run side by side, and one of them installs for all.
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (target / "done").exists():
            shutil.rmtree(target, ignore_errors=True)
            target.mkdir()
            install(target)
            (target / "done").touch()
    return target


def _pip(target: Path, *arguments: str) -> None:
    pip = [sys.executable, "-m", "pip", "install", "-q", "--target", str(target)]
    _run(*pip, *arguments)


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS)
    assert done.returncode == 0, f"{command} failed:\n{done.stdout}\n{done.stderr}"


def _install_all() -> None:
    """Says what cannot be had, and goes on: its tests will say it too."""
    vercel = (partial(runtime, NEWEST), partial(runtime, OLD))
    installs = (*vercel, functions_framework, pyodide, workers_sdk)
    for install in installs:
        try:
            install()
        except pytest.skip.Exception as missing:
            print(missing)


if __name__ == "__main__":
    _install_all()
