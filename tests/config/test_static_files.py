"""The address of static files follows their content, and they are kept for ever."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.templatetags.static import static
from django.test import Client

from config.static_files import mark_of

pytestmark = pytest.mark.django_db  # Django closes connections after an answer


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "css").mkdir()
    (tmp_path / "css" / "app.css").write_text("main {}")
    return tmp_path


def kept(address: str) -> tuple[int, str]:
    """Status, and what is said about keeping it."""
    answer = Client().get(address)
    answer.close()
    return answer.status_code, answer.get("Cache-Control", "")


def test_another_content_has_another_mark(folder: Path) -> None:
    before = mark_of([folder])
    assert mark_of([folder]) == before
    (folder / "css" / "app.css").write_text("main {color: red}")
    assert mark_of([folder]) != before


def test_another_name_has_another_mark(folder: Path) -> None:
    before = mark_of([folder])
    (folder / "css" / "app.css").rename(folder / "css" / "page.css")
    assert mark_of([folder]) != before


def test_the_place_of_the_folder_and_the_age_of_its_files_mean_nothing(folder: Path, tmp_path: Path) -> None:
    before = mark_of([folder])
    (folder / "css" / "app.css").touch()
    assert mark_of([folder.rename(tmp_path.parent / "elsewhere")]) == before


def test_pages_name_files_by_the_mark_and_browsers_may_keep_them_for_ever() -> None:
    address = static("css/app.css")
    assert address == f"/static/{mark_of(settings.STATICFILES_DIRS)}/css/app.css"
    assert kept(address) == (200, "max-age=315360000, public, immutable")


def test_libraries_files_are_kept_too() -> None:
    assert "immutable" in kept(static("django_htmx/htmx-2.min.js"))[1]


def test_an_address_with_an_old_mark_is_no_file() -> None:
    assert kept("/static/00000000/css/app.css") == (404, "no-store")


def sent(address: str, **headers: str) -> tuple[int, bytes, dict[str, str]]:
    answer: Any = Client().get(address, headers=headers)
    content = b"".join(answer.streaming_content) if answer.streaming else answer.content
    answer.close()
    return answer.status_code, content, dict(answer.items())


def test_the_large_style_sheet_is_sent_compressed_to_browsers_that_take_that() -> None:
    address = static("vendor/bootstrap/bootstrap.min.css")
    _, plain, told = sent(address)
    assert (told.get("Content-Encoding"), told["Vary"]) == (None, "Accept-Encoding")
    status, packed, told = sent(address, accept_encoding="gzip, br")
    assert (status, told["Content-Encoding"], told["Vary"]) == (200, "gzip", "Accept-Encoding")
    assert len(packed) < len(plain) / 4
    assert gzip.decompress(packed) == plain
    assert told["Content-Type"].startswith("text/css")


def test_compressed_files_are_those_next_to_them() -> None:
    found = list(Path(settings.STATICFILES_DIRS[0]).rglob("*.gz"))
    assert found
    for path in found:
        assert gzip.decompress(path.read_bytes()) == path.with_suffix("").read_bytes(), path
