"""EventBridge Scheduler, as a CloudFormation or SAM template: each schedule puts an event on the
default bus, and a rule hands it to the route through an API destination, since the scheduler itself
calls no URL.

Sources: docs.aws.amazon.com/scheduler/latest/UserGuide/schedule-types.html (fields, zones, clock
changes), .../managing-targets-templated.html (PutEvents), .../managing-schedule-context-attributes
(the scheduled time), docs.aws.amazon.com/eventbridge/latest/userguide/eb-api-destinations.html
(five seconds).

The event's body names the slot, so a delivery that comes late or twice is known for what it is. An
API destination waits five seconds, so the route is asked to answer at once.
"""

from __future__ import annotations

import json

from . import _calls, _names, _print, _yaml
from ._plan import Dialect
from ._target import Target
from ._yaml import Comment, Tagged

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ._plan import Entry, Plan

MOST_SECONDS = 5
MAX_NAME = 64
SOURCE = "afterwork.schedule"
MAX_WINDOW = 1440
"""Minutes."""
RETRY_HOURS = 1


def dialect(plan: str, cronie: bool) -> Dialect:
    return Dialect("EventBridge Scheduler", _print.quartz, clock="skip", either=False)


def render(plan: Plan) -> str:
    template: dict[Any, Any] = {"AWSTemplateFormatVersion": "2010-09-09"}
    if plan.settings.shape == "sam":
        template["Transform"] = "AWS::Serverless-2016-10-31"
    template["Description"] = "Schedules of the jobs of an app with afterwork"
    template["Parameters"] = {
        "AfterworkSecret": {
            "Type": "String",
            "Default": plan.settings.secret,
            "Description": "The name of the secret in Secrets Manager; its value is a plain text",
        }
    }
    resources = _shared()
    for item in {entry.item: None for entry in plan.entries}:
        resources.update(_delivery(plan, item))
    for entry in plan.entries:
        resources[f"{_id(entry.name)}Schedule"] = _schedule(entry)
    template["Resources"] = resources
    return _yaml.dump(template)


def _shared() -> dict[str, Any]:
    put = {"Effect": "Allow", "Action": "events:PutEvents", "Resource": _bus()}
    call = {
        "Effect": "Allow",
        "Action": "events:InvokeApiDestination",
        "Resource": Tagged(
            "!Sub",
            "arn:${AWS::Partition}:events:${AWS::Region}:${AWS::AccountId}:api-destination/*",
        ),
    }
    return {
        "AfterworkConnection": {
            "Type": "AWS::Events::Connection",
            "Properties": {
                "AuthorizationType": "API_KEY",
                "AuthParameters": {
                    "ApiKeyAuthParameters": {
                        "ApiKeyName": "Authorization",
                        "ApiKeyValue": Tagged(
                            "!Sub", "Bearer {{resolve:secretsmanager:${AfterworkSecret}}}"
                        ),
                    }
                },
            },
        },
        "AfterworkSchedulerRole": _role("scheduler.amazonaws.com", put),
        "AfterworkRuleRole": _role("events.amazonaws.com", call),
    }


def _delivery(plan: Plan, item: Any) -> dict[str, Any]:
    name = _id(item.name)
    return {
        f"{name}Destination": {
            "Type": "AWS::Events::ApiDestination",
            "Properties": {
                "ConnectionArn": Tagged("!GetAtt", "AfterworkConnection.Arn"),
                "HttpMethod": "POST",
                "InvocationEndpoint": _calls.address(plan, item, most=MOST_SECONDS),
            },
        },
        f"{name}Rule": {
            "Type": "AWS::Events::Rule",
            "Properties": {
                "EventPattern": {"source": [SOURCE], "detail-type": [item.name]},
                "Targets": [
                    {
                        "Id": "afterwork",
                        "Arn": Tagged("!GetAtt", f"{name}Destination.Arn"),
                        "RoleArn": Tagged("!GetAtt", "AfterworkRuleRole.Arn"),
                        "InputPath": "$.detail",
                        "RetryPolicy": {
                            "MaximumEventAgeInSeconds": RETRY_HOURS * 3600,
                            "MaximumRetryAttempts": 10,
                        },
                    }
                ],
            },
        },
    }


def _schedule(entry: Entry) -> dict[Any, Any]:
    window: dict[str, Any] = {"Mode": "OFF"}
    if entry.item.jitter >= 60:
        minutes = min(int(entry.item.jitter // 60), MAX_WINDOW)
        window = {"Mode": "FLEXIBLE", "MaximumWindowInMinutes": minutes}
    return {
        Comment(_calls.comment(entry)): None,
        "Type": "AWS::Scheduler::Schedule",
        "Properties": {
            "Description": _calls.comment(entry)[:512],
            "ScheduleExpression": entry.text,
            "ScheduleExpressionTimezone": entry.zone,
            "FlexibleTimeWindow": window,
            "Target": {
                "Arn": _bus(),
                "RoleArn": Tagged("!GetAtt", "AfterworkSchedulerRole.Arn"),
                "EventBridgeParameters": {"DetailType": entry.item.name, "Source": SOURCE},
                "Input": json.dumps({"slot": "<aws.scheduler.scheduled-time>"}),
                "RetryPolicy": {
                    "MaximumEventAgeInSeconds": max(entry.grace, 60),
                    "MaximumRetryAttempts": 10,
                },
            },
        },
    }


def _bus() -> Tagged:
    return Tagged(
        "!Sub", "arn:${AWS::Partition}:events:${AWS::Region}:${AWS::AccountId}:event-bus/default"
    )


def _role(service: str, statement: dict[str, Any]) -> dict[str, Any]:
    trust = {
        "Effect": "Allow",
        "Principal": {"Service": service},
        "Action": "sts:AssumeRole",
    }
    return {
        "Type": "AWS::IAM::Role",
        "Properties": {
            "AssumeRolePolicyDocument": {"Version": "2012-10-17", "Statement": [trust]},
            "Policies": [
                {
                    "PolicyName": "afterwork",
                    "PolicyDocument": {"Version": "2012-10-17", "Statement": [statement]},
                }
            ],
        },
    }


def _id(name: str) -> str:
    """A logical id: letters and digits."""
    fitted = _names.fitting(name, _names.LOWER, MAX_NAME, "")
    return f"Job{fitted[:1].upper()}{fitted[1:]}"


TARGET = Target(
    name="eventbridge",
    help="EventBridge Scheduler, a CloudFormation or SAM template",
    file="afterwork-schedules.yaml",
    dialect=dialect,
    render=render,
    shares=False,
    shapes=("cloudformation", "sam"),
)
