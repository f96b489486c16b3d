"""The function of the tests, as the runtime imports it."""

from __future__ import annotations

from afterwork_integrations.aws_lambda import Handler

from .lambda_app import app, work

handler = Handler(app, work)
