"""Kubernetes: one CronJob per job. The pod calls the route with curl, or with `--image` runs the
command in the app's own image.

Sources: kubernetes.io/docs/concepts/workloads/controllers/cron-jobs (time zone, name, deadline,
concurrency), github.com/robfig/cron v3 (a star with a step is a restriction: either day will do).
"""

from __future__ import annotations

from . import _calls, _names, _print, _yaml
from ._plan import Dialect
from ._target import SIGN, Target
from ._yaml import Comment

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ._plan import Entry, Plan

MAX_NAME = 52
LABEL = _names.LOWER | {"-"}
LEAST_DEADLINE = 10
"""Seconds: the controller looks every ten."""
CURL = "curlimages/curl:8.11.1"
CONCURRENCY = {"skip": "Forbid", "replace": "Replace"}
"""`queue` needs both runs to reach the app, which makes the second one wait."""
SPARE_SECONDS = 60
"""For pulling the image."""


def dialect(plan: str, cronie: bool) -> Dialect:
    return Dialect("Kubernetes", _print.numbers, clock="repeat")


def render(plan: Plan) -> str:
    return "".join(f"---\n{_yaml.dump(_cron_job(plan, entry))}" for entry in plan.entries)


def name_of(entry: Entry) -> str:
    """A DNS label of at most 52 characters, since the controller adds eleven of its own."""
    name = entry.name.strip("-")
    return _names.fitting(entry.name if name == entry.name else f"{entry.name}.", LABEL, MAX_NAME)


def _cron_job(plan: Plan, entry: Entry) -> dict[Any, Any]:
    item = entry.item
    job: dict[str, Any] = {"backoffLimit": 0}
    if item.timeout is not None:
        job["activeDeadlineSeconds"] = _calls.seconds(item) + SPARE_SECONDS
    job["template"] = {
        "metadata": {"labels": {"app.kubernetes.io/name": name_of(entry)}},
        "spec": {
            "restartPolicy": "Never",
            "automountServiceAccountToken": False,
            "containers": [_container(plan, entry)],
        },
    }
    return {
        Comment(_calls.comment(entry)): None,
        "apiVersion": "batch/v1",
        "kind": "CronJob",
        "metadata": {
            "name": name_of(entry),
            "labels": {"app.kubernetes.io/managed-by": SIGN.replace(" ", "-")},
        },
        "spec": {
            "schedule": entry.text,
            "timeZone": "Etc/UTC" if entry.zone == "UTC" else entry.zone,
            "concurrencyPolicy": CONCURRENCY.get(item.overlap, "Allow"),
            "startingDeadlineSeconds": max(entry.grace, LEAST_DEADLINE),
            "successfulJobsHistoryLimit": 3,
            "failedJobsHistoryLimit": 1,
            "jobTemplate": {"spec": job},
        },
    }


def _container(plan: Plan, entry: Entry) -> dict[str, Any]:
    secret = plan.settings.secret
    key = secret.lower().replace("_", "-")
    found: dict[str, Any] = {
        "name": "afterwork",
        "image": plan.settings.image or CURL,
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
        "resources": {"requests": {"cpu": "10m", "memory": "32Mi"}},
    }
    if plan.settings.image:
        found["command"] = ["afterwork", *entry.item.command.split()]
        return found
    found["command"] = ["sh", "-c", _calls.curl(plan, entry)]
    found["env"] = [
        {"name": secret, "valueFrom": {"secretKeyRef": {"name": "afterwork", "key": key}}}
    ]
    return found


TARGET = Target(
    name="kubernetes",
    help="Kubernetes CronJobs",
    file="k8s/afterwork.yaml",
    dialect=dialect,
    render=render,
    url="image",
)
