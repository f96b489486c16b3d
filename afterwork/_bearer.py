"""Verifiers for callers that send a shared secret."""

from __future__ import annotations

import re

from . import _check, _events
from ._credentials import bearer_token, sole_header
from ._keyring import EnvKeyring, Keyring, find
from ._local import require_local
from .errors import InvalidOptionError, VerificationError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Self

    from ._verify import TriggerRequest

# RFC 9110, section 5.6.2.
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")


class _Shared:
    """What the verifiers of shared secrets have in common: everything but where the secret is."""

    __slots__ = ("_keys", "_open")

    name: str
    _keys: Keyring | EnvKeyring
    _open: EnvKeyring | None

    async def verify(self, request: TriggerRequest) -> str:
        """Returns the number of the secret that was shown, and its variable if it has one.

        Raises `VerificationError` for a caller without a right secret, and
        `VerifierUnavailableError` for everybody once the environment holds no good secret.
        """
        if self._open is not None and self._open.is_missing():
            return require_local(request, self._open.names[0])
        # Before the request is looked at: without good secrets nobody's credentials count.
        secrets = self._keys.current()
        found = find(self._shown(request), secrets)
        if found is None:
            raise VerificationError("wrong_secret", "none of the configured secrets was shown")
        return found

    def _shown(self, request: TriggerRequest) -> bytes:
        """What the caller shows as its secret. Only the subclasses know where that is."""
        raise NotImplementedError

    def _use(self, *secrets: str) -> None:
        self._keys = Keyring(f"{type(self).__name__}()", secrets)
        self._open = None

    def _use_env(self, names: tuple[str, ...], open_in_dev: bool) -> None:
        keys = EnvKeyring(names, missing_ok=_check.flag("open_in_dev", open_in_dev))
        self._keys = keys
        # Decided once: a secret that was there and is gone later is a fault and no wish.
        self._open = keys if open_in_dev and keys.is_missing() else None
        if self._open is not None:
            _events.emit(
                _events.WARNING,
                "trigger.open",
                verifier=self.name,
                variable=names[0],
                note=f"{names[0]} is not set, so during development whoever is on this machine "
                "may trigger jobs; anywhere else everybody is refused",
            )


class Bearer(_Shared):
    """Lets in whoever sends `Authorization: Bearer <secret>`: Vercel Cron, curl, pg_cron, and most
    schedulers that can send a header.

    ```
    work.routes(verify=Bearer.from_env("CRON_SECRET"))
    ```

    Each of several secrets is accepted, which is how one is replaced: add the new one, change the
    callers, take the old one away. The log names a secret by its number, from 1 on.

    Secrets are checked when it is made, and a weak one raises `InsecureSecretError`; `check_secret`
    in `afterwork.verify` has the rules. They are compared as bytes and in constant time, and are in
    no repr, message or pickle. A secret in the query (`?secret=`) is not accepted, because access
    logs keep addresses. Nor do headers that anybody can send prove anything, such as
    `User-Agent: vercel-cron/1.0`.
    """

    __slots__ = ()

    name = "bearer"

    def __init__(self, *secrets: str) -> None:
        self._use(*secrets)

    @classmethod
    def from_env(cls, name: str, *more: str, open_in_dev: bool = False) -> Self:
        """With secrets from environment variables; one in each, so that it may hold any character.

        The first has to exist, or `InsecureSecretError` names it. The others are for replacing it
        and may be missing: `Bearer.from_env("CRON_SECRET", "CRON_SECRET_OLD")`. All that exist are
        checked now and again for every request, so that a change needs no restart; once one of them
        is not good any more, everybody is refused with `VerifierUnavailableError`.

        `open_in_dev`
            Default False. With True it can be made while the variables are missing. It says so once
            (`trigger.open`), and then lets in requests without a secret, but only those that come
            from this machine and ask for localhost, past no proxy, while `AFTERWORK_ENV` or
            `VERCEL_ENV` says `development`, and neither says something else. Everybody else is
            refused. Where a variable is set, even to nothing, it changes nothing.
        """
        self = cls.__new__(cls)
        self._use_env((name, *more), open_in_dev)
        return self

    def __repr__(self) -> str:
        return f"<Bearer, {self._keys!r}>"

    def _shown(self, request: TriggerRequest) -> bytes:
        return bearer_token(request)


class HeaderSecret(_Shared):
    """Lets in whoever sends a secret as the value of a header of your choice. For callers that
    cannot send `Authorization`, or send something else in it.

    ```
    work.routes(verify=HeaderSecret.from_env("x-cron-secret", "CRON_SECRET"))
    ```

    The whole value is the secret, with no scheme before it. In all else it is as `Bearer`. Raises
    `InvalidOptionError` for what cannot be a header's name.
    """

    __slots__ = ("header",)

    name = "header_secret"

    def __init__(self, header: str, *secrets: str) -> None:
        self.header = _header_name(header)
        self._use(*secrets)

    @classmethod
    def from_env(cls, header: str, name: str, *more: str, open_in_dev: bool = False) -> Self:
        """With secrets from environment variables, as `Bearer.from_env`."""
        self = cls.__new__(cls)
        self.header = _header_name(header)
        self._use_env((name, *more), open_in_dev)
        return self

    def __repr__(self) -> str:
        return f"<HeaderSecret {self.header}, {self._keys!r}>"

    def _shown(self, request: TriggerRequest) -> bytes:
        return sole_header(request, self.header)


def _header_name(header: object) -> str:
    if not isinstance(header, str) or not _TOKEN.fullmatch(header):
        # Not shown: whoever mixes up name and value has put the secret here.
        raise InvalidOptionError("header", "a header's name, such as 'x-cron-secret'", type(header))
    return header.lower()
