"""The frame of a page goes out while its content is still worked out, whatever becomes of that."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from django.contrib import messages
from django.contrib.messages.middleware import MessageMiddleware
from django.contrib.sessions.middleware import SessionMiddleware
from django.db import OperationalError
from django.http import HttpRequest, HttpResponse
from django.test import RequestFactory
from django.urls import resolve

from tests.factories import UserFactory
from tests.web.browsing import text_of
from tvarr_backup import conf
from tvarr_backup.backups.create import create_backup
from tvarr_backup.backups.sidecar import BackupKind
from tvarr_backup.errors import BackupFolderUnusable
from tvarr_backup.web.frame import Content, FrameFirst, frame_first
from tvarr_backup.web.middleware import Compressed

pytestmark = pytest.mark.django_db

PAGE = "web/refused.html"
MOMENT = datetime(2026, 6, 15, 12, 30, tzinfo=UTC)
NAME = "tvarr-backup-2026-06-15T12-30-00.db.gz"


@pytest.fixture
def request_() -> HttpRequest:
    """Of somebody who is signed in, with a message that waits."""
    request = RequestFactory().get("/", headers={"Accept-Encoding": "gzip"})
    SessionMiddleware(lambda _request: HttpResponse()).process_request(request)
    MessageMiddleware(lambda _request: HttpResponse()).process_request(request)
    request.user = UserFactory.create()
    messages.success(request, "It is saved.")
    return request


def no_work() -> Content:
    return PAGE, {"sentence": "It is so."}


@pytest.mark.sqlite
@pytest.mark.parametrize(
    "address", ["/", "/export/", "/history/", "/settings/", f"/backups/{NAME}/", f"/backups/{NAME}/restore/"]
)
def test_pages_that_take_longer_than_their_frame_go_out_in_two_parts(
    request_: HttpRequest, address: str, folder: Path
) -> None:
    create_backup(conf.live_database(), folder, conf.required_schema(), kind=BackupKind.MANUAL, now=MOMENT)
    request_.user = UserFactory.create(is_superuser=True)
    view, args, kwargs = resolve(address)
    assert isinstance(view(request_, *args, **kwargs), FrameFirst)


def read(parts: Iterator[bytes]) -> str:
    return b"".join(parts).decode()


def test_the_frame_is_there_before_the_work_is_begun(request_: HttpRequest) -> None:
    begun = []

    def work() -> Content:
        begun.append(True)
        return no_work()

    answer: Any = frame_first(request_, PAGE, work)
    parts = iter(answer)
    frame = next(parts).decode()
    assert not begun
    assert frame.lstrip().startswith("<!DOCTYPE html>")
    assert "Sign out" in frame
    assert frame.rstrip().endswith('<main id="content" class="container" tabindex="-1">')
    rest = read(parts)
    assert begun
    assert "It is so." in rest
    assert rest.rstrip().endswith("</html>")
    assert "<header" not in rest


def test_both_parts_are_the_whole_page(request_: HttpRequest) -> None:
    answer: Any = frame_first(request_, PAGE, no_work)
    request_.META["HTTP_HX_REQUEST"] = "true"
    del request_.headers
    whole = frame_first(request_, PAGE, no_work)
    assert isinstance(whole, HttpResponse)
    in_parts = HttpResponse(b"".join(answer))
    assert text_of(in_parts) == text_of(whole)


def test_a_message_is_shown_and_counts_as_read_when_the_frame_goes_out(request_: HttpRequest) -> None:
    answer: Any = frame_first(request_, PAGE, no_work)
    kept: Any = MessageMiddleware(lambda _request: HttpResponse()).process_response(request_, HttpResponse())
    assert not list(kept.cookies)
    assert "_messages" not in request_.session
    assert read(iter(answer)).count("It is saved.") == 1


@pytest.mark.parametrize(
    ("problem", "sentence", "level"),
    [
        (BackupFolderUnusable("The backup folder is gone."), "The backup folder is gone.", None),
        (OperationalError("disk I/O error"), "A database cannot be used just now; the log", "error"),
        (ZeroDivisionError("of ours"), "Something failed that should not; the log", "error"),
    ],
)
def test_what_fails_then_is_a_sentence_in_the_page(
    request_: HttpRequest, caplog: pytest.LogCaptureFixture, problem: Exception, sentence: str, level: str | None
) -> None:
    def work() -> Content:
        raise problem

    answer: Any = frame_first(request_, PAGE, work)
    page = read(iter(answer))
    assert page.count("<h1") == page.count("</html>") == 1
    assert sentence in page
    assert str(problem) not in page or level is None
    told = [record for record in caplog.records if record.name == "django.request"]
    assert [record.levelname.lower() for record in told] == ([level] if level else [])


def test_each_part_is_compressed_so_that_it_can_be_read_when_it_comes(request_: HttpRequest) -> None:
    plain: Any = frame_first(request_, PAGE, no_work)
    packed: Any = Compressed(lambda _request: HttpResponse()).process_response(
        request_, frame_first(request_, PAGE, no_work)
    )
    assert isinstance(packed, FrameFirst)
    assert (packed["Content-Encoding"], packed["Vary"]) == ("gzip", "Accept-Encoding")
    parts = list(packed)
    unpacking = zlib.decompressobj(wbits=31)
    assert unpacking.decompress(parts[0]).decode().rstrip().endswith('tabindex="-1">')
    whole = gzip.decompress(b"".join(parts)).decode()
    assert whole.rstrip().endswith("</html>")
    assert sum(map(len, parts)) < len(read(iter(plain))) / 2
