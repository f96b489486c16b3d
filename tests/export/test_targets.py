"""What each target prints, and what it refuses."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from afterwork import Afterwork, export
from afterwork._callers import read_instant
from afterwork.export import ExportRefusedError, VercelCrons
from tests.export import dialects
from tests.export.support import URL, App, nothing, shop

DATA = Path(__file__).parents[1] / "data"
ALL = export.targets()
ONE_JOB = {"railway": ("--only", "nightly")}


def text_of(app: App, *words: str) -> str:
    result = app.export(*words)
    assert result.code == 0, result.err
    return result.out


def cron_of(app: App, target: str, job: str = "job") -> list[str]:
    words = (target, *dialects.EXTRA.get(target, ()))
    found = dialects.READERS[target].read(text_of(app, *words))
    return [text for text, _ in found[job]]


def refused(app: App, *words: str) -> str:
    """The refusal, which names two ways out."""
    result = app.export(*words)
    assert result.code == 1
    assert "\n    Either " in result.err
    assert "\n    or let the target call /tick" in result.err
    return result.err


# -- Vercel


def test_e1_vercel_cron_takes_numbers_and_one_day_field() -> None:
    """E1"""
    assert cron_of(App().cron("job", "0 9 * * MON"), "vercel") == ["0 9 * * 1"]
    assert cron_of(App().cron("job", "0 9 * jan-mar 7"), "vercel") == ["0 9 * 1-3 0"]
    error = refused(App().cron("job", "0 9 13 * 5"), "vercel")
    assert "day of month and day of week are both set" in error
    assert "make two jobs" in error


def test_e1_the_longest_expression_has_fewer_characters_than_vercel_reads() -> None:
    """E1: Pairs with a gap after each are what takes the most room."""

    def pairs(low: int, high: int) -> str:
        return ",".join(str(each) for each in range(low, high + 1) if (each - low) % 3 < 2)

    text = f"{pairs(0, 59)} {pairs(0, 23)} {pairs(1, 31)} {pairs(1, 12)} *"
    assert cron_of(App().cron("job", text), "vercel") == [text]
    assert 200 < len(text) < 256


def test_e2_the_hobby_plan_runs_once_a_day_at_most() -> None:
    """E2"""
    app = App().cron("job", "0 9,21 * * *")
    assert "more often than every 1 day" in refused(app, "vercel", "--plan", "hobby")
    assert app.export("vercel").code == 0
    assert App().cron("job", "0 9 * * *").export("vercel", "--plan", "hobby").code == 0
    assert App().cron("job", "0 9 1 * *").export("vercel", "--plan", "hobby").code == 0
    assert App().cron("job", "0 9 * * 1,4").export("vercel", "--plan", "hobby").code == 0


@pytest.mark.parametrize("shape", ["object", "array"])
def test_e3_vercel_schedules_in_both_shapes(shape: str) -> None:
    """E3: Zone, numbers, and a jitter of 1 to 15 minutes that is no longer than the interval."""
    app = App().cron("job", "0 9 * * SUN", timezone="Asia/Kolkata", jitter=7200)
    app.every("often", "2m", jitter="90s").every("plain", "1h")
    values = json.loads(text_of(app, "vercel-schedules", "--shape", shape))["schedules"]
    if shape == "array":
        values = {each.pop("name"): each for each in values}
    assert values["job"] == {
        "schedule": "0 9 * * 0",
        "timezone": "Asia/Kolkata",
        "jitter": 15,
        "path": "/api/cron/job",
        "requestMethod": "POST",
    }
    assert [values["often"]["jitter"], values["plain"]["jitter"]] == [2, 1]


def test_e3_on_hobby_the_jitter_is_fifteen_minutes_and_so_is_the_least_interval() -> None:
    """E3"""
    app = App().every("job", "10m")
    assert "15 minutes" in refused(app, "vercel-schedules", "--plan", "hobby")
    hourly = text_of(App().every("job", "1h"), "vercel-schedules", "--plan", "hobby")
    assert json.loads(hourly)["schedules"]["job"]["jitter"] == 15


def test_a_project_of_vercel_has_a_hundred_crons() -> None:
    app = App()
    for number in range(101):
        app.every(f"job{number}", "1h")
    for target, key in (("vercel", "crons"), ("vercel-schedules", "schedules")):
        assert "job100 is not exported" in refused(app, target)
        assert len(json.loads(app.export(target).out)[key]) == 100


def test_vercel_says_that_a_timeout_is_longer_than_a_function_lives() -> None:
    app = App().cron("job", "0 9 * * *", timeout="20m")
    assert "runs for 13 minutes 20 seconds at most" in app.export("vercel").err
    assert "runs for 5 minutes at most" in app.export("vercel", "--plan", "hobby").err


def discovered(tmp_path: Path, code: str) -> dict[str, Any]:
    """What Vercel's own discovery says of a module, in a process of its own."""
    (tmp_path / "main.py").write_text(code)
    script = (DATA / "vc_cron_detect.py.txt").read_text()
    command = [sys.executable, "-c", script, "main", "crons"]
    path = [str(tmp_path), *sys.path]
    answer = subprocess.run(
        command,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
        env={"PYTHONPATH": ":".join(path)},
    )
    found: dict[str, Any] = json.loads(answer.stdout)
    return found


def test_e14_get_crons_answers_vercels_discovery(tmp_path: Path) -> None:
    """E14"""
    code = """
from afterwork import Afterwork
from afterwork.export import VercelCrons
work = Afterwork(store="memory:")
@work.cron("0 9 * * MON")
async def report(): ...
@work.every("10m", name="prune-cache")
def prune(): ...
@work.job
def by_hand(): ...
crons = VercelCrons(work)
"""
    assert discovered(tmp_path, code) == {
        "entries": [
            {"module_function": "main:report", "schedule": "0 9 * * 1"},
            {"module_function": "main:prune", "schedule": "*/10 * * * *"},
        ]
    }


def test_e14_only_functions_at_the_top_of_a_module() -> None:
    """E14"""
    work = Afterwork(store="memory:")

    @work.every("1h")
    def inner() -> None: ...

    with pytest.raises(ExportRefusedError, match="top of a module"):
        VercelCrons(work).get_crons()


def test_e14_what_vercel_cannot_say_is_refused_there_too() -> None:
    """E14"""
    work = Afterwork(store="memory:")
    work.cron("0 9 13 * 5")(nothing)
    with pytest.raises(ExportRefusedError, match="both set"):
        VercelCrons(work, plan="hobby").get_crons()
    plain = Afterwork(store="memory:")
    plain.job(name="by-hand")(nothing)
    plain.every("1d")(nothing)
    assert VercelCrons(plain).get_crons() == [("tests.export.support:nothing", "0 0 * * *")]


# -- EventBridge


def test_e5_eventbridge_has_six_fields_names_and_two_schedules_for_either_day() -> None:
    """E5"""

    def expressions(text: str) -> list[str]:
        entries = App().cron("job", text).plan("eventbridge").entries
        return [entry.text for entry in entries]

    assert expressions("0 9 * * 1-5") == ["cron(0 9 ? * MON-FRI *)"]
    assert expressions("0 0 13 * 5") == ["cron(0 0 13 * ? *)", "cron(0 0 ? * FRI *)"]
    assert expressions("*/15 * * * *") == ["cron(0/15 * * * ? *)"]
    assert expressions("0 9 * * 7") == ["cron(0 9 ? * SUN *)"]
    assert "has to match both" in refused(App().cron("job", "0 0 */2 * 5"), "eventbridge")


def test_e5_an_event_names_its_slot_and_the_route_answers_within_five_seconds() -> None:
    """E5"""
    template = yaml.load(text_of(shop(), "eventbridge"), dialects.Cloud)
    resources = template["Resources"].values()
    for each in resources:
        if each["Type"] == "AWS::Scheduler::Schedule":
            slot = json.loads(each["Properties"]["Target"]["Input"])["slot"]
            assert slot == "<aws.scheduler.scheduled-time>"
        if each["Type"] == "AWS::Events::ApiDestination":
            assert each["Properties"]["InvocationEndpoint"].endswith("?mode=accept")
    windows = [
        each["Properties"]["FlexibleTimeWindow"]
        for each in resources
        if each["Type"] == "AWS::Scheduler::Schedule"
    ]
    assert {"Mode": "FLEXIBLE", "MaximumWindowInMinutes": 2} in windows
    sam = text_of(shop(), "eventbridge", "--shape", "sam")
    assert yaml.load(sam, dialects.Cloud)["Transform"] == "AWS::Serverless-2016-10-31"


# -- Kubernetes


def manifests(app: App, *words: str) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all(text_of(app, "kubernetes", *words)))


def test_e6_a_cron_job_of_kubernetes() -> None:
    """E6"""
    app = App().cron("job", "0 9 * * 1", timezone="Europe/Paris", grace="10m", timeout="2m")
    (found,) = manifests(app)
    spec = found["spec"]
    assert spec["timeZone"] == "Europe/Paris"
    assert "TZ=" not in spec["schedule"]
    assert spec["concurrencyPolicy"] == "Forbid"
    assert spec["startingDeadlineSeconds"] == 600
    container = spec["jobTemplate"]["spec"]["template"]["spec"]["containers"][0]
    assert container["env"][0]["valueFrom"] == {
        "secretKeyRef": {"name": "afterwork", "key": "cron-secret"}
    }
    assert spec["jobTemplate"]["spec"]["activeDeadlineSeconds"] == 185


def test_e6_overlap_becomes_the_policy() -> None:
    """E6"""
    app = App()
    for overlap in ("skip", "replace", "allow", "queue"):
        app.every(overlap, "10m", overlap=overlap)
    policies = [each["spec"]["concurrencyPolicy"] for each in manifests(app)]
    assert policies == ["Forbid", "Replace", "Allow", "Allow"]
    assert [each["spec"]["startingDeadlineSeconds"] for each in manifests(app)] == [300] * 4


def test_e6_names_are_labels_of_52_characters_and_never_shared() -> None:
    """E6"""
    app = App()
    names = ["a" * 100, "a" * 99 + "b", "My.Job", "my_job", "my-job", "my-job-", "nightly"]
    for name in names:
        app.every(name, "1h")
    found = [each["metadata"]["name"] for each in manifests(app)]
    assert len(set(found)) == len(names)
    assert all(len(name) <= 52 and name == name.lower() for name in found)
    assert found[-1] == "nightly"
    assert found[4] == "my-job"


def test_d11_e6_a_star_with_a_step_beside_a_weekday_is_and_here_and_or_there() -> None:
    """The five fields of `*/2` with a weekday mean two things, so they are refused."""
    assert "has to match both" in refused(App().cron("job", "0 0 */2 * 5"), "kubernetes")
    assert cron_of(App().cron("job", "0 0 13 * 5"), "kubernetes") == ["0 0 13 * 5"]
    assert cron_of(App().cron("job", "0 0 */2 * 5"), "crontab") == ["0 0 */2 * 5"]
    assert cron_of(App().cron("job", "0 0 13 * */2"), "crontab") == ["0 0 13 * */2"]
    assert "plain step" in refused(App().cron("job", "0 0 */2,4 * 5"), "crontab")


def test_e6_an_image_runs_the_command() -> None:
    """E6"""
    (found,) = manifests(App().every("job", "1h"), "--image", "registry.example/app:1")
    container = found["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"][0]
    assert container["command"] == ["afterwork", "run", "job", "--ok-if-skipped"]
    assert "env" not in container


# -- GitHub


def test_e7_github() -> None:
    """E7: Below five minutes refused; best effort and minute 0 are said; a zone is optional."""
    assert "every 5 minutes" in refused(App().every("job", "2m"), "github")
    app = App().cron("job", "0 9 * * *").cron("other", "7 9 * * *", timezone="Asia/Tokyo")
    result = app.export("github")
    assert "best effort" in result.err
    assert "job: minute 0 is when GitHub is late" in result.err
    assert "other: minute" not in result.err
    workflow = yaml.safe_load(result.out)
    assert workflow["on"]["schedule"] == [
        {"cron": "0 9 * * *"},
        {"cron": "7 9 * * *", "timezone": "Asia/Tokyo"},
    ]
    assert workflow["permissions"] == {}
    assert "${{ secrets.CRON_SECRET }}" in result.out


def test_e7_what_github_does_at_clock_changes() -> None:
    """E7: A skipped hour is documented, and is as ours; a repeated one is not."""
    zone = "America/New_York"
    gap = App().cron("job", "31 2 * * *", timezone=zone).export("github")
    assert "clock" not in gap.err
    overlap = App().cron("job", "31 1 * * *", timezone=zone).export("github")
    assert f"where the clock of {zone} is put back is not documented" in overlap.err


def test_e7_github_with_an_id_token() -> None:
    """E7"""
    out = text_of(App().every("job", "1h"), "github", "--auth", "oidc")
    workflow = yaml.safe_load(out)
    assert workflow["permissions"] == {"id-token": "write"}
    assert workflow["jobs"]["job-job"]["steps"][0]["env"]["AUDIENCE"] == "https://app.example.com"
    assert "CRON_SECRET" not in out


def test_e7_one_expression_in_two_zones_is_two_starts_of_both() -> None:
    """E7"""
    app = App().cron("a", "7 9 * * *").cron("b", "7 9 * * *", timezone="Asia/Tokyo")
    assert "same expression in another time zone, UTC" in refused(app, "github")
    assert App().export("github").out == ""


# -- the others


def test_e8_cloudflare_counts_sunday_as_1_so_it_has_a_name() -> None:
    """E8"""
    crons = dialects.wrangler(text_of(App().cron("job", "0 9 * * 0"), "cloudflare"))
    assert crons == ["0 9 * * SUN"]
    both = dialects.wrangler(text_of(App().cron("job", "0 9 1 * 1-5"), "cloudflare"))
    assert both == ["0 9 1 * *", "0 9 * * MON-FRI"]
    worker = text_of(App().cron("job", "0 9 * * 0"), "cloudflare", "--shape", "worker")
    assert "controller.scheduledTime" in worker
    assert "slot=${slot}" in worker
    table = json.loads(text_of(App().every("job", "5m"), "cloudflare", "--shape", "json"))
    assert table == {"triggers": {"crons": ["*/5 * * * *"]}}


def test_a_python_worker_knows_the_jobs_of_each_trigger_that_is_exported() -> None:
    """One that is refused has none, and one that fires on either of two days has two."""
    app = App().cron("a", "0 9 * * 1").cron("b", "0 9 1 * 1").every("c", "1h")
    app.cron("tokyo", "0 18 * * 1", timezone="Asia/Tokyo")
    app.cron("refused", "0 9 * * *", timezone="America/New_York")
    app.work.job(name="by-hand")(nothing)
    found = export.cloudflare_triggers(app.work)

    assert found == {
        "0 9 * * MON": ["a", "b", "tokyo"],
        "0 9 1 * *": ["b"],
        "0 * * * *": ["c"],
    }
    assert list(found) == dialects.wrangler(app.export("cloudflare").out)


def test_e9_cloud_scheduler_waits_as_long_as_the_job_may_take() -> None:
    """E9"""

    def parts(**options: Any) -> tuple[str, str]:
        out = text_of(App().every("job", "1h", **options), "cloud-scheduler")
        deadline = out.partition("--attempt-deadline=")[2].partition("s ")[0]
        return deadline, out.partition('--uri="')[2].partition('"')[0]

    assert parts(timeout=100) == ("105", f"{URL}/job")
    assert parts(timeout=2) == ("15", f"{URL}/job")
    assert parts() == ("300", f"{URL}/job")
    assert parts(timeout="1h") == ("1800", f"{URL}/job?mode=accept")
    assert parts(mode="accept", timeout="1h") == ("30", f"{URL}/job")
    out = text_of(App().every("job", "1h", timeout="1h"), "cloud-scheduler")
    assert f'--oidc-token-audience="{URL}/job"' in out
    assert 'SERVICE_ACCOUNT="${SERVICE_ACCOUNT:-}"' in out
    account = ("--service-account", "jobs@example.iam.gserviceaccount.com")
    assert account[1] in text_of(shop(), "cloud-scheduler", *account)
    assert account[1] in text_of(shop(), "cloud-scheduler-terraform", *account)


def test_a_job_that_insists_on_waiting_is_warned_of() -> None:
    result = App().every("job", "1h", mode="wait").export("eventbridge")
    assert "waits 5 s at most, and the job has mode='wait'" in result.err
    twice = App().cron("job", "0 9 13 * 5", mode="wait").export("netlify")
    assert twice.err.count("mode='wait'") == 1


def test_the_slots_that_documents_send_are_read_by_the_route() -> None:
    """What EventBridge fills in, what PostgreSQL's to_char writes, what the Worker sends."""
    for text in ("2026-01-01T09:00:00Z", "2026-01-01T09:00:00.000Z"):
        assert read_instant("slot", text) == 1767258000


def test_e10_pg_cron_gives_a_timeout_and_a_slot() -> None:
    """E10"""
    out = text_of(App().every("job", "1h", timeout=20).every("other", "1d"), "pg-cron")
    assert "timeout_milliseconds := 25000" in out
    assert "timeout_milliseconds := 5000" in out
    assert "date_trunc('minute', now())" in out
    assert "?mode=accept" in out
    from afterwork.export._pg_cron import quoted

    assert quoted("it's") == "'it''s'"
    assert "NOT IN" not in text_of_nothing("pg-cron")


def text_of_nothing(target: str) -> str:
    app = App()
    from afterwork.export import _registry

    return _registry.TARGETS[target].render(app.plan(target))


def test_e11_either_day_is_two_lines_and_seconds_are_expressed() -> None:
    """E11"""
    out = text_of(App().cron("job", "0 9 13 * 5"), "systemd")
    assert out.count("OnCalendar=") == 2
    assert "OnCalendar=Fri *-*-* 09:00:00 UTC" in out
    assert "OnCalendar=*-*-13 09:00:00 UTC" in out
    assert "*:*:00/20 UTC" in text_of(App().every("job", "20s"), "systemd")
    assert "Persistent=false" in text_of(App().every("job", "1h", misfire="skip"), "systemd")


def test_e15_railway_and_render_run_a_command_that_fails_with_the_job() -> None:
    """E15"""
    app = App().every("job", "1h")
    for target in ("railway", "render"):
        assert "afterwork run job --ok-if-skipped" in text_of(app, target)
        assert "run it twice" in refused(App().cron("job", "0 9 13 * 5"), target)
    assert "every 5 minutes" in refused(App().every("job", "4m"), "railway")
    assert App().every("job", "4m").export("render").code == 0
    two = App().every("job", "1h").every("other", "1h")
    assert "--only other" in refused(two, "railway")
    assert "command" not in text_of(two, "railway", "--only", "other")
    assert App().cron("job", "0 9 13 * 5").export("railway").out == ""
    moved = App().cron("job", "0 1,20 * * 0", timezone="Asia/Tokyo")
    assert "several schedules" in refused(moved, "railway")
    assert App().cron("job", "0 9 13 * 5").export("render").out == ""


def test_azure_puts_seconds_first() -> None:
    out = text_of(App().every("job", "1h").every("fast", "20s", timeout=3), "azure")
    assert 'schedule="0 0 * * * *"' in out
    assert 'schedule="0,20,40 * * * * *"' in out.replace("*/20 ", "0,20,40 ")
    ast.parse(out)
    zoned = App().cron("job", "0 9 * * *", timezone="Europe/Paris")
    result = zoned.export("azure", "--zone", "Europe/Paris")
    assert "WEBSITE_TIME_ZONE=Europe/Paris" in result.err
    assert "not documented" not in result.err  # no change of Paris is at nine
    late = App().cron("job", "30 2 * * *", timezone="Europe/Paris")
    assert "not documented" in late.export("azure", "--zone", "Europe/Paris").err


def test_qstash_proposes_what_to_create_update_and_delete(tmp_path: Path) -> None:
    app = App().every("old", "1h").cron("moved", "0 9 * * *", timezone="Europe/Paris")
    app.every("new", "2h", timeout=60)
    known = [
        {"scheduleId": "old", "cron": "0 * * * *", "destination": f"{URL}/old"},
        {"scheduleId": "moved", "cron": "0 8 * * *", "destination": f"{URL}/moved"},
        {"scheduleId": "gone", "cron": "0 8 * * *", "destination": f"{URL}/gone"},
        {"scheduleId": "other", "cron": "0 8 * * *", "destination": "https://else.example/x"},
        {"scheduleId": "x'; rm", "cron": "0 8 * * *", "destination": f"{URL}/x"},
    ]
    file = tmp_path / "known.json"
    file.write_text(json.dumps(known))
    out = text_of(app, "qstash", "--known", str(file))
    assert "# unchanged old" in out
    assert "# update moved" in out
    assert "Upstash-Cron: CRON_TZ=Europe/Paris 0 9 * * *" in out
    assert "# create new" in out
    assert "Upstash-Timeout: 65s" in out
    assert '--request DELETE "$api/v2/schedules/gone"' in out
    assert "other" not in out
    assert "rm" not in out
    assert "create or update old" in text_of(app, "qstash")
    file.write_text("{")
    assert app.export("qstash", "--known", str(file)).code == 2


def test_a_crontab_of_cronie_has_a_zone_per_job_and_others_the_machines() -> None:
    app = App().cron("job", "0 9 * * *", timezone="Europe/Paris")
    assert "CRON_TZ=Europe/Paris\n" in text_of(app, "crontab", "--cronie")
    refused(app, "crontab")
    out = text_of(app, "crontab", "--zone", "Europe/Paris")
    assert "CRON_TZ" not in out
    assert "0 9 * * * . /etc/afterwork.env; printf" in out
    assert "\\%s" in out


# -- all targets


@pytest.mark.parametrize("target", ALL)
def test_e13_no_output_holds_the_secret(target: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """E13"""
    value = "s3cret-value-that-must-not-show-0123456789"
    for name in ("CRON_SECRET", "MY_SECRET", "QSTASH_TOKEN", "AFTERWORK_SECRET"):
        monkeypatch.setenv(name, value)
    shapes = {
        "vercel-schedules": ("object", "array"),
        "eventbridge": ("cloudformation", "sam"),
        "cloudflare": ("toml", "json", "worker"),
    }.get(target, ("",))
    for shape in shapes:
        words = [target, *ONE_JOB.get(target, ()), "--secret-env", "MY_SECRET"]
        result = shop().export(*words, *(("--shape", shape) if shape else ()))
        assert result.code == 0, result.err
        assert value not in result.out + result.err


@pytest.mark.parametrize("target", [each for each in ALL if each not in ("railway", "render")])
def test_t22_urls_hold_the_prefix_of_the_route(target: str) -> None:
    """`--url` is the route with its prefix, and each job's address is below it."""
    shape = ("--shape", "worker") if target == "cloudflare" else ()
    out = shop().export(target, *shape).out
    for name in ("nightly", "weekly.report", "Prune_cache", "monthly"):
        assert f"/api/cron/{name}" in out


@pytest.mark.parametrize("target", ALL)
def test_the_way_out_tick_is_open_for_every_target(target: str) -> None:
    """One call of /tick stands for jobs that no target can express."""
    app = App().cron("job", "0 0 */2 * 5", timezone="America/New_York", timeout=10)
    app.cron("unlimited", "0 0 13 * 5")
    result = app.export(target, "--tick", "5m")
    assert result.code == 0, result.err
    assert "tick" in result.out or "afterwork due" in result.out
    assert "Either" not in result.err


def test_a_tick_that_comes_too_seldom_is_warned_of() -> None:
    app = App().every("often", "7m").cron("daily", "0 9 * * *").cron("half", "*/30 * * * *")
    app.work.job(name="by-hand")(nothing)
    warnings = app.export("vercel", "--tick", "15m").err
    assert "often is due after 7 minutes, and the tick comes every 15 minutes" in warnings
    assert "daily" not in warnings
    assert "half" not in warnings
    assert "half is due" in app.export("vercel", "--tick", "1h").err


@pytest.mark.parametrize("target", ALL)
@pytest.mark.parametrize("interval", ["7m", "90m", "7h", "90s"])
def test_an_interval_that_wanders_through_the_day_is_refused(target: str, interval: str) -> None:
    error = refused(App().every("job", interval), target)
    assert "an interval of" in error or "more often" in error


def test_seconds_are_refused_where_minutes_are_the_least() -> None:
    assert "more often than once a minute" in refused(App().every("job", "30s"), "kubernetes")


def test_two_entries_of_a_job_never_take_another_jobs_name() -> None:
    app = App().every("job-2", "1h").cron("job", "0 9 13 * 5")
    assert "job-2 is also the name" in refused(app, "eventbridge")
