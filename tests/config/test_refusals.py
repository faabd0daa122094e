"""Error responses outside of views."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client, RequestFactory

from config import refusals
from tests.admin.pages import text_of
from tests.factories import UserFactory


@pytest.mark.parametrize(
    ("view", "status", "words"),
    [
        (lambda request: refusals.bad_request(request, ValueError()), 400, "The request is invalid"),
        (lambda request: refusals.forbidden(request, ValueError()), 403, "You do not have permission to do this."),
        (refusals.csrf_failed, 403, "Nothing was changed, because the page has expired"),
        (lambda request: refusals.not_found(request, ValueError()), 404, "There is no page at this address."),
        (refusals.failed, 500, "Something is wrong. See the log of the service for details."),
    ],
)
def test_a_page_needs_neither_database_nor_session(view: Any, status: int, words: str) -> None:
    """No `db` fixture: pytest-django refuses every query."""
    page = view(RequestFactory().get("/"))
    assert page.status_code == status
    assert words in text_of(page)
    assert "css/app.css" in page.content.decode()


@pytest.mark.parametrize(
    ("host", "words"),
    [
        ("my_nas:8081", 'the host name "my_nas". It has an underscore (_)'),
        (
            "nas.example:8081",
            'the host name "nas.example". If it is the name of this service, add it to ALLOWED_HOSTS.',
        ),
    ],
)
@pytest.mark.django_db
def test_an_unknown_host_name_is_quoted_with_what_to_do(host: str, words: str) -> None:
    page = Client().get("/sign-in/", headers={"Host": host})
    assert page.status_code == 400
    assert words in text_of(page)
    assert Client().get("/api/v1/backups", headers={"Host": host}).json()["code"] == "host_not_allowed"


@pytest.mark.parametrize("origin", ["http://testserver:8081", "https://testserver", "http://else.example", "null"])
@pytest.mark.django_db
def test_a_form_from_another_origin_is_refused_with_both_addresses(origin: str) -> None:
    client = Client(enforce_csrf_checks=True)
    client.get("/sign-in/")
    page = client.post("/sign-in/", headers={"Origin": origin})
    assert page.status_code == 403
    assert f"sent from {origin}, and this service expects http://testserver." in text_of(page)
    assert f"CSRF_TRUSTED_ORIGINS={origin}" in text_of(page)


@pytest.mark.django_db
def test_a_form_from_our_origin_without_a_token_is_an_expired_page() -> None:
    page = Client(enforce_csrf_checks=True).post("/sign-in/", headers={"Origin": "http://testserver"})
    assert "the page has expired" in text_of(page)


@pytest.mark.django_db
def test_a_write_to_the_api_from_another_origin_has_a_code_of_its_own() -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(UserFactory.create())
    answer = client.post("/api/v1/backups", headers={"Origin": "https://testserver"})
    assert (answer.status_code, answer.json()["code"]) == (403, "wrong_origin")


@pytest.mark.django_db
def test_the_form_of_an_expired_page_links_back_to_it() -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(UserFactory.create())
    page = client.post("/backups/create/", headers={"Referer": "http://testserver/history/?page=2"})
    assert page.status_code == 403
    assert "Page expired" in text_of(page)
    assert 'href="/history/?page=2"' in page.content.decode()


@pytest.mark.django_db
def test_a_get_of_an_address_for_forms_is_explained() -> None:
    client = Client()
    client.force_login(UserFactory.create())
    page = client.get("/backups/create/")
    assert (page.status_code, page["Allow"]) == (405, "POST")
    assert "This address only accepts forms from other pages." in text_of(page)


@pytest.mark.django_db
def test_the_api_answers_with_a_problem() -> None:
    client = Client()
    client.force_login(UserFactory.create())
    answer = client.put("/api/v1/operations", headers={"X-CSRFToken": "x"})
    assert (answer.status_code, answer["Content-Type"]) == (405, "application/problem+json")
