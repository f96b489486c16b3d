"""The README is right: its first example works when pasted, and its other names exist."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import afterwork
import afterwork.testing
from afterwork._settings import NAMES

README = (Path(__file__).parents[1] / "README.md").read_text()
BLOCKS = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


def test_the_first_example_works_when_pasted(tmp_path: Path) -> None:
    (tmp_path / "shop.py").write_text(BLOCKS[0])
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-u", "-m", "uvicorn", "shop:app", "--port", str(port)]
    server = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, text=True)
    try:
        body = answer(f"http://127.0.0.1:{port}/order")
        server.terminate()
        out, _ = server.communicate(timeout=20)
    finally:
        server.kill()
        server.wait()

    assert body == "thank you\n"
    assert out.count("sending a receipt to ada@example.org") == 1


def test_the_job_example_works_when_pasted(tmp_path: Path) -> None:
    """With the README only: a secured route that runs a job."""
    (example,) = [block for block in BLOCKS if block.startswith("# app.py")]
    (tmp_path / "app.py").write_text(example)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "uvicorn", "app:app", "--port", str(port)]
    secret = "a-secret-for-the-readme-0123456789"
    server = subprocess.Popen(command, cwd=tmp_path, env={**os.environ, "CRON_SECRET": secret})
    try:
        request = urllib.request.Request(
            f"http://127.0.0.1:{port}/cron/cleanup_sessions?slot=manual",
            method="POST",
            headers={"Authorization": f"Bearer {secret}"},
        )
        body = json.loads(answer(request))
    finally:
        server.terminate()
        server.wait(timeout=20)

    assert (body["status"], body["job"]) == ("ok", "cleanup_sessions")
    assert (tmp_path / "afterwork.db").exists()


def answer(url: str | urllib.request.Request) -> str:
    """What a server that is just starting answers."""
    end = time.monotonic() + 20
    while True:
        try:
            with urllib.request.urlopen(url, timeout=5) as response:
                text: str = response.read().decode()
                return text
        except OSError:
            if time.monotonic() > end:
                raise
            time.sleep(0.05)


def test_every_example_is_python_and_imports_what_there_is() -> None:
    for block in BLOCKS:
        compile(block, "README.md", "exec", flags=0x2000)  # ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
        for module, names in re.findall(r"from (afterwork\S*) import (.+)", block):
            __import__(module)
            for name in names.split(", "):
                assert hasattr(sys.modules[module], name), f"{module}.{name}"


def test_every_setting_is_described_where_the_readme_says_so() -> None:
    for name in NAMES:
        assert f"`{name}`" in (afterwork.Afterwork.__doc__ or "")
    for name in ("on", "timeout", "retry", "name", "key", "early"):
        assert f"`{name}`" in (type(afterwork.after).options.__doc__ or "")


def test_the_changelog_has_the_version() -> None:
    root = Path(__file__).parents[1]
    version = re.search(r'^version = "(.+)"', (root / "pyproject.toml").read_text(), re.MULTILINE)
    assert version is not None
    assert re.search(rf"^## {version[1]}\b", (root / "CHANGELOG.md").read_text(), re.MULTILINE)
