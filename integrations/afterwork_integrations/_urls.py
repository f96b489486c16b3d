"""What the integrations that connect to a server share: URLs, without giving away a password."""

from __future__ import annotations

from urllib.parse import parse_qsl, urlencode, urlsplit

__all__ = ["split_options", "without_password"]


def split_options(url: str, names: tuple[str, ...]) -> tuple[str, dict[str, str]]:
    """The URL without those parameters of its query that are ours, and these. The rest of the query
    is the client library's."""
    head, mark, query = url.partition("?")
    if not mark:
        return url, {}
    pairs = parse_qsl(query, keep_blank_values=True)
    theirs = urlencode([pair for pair in pairs if pair[0] not in names])
    return (f"{head}?{theirs}" if theirs else head), {k: v for k, v in pairs if k in names}


def without_password(url: str) -> str:
    """A URL for people: scheme, host, port and path. User, password and query are left out, and all
    that cannot be told apart from them."""
    parts = urlsplit(url)
    try:
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        port = "@"
    if "@" in port + parts.path + parts.query + parts.fragment:
        # A password with a slash, hash or question mark that was not encoded: where it ends is
        # anybody's guess.
        return parts.scheme
    return f"{parts.scheme}://{parts.hostname or ''}{port}{parts.path}"
