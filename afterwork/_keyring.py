"""The secrets of a verifier: given in code, or read from the environment.

1. Of secrets given in code only hashes are kept, so that no repr, no debugger's view and no dump of
   the objects shows one. Hashes also have one length, so that comparing takes one time.
2. Every secret is compared, whichever was the right one.
3. The environment is read again for every request: a secret that is taken away or spoilt later
   closes the route, and one that is changed needs no restart.
"""

from __future__ import annotations

import hmac
import os
import re
from hashlib import sha256

from ._secrets import check_secret
from .errors import InsecureSecretError, InvalidOptionError, VerifierUnavailableError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn, TypeAlias

    Hashes: TypeAlias = list[tuple[str, bytes]]
    """What a log calls each secret, and the secret's hash."""

_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


class Keyring:
    """Secrets that are given in code. Raises `InsecureSecretError`, naming them by number."""

    __slots__ = ("_hashes",)

    def __init__(self, owner: str, secrets: tuple[str, ...]) -> None:
        if not secrets:
            raise InsecureSecretError(f"of {owner}", "none was given")
        self._hashes = [
            (f"secret {number}", _hash(check_secret(f"number {number} of {owner}", secret)))
            for number, secret in enumerate(secrets, 1)
        ]

    def current(self) -> Hashes:
        """The secrets, always the same."""
        return self._hashes

    def __repr__(self) -> str:
        return "1 secret" if len(self._hashes) == 1 else f"{len(self._hashes)} secrets"

    def __reduce__(self) -> NoReturn:
        raise TypeError(
            "a verifier with secrets is not pickled, because pickles get stored and sent. Build it "
            "where it is used; from_env() needs nothing but the environment."
        )


class EnvKeyring:
    """Secrets that are in environment variables: the first has to be there, the others may be.

    Raises `InsecureSecretError` with the variable's name. `missing_ok` lets it be made while none
    of the variables exists.
    """

    __slots__ = ("names",)

    def __init__(self, names: tuple[str, ...], *, missing_ok: bool = False) -> None:
        for name in names:
            if not isinstance(name, str) or not _VARIABLE.fullmatch(name):
                # Not shown: whoever mixes up name and value has put the secret here.
                raise InvalidOptionError("from_env", "given names of variables", type(name))
        self.names = names
        if not (missing_ok and self.is_missing()):
            self._read()

    def is_missing(self) -> bool:
        """Whether none of the variables exists. An empty one does exist."""
        return not any(name in os.environ for name in self.names)

    def current(self) -> Hashes:
        """The secrets as they are now. Raises `VerifierUnavailableError` where they are not good
        any more."""
        try:
            return self._read()
        except InsecureSecretError as error:
            raise VerifierUnavailableError(str(error)) from None

    def __repr__(self) -> str:
        return f"secrets in {', '.join(self.names)}"

    def _read(self) -> Hashes:
        first, *others = self.names
        names = [first, *(name for name in others if name in os.environ)]
        return [
            (f"secret {number} ({name})", _hash(check_secret(name, os.environ.get(name))))
            for number, name in enumerate(names, 1)
        ]


def find(shown: bytes, hashes: Hashes) -> str | None:
    """What the log calls the secret that was shown, or None."""
    hashed = sha256(shown).digest()
    found = None
    for label, expected in hashes:
        # No early end: how long it takes must not tell which one was right.
        if hmac.compare_digest(hashed, expected) and found is None:
            found = label
    return found


def _hash(secret: str) -> bytes:
    return sha256(secret.encode("ascii")).digest()
