"""The app of the tests for a server behind the Lambda Web Adapter."""

from __future__ import annotations

from afterwork_integrations.aws_lambda import WebAdapter

from . import lambda_app

app = WebAdapter(lambda_app.app)
