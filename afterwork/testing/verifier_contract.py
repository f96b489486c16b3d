"""The rules that every verifier keeps, as tests to run against yours.

```
# test_my_verifier.py
from afterwork.testing.verifier_contract import VerifierContract

class TestMyVerifier(VerifierContract):
    headers = ("x-signature",)          # where the proof is
    signs_body = True                   # a changed body is refused too

    def make_verifier(self):
        return MyVerifier(SECRET)

    def good_request(self):
        return self.request({"x-signature": sign(SECRET, b"{}")}, b"{}")

    def secrets(self):
        return [SECRET]
```

The tests are coroutines and run under pytest-asyncio (`asyncio_mode = "auto"`) or any other plugin
that runs coroutine methods.
"""

from __future__ import annotations

import asyncio
import random
import re
import traceback

from .._verify import TriggerRequest
from ..errors import VerificationError
from ._forgery import Records, changed, meaning, mutated, value_of, with_headers

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from typing import ClassVar

    from .._verify import Verifier

MANY = 200
MUTATIONS = 1000
HUGE = 64 * 1024
SEED = 20_260_101
TELLING = 8
"""Characters from which on a text that is found in a message is no coincidence."""


class VerifierContract:
    """Subclass it as `Test...`, and say how a verifier and a request that pleases it are made."""

    headers: ClassVar[Sequence[str]] = ("authorization",)
    """The headers that hold the proof. Each has to be there, once and unchanged."""

    signs_body: ClassVar[bool] = False
    """Whether the proof covers the body."""

    def make_verifier(self) -> Verifier:
        """A new verifier."""
        raise TypeError(
            f"{type(self).__name__} has to define make_verifier(), which returns a verifier"
        )

    def good_request(self) -> TriggerRequest:
        """A request that the verifier lets in; `request` helps to make one."""
        raise TypeError(
            f"{type(self).__name__} has to define good_request(), which returns a TriggerRequest"
        )

    def secrets(self) -> Iterable[str]:
        """What may appear nowhere: the secrets, and what would be accepted in their place."""
        raise TypeError(f"{type(self).__name__} has to define secrets(), which returns their texts")

    def same(self, header: str, before: bytes, after: bytes) -> bool:
        """Whether two values of a header mean the same, so that both may be let in. The default
        knows that spaces around a value and the case of a scheme mean nothing."""
        return meaning(header, before) == meaning(header, after)

    def request(self, headers: Mapping[str, str | bytes], body: bytes = b"") -> TriggerRequest:
        """A POST to https://app.example/cron/nightly."""
        raw = [(b"host", b"app.example")]
        for name, value in headers.items():
            raw.append((name.encode(), value if isinstance(value, bytes) else value.encode()))
        scope = {
            "type": "http",
            "method": "POST",
            "scheme": "https",
            "path": "/cron/nightly",
            "raw_path": b"/cron/nightly",
            "query_string": b"",
            "headers": raw,
            "client": ("203.0.113.9", 50000),
        }
        return TriggerRequest(scope, body)

    async def refused(self, verifier: Verifier, request: TriggerRequest, what: str) -> None:
        """Fails unless the request is refused, with `VerificationError` and without a word of what
        nobody may read."""
        with Records() as records:
            try:
                said = await verifier.verify(request)
            except VerificationError as error:
                told = [*error.args, error.reason, error.detail, *traceback.format_exception(error)]
            except Exception as error:
                raise AssertionError(
                    f"a request with {what} raised {type(error).__name__}, which is not a "
                    "VerificationError"
                ) from error
            else:
                raise AssertionError(f"a request with {what} was let in: {said!r}")
        self._assert_silent(f"the refusal of a request with {what}", [*map(str, told), *records])

    def test_its_name_is_a_short_lower_case_word(self) -> None:
        """Logs and metrics use it."""
        name = self.make_verifier().name
        assert re.fullmatch(r"[a-z][a-z0-9_]{0,31}", name), name

    async def test_a_good_request_is_let_in_and_nothing_secret_is_said(self) -> None:
        """Also a second time: a verifier has no memory of requests."""
        verifier = self.make_verifier()
        with Records() as records:
            said = [await verifier.verify(self.good_request()) for _ in range(2)]

        assert all(isinstance(text, str) and text for text in said), said
        self._assert_silent("what is said of a good caller", [*said, *records])

    def test_its_repr_shows_no_secret(self) -> None:
        """Reprs end up in logs and error reports."""
        verifier = self.make_verifier()
        self._assert_silent("the repr", [repr(verifier), str(verifier), f"{verifier}"])

    async def test_missing_and_empty_credentials_are_refused(self) -> None:
        """Whatever else is in the request."""
        verifier = self.make_verifier()
        good = self.good_request()
        bare = [(key, value) for key, value in good.scope["headers"] if not self._is_proof(key)]
        await self.refused(verifier, with_headers(good, bare), "no credentials")
        for header in self.headers:
            await self.refused(verifier, changed(good, header, []), f"no {header}")
            for empty in (b"", b" ", b"\t", b"Bearer", b"Bearer ", b"None", b"undefined"):
                await self.refused(verifier, changed(good, header, [empty]), f"{empty!r}")

    async def test_wrong_credentials_are_refused(self) -> None:
        """Cut off, changed in one byte, too long, not ASCII, huge, or sent twice."""
        verifier = self.make_verifier()
        good = self.good_request()
        for header in self.headers:
            value = value_of(good, header)
            scheme = value[: value.index(b" ") + 1] if b" " in value else b""
            for wrong, what in (
                (value[:-1], "one byte less"),
                (value + b"A", "one byte more"),
                (value[:-1] + bytes([value[-1] ^ 1]), "another last byte"),
                (value[: len(value) // 2], "half of it"),
                (value + b"\xe9", "a byte that is not ASCII"),
                (b"\xe9" * len(value), "nothing but bytes that are not ASCII"),
                (value + b"\x00", "a zero byte"),
                (scheme + b"A" * HUGE, "a huge value"),
                (value + b"A" * HUGE, "a huge addition"),
            ):
                request = changed(good, header, [wrong])
                await self.refused(verifier, request, f"{what} in {header}")
            for twice in ([value, value], [value, b"x"], [b"x", value]):
                await self.refused(verifier, changed(good, header, twice), f"{header} twice")

    async def test_a_changed_body_is_refused_where_it_is_signed(self) -> None:
        """And makes no difference where it is not."""
        verifier = self.make_verifier()
        good = self.good_request()
        for body in (good.body + b" ", good.body[:-1] if good.body else b"x", b"\xff" + good.body):
            request = TriggerRequest(good.scope, body)
            if self.signs_body:
                await self.refused(verifier, request, "a changed body")
            else:
                assert await verifier.verify(request)

    async def test_many_requests_at_once_do_not_mix(self) -> None:
        """One verifier serves all requests of the process."""
        verifier = self.make_verifier()
        good = self.good_request()
        header = self.headers[0]
        wrong = changed(good, header, [value_of(good, header)[:-1]])

        async def one(number: int) -> None:
            if number % 2:
                await self.refused(verifier, wrong, "one byte less")
            else:
                assert await verifier.verify(good)

        await asyncio.gather(*(one(number) for number in range(MANY)))

    async def test_whatever_is_in_a_header_it_is_let_in_or_refused(self) -> None:
        """A thousand random changes, the same ones every time: `VerificationError` and nothing
        else, and none is let in that means something else."""
        verifier = self.make_verifier()
        good = self.good_request()
        chance = random.Random(SEED)
        for _ in range(MUTATIONS):
            header = chance.choice(self.headers)
            before = value_of(good, header)
            after = mutated(chance, before)
            if not self.same(header, before, after):
                await self.refused(
                    verifier, changed(good, header, [after]), f"a random change of {header}"
                )

    def _is_proof(self, key: bytes) -> bool:
        return key.decode("latin-1").lower() in self.headers

    def _assert_silent(self, where: str, texts: Iterable[str]) -> None:
        """Nothing secret in the texts, nor what the good request shows as its proof."""
        good = self.good_request()
        shown = [value_of(good, header).decode("latin-1") for header in self.headers]
        # Without the scheme: `Bearer` itself may be said.
        parts = {word for value in shown for word in value.split() if len(word) > 2 * TELLING}
        for secret in {*self.secrets(), *parts}:
            if len(secret) >= TELLING and any(secret in text for text in texts):
                # Not shown here either: reports of tests are kept and read by many.
                raise AssertionError(f"{where} holds a secret")
