"""What the contract of verifiers is made with: requests that are almost right, and what is logged
while they are checked."""

from __future__ import annotations

import logging

from .._verify import TriggerRequest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from random import Random


class Records:
    """What is logged meanwhile, as texts."""

    def __enter__(self) -> Records:
        self._handler = logging.Handler(logging.DEBUG)
        self._texts: list[str] = []
        self._handler.emit = self._keep  # type: ignore[method-assign]
        logging.getLogger().addHandler(self._handler)
        return self

    def __exit__(self, *error: object) -> None:
        logging.getLogger().removeHandler(self._handler)

    def __iter__(self) -> Iterator[str]:
        return iter(self._texts)

    def _keep(self, record: logging.LogRecord) -> None:
        self._texts.append(f"{self._handler.format(record)} {vars(record)}")


def value_of(request: TriggerRequest, header: str) -> bytes:
    """What the good request has in a header."""
    value = request.header_bytes(header)
    assert value, f"good_request() has no {header} header; `headers` says that it holds the proof"
    return value


def changed(request: TriggerRequest, header: str, values: list[bytes]) -> TriggerRequest:
    """The same request with other values of a header: none, one or several."""
    name = header.lower().encode()
    others = [(key, value) for key, value in request.scope["headers"] if key.lower() != name]
    return with_headers(request, [*others, *((name, value) for value in values)])


def with_headers(request: TriggerRequest, headers: list[tuple[bytes, bytes]]) -> TriggerRequest:
    """The same request with other headers."""
    return TriggerRequest({**request.scope, "headers": headers}, request.body)


def meaning(header: str, value: bytes) -> bytes:
    """The value without what means nothing in it."""
    value = value.strip(b" \t")
    if header.lower() != "authorization":
        return value
    scheme, _, rest = value.partition(b" ")
    return scheme.lower() + b" " + rest.lstrip(b" ")


def mutated(chance: Random, value: bytes) -> bytes:
    """The value with a few pieces replaced, taken out, put in or doubled."""
    for _ in range(chance.randint(1, 3)):
        start = chance.randrange(len(value) + 1)
        end = min(len(value), start + chance.choice((0, 1, 1, 4, 40)))
        piece = chance.choice(
            (
                b"",
                chance.randbytes(chance.randint(1, 6)),
                bytes(chance.choices(b' \t,.=:;-_{}[]"\\%\x00\xe9AZaz09', k=chance.randint(1, 4))),
                value[start:end] * 2,
                value[:end],
            )
        )
        value = value[:start] + piece + value[end:]
    return value
