"""Refusals: one form, a stable code, and nothing of what is behind the scenes or of what was sent."""

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
    """Somebody who is signed in, and the odd calls beside ours."""
    settings.ROOT_URLCONF = "tests.api.odd_urls"
    client = APIClient(raise_request_exception=False)
    client.force_login(user)
    return client


def refusal(response: Any) -> tuple[int, str]:
    """Status and code of a problem, which must be one, and must not tell too much."""
    assert response["Content-Type"] == "application/problem+json"
    body = json.loads(response.content)
    assert set(body) >= MEMBERS
    assert (body["type"], body["status"]) == ("about:blank", response.status_code)
    assert body["title"] == http.HTTPStatus(response.status_code).phrase
    for telling in ("secret", "/var/lib", "Traceback", "site-packages", ".py"):
        assert telling not in response.content.decode()
    return response.status_code, body["code"]


EXPECTED = {
    "fault": (500, "internal_error"),
    "not-found": (404, "not_found"),
    "denied": (403, "permission_denied"),
    "suspicious": (400, "bad_request"),
    "host": (400, "bad_request"),
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
def test_whatever_is_raised_is_answered_as_a_problem(what: str, api: Any) -> None:
    assert refusal(api.get(f"/api/v1/odd/{what}")) == EXPECTED[what]


@pytest.mark.django_db
@pytest.mark.parametrize("what", RAISED)
def test_of_a_refusal_head_has_the_status(what: str, api: Any) -> None:
    response = api.head(f"/api/v1/odd/{what}")

    assert response.status_code == EXPECTED[what][0]
    assert response["Content-Type"] == "application/problem+json"


@pytest.mark.parametrize("what", ["fault", "wrong-query", "outside"])
def test_a_fault_is_logged_with_its_traceback(what: str, api: Any, caplog: pytest.LogCaptureFixture) -> None:
    refusal(api.get(f"/api/v1/odd/{what}"))

    (record,) = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert "/var/lib/harbour" in str(record.exc_info)


@pytest.mark.parametrize("what", ["locked", "damaged"])
def test_a_failing_database_is_logged(what: str, api: Any, caplog: pytest.LogCaptureFixture) -> None:
    refusal(api.get(f"/api/v1/odd/{what}"))

    assert str(RAISED[what]) in caplog.text


def test_a_fault_outside_of_the_framework_is_answered_alike(api: Any) -> None:
    assert refusal(api.get("/api/v1/odd/outside")) == (500, "internal_error")


def test_an_unknown_address_is_a_problem_for_everybody(api: Any) -> None:
    for client in (api, APIClient()):
        for address in ("/api", "/api/", "/api/v1", "/api/v1/", "/api/v1/nothing", "/api/v1/nothing/", "/api/v2/x"):
            assert refusal(client.get(address)) == (404, "not_found")
            assert refusal(client.post(address, {}, format="json")) == (404, "not_found")


@pytest.mark.parametrize(
    "tail", ["%00", "%ff%fe", "..%2f..%2fetc%2fpasswd", "%2e%2e/", "a" * 4000, "%E2%80%AE", "//", "?a=%ff&b=%00"]
)
def test_no_address_is_too_odd(tail: str, api: Any) -> None:
    assert refusal(api.get(f"/api/v1/nothing/{tail}")) == (404, "not_found")


def test_a_slash_at_the_end_means_nothing(api: Any) -> None:
    assert api.get(ECHO + "/").status_code == 200


def test_a_host_that_is_not_ours_is_refused(api: Any) -> None:
    assert refusal(api.get(ECHO, headers={"Host": "evil.example"})) == (400, "bad_request")


def test_an_unknown_method_is_refused_with_those_that_there_are(api: Any) -> None:
    response = api.generic("DELETE", ECHO)

    assert refusal(response) == (405, "method_not_allowed")
    assert response.json()["detail"] == "This method is not known here; allowed are GET, POST, PUT, HEAD, OPTIONS."
    assert response["Allow"] == "GET, POST, PUT, HEAD, OPTIONS"


@pytest.mark.parametrize("method", ["TRACE", "CONNECT", "PROPFIND", "X" * 2000, "get"])
def test_no_method_is_too_odd(method: str, api: Any) -> None:
    response = api.generic(method, ECHO)

    assert response.status_code in {200, 405}
    assert method not in response.content.decode() or response.status_code == 200


def test_options_lists_the_methods_and_tells_nothing_else(api: Any) -> None:
    response = api.options(ECHO)

    assert response.json() == {"methods": ["GET", "POST", "PUT", "HEAD", "OPTIONS"]}
    assert response["Allow"] == "GET, POST, PUT, HEAD, OPTIONS"
    assert refusal(APIClient().options(ECHO)) == (401, "not_authenticated")


def test_head_is_get_without_the_body(api: Any) -> None:
    response = api.head(ECHO)

    assert (response.status_code, response.content) == (200, b"")


def test_who_takes_no_json_is_told_what_there_is(api: Any) -> None:
    response = api.get(ECHO, headers={"Accept": "text/html"})

    assert refusal(response) == (406, "not_acceptable")
    assert response.json()["detail"] == "This call answers with application/json, which the Accept header excludes."


@pytest.mark.parametrize("accept", ["", "*/*", "application/*", "text/html, */*;q=0.1", ";;;", "application/json; q=1"])
def test_whoever_takes_anything_is_answered(accept: str, api: Any) -> None:
    assert api.get(ECHO, headers={"Accept": accept}).status_code in {200, 406}


@pytest.mark.parametrize("kind", ["text/plain", "", "application/x-www-form-urlencoded", "x" * 3000, "a/b;c", "json"])
def test_another_content_type_is_refused_with_those_that_there_are(kind: str, api: Any) -> None:
    response = api.generic("POST", ECHO, b"{}", content_type=kind)

    assert refusal(response) == (415, "unsupported_media_type")
    assert response.json()["detail"] == "The body is of a type that is not taken here; allowed is application/json."


@pytest.mark.parametrize("charset", ["latin-1", "utf-16", "cp037", "nonsense", "x" * 3000])
def test_json_is_utf_8(charset: str, api: Any) -> None:
    response = api.generic("POST", ECHO + "?a=%ff", b"{}", content_type=f"application/json; charset={charset}")

    assert refusal(response) == (415, "unsupported_media_type")
    assert "charset" in response.json()["detail"]


@pytest.mark.parametrize("charset", ["utf-8", "UTF-8", '"utf-8"', "utf8"])
def test_utf_8_may_be_said(charset: str, api: Any) -> None:
    response = api.generic("POST", ECHO, b"{}", content_type=f"application/json; charset={charset}")

    assert response.status_code == 200


# --- What JSON is taken ----------------------------------------------------------------------------------------------


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
    b'["\\u0000"]': "A text holds the character NUL, which no text here may.",
    b'{"a\\\\\\u0000": 1}': "A text holds the character NUL, which no text here may.",
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
def test_what_is_no_good_json_is_refused_in_a_sentence(body: bytes, sentence: str, api: Any) -> None:
    response = send(api, body)

    assert refusal(response) == (400, "not_json")
    assert response.json()["detail"] == sentence


@pytest.mark.parametrize("body", [b"[" * 32 + b"]" * 32, b'["\\ud83d\\ude00"]', b'["\\\\ud800"]', b"[1e308]", b'"[["'])
def test_what_is_just_good_is_taken(body: bytes, api: Any) -> None:
    assert send(api, body).json() == {"data": json.loads(body)}


def test_a_refusal_does_not_repeat_what_was_sent(api: Any) -> None:
    name = "x" * 10_000
    response = send(api, f'{{"{name}": 1, "{name}": 2}}'.encode())

    assert refusal(response) == (400, "not_json")
    assert len(response.content) < 1000


def test_a_body_over_the_limit_is_refused(api: Any) -> None:
    assert send(api, b"[" + b" " * (2**20 - 2) + b"]").status_code == 200
    assert refusal(send(api, b"[" + b" " * (2**20 - 1) + b"]")) == (413, "request_too_large")


def test_without_a_body_there_are_no_members(api: Any) -> None:
    assert api.generic("POST", ECHO).json() == {"data": {}}


# --- What is wrong, and where ----------------------------------------------------------------------------------------


def pointers(response: Any) -> dict[str, str]:
    assert refusal(response) == (400, "invalid")
    return {found["pointer"]: found["code"] for found in response.json()["errors"]}


def test_each_finding_has_its_place(api: Any) -> None:
    sent = {"steps": [{"name": "good"}, {}, {"name": "x" * 11}], "tags": {"a/b": "x", "c~d": 1, "": "y"}}
    response = api.put(ECHO, sent, format="json")

    assert pointers(response) == {
        "/title": "required",
        "/steps/1/name": "required",
        "/steps/2/name": "max_length",
        "/tags/a~1b": "invalid",
        "/tags/": "invalid",
    }
    assert response.json()["detail"] == "5 things are wrong with the request."


def test_a_single_finding_is_the_sentence(api: Any) -> None:
    response = api.put(ECHO, {"steps": []}, format="json")

    assert response.json()["detail"] == "This field is required."


def test_what_is_no_object_is_wrong_as_a_whole(api: Any) -> None:
    assert pointers(api.put(ECHO, [], format="json")) == {"": "invalid"}
    assert pointers(api.put(ECHO, {"title": "a", "steps": [1]}, format="json")) == {"/steps/0": "invalid"}
    assert pointers(api.put(ECHO, {"title": "a", "steps": {}}, format="json")) == {"/steps": "not_a_list"}


def test_what_django_finds_has_its_place_too(api: Any) -> None:
    assert pointers(api.get("/api/v1/odd/invalid")) == {"/name": "invalid", "/a~1b~0c": "invalid"}
    assert pointers(api.get("/api/v1/odd/invalid-as-a-whole")) == {"": "do_not_fit"}


# --- Beyond the API --------------------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_people_get_a_page(settings: Any) -> None:
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
    """Codes and statuses of the table in `docs/reference/errors.md`."""
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
    """Those of ours that have a code of their own."""
    known = (kind for kind in subclasses(errors.TvarrBackupError) if kind.__module__ == errors.__name__)
    return (kind for kind in known if kind.code != errors.TvarrBackupError.code)


_PLACE_OF_CODE = {"problem": 1, "answer": 1, "_refuse": 2}


def literal_codes() -> set[str]:
    """The codes that stand in calls which make refusals."""
    found = set()
    for path in (*(ROOT / "tvarr_backup" / "api").rglob("*.py"), ROOT / "config" / "refusals.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") in _PLACE_OF_CODE:
                code = node.args[_PLACE_OF_CODE[getattr(node.func, "id", "")]]
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


# --- Bodies whose length is not what was said, against the real server -----------------------------------------------


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
    """Send a request by hand and read the answer: status and code."""
    with closing(socket.create_connection(("127.0.0.1", up.port), timeout=30)) as connection:
        request = f"POST /api/v1/expressions/validate HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {token}\r\n"
        request += f"Content-Type: application/json\r\nConnection: close\r\n{head}\r\n"
        connection.sendall(request.encode() + body)
        response = http.client.HTTPResponse(connection)
        response.begin()
        assert response.getheader("Content-Type") == "application/problem+json"
        return response.status, json.loads(response.read())["code"]


def test_a_body_that_is_announced_as_too_large_is_not_waited_for(up: Up, token: str) -> None:
    assert converse(up, token, "Content-Length: 99999999999\r\n") == (413, "request_too_large")


def test_a_body_in_chunks_is_refused_rather_than_taken_for_none(up: Up, token: str) -> None:
    assert converse(up, token, "Transfer-Encoding: chunked\r\n", b"2\r\n{}\r\n0\r\n\r\n") == (411, "length_required")


def test_a_body_that_is_longer_than_announced_is_cut(up: Up, token: str) -> None:
    assert converse(up, token, "Content-Length: 1\r\n", b'{"expression": "a"}') == (400, "not_json")


def test_a_body_that_breaks_off_is_refused(up: Up, token: str) -> None:
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
def test_no_charset_is_too_odd(charset: str, up: Up, token: str) -> None:
    """Python knows codecs that are none of text; asked for one of them, Django alone breaks off without an answer."""
    with closing(http.client.HTTPConnection("127.0.0.1", up.port, timeout=30)) as connection:
        headers = {"Authorization": f"Bearer {token}", "Content-Type": f"application/json; charset={charset}"}
        for address, status in (("/api/v1/schema?a=%ff", 415), ("/nothing?a=%ff", 404)):
            connection.request("GET", address, headers=headers)
            response = connection.getresponse()
            response.read()
            assert response.status == status


def test_a_body_without_length_is_none(up: Up, token: str) -> None:
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
def test_what_no_view_has_seen_is_answered_in_json(request_: bytes, status: int, up: Up) -> None:
    with closing(socket.create_connection(("127.0.0.1", up.port), timeout=30)) as connection:
        connection.sendall(request_)
        response = http.client.HTTPResponse(connection)
        response.begin()
        body = response.read()
    assert (response.status, response.getheader("Content-Type")) == (status, "application/problem+json"), body
    found = json.loads(body)
    assert found["status"] == status
    assert found["code"]
    assert "attacker" not in found["detail"]


def test_the_log_stays_without_secrets(up: Up, token: str) -> None:
    assert token not in Path(up.log_path).read_text()
