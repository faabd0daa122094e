"""Addresses below a base path, and names of cookies that depend on the installation."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import pytest
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver, reverse, set_script_prefix

from config import env
from config.handler import remove_base_path
from tests.config.test_settings import settings_of


@pytest.fixture
def base(settings: Any) -> Any:
    """The base path `/backup` as settings have it, in this process."""
    settings.BASE_PATH = settings.FORCE_SCRIPT_NAME = "/backup"
    settings.SESSION_COOKIE_PATH = settings.CSRF_COOKIE_PATH = "/backup"
    set_script_prefix("/backup/")
    yield "/backup"
    set_script_prefix("/")


@pytest.mark.parametrize(
    ("path", "inside"),
    [("/backup", ""), ("/backup/", "/"), ("/backup/import/", "/import/"), ("/import/", "/import/"), ("/", "/")],
)
def test_a_path_is_found_with_and_without_the_base_path(base: str, path: str, inside: str) -> None:
    assert remove_base_path(path) == inside


def test_a_path_that_only_starts_like_the_base_path_is_kept(base: str) -> None:
    assert remove_base_path("/backups/create/") == "/backups/create/"


def test_without_a_base_path_nothing_is_removed() -> None:
    assert remove_base_path("//backup/") == "//backup/"


@pytest.mark.django_db
def test_links_and_cookies_are_below_the_base_path(base: str, settings: Any) -> None:
    page = Client().get("/sign-in/")
    assert reverse("home") == "/backup/"
    assert page.cookies[settings.CSRF_COOKIE_NAME]["path"] == base
    assert 'href="/backup/"' in page.content.decode()


@pytest.mark.django_db
def test_a_redirect_to_the_sign_in_page_keeps_the_base_path(base: str) -> None:
    assert Client().get("/import/")["Location"] == "/backup/sign-in/?next=/backup/import/"


def test_no_header_of_a_request_is_the_base_path(settings: Any) -> None:
    assert settings.FORCE_SCRIPT_NAME == ""  # Django uses `SCRIPT_NAME` of a request only if this is `None`


def test_static_files_and_the_openapi_document_are_below_it(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = settings_of(monkeypatch, TVARR_SERVER_BASE_PATH="/backup")
    assert shown["STATIC_URL"].startswith("/backup/static/")
    assert shown["SPECTACULAR_SETTINGS"]["SERVERS"] == [{"url": "/backup"}]
    assert shown["SESSION_COOKIE_PATH"] == shown["CSRF_COOKIE_PATH"] == "/backup"


def test_a_base_path_cannot_be_mistaken_for_an_address_of_ours() -> None:
    assert {*_first_parts(get_resolver().url_patterns), "static"} <= {*env.OWN_PATHS}


def _first_parts(patterns: Iterable[URLPattern | URLResolver]) -> Iterator[str]:
    for pattern in patterns:
        if part := str(pattern.pattern).partition("/")[0]:
            yield part
        elif isinstance(pattern, URLResolver):
            yield from _first_parts(pattern.url_patterns)


def test_the_names_of_cookies_depend_on_the_key(monkeypatch: pytest.MonkeyPatch) -> None:
    names = ("SESSION_COOKIE_NAME", "CSRF_COOKIE_NAME", "MESSAGES_COOKIE_NAME")
    first, again, other = (settings_of(monkeypatch, SECRET_KEY=key) for key in ("quay", "quay", "pier"))
    assert [first[name] for name in names] == [again[name] for name in names]
    assert {first[name] for name in names}.isdisjoint({other[name] for name in names})
