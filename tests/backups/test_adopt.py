"""Add files from elsewhere: recognize them by their content, write correct metadata, or refuse them with a reason."""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import io
import json
import os
import sqlite3
import subprocess
import sys
import zipfile
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Any

import pytest

from tests.backups.makers import (
    NOW,
    backup,
    changed,
    died_in_wal_mode,
    died_while_writing,
    member,
    metadata,
    on_small_disk,
    ours,
    packed,
    query,
    raising_at,
    required,
    settled,
    slow_to_check,
    state,
    tar_of,
    tvarrs,
    tvarrs_new_backup,
    tvarrs_old_backup,
)
from tests.backups.test_archive import zero_archive
from tests.backups.test_examine import in_encoding, with_wrong_index
from tests.tvarr_own import WRITTEN
from tvarr_backup import __version__
from tvarr_backup.backups.adopt import adopt_backup
from tvarr_backup.backups.backup_warnings import BackupWarning, BackupWarningCode
from tvarr_backup.backups.catalogue import Backup, delete_backup, find_backup, protect_backup, read_folder
from tvarr_backup.backups.folder import prepare_folder
from tvarr_backup.backups.lock import backup_lock
from tvarr_backup.backups.progress import Phase
from tvarr_backup.backups.sidecar import BackupKind, CheckLevel, DateSource, encode_sidecar
from tvarr_backup.backups.verify import verify_backup
from tvarr_backup.errors import BackupBusy, CodeNotAccepted, NoteInvalid, TvarrBackupError, UploadRefused
from tvarr_backup.timestamps import read_timestamp

ROWS = read_timestamp(WRITTEN)
NAME = "tvarr-backup-2026-06-15T12-30-00.db.gz"
META = NAME.replace(".db.gz", ".meta.json")


@pytest.fixture
def incoming(tmp_path: Path) -> Path:
    """A folder in which files are offered."""
    (tmp_path / "incoming").mkdir()
    return tmp_path / "incoming"


@pytest.fixture
def copy(incoming: Path) -> Path:
    """A copy of tvarr's database as `VACUUM INTO` makes one."""
    return settled(tvarrs(incoming / "copy.db"))


def adopt(source: Path, folder: Path, **changes: Any) -> Backup:
    return adopt_backup(source, folder, required(), **changes)


def refused(source: Path, folder: Path, **changes: Any) -> str:
    """The words of a refusal, which leaves everything as it was."""
    before = state(folder.parent)
    with pytest.raises((UploadRefused, CodeNotAccepted)) as problem:
        adopt(source, folder, **changes)
    assert state(folder.parent) == before
    return str(problem.value)


class TestTakenIn:
    """Our files and tvarr's are added, whatever their names are."""

    def test_one_of_ours_keeps_what_is_said_of_it_and_becomes_imported(
        self, live: Path, folder: Path, incoming: Path
    ) -> None:
        theirs = backup(live, prepare_folder(incoming / "theirs"), now=NOW, note="from the attic")
        before = state(incoming)
        taken = adopt(incoming / "theirs" / NAME, folder)
        sidecar = taken.sidecar
        assert taken.filename == NAME
        assert (sidecar.kind, sidecar.protected, sidecar.imported) == (BackupKind.UPLOADED, False, True)
        assert sidecar.original_kind is BackupKind.MANUAL
        assert (sidecar.note, sidecar.tvarr_version) == ("from the attic", theirs.sidecar.tvarr_version)
        assert sidecar.database_checksum == theirs.sidecar.database_checksum
        assert sidecar.table_counts == theirs.sidecar.table_counts
        assert sidecar.checked is not None
        assert (sidecar.checked.level, sidecar.checked.problems) == (CheckLevel.FULL, ())
        assert find_backup(folder, NAME) == taken
        assert verify_backup(folder, NAME, required()).problems == ()
        assert state(incoming) == before

    def test_without_its_sidecar_its_name_tells_the_time(self, live: Path, folder: Path, incoming: Path) -> None:
        backup(live, prepare_folder(incoming / "theirs"), now=NOW)
        (incoming / "theirs" / META).unlink()
        taken = adopt(incoming / "theirs" / NAME, folder)
        assert (taken.filename, taken.sidecar.note, taken.sidecar.tvarr_version) == (NAME, "", "")
        assert (taken.sidecar.protected, taken.sidecar.original_kind) == (True, None)
        assert taken.sidecar.app_version == __version__

    def test_tvarrs_old_form_with_its_sidecar(self, folder: Path, incoming: Path, copy: Path) -> None:
        taken = adopt(tvarrs_old_backup(incoming, copy), folder)
        assert taken.filename == "tvarr-backup-2025-12-14T10-30-00.db.gz"
        assert (taken.sidecar.kind, taken.sidecar.tvarr_version) == (BackupKind.UPLOADED, "0.0.2")
        assert (taken.sidecar.protected, taken.sidecar.original_kind) == (True, BackupKind.TVARR)
        assert taken.sidecar.table_counts["filters"] == 2

    def test_tvarrs_new_form_whose_checksum_is_wrong(self, folder: Path, incoming: Path, copy: Path) -> None:
        taken = adopt(tvarrs_new_backup(incoming, copy), folder)
        assert taken.filename == "tvarr-backup-2026-01-14T10-30-00.db.gz"
        assert taken.sidecar.checksum != "sha256:" + "5" * 64
        assert (taken.sidecar.tvarr_version, taken.sidecar.schema) == ("0.0.30", "tvarr 029")
        assert verify_backup(folder, taken.filename, required()).problems == ()

    @pytest.mark.parametrize("journal_mode", ["delete", "wal"])
    def test_a_plain_copy_is_packed_with_the_rollback_journal(
        self, folder: Path, incoming: Path, journal_mode: str
    ) -> None:
        copy = changed(tvarrs(incoming / "copy.db"), f"PRAGMA journal_mode={journal_mode}")
        before = state(incoming)
        taken = adopt(copy, folder)
        assert gzip.decompress((folder / taken.filename).read_bytes())[18:20] == b"\x01\x01"
        assert state(incoming) == before

    def test_a_database_of_ours_is_taken_in_too(self, folder: Path, incoming: Path) -> None:
        assert adopt(ours(incoming / "copy.db"), folder).sidecar.schema.startswith("tvarr-backup 0")

    @pytest.mark.parametrize("name", ["picture.png", "x.db.gz", "noise", "x.tar.gz", NAME, "export.json"])
    @pytest.mark.parametrize("form", ["plain", "gzip", "tar"])
    def test_names_may_lie(self, folder: Path, incoming: Path, copy: Path, name: str, form: str) -> None:
        if form == "tar":
            tvarrs_new_backup(incoming, copy).rename(incoming / name)
        elif form == "gzip":
            packed(incoming / name, copy)
        else:
            copy.rename(incoming / name)
        taken = adopt(incoming / name, folder)
        assert taken.sidecar.table_counts["filters"] == 2
        assert sorted(state(folder)) == sorted([".lock", ".work", taken.filename, taken.name.sidecar])

    def test_a_temporary_file_is_named_as_it_was_called(self, folder: Path, copy: Path) -> None:
        assert adopt(packed(copy.with_name("upload-1"), copy), folder, filename=NAME).filename == NAME

    def test_what_describes_it_may_lie_elsewhere(self, live: Path, folder: Path, incoming: Path) -> None:
        backup(live, prepare_folder(incoming / "theirs"), now=NOW, note="from the attic")
        (incoming / "theirs" / NAME).rename(incoming / "file")
        (incoming / "theirs" / META).rename(incoming / "meta")
        taken = adopt(incoming / "file", folder, sidecar=incoming / "meta", filename="any name")
        assert (taken.filename, taken.sidecar.note) == (NAME, "from the attic")

    @pytest.mark.parametrize(("content", "words"), [(b"{", "meta: it is not valid JSON"), (None, "meta is missing")])
    def test_a_description_that_is_none_is_refused(
        self, folder: Path, incoming: Path, copy: Path, content: bytes | None, words: str
    ) -> None:
        if content is not None:
            (incoming / "meta").write_bytes(content)
        assert words in refused(packed(incoming / "file", copy), folder, sidecar=incoming / "meta", filename="x.db.gz")

    @pytest.mark.parametrize("pragma", ["page_size=1024", "page_size=8192", "auto_vacuum=1"])
    def test_other_shapes_of_the_file_are_kept(self, folder: Path, copy: Path, pragma: str) -> None:
        changed(copy, f"PRAGMA {pragma}", "VACUUM")
        taken = adopt(copy, folder)
        back = copy.with_name("back.db")
        back.write_bytes(gzip.decompress((folder / taken.filename).read_bytes()))
        name, _, value = pragma.partition("=")
        assert str(query(back, f"PRAGMA {name}")) == value

    def test_another_encoding_is_taken_in(self, folder: Path, copy: Path) -> None:
        other = in_encoding(copy, copy.with_name("other.db"), "UTF-16le")
        assert adopt(other, folder).sidecar.table_counts["filters"] == 2

    def test_a_note_of_ones_own_counts_more(self, live: Path, folder: Path, incoming: Path) -> None:
        backup(live, prepare_folder(incoming / "theirs"), now=NOW, note="theirs")
        assert adopt(incoming / "theirs" / NAME, folder, note=" mine ").sidecar.note == "mine"

    def test_a_note_of_theirs_is_one_line_of_text(self, live: Path, folder: Path, incoming: Path) -> None:
        backup(live, prepare_folder(incoming / "theirs"), now=NOW)
        described = json.loads((incoming / "theirs" / META).read_text()) | {"note": "red \x1b[31m\nalert" + "x" * 999}
        (incoming / "theirs" / META).write_text(json.dumps(described))
        assert adopt(incoming / "theirs" / NAME, folder).sidecar.note == "red [31malert" + "x" * 484 + "…"

    @pytest.mark.parametrize(
        ("year", "filename"),
        [
            ("1970", "tvarr-backup-1970-01-14T10-30-00.db.gz"),
            ("2999", "tvarr-backup-2999-01-14T10-30-00.db.gz"),
            ("0001", "tvarr-backup-2026-01-14T10-30-00.db.gz"),  # the date in its name
            ("9999", "tvarr-backup-2026-01-14T10-30-00.db.gz"),
        ],
    )
    def test_any_known_year_makes_a_name(self, folder: Path, copy: Path, year: str, filename: str) -> None:
        taken = adopt(tvarrs_new_backup(copy.parent, copy, created_at=f"{year}-01-14T10:30:00Z"), folder)
        assert taken.filename == filename
        assert read_folder(folder).backups == (taken,)

    def test_each_is_the_newest(self, folder: Path, incoming: Path, copy: Path) -> None:
        source, taken = tvarrs_new_backup(incoming, copy), []
        for number in range(3):
            taken.append(adopt(source, folder))
            tvarrs_new_backup(incoming, changed(copy, f"UPDATE filters SET name = 'f{number}'"))
        assert len({each.filename for each in taken}) == 3
        assert read_folder(folder).backups == tuple(taken[::-1])

    def test_rows_that_refer_to_nothing_need_consent(self, folder: Path, copy: Path) -> None:
        changed(copy, "DELETE FROM stream_sources")
        words = refused(copy, folder)
        assert (
            "copy.db was not added. 1 row of channels refers to a row of stream_sources that does not exist." in words
        )
        assert "--accept-broken-references" in words
        taken = adopt(copy, folder, accept_broken_references=True)
        assert taken.sidecar.checked is not None
        assert len(taken.sidecar.checked.warnings) == 1

    def test_an_archive_in_the_folder_that_is_none_can_be_made_one(self, folder: Path, copy: Path) -> None:
        packed(folder / NAME, copy)
        before = state(folder)
        taken = adopt(folder / NAME, folder)
        assert taken.filename == NAME.replace("00.db", "00.000.db")
        assert state(folder).items() >= before.items()


class TestDates:
    """A backup without metadata gets its arrival as its date only if there is no other date."""

    @pytest.mark.parametrize(
        "name",
        [
            "tvarr-backup-2026-03-02T02-00-00.db",
            "tvarr-backup-2026-03-02T02-00-00 (1).db.gz",
            "tvarr-backup-2026-03-02T02-00-00.db (1).gz",
            "Copy of tvarr-backup-2026-03-02T02-00-00 - Copy.db",
        ],
    )
    def test_the_name_tells_it_also_after_a_browser_has_changed_it(self, folder: Path, copy: Path, name: str) -> None:
        source = packed(copy.with_name(name), copy) if name.endswith("gz") else copy.rename(copy.with_name(name))
        taken = adopt(source, folder)
        assert taken.filename == "tvarr-backup-2026-03-02T02-00-00.db.gz"
        assert taken.sidecar.created_at == datetime(2026, 3, 2, 2, tzinfo=UTC)
        assert (taken.sidecar.created_at_source, taken.sidecar.newest_row_at) == (DateSource.NAME, ROWS)

    @pytest.mark.parametrize("form", ["plain", "gzip"])
    def test_without_a_telling_name_it_is_the_newest_row(self, folder: Path, copy: Path, form: str) -> None:
        taken = adopt(copy if form == "plain" else packed(copy.with_name("tvarr.db.gz"), copy), folder)
        sidecar = taken.sidecar
        assert taken.filename == "tvarr-backup-2026-03-01T15-00-00.db.gz"
        assert (sidecar.created_at_source, sidecar.newest_row_at, sidecar.known_at) == ("newest_row", ROWS, ROWS)

    def test_where_nothing_tells_it_is_the_arrival_and_says_so(self, folder: Path, copy: Path) -> None:
        for table in [*required().columns, "schema_migrations"]:
            for column in ("created_at", "updated_at", "deleted_at", "applied_at"):
                with contextlib.suppress(sqlite3.OperationalError):  # there is no such column
                    changed(copy, f"UPDATE {table} SET {column} = ''")
        began = datetime.now(UTC).replace(microsecond=0)
        sidecar = adopt(copy, folder).sidecar
        assert began <= sidecar.created_at <= datetime.now(UTC)
        assert (sidecar.created_at_source, sidecar.newest_row_at, sidecar.known_at) == ("arrival", None, None)

    def test_metadata_tells_it_and_the_newest_row_is_kept_as_well(
        self, live: Path, folder: Path, incoming: Path
    ) -> None:
        backup(live, prepare_folder(incoming / "theirs"), now=NOW)
        sidecar = adopt(incoming / "theirs" / NAME, folder).sidecar
        assert sidecar.created_at == NOW.replace(microsecond=0)
        assert (sidecar.created_at_source, sidecar.newest_row_at) == ("metadata", ROWS)

    def test_an_unknown_date_stays_unknown_on_the_next_server(self, folder: Path, incoming: Path, copy: Path) -> None:
        theirs = adopt(copy, prepare_folder(incoming / "theirs"))
        again = adopt(incoming / "theirs" / theirs.filename, folder)
        assert (again.sidecar.created_at_source, again.sidecar.known_at) == ("newest_row", ROWS)

    def test_a_backup_made_here_has_its_own_date(self, live: Path, folder: Path) -> None:
        sidecar = backup(live, folder, now=NOW).sidecar
        assert (sidecar.created_at_source, sidecar.known_at) == ("metadata", NOW.replace(microsecond=0))


class TestJournals:
    """What lay next to the database of a machine that has died comes with it."""

    def test_the_newest_changes_in_a_wal_are_taken_in(self, folder: Path, incoming: Path) -> None:
        source = died_in_wal_mode(incoming / "tvarr.db")
        before = state(incoming)
        taken = adopt(source, folder)
        assert state(incoming) == before
        assert taken.sidecar.table_counts["filters"] == 3
        assert (taken.sidecar.wal_missing, warnings_of(taken)) == (False, ())
        assert verify_backup(folder, taken.filename, required()).problems == ()

    def test_what_was_not_committed_is_rolled_back(self, folder: Path, incoming: Path) -> None:
        committed = died_while_writing(incoming / "tvarr.db")
        before = state(incoming)
        taken = adopt(incoming / "tvarr.db", folder)
        assert state(incoming) == before
        assert gzip.decompress((folder / taken.filename).read_bytes()) == committed

    @pytest.mark.parametrize("name", ["tvarr.db-wal", "tvarr.db-journal", "tvarr.db-shm"])
    @pytest.mark.parametrize("mode", ["delete", "wal"])
    def test_an_empty_journal_is_no_reason_to_refuse(self, folder: Path, incoming: Path, name: str, mode: str) -> None:
        source = changed(tvarrs(incoming / "tvarr.db"), f"PRAGMA journal_mode={mode}")
        (incoming / name).write_bytes(b"")
        taken = adopt(source, folder)
        assert taken.sidecar.wal_missing is (mode == "wal" and not name.endswith("-wal"))
        assert (incoming / name).read_bytes() == b""

    @pytest.mark.parametrize("form", ["plain", "gzip"])
    def test_a_copy_in_wal_mode_without_its_wal_says_what_may_be_missing(
        self, folder: Path, incoming: Path, form: str
    ) -> None:
        source = died_in_wal_mode(incoming / "tvarr.db")
        (incoming / "tvarr.db-wal").unlink()
        if form == "gzip":
            source = packed(incoming / "tvarr.db.gz", source)
        taken = adopt(source, folder)
        assert taken.sidecar.table_counts["filters"] == 2
        assert (taken.sidecar.wal_missing, warnings_of(taken)) == (
            True,
            (BackupWarning(BackupWarningCode.WAL_MISSING),),
        )

    def test_a_later_check_and_the_next_server_still_say_so(self, folder: Path, incoming: Path) -> None:
        theirs = adopt(tvarrs(incoming / "tvarr.db"), prepare_folder(incoming / "theirs"))
        verify_backup(incoming / "theirs", theirs.filename, required())
        taken = adopt(incoming / "theirs" / theirs.filename, folder)
        for found in (find_backup(incoming / "theirs", theirs.filename), taken):
            assert warnings_of(found) == (BackupWarning(BackupWarningCode.WAL_MISSING),)

    def test_a_backup_made_here_has_no_such_warning(self, live: Path, folder: Path) -> None:
        assert not backup(live, folder).sidecar.wal_missing

    def test_a_wal_that_cannot_be_applied_is_refused(self, folder: Path, incoming: Path) -> None:
        source = died_in_wal_mode(incoming / "tvarr.db")
        wal = bytearray((incoming / "tvarr.db-wal").read_bytes())
        wal[8:12] = (1024).to_bytes(4)
        (incoming / "tvarr.db-wal").write_bytes(wal)
        assert "tvarr.db-wal is not the write-ahead log of this database." in refused(source, folder)

    def test_an_archive_has_no_wal(self, folder: Path, copy: Path) -> None:
        source = packed(copy.with_name("tvarr.db.gz"), copy)
        source.with_name("tvarr.db.gz-wal").write_bytes(bytes(100))
        words = refused(source, folder)
        assert "tvarr.db.gz-wal came with it, but only a plain copy of a database has a journal." in words

    def test_there_must_be_room_for_the_wal_as_well(self, folder: Path, incoming: Path) -> None:
        source = died_in_wal_mode(incoming / "tvarr.db", mebibytes=40)
        name, *_, left = on_small_disk(LIMITED, _disk(folder), source, options="size=75m")
        assert (name, left) == ("NoRoom", [".lock", ".work"])


def warnings_of(backup: Backup) -> tuple[BackupWarning, ...]:
    assert backup.sidecar.checked is not None
    return backup.sidecar.checked.warnings


def _json(value: Any) -> bytes:
    return json.dumps(value).encode()


def _zip() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as made:
        made.writestr("tvarr.db", b"x")
    return file.getvalue()


class TestOtherFiles:
    """The message names the type of a file that is not a backup."""

    @pytest.mark.parametrize(
        ("content", "words"),
        [
            (b"", "like an empty file."),
            (
                _json({"metadata": {"export_type": "stream_sources"}}),
                "like an export of stream sources: import it with",
            ),
            (b"\xef\xbb\xbf \n" + _json({"export_type": "filters"}), "like an export of filters: import it with"),
            (_json({"tvarr_version": "0.0.2"}), "like a JSON file, perhaps the metadata file of a backup."),
            (b"[1]", "like a JSON file"),
            (_zip(), "like a zip archive, perhaps another program's backup."),
            (b"\x89PNG\r\n\x1a\n" + bytes(99), "like an image."),
            (b"\xff\xd8\xff\xe0" + bytes(99), "like an image."),
            (b"%PDF-1.7", "like a PDF document."),
            (b"#EXTM3U\n", "like a channel list."),
            (b"<?xml version='1.0'?>", "like an XML or HTML file."),
            (b"SQLite format 3", 'like another type of file (it begins with "SQLite f").'),
            (b"hello\n", 'like another type of file (it begins with "hello").'),
            (b"\x00\xffa", "like another type of file (it begins with the bytes 00 ff 61)."),
            (bytes(9999), "like another type of file"),
        ],
    )
    @pytest.mark.parametrize("form", ["plain", "gzip"])
    def test_it_is_said_what_it_is(self, folder: Path, incoming: Path, content: bytes, words: str, form: str) -> None:
        source = incoming / "offered.db.gz"
        source.write_bytes(content)
        if form == "gzip":
            packed(source, content)
        found = refused(source, folder)
        start = (
            "This file is not a backup. It looks"
            if form == "plain"
            else "It does not contain a database. Its content looks"
        )
        assert found.startswith("offered.db.gz was not added. " + start)
        assert words in found

    def test_an_uploaded_file_is_named_as_it_was_called(self, folder: Path, incoming: Path) -> None:
        (incoming / "tmp1234").write_bytes(b"<html>")
        words = refused(incoming / "tmp1234", folder, filename="page.html")
        assert (
            words
            == "page.html was not added. This file is not a backup. It looks like an XML or HTML file. Nothing was saved."
        )

    @pytest.mark.parametrize(
        ("what", "words"),
        [
            ("missing", "cannot be read: No such file or directory."),
            ("folder", "cannot be read: it is not a regular file."),
            ("pipe", "cannot be read: it is not a regular file."),
            ("link", "cannot be read: Too many levels of symbolic links."),
            ("dangling link", "cannot be read: "),
            ("device", "cannot be read: it is not a regular file."),
        ],
    )
    def test_what_is_no_regular_file_is_not_read(
        self, folder: Path, incoming: Path, copy: Path, what: str, words: str
    ) -> None:
        source = incoming / "offered"
        match what:
            case "folder":
                source.mkdir()
            case "pipe":
                os.mkfifo(source)
            case "link":
                source.symlink_to(copy)
            case "dangling link":
                source.symlink_to("nowhere")
            case "device":
                source = Path("/dev/null")
        assert words in refused(source, folder)

    @pytest.mark.parametrize("name", ["/", ".", "..", "/etc"])
    def test_a_folder_without_a_name_is_no_traceback(self, folder: Path, name: str) -> None:
        assert "cannot be read: it is not a regular file." in refused(Path(name), folder)

    @pytest.mark.parametrize("how", ["itself", "hard link", "link", "another path"])
    def test_the_live_database_is_refused_without_opening_it(
        self, folder: Path, live: Path, incoming: Path, how: str
    ) -> None:
        settled(live)
        source = incoming / "offered.db" if "link" in how else live
        if how == "hard link":
            source.hardlink_to(live)
        elif how == "link":
            source.symlink_to(live)
        elif how == "another path":
            source = incoming / ".." / live.name
        with closing(sqlite3.connect(live, isolation_level=None)) as writer:
            writer.execute("BEGIN IMMEDIATE")
            assert "is the live database. Nothing was saved." in _refused_quietly(source, folder, live)
            code = "import sqlite3, sys; sqlite3.connect(sys.argv[1], timeout=0).execute('BEGIN IMMEDIATE')"
            other = subprocess.run([sys.executable, "-c", code, live], capture_output=True, text=True, check=False)
            assert "database is locked" in other.stderr

    def test_a_note_that_cannot_be_shown_is_refused(self, folder: Path, copy: Path) -> None:
        with pytest.raises(NoteInvalid):
            adopt(copy, folder, note="a\nb")

    def test_somebody_at_work_is_waited_for_by_nobody(self, folder: Path, copy: Path) -> None:
        before = state(folder)
        with backup_lock(folder), pytest.raises(BackupBusy):
            adopt(copy, folder)
        assert state(folder) == before


def _refused_quietly(source: Path, folder: Path, live: Path) -> str:
    """Without reading the files around, which would itself drop this process's locks on the live one."""
    with pytest.raises(UploadRefused) as problem:
        adopt(source, folder, live=live)
    assert sorted(path.name for path in folder.iterdir()) == [".lock", ".work"]
    return str(problem.value)


class TestDamagedArchives:
    """Strictly one gzip member, with what the sidecar says."""

    @pytest.mark.parametrize(
        ("spoil", "words"),
        [
            (lambda raw: raw[: len(raw) // 2], "is cut off"),
            (lambda raw: raw[:-1], "is cut off"),
            (lambda raw: raw[:-8], "is cut off"),
            (lambda raw: raw + raw, "It contains two databases in a row."),
            (lambda raw: raw + b"x", "and other data follows"),
            (lambda raw: raw + raw[:-1], "is cut off"),
            (lambda raw: raw[:2000] + b"\0" * 50 + raw[2050:], "damaged"),
        ],
    )
    def test_what_is_not_whole_is_refused(
        self, folder: Path, copy: Path, spoil: Callable[[bytes], bytes], words: str
    ) -> None:
        for source in (packed(copy.with_name(NAME), copy), tvarrs_new_backup(copy.parent, copy)):
            source.write_bytes(spoil(source.read_bytes()))
            found = refused(source, folder)
            assert found.startswith(f"{source.name} was not added. ")
            assert words in found or source.name.endswith(".tar.gz")

    @pytest.mark.parametrize("cut", [1, 100, 5000])
    @pytest.mark.parametrize("padding", [0, 512])
    @pytest.mark.parametrize("form", ["gzip", "tar"])
    def test_any_valid_gzip_is_packed_again_as_one_of_ours(
        self, folder: Path, copy: Path, form: str, cut: int, padding: int
    ) -> None:
        name, content = NAME, copy.read_bytes()
        if form == "tar":
            name = "offered.tar.gz"
            content = tar_of(member("metadata.json", metadata(copy)), member("database.db", content))
        source = copy.with_name(name)
        source.write_bytes(gzip.compress(content[:cut]) + gzip.compress(content[cut:]) + bytes(padding))
        taken = adopt(source, folder)
        assert taken.sidecar.table_counts["filters"] == 2
        assert verify_backup(folder, taken.filename, required()).problems == ()

    def test_an_archive_of_ours_stays_one_member(self, live: Path, folder: Path) -> None:
        made = backup(live, folder)
        archive = folder / made.filename
        archive.write_bytes(archive.read_bytes() + gzip.compress(b""))
        sidecar = made.sidecar.with_changes(compressed_size=archive.stat().st_size)
        (folder / made.name.sidecar).write_bytes(encode_sidecar(sidecar))
        assert "but more data follows." in verify_backup(folder, made.filename, required()).problems[0]

    @pytest.mark.parametrize(
        ("changes", "words"),
        [
            ({"checksum": "sha256:" + "0" * 64}, "but its metadata file says sha256:00000000"),
            ({"checksum": "sha256:"}, "checksum is not a SHA-256 checksum."),
            ({"database_size": "many"}, "database_size is not a whole number of 0 or more."),
            ({"format": 1, "kind": "manual", "seq": 1, "database_size": 4096}, "more than the expected 4096 bytes"),
            ({"format": 9}, "expected format 1, got 9."),
        ],
    )
    def test_a_sidecar_that_does_not_fit_is_refused(
        self, folder: Path, copy: Path, changes: dict[str, Any], words: str
    ) -> None:
        source = tvarrs_old_backup(copy.parent, copy, **changes)
        assert words in refused(source, folder)

    @pytest.mark.parametrize(
        ("members", "words"),
        [
            ([], "its first member is not metadata.json."),
            ([("database.db", b"x")], "its first member is not metadata.json."),
            ([("metadata.json", b"{}"), ("database.db", b"x")], "database_size is not a whole number of 0 or more."),
            ([("metadata.json", None)], "its second member is not database.db."),
            ([("metadata.json", None), ("tvarr.db", b"x")], "its second member is not database.db."),
            ([("metadata.json", None), ("database.db", b"x"), ("more", b"")], "it has more than two members."),
            (
                [("metadata.json", None), ("database.db", b"")],
                "It does not contain a database. Its content looks like an empty file.",
            ),
            (
                [("metadata.json", None), ("database.db", b"\x89PNG")],
                "It does not contain a database. Its content looks like an image.",
            ),
        ],
    )
    def test_a_tar_that_is_not_tvarrs_is_refused(
        self, folder: Path, copy: Path, members: list[tuple[str, bytes | None]], words: str
    ) -> None:
        good = metadata(copy)
        content = tar_of(*(member(name, good if raw is None else raw) for name, raw in members))
        source = packed(copy.with_name("offered.tar.gz"), content or bytes(1024))
        found = refused(source, folder)
        assert words in found or (not members and "was not added. It does not contain a database" in found)

    def test_flipped_bits_are_found_or_change_nothing_in_the_database(self, folder: Path, copy: Path) -> None:
        source, refusals = packed(copy.with_name(NAME), copy), 0
        whole = f"sha256:{hashlib.sha256(copy.read_bytes()).hexdigest()}"
        raw, random = source.read_bytes(), Random(3)
        for position in random.sample(range(len(raw)), 100):
            spoilt = bytearray(raw)
            spoilt[position] ^= 1 << random.randrange(8)
            source.write_bytes(spoilt)
            try:  # a run of zeros can be written in two ways, and gzip's header has a time
                taken = adopt(source, folder)
                assert taken.sidecar.database_checksum == whole
                delete_backup(folder, protect_backup(folder, taken.filename, protected=False).filename)
            except UploadRefused:
                refusals += 1
        assert refusals > 50


class TestDatabases:
    """What is in the file must be tvarr's, whole, and not newer than we are."""

    @pytest.mark.parametrize(
        ("make", "words"),
        [
            (lambda path: path.write_bytes(settled(tvarrs(path)).read_bytes()[:4096]), "was not added."),
            (lambda path: path.write_bytes(tvarrs(path).read_bytes()[:-4096]), "SQLite cannot read it:"),
            (lambda path: path.write_bytes(tvarrs(path).read_bytes()[:-1]), "SQLite finds it damaged:"),
            (lambda path: path.write_bytes(settled(tvarrs(path)).read_bytes()[:70_000]), "SQLite cannot read it:"),
            (lambda path: changed(path, "CREATE TABLE a (b)", "DROP TABLE a", "VACUUM"), "It is an empty database."),
            (lambda path: changed(path, "CREATE TABLE a (b)", "DROP TABLE a"), "It has no tables."),
            (
                lambda path: changed(path, "CREATE TABLE recipes (a)"),
                "It has neither tvarr's nor our tables, but recipes.",
            ),
            (
                lambda path: changed(
                    path,
                    "CREATE TABLE django_migrations (app, name)",
                    "INSERT INTO django_migrations VALUES ('a', 'b')",
                ),
                "the database of another Django program",
            ),
            (
                lambda path: path.write_bytes(
                    tvarrs(path).read_bytes().replace(b"CREATE TABLE filters", b"CREATE TAB\xff\xfe filters")
                ),
                "SQLite cannot read it: a name or a statement in it is not valid text.",
            ),
            (lambda path: with_wrong_index(settled(tvarrs(path))), "idx_filters_source_type"),
            (
                lambda path: tvarrs(
                    path,
                    "PRAGMA ignore_check_constraints=1",
                    "CREATE TABLE t (a CHECK (a > 0))",
                    "INSERT INTO t VALUES (0)",
                ),
                "CHECK constraint failed in t",
            ),
            (
                lambda path: tvarrs(
                    path,
                    "CREATE TABLE t (a)",
                    "INSERT INTO t VALUES (NULL)",
                    "PRAGMA writable_schema=ON",
                    "UPDATE sqlite_master SET sql = 'CREATE TABLE t (a NOT NULL)' WHERE name = 't'",
                ),
                "NULL value in t.a",
            ),
            (lambda path: tvarrs(path, "CREATE VIEW sight AS SELECT 1"), 'contains the view "sight". tvarr'),
            (
                lambda path: tvarrs(path, "CREATE TRIGGER spy AFTER INSERT ON filters BEGIN SELECT 1; END"),
                'contains the trigger "spy". tvarr does not create',
            ),
            (
                lambda path: tvarrs(path, "CREATE VIRTUAL TABLE v USING fts5(a)"),
                'contains the virtual table "v". tvarr',
            ),
        ],
    )
    @pytest.mark.parametrize("form", ["plain", "gzip"])
    def test_what_is_not_is_refused(
        self, folder: Path, incoming: Path, make: Callable[[Path], object], words: str, form: str
    ) -> None:
        source = incoming / "offered.db"
        make(source)
        if form == "gzip":
            packed(source, source)
        found = refused(source, folder)
        assert found.startswith("offered.db ")
        assert words in found

    def test_a_newer_tvarr_is_fine_where_the_live_database_is_as_new(self, folder: Path, copy: Path) -> None:
        changed(copy, "INSERT INTO schema_migrations VALUES ('030', 'm', 'now')")
        newer = required()
        taken = adopt_backup(copy, folder, type(newer)(newer.columns, newer.app_label, newer.migrations, "030"))
        assert taken.sidecar.schema == "tvarr 030"

    def test_whatever_bytes_are_wrong_it_is_refused_or_whole(self, folder: Path, copy: Path) -> None:
        random, whole = Random(31), copy.read_bytes()
        for _ in range(60):
            raw = bytearray(whole)
            for _ in range(random.choice([1, 8, 64])):
                raw[random.choice([random.randrange(len(raw)), random.randrange(8192)])] = random.randrange(256)
            copy.write_bytes(raw)
            try:
                taken = adopt(copy, folder, accept_broken_references=True)
            except UploadRefused:
                continue
            assert verify_backup(folder, taken.filename, required()).problems == ()
        assert read_folder(folder).broken == ()


class TestInterruptions:
    """Whatever ends it early, nothing of it is left."""

    @pytest.mark.parametrize("form", ["plain", "gzip", "tar"])
    @pytest.mark.parametrize("phase", [Phase.RECEIVE, Phase.UNPACK, Phase.PACK, Phase.CHECK, Phase.PUBLISH])
    def test_what_progress_raises_undoes_everything(self, folder: Path, copy: Path, form: str, phase: Phase) -> None:
        slow_to_check(copy)
        source = {"plain": lambda: copy, "gzip": lambda: packed(copy.with_name(NAME), copy)}.get(
            form, lambda: tvarrs_new_backup(copy.parent, copy)
        )()
        if phase is (Phase.UNPACK if form == "plain" else Phase.RECEIVE):
            return
        before = state(folder.parent)
        with pytest.raises(ZeroDivisionError):
            adopt(source, folder, progress=raising_at(phase, ZeroDivisionError()))
        assert state(folder.parent) == before


LIMITED = """
import json, sys
from pathlib import Path
from tvarr_backup.backups.adopt import adopt_backup
from tvarr_backup.backups.folder import prepare_folder
from tvarr_backup.schema import RequiredSchema
folder = prepare_folder(Path(sys.argv[1]) / "backups")
most = 0
def watch(*_):
    global most
    most = max(most, sum(path.stat().st_blocks * 512 for path in (folder / ".work").iterdir()))
try:
    adopt_backup(Path(sys.argv[2]), folder, RequiredSchema({}, "tvarr_backup", frozenset()), progress=watch)
    name, words = "added", ""
except Exception as problem:
    name, words = type(problem).__name__, str(problem)
peak = int(Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()[0]) * 1024
print(json.dumps([name, words, most, peak, sorted(path.name for path in folder.rglob("*"))]))
"""


class TestBombs:
    """A mebibyte that unpacks to a gibibyte."""

    @pytest.mark.parametrize("form", ["gzip", "tar", "with a sidecar that says little", "with one that says much"])
    def test_it_is_refused_within_the_limit_and_little_memory(self, folder: Path, incoming: Path, form: str) -> None:
        source = incoming / NAME
        source.write_bytes(zero_archive())
        if form == "tar":
            header, _ = member("database.db", type=b"0")
            header.size = 2**30
            start = tar_of(member("metadata.json", metadata(source)))[:1024] + header.tobuf()
            source.write_bytes(_gzip_with_zeros(start))
        elif form.startswith("with"):
            size = 4096 if form.endswith("little") else 2**40
            facts = {"checksum": "sha256:" + "0" * 64, "database_size": size, "compressed_size": 1}
            (incoming / META).write_bytes(
                json.dumps(json.loads(metadata(source)) | facts | {"format": 1, "kind": "manual", "seq": 1}).encode()
            )
        name, words, most, peak, left = on_small_disk(LIMITED, _disk(folder), source, options="size=100m")
        assert (name, left) == ("UploadRefused" if form.endswith("little") else "NoRoom", [".lock", ".work"])
        assert (
            "more than the expected 4096 bytes" in words
            if form.endswith("little")
            else "room" in words or "free" in words
        )
        assert most <= 80 * 2**20
        assert peak < 100 * 2**20

    def test_a_disk_with_no_room_is_said_before_anything_is_unpacked(self, folder: Path, copy: Path) -> None:
        name, words, most, _, left = on_small_disk(
            LIMITED, _disk(folder), packed(copy.with_name(NAME), copy), options="size=12k"
        )
        assert (name, most, left) == ("NoRoom", 0, [".lock", ".work"])
        assert words.startswith("Adding the file needs about 0.0 MB of free space")

    @pytest.mark.parametrize("form", ["plain", "gzip"])
    def test_a_disk_that_is_just_large_enough_will_do(self, folder: Path, copy: Path, form: str) -> None:
        source = copy if form == "plain" else packed(copy.with_name(NAME), copy)
        assert on_small_disk(LIMITED, _disk(folder), source, options="size=1m")[:2] == ["added", ""]


def _gzip_with_zeros(start: bytes) -> bytes:
    file = io.BytesIO()
    with gzip.GzipFile(fileobj=file, mode="wb", compresslevel=1) as target:
        target.write(start)
        for _ in range(1024):
            target.write(bytes(2**20))
    return file.getvalue()


def _disk(folder: Path) -> Path:
    disk = folder.parent / "disk"
    disk.mkdir(exist_ok=True)
    return disk


def test_every_refusal_is_one_of_ours() -> None:
    assert issubclass(UploadRefused, TvarrBackupError)
    assert UploadRefused.code == "upload_refused"
