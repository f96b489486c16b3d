"""GitHub Actions: lets in the workflow of one repository, by its OIDC token and without a secret.

```
from afterwork_integrations.github import GitHubOIDC

verify = GitHubOIDC(audience="https://app.example", repository="owner/name")
```

The workflow asks for a token and sends it:

```
permissions:
  id-token: write
steps:
  - run: |
      token=$(curl -sSf -H "Authorization: bearer $ACTIONS_ID_TOKEN_REQUEST_TOKEN" \\
        "$ACTIONS_ID_TOKEN_REQUEST_URL&audience=https://app.example" | jq -r .value)
      curl -sSf -X POST -H "Authorization: Bearer $token" https://app.example/cron/nightly
```

Needs `pip install 'afterwork[oidc]'`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from afterwork.errors import InvalidOptionError, VerificationError
from afterwork.verify import SYSTEM_CLOCK, Clock, TriggerRequest

try:
    from ._oidc import TokenCheck, require, text, told
except ImportError as error:
    raise ImportError(
        "afterwork_integrations.github needs PyJWT with cryptography, and httpx: "
        "pip install 'afterwork[oidc]'"
    ) from error

__all__ = ["GitHubOIDC"]

ISSUER = "https://token.actions.githubusercontent.com"
EVENTS = ("schedule", "workflow_dispatch")
WORKFLOWS = ".github/workflows/"

_REPOSITORY = re.compile(r"[A-Za-z0-9-]+/[A-Za-z0-9._-]+")


class GitHubOIDC:
    """Lets in a request with a token that GitHub has made for a run of your workflow.

    `audience`
        What the workflow asks the token for, exactly; choose the app's address. GitHub's default is
        the same for all that an owner has, so do not use it.
    `repository`
        `"owner/name"`, as GitHub writes it.
    `ref`
        Default `"refs/heads/main"`: the branch or tag that the workflow ran on. A pull request has
        another one. None allows any, and then `workflow` is needed.
    `workflow`
        Default None: any of the repository. Otherwise the file's name, such as `"nightly.yml"`. On
        its own, without `ref`, it keeps out nobody who may push a branch with a changed file.
    `event`
        Default `("schedule", "workflow_dispatch")`: what may have started the run. Others, such as
        `pull_request_target`, run on your branch and are started by strangers. None allows any.
    `repository_id`
        Default None. GitHub's number of the repository, which nobody gets who takes over the name
        of an account that was given up.
    `issuer`
        For GitHub Enterprise: `"https://HOST/_services/token"`, for example.
    `leeway`
        Default 10.0: seconds by which the two clocks may differ, from 0 to 300.
    `keys_url`, `clock`
        For tests. The keys are at `<issuer>/.well-known/jwks`.

    The claims are described at https://docs.github.com/en/actions/reference/security/oidc. Keys are
    fetched and kept as by `GoogleOIDC`, and the same errors are raised.
    """

    name = "github"

    def __init__(
        self,
        *,
        audience: str,
        repository: str,
        ref: str | None = "refs/heads/main",
        workflow: str | None = None,
        event: str | Sequence[str] | None = EVENTS,
        repository_id: int | str | None = None,
        leeway: float = 10.0,
        issuer: str = ISSUER,
        keys_url: str | None = None,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        if not isinstance(repository, str) or not _REPOSITORY.fullmatch(repository):
            raise InvalidOptionError("repository", "'owner/name'", repository)
        if ref is None and workflow is None:
            raise InvalidOptionError("ref", "given where workflow is None", ref)
        if ref is not None and not text("ref", ref).startswith("refs/"):
            raise InvalidOptionError("ref", "a full ref, such as 'refs/heads/main'", ref)
        self.repository = repository
        self.ref = ref
        self._workflow = None if workflow is None else _path(repository, workflow)
        self._required: list[tuple[str, tuple[object, ...]]] = [("repository", (repository,))]
        if ref is not None:
            self._required.append(("ref", (ref,)))
        if event is not None:
            names = (event,) if isinstance(event, str) else tuple(event)
            self._required.append(("event_name", tuple(text("event", name) for name in names)))
        if repository_id is not None:
            self._required.append(("repository_id", (text("repository_id", str(repository_id)),)))
        issuer = text("issuer", issuer).rstrip("/")
        url = f"{issuer}/.well-known/jwks" if keys_url is None else keys_url
        self._token = TokenCheck((issuer,), audience, url, leeway, clock)

    def __repr__(self) -> str:
        return f"<GitHubOIDC {self.repository}, {self.ref or 'any ref'}>"

    async def verify(self, request: TriggerRequest) -> str:
        """Returns the repository and the ref. Raises `VerificationError`, or
        `VerifierUnavailableError` without keys."""
        claims = await self._token.claims(request)
        for name, allowed in self._required:
            require(claims, name, allowed)
        if self._workflow is not None:
            # "owner/name/.github/workflows/nightly.yml@refs/heads/main". The claim `workflow` is
            # only a title, which two files may share.
            file, _, _ = str(claims.get("workflow_ref")).partition("@")
            if file != self._workflow:
                raise VerificationError("wrong_workflow", f"the workflow is {told(file)}")
        return f"{self.repository} at {told(claims.get('ref'))}"


def _path(repository: str, workflow: object) -> str:
    file = text("workflow", workflow).removeprefix(WORKFLOWS)
    if "/" in file or "@" in file or not file.endswith((".yml", ".yaml")):
        raise InvalidOptionError("workflow", "a file's name, such as 'nightly.yml'", workflow)
    return f"{repository}/{WORKFLOWS}{file}"
