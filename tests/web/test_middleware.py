"""Pages are compressed, and a new sign-in leads back to the previous page."""

from __future__ import annotations

import gzip
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
    assert "You were signed out, so your last action was not carried out." in text_of(client.get(answer.url))


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


GZIP = {"Accept-Encoding": "gzip"}


@pytest.mark.django_db
def test_pages_are_compressed_for_clients_that_accept_it(admin_client: Client) -> None:
    plain, packed = admin_client.get("/account/"), admin_client.get("/account/", headers=GZIP)
    assert (plain.get("Content-Encoding"), packed["Content-Encoding"]) == (None, "gzip")
    assert "Accept-Encoding" in plain["Vary"]
    assert "New token" in gzip.decompress(packed.content).decode()
    assert len(packed.content) < len(plain.content) / 2


@pytest.mark.django_db
@pytest.mark.parametrize("address", ["/api/v1/backups", "/api/v1/schema"])
def test_what_programs_get_is_not(admin_client: Client, address: str) -> None:
    assert "Content-Encoding" not in admin_client.get(address, headers=GZIP)
