"""Every answer has the security headers for browsers: pages, API answers, errors and files."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from http.client import HTTPConnection, HTTPMessage
from typing import Any

import pytest
from django.templatetags.static import static
from django.test import Client
from rest_framework.test import APIClient

from tests.factories import FilterFactory, UserFactory
from tests.installation import Installation
from tests.processes import wait_until
from tests.ups import Up, free_port, start_up

STRICT = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}
DIRECTIVES = {
    "default-src 'self'",
    "img-src 'self' data:",
    "base-uri 'self'",
    "form-action 'self'",
    "frame-ancestors 'none'",
    "object-src 'none'",
}


def require_strict(headers: Any) -> None:
    assert {name: headers.get(name) for name in STRICT} == STRICT
    assert set(headers["Content-Security-Policy"].split("; ")) == DIRECTIVES
    assert not [name for name in headers if name.lower().startswith(("access-control-", "x-powered-by"))]


@pytest.fixture
def api(db: None, settings: Any) -> Any:
    settings.ROOT_URLCONF = "tests.api.odd_urls"
    client = APIClient(raise_request_exception=False)
    client.force_login(UserFactory.create(username="marit"))
    return client


API_ANSWERS: dict[str, tuple[str, str, int]] = {
    "a list": ("GET", "/api/v1/filters", 200),
    "no user": ("GET", "/api/v1/filters", 401),
    "no such row": ("GET", "/api/v1/filters/01ARZ3NDEKTSV4RRFFQ69G5FAV", 404),
    "no such address": ("GET", "/api/v1/nothing", 404),
    "no such method": ("PATCH", "/api/v1/filters", 405),
    "no JSON": ("POST", "/api/v1/filters", 400),
    "a fault": ("GET", "/api/v1/odd/fault", 500),
    "a fault elsewhere": ("GET", "/api/v1/odd/outside", 500),
    "no database": ("GET", "/api/v1/odd/damaged", 503),
    "a download": ("GET", "/api/v1/filters/export?all=true", 200),
    "methods": ("OPTIONS", "/api/v1/filters", 200),
    "head": ("HEAD", "/api/v1/filters", 200),
    "the schema": ("GET", "/api/v1/schema", 200),
    "the docs": ("GET", "/api/v1/docs", 200),
    "another host": ("GET", "/api/v1/filters", 400),
    "another charset": ("GET", "/api/v1/filters", 415),
}


@pytest.mark.django_db
@pytest.mark.parametrize("kind", API_ANSWERS)
def test_api_answers_have_strict_headers_and_are_not_cached(kind: str, api: Any) -> None:
    FilterFactory.create()
    method, address, status = API_ANSWERS[kind]
    client: Any = APIClient() if kind == "no user" else api
    headers = {"Host": "evil.example"} if kind == "another host" else {}
    charset = "; charset=latin-1" if kind == "another charset" else ""
    response = client.generic(method, address, b"", content_type=f"application/json{charset}", headers=headers)

    assert response.status_code == status
    require_strict(response.headers)
    assert response.headers["Cache-Control"] == "no-store"


PAGES: dict[str, tuple[str, str, int]] = {
    "a page": ("GET", "/admin/", 200),
    "the sign-in page": ("GET", "/sign-in/", 200),
    "a redirection": ("GET", "/history", 301),
    "no such address": ("GET", "/nothing", 404),
    "a fault": ("GET", "/outside", 500),
    "no CSRF token": ("POST", "/sign-in/", 403),
    "another host": ("GET", "/admin/", 400),
}


@pytest.mark.django_db
@pytest.mark.parametrize("kind", PAGES)
def test_pages_have_strict_headers_and_are_not_cached(kind: str, settings: Any) -> None:
    settings.ROOT_URLCONF = "tests.api.odd_urls"
    client = Client(raise_request_exception=False, enforce_csrf_checks=True)
    if kind != "the sign-in page":
        client.force_login(UserFactory.create())
    method, address, status = PAGES[kind]
    headers = {"Host": "evil.example"} if kind == "another host" else {}
    response = client.generic(method, address, headers=headers)

    assert response.status_code == status
    require_strict(response.headers)
    assert "no-store" in response.headers["Cache-Control"]


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    running = start_up(Installation(tmp_path_factory.mktemp("headers") / "data"), free_port())
    try:
        wait_until(lambda: running.process.poll() is not None or running.answers(), "it answers", seconds=60)
        yield running
    finally:
        running.process.terminate()
        running.process.wait(timeout=30)


def headers_of(up: Up, address: str) -> HTTPMessage:
    with closing(HTTPConnection("127.0.0.1", up.port, timeout=30)) as connection:
        connection.request("GET", address, headers={"Origin": "http://evil.example"})
        return connection.getresponse().headers


@pytest.mark.parametrize("address", [static("css/admin.css"), static("img/favicon.svg"), "/api/v1/filters", "/admin/"])
def test_the_real_server_sends_strict_headers(address: str, up: Up) -> None:
    require_strict(headers_of(up, address))


def test_the_real_server_does_not_show_its_version(up: Up) -> None:
    assert headers_of(up, "/sign-in/")["Server"] == "gunicorn"
