from __future__ import annotations

import sys
from typing import Any

import pytest
from afterwork_integrations.github import GitHubOIDC

from afterwork.errors import InvalidOptionError
from afterwork.verify import Verifier
from tests.integrations.oidc_contract import OIDCContract
from tests.integrations.signing import refusal

REPOSITORY = "octo-org/octo.repo_1"
MAIN = "refs/heads/main"


class TestGitHub(OIDCContract):
    issuer_claim = "https://token.actions.githubusercontent.com"

    def make(self, **options: Any) -> Verifier:
        return GitHubOIDC(**{"repository": REPOSITORY, **options})

    def own_claims(self) -> dict[str, Any]:
        return {
            "repository": REPOSITORY,
            "repository_id": "74",
            "ref": MAIN,
            "event_name": "schedule",
            "workflow": "Nightly",
            "workflow_ref": f"{REPOSITORY}/.github/workflows/nightly.yml@{MAIN}",
        }

    def pinned(self, **options: Any) -> Verifier:
        return self.make(
            keys_url=self.issuer.url, clock=self.clock, audience=self.audience, **options
        )

    async def test_the_log_says_which_repository_and_ref_it_was(self) -> None:
        said = await self.make_verifier().verify(self.good_request())
        assert said == f"{REPOSITORY} at '{MAIN}'"

    @pytest.mark.parametrize(
        ("changed", "reason"),
        [
            ({"repository": "octo-org/other"}, "wrong_repository"),
            ({"repository": "fork/octo.repo_1"}, "wrong_repository"),
            ({"repository": REPOSITORY.upper()}, "wrong_repository"),
            ({"repository": None}, "wrong_repository"),
            ({"ref": "refs/pull/7/merge"}, "wrong_ref"),
            ({"ref": "refs/heads/main2"}, "wrong_ref"),
            ({"ref": "refs/tags/main"}, "wrong_ref"),
            ({"ref": None}, "wrong_ref"),
            ({"event_name": "pull_request_target"}, "wrong_event_name"),
            ({"event_name": "push"}, "wrong_event_name"),
            ({"event_name": None}, "wrong_event_name"),
        ],
    )
    async def test_a16_another_repository_ref_or_event_is_refused(
        self, changed: dict[str, Any], reason: str
    ) -> None:
        """A16: with the same audience and a good signature."""
        assert await self.why(**changed) == reason

    async def test_a16_the_workflow_is_known_by_its_file(self) -> None:
        """And not by its title."""
        for name in ("nightly.yml", ".github/workflows/nightly.yml"):
            verifier = self.pinned(workflow=name, ref=None)
            assert await verifier.verify(self.good_request())
            assert await verifier.verify(self.asked(ref="refs/heads/x")) == (
                f"{REPOSITORY} at 'refs/heads/x'"
            )
            for other in (
                f"{REPOSITORY}/.github/workflows/other.yml@{MAIN}",
                f"{REPOSITORY}2/.github/workflows/nightly.yml@{MAIN}",
                f"{REPOSITORY}/.github/workflows/nightly.yml.yml@{MAIN}",
                "Nightly",
                None,
            ):
                error = await refusal(verifier, self.asked(workflow_ref=other))
                assert error.reason == "wrong_workflow"

    async def test_events_are_a_setting(self) -> None:
        push = self.asked(event_name="push")
        assert await self.pinned(event="push").verify(push)
        assert await self.pinned(event=["schedule", "push"]).verify(push)
        assert await self.pinned(event=None).verify(push)
        assert (await refusal(self.pinned(event="release"), push)).reason == "wrong_event_name"

    async def test_a_number_outlives_a_name(self) -> None:
        for number in (74, "74"):
            verifier = self.pinned(repository_id=number)
            assert await verifier.verify(self.good_request())
            error = await refusal(verifier, self.asked(repository_id="75"))
            assert error.reason == "wrong_repository_id"

    async def test_an_enterprise_has_its_own_issuer(self) -> None:
        own = "https://github.corp.example/_services/token"
        verifier = self.pinned(issuer=own + "/")
        assert await verifier.verify(self.asked(iss=own))
        assert (await refusal(verifier, self.good_request())).reason == "wrong_issuer"
        assert repr(verifier) == f"<GitHubOIDC {REPOSITORY}, {MAIN}>"


@pytest.mark.parametrize(
    ("options", "name"),
    [
        ({"repository": "octo"}, "repository"),
        ({"repository": "a/b/c"}, "repository"),
        ({"repository": None}, "repository"),
        ({"ref": "main"}, "ref"),
        ({"ref": ""}, "ref"),
        ({"ref": None}, "ref"),
        ({"workflow": ""}, "workflow"),
        ({"workflow": "Nightly"}, "workflow"),
        ({"workflow": "../nightly.yml"}, "workflow"),
        ({"workflow": "nightly.yml@main.yml"}, "workflow"),
        ({"event": ""}, "event"),
        ({"event": ["schedule", None]}, "event"),
        ({"repository_id": ""}, "repository_id"),
        ({"issuer": ""}, "issuer"),
    ],
)
def test_what_has_to_be_pinned_is_pinned(options: dict[str, Any], name: str) -> None:
    """A repository alone is not enough: whoever may open a pull request has its tokens."""
    with pytest.raises(InvalidOptionError, match=f"{name} must be"):
        GitHubOIDC(**{"audience": "https://app.example", "repository": REPOSITORY, **options})


def test_the_keys_are_where_the_issuer_has_them() -> None:
    made = GitHubOIDC(audience="https://app.example", repository=REPOSITORY)
    url = made._token._keys.url
    assert url == "https://token.actions.githubusercontent.com/.well-known/jwks"


@pytest.mark.parametrize("vendor", ["github", "google"])
@pytest.mark.parametrize("missing", ["jwt", "httpx", "anyio"])
def test_without_the_extra_the_error_names_the_install(
    vendor: str, missing: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import importlib

    for module in (vendor, "_oidc", "_jwks"):
        monkeypatch.delitem(sys.modules, f"afterwork_integrations.{module}", raising=False)
    monkeypatch.setitem(sys.modules, missing, None)

    with pytest.raises(ImportError, match=r"pip install 'afterwork\[oidc\]'"):
        importlib.import_module(f"afterwork_integrations.{vendor}")
