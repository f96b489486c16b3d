"""The same app on AWS Lambda: requests and the queue come to one function."""

from __future__ import annotations

from afterwork_integrations.aws_lambda import Handler
from main import app, work

handler = Handler(app, work)
