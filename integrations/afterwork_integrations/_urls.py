"""What the integrations that connect to a server share: URLs, without giving away a password."""

from __future__ import annotations

from urllib.parse import parse_qsl, urlencode, urlsplit

__all__ = ["split_options", "without_password"]


def split_options(url: str, names: tuple[str, ...]) -> tuple[str, dict[str, str]]:
    """The URL without those parameters of its query that are ours, and these. The rest of the query
    is the client library's."""
    head, _, query = url.partition("?")
    pairs = parse_qsl(query, keep_blank_values=True)
    ours = {name: value for name, value in pairs if name in names}
    if not ours:
        return url, ours
    theirs = urlencode([pair for pair in pairs if pair[0] not in names])
    return (f"{head}?{theirs}" if theirs else head), ours


def without_password(url: str) -> str:
    """A URL for people: scheme, host, port and path. User, password and query are left out, and all
    that cannot be told apart from them."""
    scheme = url.partition(":")[0]
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        return scheme
    if "@" in parts.path + parts.query + parts.fragment:
        # A password with a slash, hash or question mark that was not encoded: where it ends is
        # anybody's guess.
        return scheme
    host = f"[{host}]" if ":" in host else host
    return f"{scheme}://{host}{'' if port is None else f':{port}'}{parts.path}"
