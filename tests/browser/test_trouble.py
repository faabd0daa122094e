"""Failures in a real browser: a full disk, a stopped worker, wrong files, damaged backups."""

from __future__ import annotations

import gzip
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.browser.people import Look, Person, Site
from tests.browser.stories import backed_up, ends, number_of_filters, worker_that_waits
from tests.installation import Installation
from tests.portable.files import FILTERS, document, filter_item

wide = pytest.mark.looks(Look.WIDE_LIGHT)
narrow = pytest.mark.looks(Look.NARROW_DARK)
LIMIT = 5_000_000


@pytest.fixture(scope="module")
def installed(installed: Installation, tmp_path_factory: pytest.TempPathFactory) -> Installation:
    """Backups are on another disk of 100 MB, and uploads have at most 5 MB."""
    disk = tmp_path_factory.mktemp("disk")
    mount = 'mount -t tmpfs -o size=100m tmpfs "$1" && shift && exec "$@"'
    installed.program = ("unshare", "-rm", "bash", "-c", mount, "bash", str(disk), *installed.program)
    installed.environment["TVARR_BACKUP_DIRECTORY"] = str(disk)
    installed.environment["TVARR_BACKUP_UPLOAD_LIMIT"] = str(LIMIT)
    return installed


@pytest.fixture(scope="module")
def disk(site: Site) -> Path:
    """The disk, which only `up` sees."""
    return Path(f"/proc/{site.up.process.pid}/root{site.installation.environment['TVARR_BACKUP_DIRECTORY']}")


@contextmanager
def full(disk: Path) -> Iterator[None]:
    """Fill the disk, except for 0.1 MB."""
    path = disk / "film.mkv"
    left = os.statvfs(disk)
    with path.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, left.f_bavail * left.f_frsize - 100_000)
    try:
        yield
    finally:
        path.unlink()


def spoil(archive: Path) -> None:
    """Overwrite some bytes in the middle."""
    content = bytearray(archive.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 20] = b"x" * 20
    archive.write_bytes(content)


# --- The disk --------------------------------------------------------------------------------------------------------


def test_on_a_full_disk_each_page_says_what_is_safe_and_what_to_do(person: Person, disk: Path, tmp_path: Path) -> None:
    filename = backed_up(person)
    page = person.page
    with full(disk):
        person.open("/")
        expect(page.get_by_role("region", name="Status")).to_contain_text("Free some space, or use another folder.")
        person.press("Back up now")
        ends(person, "Backup failed")
        expect(page.locator(".alert")).to_contain_text("only 0.1 MB is free")
        person.open(f"/backups/{filename}/restore/")
        expect(page.get_by_role("alert")).to_contain_text("cannot be restored now. Your data is unchanged.")
        expect(page.get_by_role("button", name="Restore backup of")).to_be_disabled()
        person.open("/backups/upload/")
        (tmp_path / "copy.db").write_bytes(b"SQLite format 3\0" + bytes(1_000_000))
        page.set_input_files("#id_file", tmp_path / "copy.db")
        with page.expect_navigation():
            page.get_by_role("button", name="Upload").click()
        person.look()
        expect(page.get_by_text("only 0.1 MB is free")).to_be_visible()
    backed_up(person)


# --- The worker ------------------------------------------------------------------------------------------------------


@narrow
def test_without_a_worker_it_is_asked_whether_one_runs_and_one_can_cancel(person: Person, site: Site) -> None:
    with worker_that_waits(site):
        long_ago = time.time() - 3600
        os.utime(site.installation.data / "worker", (long_ago, long_ago))
        person.open("/")
        person.press("Back up now")
        expect(person.page.get_by_text("No worker is running. Start one").last).to_be_visible()
        person.press("Cancel operation")
        ends(person, "Backup canceled")


# --- Backups that are not whole --------------------------------------------------------------------------------------


@narrow
def test_a_spoiled_backup_is_not_restored_and_found_by_verifying(person: Person, site: Site, disk: Path) -> None:
    filename, before = backed_up(person), number_of_filters(site)
    spoil(disk / filename)
    page = person.page
    person.follow("Restore")
    with page.expect_navigation():
        page.get_by_role("button", name="Restore backup of").click()
    ends(person, "Restore failed: your data is unchanged")
    expect(page.locator(".alert")).to_contain_text("Step: Verify the backup")
    assert number_of_filters(site) == before
    person.open(f"/backups/{filename}/")
    person.press("Verify")
    ends(person, "Verification found 1 problem")
    person.open(f"/backups/{filename}/")
    expect(page.get_by_text("The last verification found problems")).to_be_visible()
    person.open(f"/backups/{filename}/restore/")
    expect(page.get_by_role("alert")).to_contain_text("its last verification found a problem")


# --- Files that are something else -----------------------------------------------------------------------------------


def export(folder: Path) -> Path:
    path = folder / "filters.json"
    path.write_text(json.dumps(document(FILTERS, filter_item("New"))))
    return path


def film(folder: Path) -> Path:
    path = folder / "film.mkv"
    with path.open("wb") as file:
        file.truncate(2 * 2**30)
    return path


@wide
def test_an_export_among_the_backups_leads_to_the_import(person: Person, tmp_path: Path) -> None:
    page = person.open("/backups/upload/")
    page.set_input_files("#id_file", export(tmp_path))
    with page.expect_navigation():
        page.get_by_role("button", name="Upload").click()
    ends(person, "Upload rejected")
    expect(page.get_by_text("Your existing backups are unchanged.")).to_be_visible()
    person.follow("Import file")


@narrow
def test_a_backup_on_the_page_for_imports_leads_to_the_upload(person: Person, tmp_path: Path) -> None:
    (tmp_path / "backup.db.gz").write_bytes(gzip.compress(b"x"))
    page = person.open("/import/")
    with page.expect_navigation():
        page.set_input_files("#id_file", tmp_path / "backup.db.gz")
    person.look()
    expect(page.get_by_role("alert")).to_contain_text('"backup.db.gz" cannot be imported.')
    expect(page.get_by_role("alert")).to_contain_text("Nothing was changed.")
    person.follow("Upload as a backup")


@wide
def test_a_film_of_two_gigabytes_is_not_even_sent(person: Person, tmp_path: Path) -> None:
    page = person.open("/backups/upload/")
    page.set_input_files("#id_file", film(tmp_path))
    said = page.eval_on_selector("#id_file", "each => each.validationMessage")
    assert said == "This file is too large. The limit is 5.0 MB."
    page.get_by_role("button", name="Upload").click()
    assert page.url.endswith("/backups/upload/")


def test_a_film_is_refused_without_scripts_too(plain_person: Person, tmp_path: Path) -> None:
    page = plain_person.open("/backups/upload/")
    with (tmp_path / "film.mkv").open("wb") as file:
        file.truncate(3 * LIMIT)
    page.set_input_files("#id_file", tmp_path / "film.mkv")
    plain_person.press("Upload")
    expect(page.get_by_text("is larger than the limit of")).to_be_visible()


@pytest.mark.parametrize(
    ("path", "button", "sentence"),
    [
        ("/import/", "Preview files", "The file is empty. Expected an export."),
        ("/backups/upload/", "Upload", "This file is not a backup. It looks like an empty file."),
    ],
)
def test_an_empty_file_is_refused_without_scripts_too(
    plain_person: Person, tmp_path: Path, path: str, button: str, sentence: str
) -> None:
    (tmp_path / "nothing").touch()
    page = plain_person.open(path)
    page.set_input_files("#id_file", tmp_path / "nothing")
    plain_person.press(button)
    expect(page.get_by_text(sentence)).to_be_visible()


@wide
def test_a_connection_that_is_lost_in_an_upload_is_told(person: Person, tmp_path: Path) -> None:
    page = person.open("/backups/upload/")
    (tmp_path / "copy.db").write_bytes(b"SQLite format 3\0" + bytes(1_000_000))
    page.set_input_files("#id_file", tmp_path / "copy.db")
    page.context.set_offline(offline=True)
    page.get_by_role("button", name="Upload").click()
    expect(page.get_by_text("Upload failed: the connection was lost. Nothing was saved.")).to_be_visible()
    page.context.set_offline(offline=False)
    person.forgive_console()
    with page.expect_navigation():
        page.get_by_role("button", name="Upload").click()
    ends(person, "Upload rejected")
