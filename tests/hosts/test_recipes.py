"""integrations/recipes: each app as its files say, on a stand-in for its platform.

The command and the times come from the configuration that is deployed, and the rest from the
platform: signals, variables, freezing.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tomllib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.triggers.site import search_path

from .machine import ROOT, Machine, local, words

RECIPES = ROOT / "integrations" / "recipes"
SECRET = "a-secret-for-the-recipe-0123456789"
BEARER = {"Authorization": f"Bearer {SECRET}"}
SLOT = "2026-03-08T03:00:00Z"
FIRES = "2026-03-08T03:00:02Z"
"""When a timer for that slot does."""
PAGE_LINES = 50
SPARE_SECONDS = 2.0
"""What has to be left between the grace and SIGKILL."""


def dockerfile(name: str) -> str:
    """The command of a recipe's image."""
    text = (RECIPES / name / "Dockerfile").read_text()
    (command,) = re.findall(r"^CMD (.+)$", text, re.MULTILINE)
    return local(command)


def document(name: str, file: str, kind: str | None = None) -> Any:
    """A recipe's YAML; of several documents the one of that kind."""
    documents = list(yaml.safe_load_all((RECIPES / name / file).read_text()))
    (found,) = [each for each in documents if kind is None or each["kind"] == kind]
    return found


def fly_seconds() -> float:
    config = tomllib.loads((RECIPES / "fly" / "fly.toml").read_text())
    assert config["kill_signal"] == "SIGTERM"
    return float(config["kill_timeout"])


def render_service() -> Any:
    (service,) = document("render", "render.yaml")["services"]
    return service


def heroku_command() -> str:
    kind, command = (RECIPES / "heroku" / "Procfile").read_text().strip().split(": ", 1)
    assert kind == "web"
    return local(command)


def pod() -> Any:
    return document("kubernetes", "shop.yaml", "Deployment")["spec"]["template"]["spec"]


def kubernetes_seconds() -> float:
    """What the preStop leaves."""
    sleep, seconds = pod()["containers"][0]["lifecycle"]["preStop"]["exec"]["command"]
    assert sleep == "sleep"
    return float(pod()["terminationGracePeriodSeconds"]) - float(seconds)


@dataclass(frozen=True)
class Recipe:
    """A recipe whose platform runs a server. `seconds`: between the signal and SIGKILL."""

    name: str
    command: Callable[[], str]
    seconds: Callable[[], float]
    store: str = "AFTERWORK_STORE"
    signals: tuple[signal.Signals, ...] = (signal.SIGTERM,)
    environ: dict[str, str] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)
    """What the platform's own scheduler sends, beside the secret."""

    def __str__(self) -> str:
        return self.name


K = {"K_SERVICE": "shop", "K_REVISION": "shop-00001-abc"}
CLOUD_SCHEDULER = {"X-CloudScheduler": "true", "X-CloudScheduler-ScheduleTime": SLOT}
MACHINES = [
    Recipe(
        "fly",
        lambda: dockerfile("fly"),
        fly_seconds,
        # Its pages differ about which one it sends.
        signals=(signal.SIGTERM, signal.SIGINT),
        environ={"FLY_MACHINE_ID": "1"},
    ),
    Recipe(
        "render",
        lambda: local(render_service()["startCommand"]),
        lambda: float(render_service()["maxShutdownDelaySeconds"]),
        environ={"RENDER": "true"},
    ),
    Recipe("heroku", heroku_command, lambda: 30.0, store="DATABASE_URL", environ={"DYNO": "web.1"}),
    Recipe(
        "kubernetes",
        lambda: dockerfile("kubernetes"),
        kubernetes_seconds,
        environ={"KUBERNETES_SERVICE_HOST": "10.0.0.1"},
    ),
    Recipe(
        "cloud_run",
        lambda: dockerfile("cloud_run"),
        lambda: 10.0,
        environ=K,
        headers=CLOUD_SCHEDULER,
    ),
]
every_machine = pytest.mark.parametrize("recipe", MACHINES, ids=str)
NAMES = sorted(path.name for path in RECIPES.iterdir() if path.is_dir())


def copied(name: str, directory: Path) -> Path:
    """The app, copied as its README says."""
    return Path(shutil.copytree(RECIPES / name, directory / "shop"))


def started(recipe: Recipe, directory: Path) -> Machine:
    given = {recipe.store: f"sqlite:///{directory}/runs.db", "CRON_SECRET": SECRET}
    folder = copied(recipe.name, directory)
    environ = {**recipe.environ, **given}
    return Machine(folder, recipe.command(), environ, kill_after=recipe.seconds())


@every_machine
def test_it_answers_sends_the_receipt_and_tidies_up_once(recipe: Recipe, tmp_path: Path) -> None:
    """The platform's scheduler calls twice, and a stranger does."""
    path = "/cron/tidy_up" + ("" if recipe.headers else f"?slot={SLOT}")
    with started(recipe, tmp_path) as run:
        answer = run.call("/orders?email=ada@example.org", "POST")
        sent_by_then = "receipt sent" in run.log
        stranger = run.call(path, "POST", headers=recipe.headers)
        known = {**BEARER, **recipe.headers}
        calls = [run.call(path, "POST", headers=known) for _ in range(2)]
        _, killed = run.shut_down()
        log = run.log

    assert (answer.status, json.loads(answer.body)) == (200, {"status": "thank you"})
    assert not sent_by_then
    assert stranger.status == 401
    assert [json.loads(each.body)["status"] for each in calls] == ["ok", "duplicate"]
    assert log.count("receipt sent to ada@example.org") == 1
    assert log.count("tidied up") == 1
    assert "host.limited" not in log
    assert not killed


@pytest.mark.parametrize(
    ("recipe", "number"),
    [(recipe, number) for recipe in MACHINES for number in recipe.signals],
    ids=lambda each: str(getattr(each, "name", each)),
)
def test_an_order_that_came_last_gets_its_receipt(
    recipe: Recipe, number: signal.Signals, tmp_path: Path
) -> None:
    with started(recipe, tmp_path) as run:
        run.call("/orders?email=last@example.org", "POST")
        seconds, killed = run.shut_down(number)
        log = run.log

    assert log.count("receipt sent to last@example.org") == 1
    assert (killed, seconds < recipe.seconds()) == (False, True)


@every_machine
def test_its_grace_fits_into_what_its_configuration_grants(recipe: Recipe) -> None:
    (grace,) = re.findall(r"grace=(\d+)", (RECIPES / recipe.name / "app.py").read_text())
    assert float(grace) + SPARE_SECONDS <= recipe.seconds()


def test_the_cron_job_of_kubernetes_calls_the_app(tmp_path: Path) -> None:
    """Its own command, with the service's name replaced by this machine's."""
    (recipe,) = [each for each in MACHINES if each.name == "kubernetes"]
    job = document("kubernetes", "k8s/afterwork.yaml")
    (container,) = job["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"]
    assert {each["name"] for each in container["env"]} == {"CRON_SECRET"}
    service = document("kubernetes", "shop.yaml", "Service")["metadata"]["name"]
    with started(recipe, tmp_path) as run:
        command = words(container["command"])
        assert f"http://{service}/" in command
        command = command.replace(f"http://{service}/", f"http://127.0.0.1:{run.port}/")
        if "slot=" not in command:  # it has none: by hand it would belong to none at this hour
            command = command.replace("/tidy_up", "/tidy_up?slot=manual")
        done = subprocess.run(
            command,
            shell=True,
            env={**os.environ, "CRON_SECRET": SECRET, "NO_PROXY": "127.0.0.1"},
            capture_output=True,
            text=True,
            timeout=20,
        )
        log = run.log

    assert done.returncode == 0, done.stdout + done.stderr
    assert json.loads(done.stdout)["status"] == "ok"
    assert log.count("tidied up") == 1


def test_the_cron_jobs_of_kubernetes_are_the_ones_of_its_code(tmp_path: Path) -> None:
    folder = copied("kubernetes", tmp_path)
    command = [sys.executable, "-m", "afterwork", "export", "kubernetes", "--app", "app:work"]
    done = subprocess.run(
        [*command, "--url", "http://shop/cron", "--check"],
        cwd=folder,
        env={**os.environ, **search_path(), "CRON_SECRET": SECRET, "AFTERWORK_STORE": "memory:"},
        capture_output=True,
        text=True,
        timeout=50,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("file", ["shop.yaml", "k8s/afterwork.yaml"])
def test_the_manifests_of_kubernetes_are_valid(file: str) -> None:
    kubernetes_validate = pytest.importorskip("kubernetes_validate")
    for each in yaml.safe_load_all((RECIPES / "kubernetes" / file).read_text()):
        kubernetes_validate.validate(each, "1.31", strict=True)


def test_cloud_run_keeps_the_cpu_that_its_app_counts_on() -> None:
    service = document("cloud_run", "service.yaml")
    annotations = service["spec"]["template"]["metadata"]["annotations"]
    assert annotations["run.googleapis.com/cpu-throttling"] == "false"
    assert 'host="detached"' in (RECIPES / "cloud_run" / "app.py").read_text()


def test_azure_answers_with_the_receipt_sent_and_its_timer_tidies_up_once(tmp_path: Path) -> None:
    """The timer fires twice. Nothing is said at start-up: the app has said what it wants."""
    folder = copied("azure_functions", tmp_path)
    environ = {"AFTERWORK_STORE": f"sqlite:///{tmp_path}/runs.db", "PLATFORM_TIME": FIRES}
    command = f"exec {sys.executable} -m tests.hosts.azure_worker"
    with Machine(folder, command, environ) as run:
        answer = run.call("/orders?email=ada@example.org", "POST")
        sent_by_then = run.log.count("receipt sent to ada@example.org")
        fired = [run.call("/admin/functions/tidy_up", "POST") for _ in range(2)]
        log = run.log

    assert (answer.status, json.loads(answer.body)) == (200, {"status": "thank you"})
    assert sent_by_then == 1
    assert [each.status for each in fired] == [202, 202], log
    assert log.count("tidied up") == 1
    assert "host.limited" not in log


def test_modal_answers_first_and_its_schedule_tidies_up_once(tmp_path: Path) -> None:
    folder = copied("modal", tmp_path)
    done = subprocess.run(
        [sys.executable, "-m", "tests.hosts.modal_run", "deploy.py"],
        cwd=folder,
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join((str(ROOT), str(ROOT / "integrations"))),
            "AFTERWORK_STORE": f"sqlite:///{tmp_path}/runs.db",
            "PLATFORM_TIME": FIRES,
        },
        capture_output=True,
        text=True,
        timeout=50,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    steps = [json.loads(line) for line in done.stdout.splitlines()]
    start, body, end, *schedules = steps

    assert (start["status"], json.loads(body["body"])) == (200, {"status": "thank you"})
    assert end["at"] - body["at"] > 0.4
    assert done.stderr.count("receipt sent to ada@example.org") == 1
    assert [each["step"] for each in schedules] == ["end of the schedule"] * 2
    assert done.stderr.count("tidied up") == 1
    assert "host.limited" not in done.stderr


@pytest.mark.parametrize("name", ["azure_functions", "modal"])
def test_its_timer_has_the_schedule_of_the_job(name: str) -> None:
    app = (RECIPES / name / "app.py").read_text()
    (own,) = re.findall(r'@work.cron\("(.+?)"', app)
    if name == "azure_functions":
        (theirs,) = re.findall(
            r'schedule="0 (.+?)"', (RECIPES / name / "function_app.py").read_text()
        )
    else:
        (theirs,) = re.findall(
            r'modal\.Cron\("(.+?)"\)', (RECIPES / name / "deploy.py").read_text()
        )
    assert own == theirs


@pytest.mark.parametrize("name", NAMES)
def test_its_readme_is_a_page_and_names_its_files_and_variables(name: str) -> None:
    folder = RECIPES / name
    text = (folder / "README.md").read_text()
    assert len(text.splitlines()) <= PAGE_LINES
    files = [path for path in folder.rglob("*") if path.is_file() and path.suffix != ".pyc"]
    for path in files:
        assert path.name == "README.md" or path.relative_to(folder).as_posix() in text
    source = "".join(path.read_text() for path in files if path.suffix in (".py", ".yaml"))
    for variable in ("CRON_SECRET", "AFTERWORK_STORE", "DATABASE_URL"):
        assert variable not in source or variable in text
