"""A session that ended in the middle: back to where one was."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client

from tests.admin.pages import text_of

HERE = "http://testserver"


@pytest.mark.parametrize(
    ("referer", "back"),
    [
        (f"{HERE}/history/?page=2", "/history/%3Fpage%3D2"),
        (f"{HERE}/", "/"),
        ("", "/"),
        ("https://evil.example/history/", "/"),
        ("//[", "/"),
    ],
)
@pytest.mark.django_db
def test_a_form_that_was_sent_too_late_leads_back_to_its_page(client: Client, referer: str, back: str) -> None:
    answer: Any = client.post("/backups/create/", headers={"Referer": referer})
    assert answer.url == f"/sign-in/?next={back}&unsent=1"
    assert "You were signed out in the meantime, so what you sent was not done." in text_of(client.get(answer.url))


@pytest.mark.django_db
def test_a_page_that_was_asked_for_is_the_one_to_come_back_to(client: Client) -> None:
    answer: Any = client.get("/history/", headers={"Referer": f"{HERE}/account/"})
    assert answer.url == "/sign-in/?next=/history/"


@pytest.mark.django_db
def test_htmx_loads_the_page_to_sign_in_as_a_whole(client: Client) -> None:
    answer: Any = client.get("/operations/bar/", headers={"HX-Request": "true", "Referer": f"{HERE}/history/"})
    assert answer.status_code == 200
    assert answer["HX-Redirect"] == "/sign-in/?next=/history/"
    assert answer.content == b""
