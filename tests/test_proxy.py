"""Behind a proxy that holds the certificate: what is believed of it, and of nobody else."""

from __future__ import annotations

import http.client
import re
import shutil
import urllib.parse
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing
from pathlib import Path

import pytest

from tests.installation import Installation
from tests.test_wheel import serving
from tests.ups import Up

HTTPS = {"X-Forwarded-Proto": "https"}


Serve = Callable[..., AbstractContextManager[Up]]


@pytest.fixture(scope="module")
def serve(_prepared_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Serve:
    """Starts services as docs/guides/proxy.md says they are set up, with more variables."""

    def serve(**variables: str) -> AbstractContextManager[Up]:
        environment = {"ALLOWED_HOSTS": "backup.example,127.0.0.1"} | variables
        installation = Installation(tmp_path_factory.mktemp("proxy") / "data", environment)
        shutil.copytree(_prepared_folder, installation.data)
        return serving(installation)

    return serve


@pytest.fixture(scope="module")
def up(serve: Serve) -> Iterator[Up]:
    with serve() as up:
        yield up


@pytest.fixture(scope="module")
def behind_another(serve: Serve) -> Iterator[Up]:
    """A service whose proxy is another one than we are."""
    with serve(FORWARDED_ALLOW_IPS="192.0.2.7") as up:
        yield up


def sign_in_from_a_page_with_tls(up: Up, headers: dict[str, str]) -> int:
    """The status of a form that a browser sends from https://backup.example; 200 shows it again, 403 refuses it."""
    connection = http.client.HTTPConnection("127.0.0.1", up.port, timeout=10)
    headers = headers | {"Host": "backup.example"}
    connection.request("GET", "/sign-in/", headers=headers)
    page = connection.getresponse()
    (token,) = re.findall(r'csrfmiddlewaretoken" value="(\w+)"', page.read().decode())
    cookie = page.headers["Set-Cookie"].partition(";")[0]
    headers |= {"Cookie": cookie, "Origin": "https://backup.example", "Referer": "https://backup.example/sign-in/"}
    headers["Content-Type"] = "application/x-www-form-urlencoded"
    form = urllib.parse.urlencode({"csrfmiddlewaretoken": token, "username": "nobody", "password": "nothing"})
    connection.request("POST", "/sign-in/", form, headers)
    status = connection.getresponse().status
    connection.close()
    return status


def test_a_proxy_on_the_same_machine_is_believed_that_it_was_reached_by_https(up: Up) -> None:
    assert sign_in_from_a_page_with_tls(up, HTTPS) == 200
    assert sign_in_from_a_page_with_tls(up, {}) == 403


def test_others_are_not(behind_another: Up) -> None:
    assert sign_in_from_a_page_with_tls(behind_another, HTTPS) == 403


def cookies_of_sign_in_page(up: Up, headers: dict[str, str]) -> list[str]:
    with closing(http.client.HTTPConnection("127.0.0.1", up.port, timeout=10)) as connection:
        connection.request("GET", "/sign-in/", headers=headers | {"Host": "backup.example"})
        return connection.getresponse().headers.get_all("Set-Cookie", [])


def test_cookies_of_a_page_that_came_by_https_are_secure_and_others_are_not(up: Up) -> None:
    assert [cookie.endswith("; Secure") for cookie in cookies_of_sign_in_page(up, HTTPS)] == [True]
    assert ["Secure" in cookie for cookie in cookies_of_sign_in_page(up, {})] == [False]


def test_nobody_but_a_trusted_proxy_makes_a_cookie_secure(behind_another: Up) -> None:
    assert ["Secure" in cookie for cookie in cookies_of_sign_in_page(behind_another, HTTPS)] == [False]


def test_where_the_proxy_does_not_say_it_the_origin_can_be_named(serve: Serve) -> None:
    with serve(CSRF_TRUSTED_ORIGINS="https://backup.example") as up:
        assert sign_in_from_a_page_with_tls(up, {}) == 200
