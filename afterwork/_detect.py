"""Which platform this process runs on, as far as its environment tells.

The rows are tried in order and the first that fits is taken, so a platform that runs on top of
another stands before it: Vercel's functions run on Lambda and have its variables too. A row without
a way to run work after the response says so, with the way out, once when the app starts.

Where a platform tells more than its name, such as a deadline, an integration knows how to ask it.
It is imported on that platform only.
"""

from __future__ import annotations

import os
import sys

from ._hosts import HostInfo, PlainHost

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import TypeAlias

    from ._hosts import Host

    Environ: TypeAlias = Mapping[str, str]
    Row: TypeAlias = tuple[str, Callable[[Environ], object], HostInfo]

OWN_HOST = (
    "Until a host is given that hands the work to the platform, the client waits for it: "
    'host="before_end". For long work hand it over to a queue.'
)

CLOUDFLARE = HostInfo(
    "cloudflare",
    "before_end",
    lifespan_is_process=False,
    note="this Python Workers SDK has no wait_until, so the client waits for the work, as with "
    'host="before_end". Update workers-runtime-sdk, or hand over each request\'s context: '
    "afterwork_integrations.cloudflare.Cloudflare(self.ctx).around(app). For long work hand it "
    "over to a queue.",
)
VERCEL = HostInfo("vercel", "inline")
VERCEL_WITHOUT_IPC = HostInfo(
    "vercel",
    "before_end",
    note="this Vercel runtime freezes the function once the response is out, so the client waits "
    'for the work, as with host="before_end". For long work hand it over to a queue.',
)
AWS_LAMBDA_MANAGED_INSTANCES = HostInfo("aws-lambda-managed-instances")
AWS_LAMBDA = HostInfo(
    "aws-lambda",
    "before_end",
    lifespan_is_process=False,
    note="Lambda freezes the process once the response is out. Serve the app with "
    "afterwork_integrations.aws_lambda.Handler(app), pip install 'afterwork[aws-lambda]'. "
    + OWN_HOST,
)
AZURE = HostInfo(
    "azure-functions",
    "before_end",
    lifespan_is_process=False,
    note="Azure Functions answers only once the app is done, and tracks nothing that goes on after "
    'that. So the client waits for the work, as with host="before_end". For long work hand it over '
    "to a queue.",
)
AZURE_DETACHED = HostInfo(
    "azure-functions",
    note="Azure Functions tracks nothing that goes on after the response: it may end the process "
    "in the middle of it. And where it runs no lifespan, as behind AsgiMiddleware, the client "
    'waits for the work anyway. To be sure, let it wait, host="before_end", or hand the work to a '
    "queue.",
)
"""What Azure is to an app that asks for `host="detached"` there."""
MODAL = HostInfo("modal", "inline")
CLOUD_RUN = HostInfo(
    "cloud-run",
    note="with request-based billing Cloud Run takes the CPU away once the response is out, and "
    "the environment does not tell which billing is on. With instance-based billing say so: "
    'host="detached". Else let the client wait, host="before_end", or hand the work to a queue.',
)
PLAIN = HostInfo("plain")

AZURE_WORKERS = ("azure_functions_runtime", "azure_functions_worker")
"""What Azure's worker has imported when it loads an app: not every plan sets the variable."""

TABLE: tuple[Row, ...] = (
    ("cloudflare", lambda env: sys.platform == "emscripten", CLOUDFLARE),
    ("vercel", lambda env: env.get("VERCEL") and env.get("VERCEL_IPC_PATH"), VERCEL),
    ("vercel without IPC", lambda env: env.get("VERCEL"), VERCEL_WITHOUT_IPC),
    (
        "aws-lambda-managed-instances",
        lambda env: env.get("AWS_LAMBDA_RUNTIME_API") and env.get("AWS_LAMBDA_MAX_CONCURRENCY"),
        AWS_LAMBDA_MANAGED_INSTANCES,
    ),
    ("aws-lambda", lambda env: env.get("AWS_LAMBDA_RUNTIME_API"), AWS_LAMBDA),
    (
        "azure-functions",
        lambda env: (
            env.get("FUNCTIONS_WORKER_RUNTIME")
            or any(name in sys.modules for name in AZURE_WORKERS)
        ),
        AZURE,
    ),
    ("modal", lambda env: env.get("MODAL_IS_REMOTE") == "1", MODAL),
    ("cloud-run", lambda env: env.get("K_SERVICE") or env.get("FUNCTION_TARGET"), CLOUD_RUN),
    ("fly", lambda env: env.get("FLY_MACHINE_ID"), HostInfo("fly")),
    ("render", lambda env: env.get("RENDER"), HostInfo("render")),
    ("heroku", lambda env: env.get("DYNO"), HostInfo("heroku")),
    ("kubernetes", lambda env: env.get("KUBERNETES_SERVICE_HOST"), HostInfo("kubernetes")),
    ("plain", lambda env: True, PLAIN),
)
"""What is tried, in order: name, test of the environment, what the host can do."""

ADAPTERS = {
    "cloudflare": "afterwork_integrations.cloudflare",
    "vercel": "afterwork_integrations.vercel",
}
"""By a host's name: the module whose `detected(environ)` gives what takes its place. That has the
same info, or a better one where it finds more than the environment tells."""


def detect(environ: Environ | None = None) -> Host:
    """The host for this process. An explicit `host=` goes before it."""
    if environ is None:
        environ = os.environ
    info = _platform(environ)
    if info.name not in ADAPTERS:
        return PlainHost(info)
    from importlib import import_module

    host: Host = import_module(ADAPTERS[info.name]).detected(environ)
    return host


def chosen(host: Host, environ: Environ | None = None) -> Host:
    """A host that the user gave. `"detached"` is what an ordinary server does, and where the
    platform is none, that has to be said all the same."""
    plain = type(host) is PlainHost and host.info.mode == "detached"
    if plain and _platform(os.environ if environ is None else environ) is AZURE:
        return PlainHost(AZURE_DETACHED)
    return host


def _platform(environ: Environ) -> HostInfo:
    return next(info for _, fits, info in TABLE if fits(environ))
