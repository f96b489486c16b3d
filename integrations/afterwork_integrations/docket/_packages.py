"""Whether what this integration needs is there."""

from __future__ import annotations

try:
    import docket as docket
except ImportError as error:
    raise ImportError(
        "afterwork_integrations.docket needs Docket: pip install 'afterwork[docket]'"
    ) from error
