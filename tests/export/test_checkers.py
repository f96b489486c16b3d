"""Every document, checked by something that was not written here: the vendors' own schemas and
tools. What is installed with pip is always there; other tools are asked where they are present."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml

from afterwork.export import _calls
from tests.export.support import URL, App, Result, shop

DATA = Path(__file__).parents[1] / "data"
BIN = Path(sys.executable).parent


def rich() -> App:
    """Each kind of schedule and option that most targets can express."""
    app = shop()
    app.cron("either", "0 9 13 * 5", overlap="queue", misfire="skip")
    app.cron("zoned", "30 2 * * SUN", timezone="Europe/Paris", grace="5m")
    return app.every("hourly", "1h", mode="accept", overlap="allow")


def plain() -> App:
    """For targets with one zone, or one day field."""
    return shop().every("hourly", "1h", mode="accept", overlap="allow")


def exported(app: App, *words: str) -> Result:
    result = app.export(*words)
    assert result.code == 0, result.err
    return result


def tool(name: str) -> str:
    """A tool of this environment, or one that is installed here."""
    own = BIN / name
    found = str(own) if own.exists() else shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not installed")
    return found


def passes(*command: str, text: str | None = None, **env: str) -> str:
    answer = subprocess.run(
        command,
        input=text,
        capture_output=True,
        text=True,
        timeout=55,
        check=False,
        env={**os.environ, **env},
    )
    assert answer.returncode == 0, answer.stdout + answer.stderr
    return answer.stdout


def valid(value: Any, schema: Any) -> None:
    jsonschema = pytest.importorskip("jsonschema")
    jsonschema.validate(value, schema)


@pytest.mark.parametrize("plan", ["hobby", "pro"])
def test_e3_vercel_json_fits_the_schema_of_vercels_command_line(plan: str) -> None:
    """E3: The schema is in tests/data, with its source. It has the list form; the object form of
    the documentation has the same items by name."""
    schema = json.loads((DATA / "vercel_schema.json").read_text())
    app = App().cron("a", "0 9 * * MON").every("b.c", "1d")
    valid(json.loads(exported(app, "vercel", "--plan", plan).out)["crons"], schema["crons"])
    words = ("vercel-schedules", "--plan", plan, "--shape")
    array = json.loads(exported(app, *words, "array").out)["schedules"]
    valid(array, schema["schedules"])
    by_name = json.loads(exported(app, *words, "object").out)["schedules"]
    assert [{"name": name, **value} for name, value in by_name.items()] == array


@pytest.mark.parametrize("auth", ["secret", "oidc"])
def test_e7_the_workflow_fits_githubs_schema(auth: str, tmp_path: Path) -> None:
    """E7"""
    file = tmp_path / "workflow.yml"
    file.write_text(exported(rich(), "github", "--auth", auth).out)
    passes(tool("check-jsonschema"), "--builtin-schema", "vendor.github-workflows", str(file))
    for job in yaml.safe_load(file.read_text())["jobs"].values():
        script = job["steps"][0]["run"]
        passes(tool("shellcheck"), "--shell=bash", "-", text=f"#!/bin/bash\n{script}")


@pytest.mark.parametrize("image", ["", "app:1"])
def test_e6_the_manifests_fit_the_schemas_of_kubernetes(image: str) -> None:
    """E6"""
    validate = pytest.importorskip("kubernetes_validate")
    out = exported(rich(), "kubernetes", *(("--image", image) if image else ())).out
    found = list(yaml.safe_load_all(out))
    assert len(found) == 7
    for each in found:
        validate.validate(each, "1.30", strict=True)
        spec = each["spec"]["jobTemplate"]["spec"]["template"]["spec"]
        command = spec["containers"][0]["command"]
        if not image:
            passes(tool("shellcheck"), "--shell=sh", "-", text=f"#!/bin/sh\n{command[2]}\n")


@pytest.mark.parametrize("shape", ["cloudformation", "sam"])
def test_e5_cfn_lint_accepts_the_template(shape: str, tmp_path: Path) -> None:
    """E5"""
    file = tmp_path / "template.yaml"
    file.write_text(exported(rich(), "eventbridge", "--shape", shape).out)
    passes(tool("cfn-lint"), "--regions", "eu-central-1", "--", str(file))


def test_e9_the_script_for_gcloud_is_good_shell_and_makes_the_calls(tmp_path: Path) -> None:
    """E9"""
    file = tmp_path / "script.sh"
    file.write_text(exported(rich(), "cloud-scheduler").out)
    passes(tool("shellcheck"), "--shell=sh", str(file))
    # In place of gcloud, something that takes down its arguments.
    fake = tmp_path / "gcloud"
    fake.write_text('#!/bin/sh\nprintf "%s\\n" "$*" >> "$CALLS"\n[ "$4" != describe ] || false\n')
    fake.chmod(0o755)
    calls = tmp_path / "calls"
    env = {"PATH": f"{tmp_path}:/usr/bin:/bin", "CALLS": str(calls)}
    passes("sh", str(file), LOCATION="here", SERVICE_ACCOUNT="me@example", **env)
    lines = [line for line in calls.read_text().splitlines() if "describe" not in line]
    assert len(lines) == 7
    assert all(" http " in line and "--attempt-deadline=" in line for line in lines)


def test_e9_the_terraform_is_read_by_hcl_and_formatted() -> None:
    """E9"""
    hcl2 = pytest.importorskip("hcl2")
    out = exported(rich(), "cloud-scheduler-terraform").out
    found = hcl2.loads(out)
    assert len(found["resource"]) == 7
    terraform = shutil.which("terraform")
    if terraform is not None:
        environment = {"TF_CLI_CONFIG_FILE": os.devnull, "CHECKPOINT_DISABLE": "1"}
        passes(terraform, "fmt", "-check", "-diff", "-", text=out, **environment)


@pytest.mark.parametrize("shape", ["toml", "json"])
def test_e8_the_triggers_fit_wranglers_schema(shape: str) -> None:
    """E8"""
    import tomllib

    schema = json.loads((DATA / "wrangler_triggers_schema.json").read_text())
    out = exported(plain(), "cloudflare", "--shape", shape).out
    value = tomllib.loads(out) if shape == "toml" else json.loads(out)
    valid(value["triggers"], schema)


@pytest.mark.parametrize("words", [("cloudflare", "--shape", "worker"), ("netlify",)])
def test_the_modules_are_javascript(words: tuple[str, ...], tmp_path: Path) -> None:
    node = tool("node")
    path = tmp_path / ("worker.mjs" if words[0] == "cloudflare" else "functions")
    assert plain().export(*words, "--write", str(path)).code == 0
    files = [path] if path.is_file() else sorted(path.iterdir())
    for file in files:
        passes(node, "--check", str(file))
    assert len(files) == (1 if words[0] == "cloudflare" else 5)


def test_e8_the_worker_calls_each_job_with_its_slot(tmp_path: Path) -> None:
    """E8: The module itself, run by node with a `fetch` that takes down its calls."""
    node = tool("node")
    worker = tmp_path / "worker.mjs"
    app = App().cron("a", "0 9 * * 0").cron("b", "0 9 * * SUN", timeout=5)
    assert app.export("cloudflare", "--shape", "worker", "--write", str(worker)).code == 0
    script = tmp_path / "run.mjs"
    script.write_text(
        "import worker from './worker.mjs';\n"
        "globalThis.fetch = async (url, init) => {\n"
        "  console.log(init.method, url, init.headers.Authorization); return { ok: true }; };\n"
        "await worker.scheduled({ cron: '0 9 * * SUN', scheduledTime: 1767258000000 },\n"
        "  { CRON_SECRET: 'x' });\n"
    )
    slot = "slot=2026-01-01T09:00:00.000Z"
    assert passes(node, str(script)).splitlines() == [
        f"POST {URL}/a?mode=accept&{slot} Bearer x",
        f"POST {URL}/b?{slot} Bearer x",
    ]


def test_the_script_for_qstash_is_good_shell() -> None:
    out = exported(rich(), "qstash").out
    passes(tool("shellcheck"), "--shell=sh", "-", text=f"#!/bin/sh\n{out}")


def test_e10_postgresqls_own_parser_reads_the_sql() -> None:
    """E10: The statements, and the statements inside them."""
    pglast = pytest.importorskip("pglast")
    out = exported(plain(), "pg-cron").out
    assert len(pglast.parse_sql(out)) == 6
    inner = out.split("$afterwork$")[1::2]
    assert len(inner) == 5
    for each in inner:
        pglast.parse_sql(each)


def test_e11_systemd_verifies_the_units(tmp_path: Path) -> None:
    """E11"""
    analyze = tool("systemd-analyze")
    assert rich().export("systemd", "--write", str(tmp_path / "call")).code == 0
    for file in sorted((tmp_path / "call").iterdir()):
        passes(analyze, "verify", "--man=no", str(file), SYSTEMD_LOG_LEVEL="err")


def test_the_command_of_a_unit_is_what_a_shell_runs() -> None:
    """systemd takes `%%` and `$$` for `%` and `$`, and reads quotes as C does."""
    line = next(
        each
        for each in exported(App().every("job", "1h"), "systemd").out.splitlines()
        if each.startswith("ExecStart=")
    )
    quoted = line.removeprefix('ExecStart=/bin/sh -c "').removesuffix('"')
    script = quoted.replace("%%", "%").replace("$$", "$").replace('\\"', '"').replace("\\\\", "\\")
    passes(tool("shellcheck"), "--shell=sh", "-", text=f"#!/bin/sh\n{script}\n")


def test_the_crontab_is_read_by_cron(tmp_path: Path) -> None:
    """By `crontab -T` where there is one that knows it; its commands are good shell anyway."""
    file = tmp_path / "crontab"
    file.write_text(exported(plain(), "crontab").out)
    commands = [
        line.split(" ", 5)[5].replace("\\%", "%")
        for line in file.read_text().splitlines()
        if not line.startswith("#")
    ]
    assert len(commands) == 5
    shellcheck = tool("shellcheck")
    for command in commands:
        passes(shellcheck, "--shell=sh", "--exclude=SC1091", "-", text=f"#!/bin/sh\n{command}\n")
    crontab = shutil.which("crontab")
    if crontab is not None:
        answer = subprocess.run([crontab, "-T", str(file)], capture_output=True, check=False)
        assert answer.returncode == 0 or b"usage" in answer.stderr.lower()


def test_a_curl_call_sends_the_secret_and_nobody_sees_it() -> None:
    """The command itself, run by a shell with the real curl against a server. Neither a quote nor a
    percent sign in a secret troubles it, and it is in no argument. A failed job fails it."""
    tool("curl")
    secret = "50%\\ \"quote'"
    with Listener() as listener:
        plan = App().every("job", "1h").plan("crontab", "--url", listener.url)
        command = _calls.curl(plan, plan.entries[0])
        assert passes("sh", "-c", command, CRON_SECRET=secret) == "{}"
        assert listener.calls == [("POST", "/cron/job", f"Bearer {secret}")]
        listener.status = 500
        code = subprocess.run(["sh", "-c", command], timeout=20, capture_output=True, check=False)
    assert code.returncode == 22


class Listener:
    """A server that takes down what it is asked."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, str, str | None]] = []
        self.status = 200
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                outer.calls.append((self.command, self.path, self.headers["Authorization"]))
                self.send_response(outer.status)
                self.send_header("Content-Length", "2")
                self.end_headers()
                self.wfile.write(b"{}")

            def log_message(self, *args: object, **rest: object) -> None: ...

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.server.serve_forever)
        self.url = f"http://127.0.0.1:{self.server.server_port}/cron"

    def __enter__(self) -> Listener:
        self.thread.start()
        return self

    def __exit__(self, *args: object) -> None:
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


def test_railway_and_render_have_the_keys_of_their_references() -> None:
    """docs.railway.com/config-as-code/reference; render.com/docs/blueprint-spec."""
    railway = json.loads(exported(App().every("a", "1h"), "railway").out)
    assert set(railway) == {"$schema", "deploy"}
    assert set(railway["deploy"]) == {"startCommand", "cronSchedule", "restartPolicyType"}
    for service in yaml.safe_load(exported(plain(), "render").out)["services"]:
        assert service["type"] == "cron"
        assert service.keys() >= {"name", "runtime", "schedule", "buildCommand", "startCommand"}


def test_the_azure_module_runs(tmp_path: Path) -> None:
    """With stand-ins for azure.functions, whose decorators take what ours give them."""
    (tmp_path / "azure").mkdir()
    (tmp_path / "azure" / "functions.py").write_text(
        "class TimerRequest: ...\n"
        "class Blueprint:\n"
        "    def function_name(self, name): return lambda fn: fn\n"
        "    def timer_trigger(self, *, arg_name, schedule, use_monitor):\n"
        "        assert len(schedule.split()) == 6 and arg_name == 'timer'\n"
        "        return lambda fn: fn\n"
    )
    module = tmp_path / "timers.py"
    module.write_text(exported(plain(), "azure").out)
    passes(
        sys.executable,
        "-c",
        "import timers; assert callable(timers.job_nightly)",
        PYTHONPATH=str(tmp_path),
    )
