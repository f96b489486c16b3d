"""Reads schedules back, as the platforms do: one reader per dialect, none of which shares anything
with the printers."""

from __future__ import annotations

import json
import re
import tomllib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import yaml

from tests.cron_model import Window

if TYPE_CHECKING:
    from collections.abc import Callable

NAMES = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")
LIMITS = ((0, 59), (0, 23), (1, 31), (1, 12), (0, 6))
Pair = tuple[str, str]
"""A schedule in the plain numbers of Debian's dialect, and its zone."""


@dataclass
class Reader:
    """`read` gives for each job its schedules; `dst` is what the platform does at clock changes."""

    read: Callable[[str], dict[str, list[Pair]]]
    dst: str

    def fires(self, text: str, job: str, start: int, end: int) -> list[int]:
        found: set[int] = set()
        for expression, zone in self.read(text)[job]:
            window = Window(zone, start, end)
            dst = self.dst
            if dst == "wall":
                expression, dst = without_stars(expression), "skip"
            if expression.startswith("&"):  # a day has to match both fields
                minute, hour, day, month, weekday = expression[1:].split()
                days = window.fires(f"{minute} {hour} {day} {month} *", dst)
                weekdays = window.fires(f"{minute} {hour} * {month} {weekday}", dst)
                found |= set(days) & set(weekdays)
            else:
                found |= set(window.fires(expression, dst))
        return sorted(found)


def without_stars(expression: str) -> str:
    """Fixed times in each hour: what reads the wall clock and runs nothing twice."""
    fields = expression.split()
    for index in (0, 1):
        low, high = LIMITS[index]
        fields[index] = fields[index].replace("*", f"{low}-{high}")
    return " ".join(fields)


def numbered(expression: str) -> str:
    """Names of weekdays as Debian's numbers."""
    *rest, weekday = expression.split()
    for number, name in enumerate(NAMES):
        weekday = weekday.replace(name, str(number))
    return " ".join([*rest, weekday])


def job_of(url: str) -> str:
    return url.partition("?")[0].rpartition("/")[2]


def collect(pairs: list[tuple[str, str, str]]) -> dict[str, list[Pair]]:
    found: dict[str, list[Pair]] = {}
    for job, expression, zone in pairs:
        found.setdefault(job, []).append((expression, zone))
    return found


def vercel(text: str) -> dict[str, list[Pair]]:
    crons = json.loads(text)["crons"]
    return collect([(job_of(each["path"]), each["schedule"], "UTC") for each in crons])


def schedules(text: str) -> dict[str, list[Pair]]:
    values = json.loads(text)["schedules"]
    values = values.values() if isinstance(values, dict) else values
    return collect([(job_of(v["path"]), v["schedule"], v["timezone"]) for v in values])


def github(text: str) -> dict[str, list[Pair]]:
    workflow = yaml.safe_load(text)
    zones = {each["cron"]: each.get("timezone", "UTC") for each in workflow["on"]["schedule"]}
    found = []
    for job in workflow["jobs"].values():
        cron = re.search(r"schedule == '([^']+)'", job["if"])
        assert cron
        name = job["steps"][0]["name"].removeprefix("call ")
        found.append((name, cron[1], zones[cron[1]]))
    return collect(found)


def kubernetes(text: str) -> dict[str, list[Pair]]:
    found = []
    for each in yaml.safe_load_all(text):
        spec = each["spec"]
        container = spec["jobTemplate"]["spec"]["template"]["spec"]["containers"][0]
        command = container["command"]
        job = command[2] if command[0] == "afterwork" else job_of(command[2].split("'")[-2])
        found.append((job, spec["schedule"], spec["timeZone"]))
    return collect(found)


class Cloud(yaml.SafeLoader):
    """YAML with CloudFormation's tags."""


Cloud.add_multi_constructor("!", lambda loader, suffix, node: {suffix: node.value})


def eventbridge(text: str) -> dict[str, list[Pair]]:
    found = []
    template: dict[str, Any] = yaml.load(text, Cloud)
    for each in template["Resources"].values():
        if each["Type"] == "AWS::Scheduler::Schedule":
            properties = each["Properties"]
            fields = properties["ScheduleExpression"].removeprefix("cron(").removesuffix(")")
            *five, year = fields.split()
            assert year == "*"
            assert (five[2] == "?") != (five[4] == "?"), "exactly one has to be ?"
            expression = " ".join(five).replace("?", "*").replace("0/", "*/")
            job = properties["Target"]["EventBridgeParameters"]["DetailType"]
            zone = properties["ScheduleExpressionTimezone"]
            found.append((job, numbered(expression), zone))
    return collect(found)


def gcloud(text: str) -> dict[str, list[Pair]]:
    pattern = r'--schedule="([^"]+)" --time-zone="([^"]+)" \\\n  --uri="([^"]+)"'
    return collect([(job_of(uri), text, zone) for text, zone, uri in re.findall(pattern, text)])


def terraform(text: str) -> dict[str, list[Pair]]:
    pattern = r'schedule += "([^"]+)"\n +time_zone += "([^"]+)".*?uri += "([^"]+)"'
    found = re.findall(pattern, text, re.DOTALL)
    return collect([(job_of(uri), text, zone) for text, zone, uri in found])


def cloudflare(text: str) -> dict[str, list[Pair]]:
    """The Worker's table; the triggers are its keys."""
    table = json.loads(text[text.index("{") : text.index(";\n")])
    found = [(job_of(url), numbered(cron), "UTC") for cron, urls in table.items() for url in urls]
    assert all(not any(c.isdigit() for c in cron.split()[4]) for cron in table)
    return collect(found)


def wrangler(text: str) -> list[str]:
    crons: list[str] = tomllib.loads(text)["triggers"]["crons"]
    return crons


def qstash(text: str) -> dict[str, list[Pair]]:
    found = []
    pattern = r"v2/schedules/([^\"]+)\".*?Upstash-Cron: ([^']+)'"
    for url, cron in re.findall(pattern, text, re.DOTALL):
        zone = "UTC"
        if cron.startswith("CRON_TZ="):
            zone, _, cron = cron.removeprefix("CRON_TZ=").partition(" ")
        found.append((job_of(url), cron, zone))
    return collect(found)


def azure(text: str) -> dict[str, list[Pair]]:
    found = []
    for schedule, url in re.findall(r'schedule="([^"]+)".*?call\("([^"]+)"', text, re.DOTALL):
        second, _, rest = schedule.partition(" ")
        assert second == "0"
        found.append((job_of(url), rest, "UTC"))
    return collect(found)


def pg_cron(text: str) -> dict[str, list[Pair]]:
    pattern = r"cron\.schedule\(\n  '[^']+',\n  '([^']+)',.*?url := '([^']+)'"
    found = re.findall(pattern, text, re.DOTALL)
    return collect([(job_of(url), cron, "UTC") for cron, url in found])


def crontab(text: str) -> dict[str, list[Pair]]:
    found, zone = [], "UTC"
    for line in text.splitlines():
        if line.startswith("CRON_TZ="):
            zone = line.removeprefix("CRON_TZ=")
        elif line and not line.startswith("#"):
            *five, _, _, rest = line.split(" ", 7)
            words = rest.split()
            job = words[2] if words[:2] == ["afterwork", "run"] else job_of(rest.split("'")[-2])
            found.append((job, " ".join(five), zone))
    return collect(found)


def systemd(text: str) -> dict[str, list[Pair]]:
    """As systemd.time(7) describes it; the real one is asked too where it is installed."""
    found: list[tuple[str, str, str]] = []
    for unit in text.split("# >>> ")[1::2]:
        description = re.search(r"Description=When (\S+): ", unit)
        assert description
        for event in re.findall(r"OnCalendar=(.+)", unit):
            *weekday, date, clock, zone = event.split()
            _, month, day = date.split("-", 2)
            hour, minute, second = clock.split(":")
            assert second == "00"
            five = [plain(each) for each in (minute, hour, day, month)]
            days = numbered(f"* {weekday[0].upper() if weekday else '*'}").split()[1]
            five.append(days.replace("..", "-"))
            both = "&" if five[2] != "*" and five[4] != "*" else ""
            found.append((description[1], both + " ".join(five), zone))
    return collect(found)


def plain(field: str) -> str:
    field = field.replace("..", "-").replace("00/", "*/")
    return re.sub(r"\b0(\d)", r"\1", field)


def railway(text: str) -> dict[str, list[Pair]]:
    deploy = json.loads(text)["deploy"]
    return {deploy["startCommand"].split()[2]: [(deploy["cronSchedule"], "UTC")]}


def render(text: str) -> dict[str, list[Pair]]:
    services = yaml.safe_load(text)["services"]
    return collect(
        [(each["startCommand"].split()[2], each["schedule"], "UTC") for each in services]
    )


def netlify(text: str) -> dict[str, list[Pair]]:
    found = re.findall(r'fetch\("([^"]+)".*?schedule: "([^"]+)"', text, re.DOTALL)
    return collect([(job_of(url), cron, "UTC") for url, cron in found])


READERS = {
    "vercel": Reader(vercel, "both"),
    "vercel-schedules": Reader(schedules, "wall"),
    "github": Reader(github, "both"),
    "kubernetes": Reader(kubernetes, "both"),
    "eventbridge": Reader(eventbridge, "skip"),
    "cloud-scheduler": Reader(gcloud, "both"),
    "cloud-scheduler-terraform": Reader(terraform, "both"),
    "cloudflare": Reader(cloudflare, "both"),
    "qstash": Reader(qstash, "both"),
    "azure": Reader(azure, "both"),
    "pg-cron": Reader(pg_cron, "both"),
    "crontab": Reader(crontab, "once"),
    "systemd": Reader(systemd, "wall"),
    "railway": Reader(railway, "both"),
    "render": Reader(render, "both"),
    "netlify": Reader(netlify, "both"),
}
EXTRA = {"cloudflare": ("--shape", "worker"), "crontab": ("--cronie",)}
