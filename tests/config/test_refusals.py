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
