"""Who is let in at the trigger route. One verifier that is content is enough."""

from __future__ import annotations

from . import _answers, _events
from ._answers import Answer, Refused
from .errors import InvalidOptionError, VerificationError, VerifierUnavailableError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ._notices import Notices
    from ._verify import TriggerRequest, Verifier


class Gate:
    """The verifiers of one route."""

    def __init__(self, verify: Any, private: bool, notices: Notices) -> None:
        self.verifiers = _verifiers(verify, private)
        self._notices = notices

    async def verify(self, request: TriggerRequest) -> None:
        """Raises `Refused` unless one verifier is content. What was wrong is for the log alone."""
        reasons: list[str] = []
        kinds: list[str] = []
        unavailable = False
        for verifier in self.verifiers:
            try:
                await verifier.verify(request)
                return
            except VerificationError as error:
                reasons.append(f"{verifier.name}: {error}")
                kinds.append(error.reason)
            except VerifierUnavailableError as error:
                unavailable = True
                self._say("trigger.unavailable", None, verifier=verifier.name, detail=error.detail)
            except Exception as error:
                self._say("verifier.failed", error, verifier=verifier.name)
                reasons.append(f"{verifier.name}: failed")
        if unavailable:
            raise Refused(_answers.unavailable())
        self._notices.say_each_minute(
            "trigger.refused",
            # A scanner without credentials must not hide the caller whose signature is wrong.
            kind=" ".join(kinds),
            path=str(request.scope["path"])[:200],
            client=request.client,
            reasons=reasons,
        )
        raise Refused(Answer(401, "unauthorized", {"WWW-Authenticate": "Bearer"}))

    async def knows(self, request: TriggerRequest) -> bool:
        """Whether one verifier is content; nobody is told, and nothing is logged."""
        for verifier in self.verifiers:
            try:
                await verifier.verify(request)
                return True
            except Exception:  # the verdict is for everybody, so nobody is refused
                continue
        return False

    def _say(self, event: str, error: BaseException | None, **fields: Any) -> None:
        self._notices.say_each_minute(event, _events.ERROR, error, **fields)


def _verifiers(verify: Any, private: bool) -> tuple[Verifier, ...]:
    several: tuple[Any, ...] = tuple(verify) if isinstance(verify, (list, tuple)) else (verify,)
    if verify is None or not several:
        if private:
            return ()
        raise InvalidOptionError(
            "verify",
            "a Verifier or a list of them, such as Bearer.from_env('CRON_SECRET'), since nobody "
            "else may trigger jobs",
            verify,
        )
    if private:
        raise InvalidOptionError("verify", "left out with private=True", verify)
    for each in several:
        if not (hasattr(each, "verify") and hasattr(each, "name")) or isinstance(each, type):
            raise InvalidOptionError("verify", "a Verifier or a list of them", each)
    return several
