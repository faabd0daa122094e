"""What is answered where no view has: a page for people, in the look of all pages."""

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
        (lambda request: refusals.bad_request(request, ValueError()), 400, "The request makes no sense"),
        (lambda request: refusals.forbidden(request, ValueError()), 403, "You are not allowed to do this."),
        (refusals.csrf_failed, 403, "This form was not sent by a page of this site"),
        (lambda request: refusals.not_found(request, ValueError()), 404, "There is nothing at this address."),
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
def test_a_form_of_an_old_page_leads_back_to_it() -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(UserFactory.create())
    page = client.post("/backups/create/", headers={"Referer": "http://testserver/history/?page=2"})
    assert page.status_code == 403
    assert "Nothing was done" in text_of(page)
    assert 'href="/history/?page=2"' in page.content.decode()


@pytest.mark.django_db
def test_an_address_for_forms_says_so_when_it_is_typed() -> None:
    client = Client()
    client.force_login(UserFactory.create())
    page = client.get("/backups/create/")
    assert (page.status_code, page["Allow"]) == (405, "POST")
    assert "it only takes what the form of another page sends." in text_of(page)


@pytest.mark.django_db
def test_a_program_gets_the_frameworks_own_refusal() -> None:
    client = Client()
    client.force_login(UserFactory.create())
    answer = client.put("/api/v1/operations", headers={"X-CSRFToken": "x"})
    assert (answer.status_code, answer["Content-Type"]) == (405, "application/problem+json")
