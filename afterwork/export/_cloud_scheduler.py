"""Google Cloud Scheduler: a script with gcloud, or Terraform.

Sources: cloud.google.com/scheduler/docs/configuring/cron-job-schedules (fields, zones),
cloud.google.com/sdk/gcloud/reference/scheduler/jobs/create/http (flags, deadline of 15 s to 30
min), registry.terraform.io/providers/hashicorp/google, google_cloud_scheduler_job.

The call carries a Google OIDC token whose audience is the route's URL, so no secret is needed. Its
header X-CloudScheduler-ScheduleTime is the slot.
"""

from __future__ import annotations

import json

from . import _calls, _names, _print
from ._plan import Dialect
from ._target import Target

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ._plan import Entry, Plan

LEAST_SECONDS, MOST_SECONDS = 15, 1800
ALLOWED = _names.WORD | {"-", "_"}
MAX_NAME = 200
UNKNOWN = "Cloud Scheduler"
GCLOUD = """\
# {comment}
put {name} \\
  --schedule="{schedule}" --time-zone="{zone}" \\
  --uri="{uri}" --http-method=POST \\
  --oidc-service-account-email="$SERVICE_ACCOUNT" --oidc-token-audience="{audience}" \\
  --attempt-deadline={deadline}s --max-retry-attempts=3
"""
SCRIPT = """\
set -eu
: "${{LOCATION:?the region of the jobs, such as europe-west1}}"
SERVICE_ACCOUNT="${{SERVICE_ACCOUNT:-{account}}}"
: "${{SERVICE_ACCOUNT:?the account whose token the calls carry}}"
put() {{
  name="$1"
  shift
  verb=create
  if gcloud scheduler jobs describe "$name" --location="$LOCATION" >/dev/null 2>&1; then
    verb=update
  fi
  gcloud scheduler jobs "$verb" http "$name" --location="$LOCATION" "$@"
}}
"""
VARIABLES = """\
variable "afterwork_region" {{
  type        = string
  description = "The region of the jobs."
}}

variable "afterwork_service_account" {{
  type        = string
  description = "The account whose token the calls carry."{default}
}}
"""
RESOURCE = """\
# {comment}
resource "google_cloud_scheduler_job" "{label}" {{
  name             = "{name}"
  region           = var.afterwork_region
  schedule         = "{schedule}"
  time_zone        = "{zone}"
  attempt_deadline = "{deadline}s"

  retry_config {{
    retry_count = 3
  }}

  http_target {{
    http_method = "POST"
    uri         = "{uri}"

    oidc_token {{
      service_account_email = var.afterwork_service_account
      audience              = "{audience}"
    }}
  }}
}}
"""


def dialect(plan: str, cronie: bool) -> Dialect:
    return Dialect(UNKNOWN, _print.numbers, clock="unknown")


def render_gcloud(plan: Plan) -> str:
    jobs = [GCLOUD.format(**_facts(plan, entry)) for entry in plan.entries]
    return "\n".join([SCRIPT.format(account=plan.settings.account), *jobs])


def render_terraform(plan: Plan) -> str:
    account = plan.settings.account
    default = f"\n  default     = {json.dumps(account)}" if account else ""
    jobs = [RESOURCE.format(**_facts(plan, entry)) for entry in plan.entries]
    return "\n".join([VARIABLES.format(default=default), *jobs])


def _facts(plan: Plan, entry: Entry) -> dict[str, object]:
    wait = _calls.seconds(entry.item, MOST_SECONDS)
    return {
        "comment": _calls.comment(entry),
        "name": _names.fitting(entry.name, ALLOWED, MAX_NAME),
        "label": _names.fitting(f"afterwork_{entry.name}", ALLOWED, MAX_NAME, "_"),
        "schedule": entry.text,
        "zone": "Etc/UTC" if entry.zone == "UTC" else entry.zone,
        "uri": _uri(plan, entry),
        "audience": _calls.address(plan, entry.item),
        "deadline": max(wait, LEAST_SECONDS),
    }


def _uri(plan: Plan, entry: Entry) -> str:
    """A job without a timeout is taken to end within the deadline: most do, and the answer then
    says how it ended."""
    if entry.item.timeout is None:
        return _calls.address(plan, entry.item)
    return _calls.address(plan, entry.item, most=MOST_SECONDS)


GCLOUD_TARGET = Target(
    name="cloud-scheduler",
    help="Google Cloud Scheduler, a script with gcloud",
    file="cloud-scheduler.sh",
    dialect=dialect,
    render=render_gcloud,
)
TERRAFORM_TARGET = Target(
    name="cloud-scheduler-terraform",
    help="Google Cloud Scheduler, Terraform",
    file="afterwork.tf",
    dialect=dialect,
    render=render_terraform,
)
