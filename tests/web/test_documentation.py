"""The documentation as pages: every page, without sign-in, with links that lead somewhere."""

from __future__ import annotations

import re

import pytest
from django.test import Client

from tests.installation import ROOT
from tests.web.browsing import text_of

pytestmark = pytest.mark.django_db

PAGES = sorted(path.relative_to(ROOT / "docs").with_suffix("").as_posix() for path in ROOT.glob("docs/**/*.md"))


def address_of(page: str) -> str:
    return "/docs/" if page == "index" else f"/docs/{page}"


def source_of(address: str) -> str:
    response = Client().get(address)
    assert response.status_code == 200, address
    return response.content.decode("utf-8" if response["Content-Type"].startswith("text/") else "latin-1")


def article_of(address: str) -> str:
    return source_of(address).partition("<article")[2].partition("</article>")[0]


def targets_in(page: str) -> list[str]:
    return re.findall(r'(?:href|src)="([^"]+)"', article_of(address_of(page)))


@pytest.mark.parametrize("page", PAGES)
def test_every_link_of_a_page_leads_to_a_page_and_its_heading(page: str) -> None:
    for target in targets_in(page):
        if not target.startswith("https://"):
            address, _, anchor = target.partition("#")
            source = source_of(address or address_of(page))
            assert not anchor or f'id="{anchor}"' in source, target


def test_the_start_page_links_to_every_guide_and_reference_page() -> None:
    linked = set(targets_in("index"))
    assert {address_of(page) for page in PAGES} - linked == {"/docs/"}


def test_a_page_has_the_title_of_its_heading_and_a_link_back() -> None:
    response = Client().get("/docs/guides/install")
    assert "<title>Install | tvarr-backup</title>" in response.content.decode()
    assert 'href="/docs/">Documentation<' in response.content.decode()


def test_a_slash_at_the_end_makes_no_difference() -> None:
    assert article_of("/docs/guides/install/") == article_of("/docs/guides/install")


def test_a_link_to_a_file_that_is_not_served_is_plain_text() -> None:
    page = Client().get("/docs/guides/install")
    assert "compose.yaml" in text_of(page)
    assert 'compose.yaml"' not in page.content.decode()


def test_a_picture_is_sent_as_one() -> None:
    response = Client().get("/docs/screenshots/restore-wide.webp")
    assert (response.status_code, response["Content-Type"]) == (200, "image/webp")
    assert response.content[8:12] == b"WEBP"


@pytest.mark.parametrize(
    "name",
    ["../../etc/passwd", "..%2f..%2fetc/passwd", "../manage.py", "guides", "guides/install.md", "/etc/passwd"],
)
def test_no_other_file_can_be_read(name: str) -> None:
    assert Client().get(f"/docs/{name}").status_code == 404


def test_pages_have_no_inline_styles_which_the_policy_would_block() -> None:
    assert [page for page in PAGES if 'style="' in source_of(address_of(page))] == []
