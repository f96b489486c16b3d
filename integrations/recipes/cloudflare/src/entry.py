"""The Worker: requests go to the app, and Cron Triggers to the jobs."""

from afterwork_integrations.cloudflare import scheduled
from shop import app, work
from workers import WorkerEntrypoint, asgi


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        return await asgi.fetch(app, request, self.env, self.ctx)

    async def scheduled(self, controller, env, ctx):
        await scheduled(work, controller)
