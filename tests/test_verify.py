from __future__ import annotations

from afterwork.verify import TriggerRequest
from tests.support import http_scope


def test_a_request_knows_its_target_without_the_host() -> None:
    """The query is part of it, and the path is as it was written."""
    scope = http_scope("/a b", raw_path=b"/a%20b?ignored", query_string=b"x=%31")

    assert TriggerRequest(scope).target == "/a%20b?x=%31"
    assert TriggerRequest(http_scope("/a b")).target == "/a%20b"


def test_a_requests_url_is_made_of_what_the_server_saw() -> None:
    named = http_scope("/x", headers=[(b"Host", b"h:1")], scheme="https")

    assert TriggerRequest(named).url == "https://h:1/x"
    assert TriggerRequest(http_scope("/x", server=("10.0.0.1", 80))).url == "http://10.0.0.1:80/x"
    assert TriggerRequest(http_scope("/x", server=("/run/app", None))).url == "http:///run/app/x"
    assert TriggerRequest(http_scope("/x")).url == "http://localhost/x"


def test_a_requests_headers_are_found_in_any_case_and_never_fail() -> None:
    request = TriggerRequest(
        http_scope(method="post", headers=[(b"X-A", b" \xe9 "), (b"x-a", b"second")])
    )

    assert request.method == "POST"
    assert request.header_bytes("x-A") == b" \xe9 "
    assert request.header("X-a") == "\xe9"
    assert request.header("x-b") is None
    assert request.client is None
    assert TriggerRequest(http_scope(client=("127.0.0.1", 1))).client == "127.0.0.1"
