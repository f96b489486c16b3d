"""All targets by name."""

from __future__ import annotations

from . import (
    _azure,
    _cloud_scheduler,
    _cloudflare,
    _crontab,
    _eventbridge,
    _github,
    _kubernetes,
    _netlify,
    _pg_cron,
    _qstash,
    _services,
    _systemd,
    _vercel,
)

TARGETS = {
    target.name: target
    for target in (
        _vercel.CRONS,
        _vercel.SCHEDULES,
        _github.TARGET,
        _kubernetes.TARGET,
        _eventbridge.TARGET,
        _cloud_scheduler.GCLOUD_TARGET,
        _cloud_scheduler.TERRAFORM_TARGET,
        _cloudflare.TARGET,
        _qstash.TARGET,
        _azure.TARGET,
        _pg_cron.TARGET,
        _systemd.TARGET,
        _crontab.TARGET,
        _services.RAILWAY,
        _services.RENDER,
        _netlify.TARGET,
    )
}
