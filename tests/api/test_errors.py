"""Error answers: one form, stable codes, and nothing of the program's internals or of the request."""

from __future__ import annotations

import ast
import http.client
import json
import logging
import re
import socket
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from rest_framework import exceptions
from rest_framework.test import APIClient

from config import gunicorn
from tests.api.odd_urls import RAISED
from tests.factories import UserFactory
from tests.installation import ROOT, Installation
from tests.processes import wait_until
from tests.ups import Up, free_port, start_up
from tvarr_backup import errors
from tvarr_backup.api import errors as api_errors
from tvarr_backup.quoting import quoted

ECHO = "/api/v1/odd/echo"
MEMBERS = {"type", "title", "status", "detail", "code", "errors"}


@pytest.fixture
def user(db: None) -> User:
    return UserFactory.create(username="marit", is_superuser=False)


@pytest.fixture
def api(user: User, settings: Any) -> Any:
    """Return a client of a user, with the views of `odd_urls` added."""
    settings.ROOT_URLCONF = "tests.api.odd_urls"
    client = APIClient(raise_request_exception=False)
    client.force_login(user)
    return client


def refusal(response: Any) -> tuple[int, str]:
    """Return status and code of an error answer, which must not reveal internals."""
    assert response["Content-Type"] == "application/problem+json"
    body = json.loads(response.content)
    assert set(body) >= MEMBERS
    assert (body["type"], body["status"]) == ("about:blank", response.status_code)
    assert body["title"] == http.HTTPStatus(response.status_code).phrase
    for internal in ("secret", "/var/lib", "Traceback", "site-packages", ".py"):
        assert internal not in response.content.decode()
    return response.status_code, body["code"]


EXPECTED = {
    "fault": (500, "internal_error"),
    "not-found": (404, "not_found"),
    "denied": (403, "permission_denied"),
    "suspicious": (400, "bad_request"),
    "host": (400, "host_not_allowed"),
    "broken-off": (400, "body_incomplete"),
    "locked": (503, "database_busy"),
    "damaged": (503, "database_unusable"),
    "twice": (409, "conflict"),
    "wrong-query": (500, "internal_error"),
    "invalid": (400, "invalid"),
    "invalid-as-a-whole": (400, "invalid"),
    "ours": (409, "in_use"),
}


@pytest.mark.django_db  # both databases are asked what is wrong
@pytest.mark.parametrize("what", RAISED)
def test_every_exception_is_answered_as_a_problem(what: str, api: Any) -> None:
    assert refusal(api.get(f"/api/v1/odd/{what}")) == EXPECTED[what]


@pytest.mark.django_db
@pytest.mark.parametrize("what", RAISED)
def test_head_has_the_status_of_an_error(what: str, api: Any) -> None:
    response = api.head(f"/api/v1/odd/{what}")

    assert response.status_code == EXPECTED[what][0]
    assert response["Content-Type"] == "application/problem+json"


@pytest.mark.parametrize("what", ["fault", "wrong-query", "outside"])
def test_a_bug_is_logged_with_its_traceback(what: str, api: Any, caplog: pytest.LogCaptureFixture) -> None:
    refusal(api.get(f"/api/v1/odd/{what}"))

    (record,) = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert "/var/lib/harbour" in str(record.exc_info)


@pytest.mark.parametrize("what", ["locked", "damaged"])
def test_a_failing_database_is_logged(what: str, api: Any, caplog: pytest.LogCaptureFixture) -> None:
    refusal(api.get(f"/api/v1/odd/{what}"))

    assert str(RAISED[what]) in caplog.text


def test_a_bug_outside_of_the_framework_is_answered_alike(api: Any) -> None:
    assert refusal(api.get("/api/v1/odd/outside")) == (500, "internal_error")


def test_an_unknown_address_is_a_problem_for_every_user(api: Any) -> None:
    for client in (api, APIClient()):
        for address in ("/api", "/api/", "/api/v1/nothing", "/api/v1/nothing/", "/api/v2/x"):
            assert refusal(client.get(address)) == (404, "not_found")
            assert refusal(client.post(address, {}, format="json")) == (404, "not_found")


@pytest.mark.parametrize(
    "tail", ["%00", "%ff%fe", "..%2f..%2fetc%2fpasswd", "%2e%2e/", "a" * 4000, "%E2%80%AE", "//", "?a=%ff&b=%00"]
)
def test_odd_addresses_are_not_found(tail: str, api: Any) -> None:
    assert refusal(api.get(f"/api/v1/nothing/{tail}")) == (404, "not_found")


def test_a_slash_at_the_end_is_ignored(api: Any) -> None:
    assert api.get(ECHO + "/").status_code == 200


def test_an_unknown_host_is_refused(api: Any) -> None:
    assert refusal(api.get(ECHO, headers={"Host": "evil.example"})) == (400, "host_not_allowed")


def test_an_unknown_method_is_refused_with_the_expected_ones(api: Any) -> None:
    response = api.generic("DELETE", ECHO)

    assert refusal(response) == (405, "method_not_allowed")
    assert response.json()["detail"] == "Expected one of the methods GET, POST, PUT, HEAD, OPTIONS."
    assert response["Allow"] == "GET, POST, PUT, HEAD, OPTIONS"


@pytest.mark.parametrize("method", ["TRACE", "CONNECT", "PROPFIND", "X" * 2000, "get"])
def test_odd_methods_are_refused(method: str, api: Any) -> None:
    response = api.generic(method, ECHO)

    assert response.status_code in {200, 405}
    assert method not in response.content.decode() or response.status_code == 200


def test_options_lists_only_the_methods(api: Any) -> None:
    response = api.options(ECHO)

    assert response.json() == {"methods": ["GET", "POST", "PUT", "HEAD", "OPTIONS"]}
    assert response["Allow"] == "GET, POST, PUT, HEAD, OPTIONS"
    assert refusal(APIClient().options(ECHO)) == (401, "not_authenticated")


def test_head_is_get_without_the_body(api: Any) -> None:
    response = api.head(ECHO)

    assert (response.status_code, response.content) == (200, b"")


def test_an_accept_header_without_json_is_refused(api: Any) -> None:
    response = api.get(ECHO, headers={"Accept": "text/html"})

    assert refusal(response) == (406, "not_acceptable")
    assert response.json()["detail"] == "This call answers with application/json, which the Accept header excludes."


@pytest.mark.parametrize("accept", ["", "*/*", "application/*", "text/html, */*;q=0.1", ";;;", "application/json; q=1"])
def test_an_accept_header_with_json_is_answered(accept: str, api: Any) -> None:
    assert api.get(ECHO, headers={"Accept": accept}).status_code in {200, 406}


@pytest.mark.parametrize("kind", ["text/plain", "", "application/x-www-form-urlencoded", "x" * 3000, "a/b;c", "json"])
def test_another_content_type_is_refused_with_the_expected_one(kind: str, api: Any) -> None:
    response = api.generic("POST", ECHO, b"{}", content_type=kind)

    assert refusal(response) == (415, "unsupported_media_type")
    assert response.json()["detail"] == "Expected a body of type application/json."


@pytest.mark.parametrize("charset", ["latin-1", "utf-16", "cp037", "nonsense", "x" * 3000])
def test_another_charset_is_refused(charset: str, api: Any) -> None:
    response = api.generic("POST", ECHO + "?a=%ff", b"{}", content_type=f"application/json; charset={charset}")

    assert refusal(response) == (415, "unsupported_media_type")
    assert "charset" in response.json()["detail"]


@pytest.mark.parametrize("charset", ["utf-8", "UTF-8", '"utf-8"', "utf8"])
def test_the_charset_utf_8_is_accepted(charset: str, api: Any) -> None:
    response = api.generic("POST", ECHO, b"{}", content_type=f"application/json; charset={charset}")

    assert response.status_code == 200


# --- JSON ------------------------------------------------------------------------------------------------------------


def send(api: Any, body: bytes) -> Any:
    return api.generic("POST", ECHO, body, content_type="application/json")


def test_a_body_arrives_as_it_was_sent(api: Any) -> None:
    sent = {
        "texts": ["é", "\U0001f600", "\t"],
        "numbers": [1, -2, 3_000_000_000_000],
        "others": [None, True, {}],
        "": {"a": []},
    }

    assert send(api, json.dumps(sent).encode()).json() == {"data": sent}
    assert send(api, b"\xef\xbb\xbf" + json.dumps(sent, ensure_ascii=False).encode()).json() == {"data": sent}


TOO_DEEP = "The JSON has more than 32 levels of nesting."
BAD_JSON = {
    b"{": "Line 1, column 2: the JSON is incomplete.",
    b'{"a": 1,\n "b" 2}': "Line 2, column 7: this is not valid JSON.",
    b"{} {}": "Line 1, column 4: there is more text after the JSON.",
    b" ": "Line 1, column 2: the JSON is incomplete.",
    b"\xef\xbb\xbf": "Line 1, column 1: the JSON is incomplete.",
    b'{"a": NaN}': "Line 1, column 7: this is not valid JSON.",
    b"[Infinity]": "Line 1, column 2: this is not valid JSON.",
    b"[-Infinity]": "Line 1, column 3: this is not valid JSON.",
    b"[" + b"9" * 5000 + b"]": "Line 1, column 2: this number has too many digits.",
    b'{"a": 1, "a": 2}': f"The member {quoted('a')} appears twice in one object.",
    b'[{"b": {"a": 1, "\\u0061": 1}}]': f"The member {quoted('a')} appears twice in one object.",
    b'{"a": "\\ud800"}': "Line 1, column 8: unpaired surrogate.",
    b'{"\\udc00": 1}': "Line 1, column 3: unpaired surrogate.",
    b'["\\u0000"]': "The body contains the character NUL, which is not supported.",
    b'{"a\\\\\\u0000": 1}': "The body contains the character NUL, which is not supported.",
    b'["\x00"]': "Line 1, column 3: this is not valid JSON.",
    b'{"a": "\xff\xfe"}': "Line 1, column 8: this is not valid UTF-8.",
    b"\xff\xfe{\x00}\x00": "Line 1, column 1: this is not valid JSON.",
    b"'a'": "Line 1, column 1: this is not valid JSON.",
    b"[" * 33 + b"]" * 33: TOO_DEEP,
    b"[" * 100_000 + b"]" * 100_000: TOO_DEEP,
    b'{"a":' * 100_000 + b"1" + b"}" * 100_000: TOO_DEEP,
    b"[" * 100_000: TOO_DEEP,
}


@pytest.mark.parametrize(("body", "sentence"), BAD_JSON.items(), ids=[body[:20].decode("latin-1") for body in BAD_JSON])
def test_invalid_json_is_refused(body: bytes, sentence: str, api: Any) -> None:
    response = send(api, body)

    assert refusal(response) == (400, "not_json")
    assert response.json()["detail"] == sentence


@pytest.mark.parametrize("body", [b"[" * 32 + b"]" * 32, b'["\\ud83d\\ude00"]', b'["\\\\ud800"]', b"[1e308]", b'"[["'])
def test_json_at_the_limits_is_accepted(body: bytes, api: Any) -> None:
    assert send(api, body).json() == {"data": json.loads(body)}


def test_an_error_does_not_repeat_a_long_name(api: Any) -> None:
    name = "x" * 10_000
    response = send(api, f'{{"{name}": 1, "{name}": 2}}'.encode())

    assert refusal(response) == (400, "not_json")
    assert len(response.content) < 1000


def test_a_body_over_the_limit_is_refused(api: Any) -> None:
    assert send(api, b"[" + b" " * (2**20 - 2) + b"]").status_code == 200
    assert refusal(send(api, b"[" + b" " * (2**20 - 1) + b"]")) == (413, "request_too_large")


def test_a_missing_body_is_an_empty_object(api: Any) -> None:
    assert api.generic("POST", ECHO).json() == {"data": {}}


# --- Errors by JSON pointer ------------------------------------------------------------------------------------------


def pointers(response: Any) -> dict[str, str]:
    assert refusal(response) == (400, "invalid")
    return {found["pointer"]: found["code"] for found in response.json()["errors"]}


def test_each_error_has_its_pointer(api: Any) -> None:
    sent = {"steps": [{"name": "good"}, {}, {"name": "x" * 11}], "tags": {"a/b": "x", "c~d": 1, "": "y"}}
    response = api.put(ECHO, sent, format="json")

    assert pointers(response) == {
        "/title": "required",
        "/steps/1/name": "required",
        "/steps/2/name": "max_length",
        "/tags/a~1b": "invalid",
        "/tags/": "invalid",
    }
    assert response.json()["detail"] == "The request has 5 errors."


def test_a_single_error_is_the_detail(api: Any) -> None:
    response = api.put(ECHO, {"steps": []}, format="json")

    assert response.json()["detail"] == "This field is required."


def test_a_value_that_is_not_an_object_is_refused_as_a_whole(api: Any) -> None:
    assert pointers(api.put(ECHO, [], format="json")) == {"": "invalid"}
    assert pointers(api.put(ECHO, {"title": "a", "steps": [1]}, format="json")) == {"/steps/0": "invalid"}
    assert pointers(api.put(ECHO, {"title": "a", "steps": {}}, format="json")) == {"/steps": "not_a_list"}


def test_errors_of_django_have_their_pointers(api: Any) -> None:
    assert pointers(api.get("/api/v1/odd/invalid")) == {"/name": "invalid", "/a~1b~0c": "invalid"}
    assert pointers(api.get("/api/v1/odd/invalid-as-a-whole")) == {"": "do_not_fit"}


# --- Pages -----------------------------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_errors_of_pages_are_pages(settings: Any) -> None:
    settings.ROOT_URLCONF = "tests.api.odd_urls"
    client = Client(raise_request_exception=False, enforce_csrf_checks=True)
    pages = {
        404: client.get("/nothing"),
        500: client.get("/outside"),
        400: client.get("/admin/", headers={"Host": "evil.example"}),
        403: client.post("/sign-in/", {}),
    }

    for status, page in pages.items():
        text = page.content.decode()
        assert page.status_code == status
        assert page["Content-Type"] == "text/html; charset=utf-8"
        assert "<h1" in text
        assert not re.search(r"<style|\sstyle=|\son\w+=|<script(?! src=)|secret", text)


# --- The list of codes -----------------------------------------------------------------------------------------------


def documented() -> dict[str, str]:
    """Return codes and statuses from `docs/reference/errors.md`."""
    table = (ROOT / "docs" / "reference" / "errors.md").read_text(encoding="utf-8")
    return {
        code: status
        for codes, status in re.findall(r"^\| ((?:`\w+`(?:, )?)+) \| ([0-9, ]+|-) \|", table, re.MULTILINE)
        for code in re.findall(r"`(\w+)`", codes)
    }


def subclasses(kind: type[Any]) -> Iterator[type[Any]]:
    for child in kind.__subclasses__():
        yield child
        yield from subclasses(child)


def failures() -> Iterator[type[errors.TvarrBackupError]]:
    """Yield the error classes with a code."""
    known = (kind for kind in subclasses(errors.TvarrBackupError) if kind.__module__ == errors.__name__)
    return (kind for kind in known if kind.code != errors.TvarrBackupError.code)


_POSITION_OF_CODE = {"problem": 1, "problem_response": 1, "_refuse": 2}


def literal_codes() -> set[str]:
    """Return the codes in calls that build error answers."""
    found = set()
    for path in (*(ROOT / "tvarr_backup" / "api").rglob("*.py"), ROOT / "config" / "refusals.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") in _POSITION_OF_CODE:
                code = node.args[_POSITION_OF_CODE[getattr(node.func, "id", "")]]
                found |= {str(code.value)} if isinstance(code, ast.Constant) else set()
    return found


def test_every_code_is_in_the_documentation() -> None:
    frameworks = {
        kind.default_code
        for kind in subclasses(exceptions.APIException)
        if kind.__module__.startswith(("rest_framework", "tvarr_backup"))
    } - {"error"}

    gunicorns = {code for code, _sentence in gunicorn.REFUSALS.values()}

    assert {kind.code for kind in failures()} | frameworks | literal_codes() | gunicorns == set(documented())


def test_the_documented_statuses_are_those_that_are_answered() -> None:
    stated = documented()
    wrong = {kind.code for kind in failures() if stated[kind.code] not in {"-", str(int(api_errors.status_of(kind)))}}

    assert wrong == set()


# --- Bodies of another length than announced, against the real server ------------------------------------------------


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    running = start_up(Installation(tmp_path_factory.mktemp("errors") / "data"), free_port())
    try:
        wait_until(lambda: running.process.poll() is not None or running.answers(), "it answers", seconds=60)
        yield running
    finally:
        running.process.terminate()
        running.process.wait(timeout=30)


@pytest.fixture(scope="module")
def token(up: Up) -> str:
    installation = Installation(up.log_path.parent / "data")
    made = installation.json("token", "create", "Harbour script", "--user", "admin", "--json")
    return str(made["token"])


def converse(up: Up, token: str, head: str, body: bytes = b"") -> tuple[int, str]:
    """Send a request over a socket and return status and code of the answer."""
    with closing(socket.create_connection(("127.0.0.1", up.port), timeout=30)) as connection:
        request = f"POST /api/v1/expressions/validate HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {token}\r\n"
        request += f"Content-Type: application/json\r\nConnection: close\r\n{head}\r\n"
        connection.sendall(request.encode() + body)
        connection.shutdown(socket.SHUT_WR)
        response = http.client.HTTPResponse(connection)
        response.begin()
        assert response.getheader("Content-Type") == "application/problem+json"
        return response.status, json.loads(response.read())["code"]


def test_a_body_that_is_announced_as_too_large_is_refused_immediately(up: Up, token: str) -> None:
    assert converse(up, token, "Content-Length: 99999999999\r\n") == (413, "request_too_large")


CHUNKED = "Transfer-Encoding: chunked\r\n"


def test_a_chunked_body_is_read(up: Up, token: str) -> None:
    assert converse(up, token, CHUNKED, b"2\r\n{}\r\n0\r\n\r\n") == (400, "invalid")


def test_a_chunked_body_that_is_longer_than_a_form_is_refused(up: Up, token: str) -> None:
    chunk = b"40000\r\n" + bytes(0x40000) + b"\r\n"
    assert converse(up, token, CHUNKED, 11 * chunk + b"0\r\n\r\n") == (411, "length_required")


@pytest.mark.parametrize("chunks", [b"2\r\n{", b"x\r\n{}\r\n0\r\n\r\n"], ids=["cut off", "invalid"])
def test_chunks_that_cannot_be_read_are_refused(up: Up, token: str, chunks: bytes) -> None:
    assert converse(up, token, CHUNKED, chunks) == (400, "body_incomplete")


def test_a_body_that_is_longer_than_announced_is_cut(up: Up, token: str) -> None:
    assert converse(up, token, "Content-Length: 1\r\n", b'{"expression": "a"}') == (400, "not_json")


def test_a_body_that_ends_early_is_refused(up: Up, token: str) -> None:
    logged = len(up.log)
    with closing(socket.create_connection(("127.0.0.1", up.port), timeout=30)) as connection:
        request = f"POST /api/v1/expressions/validate HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {token}\r\n"
        request += 'Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{"expression"'
        connection.sendall(request.encode())
        connection.shutdown(socket.SHUT_WR)
        response = http.client.HTTPResponse(connection)
        response.begin()
        assert (response.status, json.loads(response.read())["code"]) == (400, "body_incomplete")
    assert "Traceback" not in up.log[logged:]


@pytest.mark.parametrize("charset", ["base64", "rot13", "punycode", "undefined"])
def test_charsets_that_are_not_of_text_are_refused(charset: str, up: Up, token: str) -> None:
    """Python has codecs that are not of text. With one of them, Django alone ends the connection without an answer."""
    with closing(http.client.HTTPConnection("127.0.0.1", up.port, timeout=30)) as connection:
        headers = {"Authorization": f"Bearer {token}", "Content-Type": f"application/json; charset={charset}"}
        for address, status in (("/api/v1/schema?a=%ff", 415), ("/nothing?a=%ff", 404)):
            connection.request("GET", address, headers=headers)
            response = connection.getresponse()
            response.read()
            assert response.status == status


def test_a_body_without_length_is_ignored(up: Up, token: str) -> None:
    assert converse(up, token, "") == (400, "invalid")


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"GET /api/v1/filters\r\n\r\n", 400),
        (b"GET /api/v1/filters HTTP/9.9\r\n\r\n", 400),
        (b"G\xe9T /api/v1/filters HTTP/1.1\r\n\r\n", 400),
        (b"GET /api/v1/filters?a=" + b"b" * 5000 + b" HTTP/1.1\r\n\r\n", 414),
        (b"GET /api/v1/filters HTTP/1.1\r\nHost: a\r\nX Y: z\r\n\r\n", 400),
        (b"GET /api/v1/filters HTTP/1.1\r\nHost: a\r\nX-Long: " + b"a" * 9000 + b"\r\n\r\n", 431),
        (b"GET /api/v1/filters HTTP/1.1\r\nHost: a\r\n" + b"X-Many: 1\r\n" * 120 + b"\r\n", 431),
        (b"POST /api/v1/filters HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n", 400),
        (b"POST /api/v1/filters HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: rot13\r\n\r\n", 501),
        (b"GET /api/v1/filters HTTP/1.1\r\nHost: attacker.example.test\r\n\r\n", 400),
        (b"GET /api/v1/filters HTTP/1.1\r\nHost: a b<c>\r\n\r\n", 400),
        (b"GET /api/v1/nothing%00%ff HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", 404),
        (b"GET /api/v1/filters?%ff=%00&limit=x HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", 401),
        (b"PROPFIND /api/v1/filters HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", 401),
    ],
    ids=lambda value: value[:60] if isinstance(value, bytes) else value,
)
def test_errors_before_a_view_are_answered_in_json(request_: bytes, status: int, up: Up) -> None:
    with closing(socket.create_connection(("127.0.0.1", up.port), timeout=30)) as connection:
        connection.sendall(request_)
        response = http.client.HTTPResponse(connection)
        response.begin()
        body = response.read()
    assert (response.status, response.getheader("Content-Type")) == (status, "application/problem+json"), body
    found = json.loads(body)
    assert found["status"] == status
    assert found["code"]


def test_the_log_contains_no_tokens(up: Up, token: str) -> None:
    assert token not in Path(up.log_path).read_text()
