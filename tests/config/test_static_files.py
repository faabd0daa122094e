"""The address of static files contains a hash of their content, and they are cached forever."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.templatetags.static import static
from django.test import Client

from config.static_files import hash_static_files

pytestmark = pytest.mark.django_db  # Django closes connections after an answer


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "css").mkdir()
    (tmp_path / "css" / "app.css").write_text("main {}")
    return tmp_path


def cached(address: str) -> tuple[int, str]:
    """Status and Cache-Control."""
    answer = Client().get(address)
    answer.close()
    return answer.status_code, answer.get("Cache-Control", "")


def test_other_content_has_another_hash(folder: Path) -> None:
    before = hash_static_files([folder])
    assert hash_static_files([folder]) == before
    (folder / "css" / "app.css").write_text("main {color: red}")
    assert hash_static_files([folder]) != before


def test_another_name_has_another_hash(folder: Path) -> None:
    before = hash_static_files([folder])
    (folder / "css" / "app.css").rename(folder / "css" / "page.css")
    assert hash_static_files([folder]) != before


def test_the_path_and_the_age_of_files_do_not_matter(folder: Path, tmp_path: Path) -> None:
    before = hash_static_files([folder])
    (folder / "css" / "app.css").touch()
    assert hash_static_files([folder.rename(tmp_path.parent / "elsewhere")]) == before


def test_browsers_may_cache_files_forever() -> None:
    address = static("css/app.css")
    assert address == f"/static/{hash_static_files(settings.STATICFILES_DIRS)}/css/app.css"
    assert cached(address) == (200, "max-age=315360000, public, immutable")


def test_files_of_libraries_are_cached_too() -> None:
    assert "immutable" in cached(static("django_htmx/htmx-2.min.js"))[1]


def test_an_address_with_an_old_hash_does_not_exist() -> None:
    assert cached("/static/00000000/css/app.css") == (404, "no-store")


def sent(address: str, **headers: str) -> tuple[int, bytes, dict[str, str]]:
    answer: Any = Client().get(address, headers=headers)
    content = b"".join(answer.streaming_content) if answer.streaming else answer.content
    answer.close()
    return answer.status_code, content, dict(answer.items())


def test_the_large_style_sheet_is_sent_compressed() -> None:
    address = static("vendor/bootstrap/bootstrap.min.css")
    _, plain, received = sent(address)
    assert (received.get("Content-Encoding"), received["Vary"]) == (None, "Accept-Encoding")
    status, packed, received = sent(address, accept_encoding="gzip, br")
    assert (status, received["Content-Encoding"], received["Vary"]) == (200, "gzip", "Accept-Encoding")
    assert len(packed) < len(plain) / 4
    assert gzip.decompress(packed) == plain
    assert received["Content-Type"].startswith("text/css")


def test_compressed_files_are_those_next_to_them() -> None:
    found = list(Path(settings.STATICFILES_DIRS[0]).rglob("*.gz"))
    assert found
    for path in found:
        assert gzip.decompress(path.read_bytes()) == path.with_suffix("").read_bytes(), path
