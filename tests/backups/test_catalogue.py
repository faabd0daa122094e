"""List a backup folder with any content, and change and delete single backups."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random

import pytest

from tests.backups.makers import (
    NOW,
    backup,
    filenames,
    member,
    metadata,
    packed,
    required,
    state,
    tar_of,
    tvarrs_new_backup,
    tvarrs_old_backup,
)
from tvarr_backup.backups import catalogue
from tvarr_backup.backups.catalogue import (
    Backup,
    Broken,
    Listing,
    delete_backup,
    find_backup,
    protect_backup,
    publish_backup,
    read_folder,
    rewrite_sidecar,
)
from tvarr_backup.backups.folder import work_in
from tvarr_backup.backups.names import parse_name
from tvarr_backup.backups.retention import Policy, prune
from tvarr_backup.backups.sidecar import BackupKind, Checked, CheckLevel, Sidecar, encode_sidecar, read_sidecar
from tvarr_backup.backups.verify import verify_backup
from tvarr_backup.errors import (
    BackupBroken,
    BackupFolderUnusable,
    BackupForeign,
    BackupNotFound,
    BackupProtected,
    NoteInvalid,
    PreconditionFailed,
)
from tvarr_backup.quoting import quoted
from tvarr_backup.sentences import Sentence

NAME = "tvarr-backup-2026-06-15T12-30-00.db.gz"
META = NAME.replace(".db.gz", ".meta.json")
TAR = "tvarr-backup-2026-01-14T10-30-00.123.tar.gz"


@pytest.fixture
def made(live: Path, folder: Path) -> Backup:
    """A good backup."""
    return backup(live, folder, now=NOW, kind=BackupKind.SCHEDULED, note="nightly")


def spoil(folder: Path, what: str) -> None:  # noqa: PLR0912  # a table, one fault a line
    """Break the backup of the fixture in one way."""
    archive, sidecar = folder / NAME, folder / META
    value = json.loads(sidecar.read_text())
    match what:
        case "no sidecar":
            sidecar.unlink()
        case "no archive":
            archive.unlink()
        case "sidecar of 0 bytes":
            sidecar.write_text("")
        case "sidecar breaks off":
            sidecar.write_bytes(sidecar.read_bytes()[:200])
        case "sidecar of another format":
            sidecar.write_text(json.dumps(value | {"format": 2}))
        case "sidecar with a list for a level":
            sidecar.write_text(json.dumps(value | {"checked": {"level": [], "at": "2026-01-01"}}))
        case "sidecar with half a character":
            sidecar.write_text(json.dumps(value | {"note": "\ud800"}))
        case "sidecar with half a character in a name":
            sidecar.write_text(json.dumps(value | {"table_counts": {"\udfff": 1}}))
        case "sidecar is a folder":
            sidecar.unlink()
            sidecar.mkdir()
        case "sidecar is a pipe":
            sidecar.unlink()
            os.mkfifo(sidecar)
        case "sidecar is a link":
            sidecar.rename(folder / "elsewhere")
            sidecar.symlink_to(folder / "elsewhere")
        case "archive grew":
            with archive.open("ab") as file:
                file.write(b"x")
        case "archive is empty":
            archive.write_bytes(b"")
        case "archive is a folder":
            archive.unlink()
            archive.mkdir()
        case "archive is a pipe":
            archive.unlink()
            os.mkfifo(archive)
        case "archive is a link":
            archive.rename(folder / "elsewhere")
            archive.symlink_to(folder / "elsewhere")
        case "archive is a link to nothing":
            archive.unlink()
            archive.symlink_to(folder / "elsewhere")


SPOILT = {
    "no sidecar": f"its metadata file {META} is missing",
    "no archive": "its metadata file exists, but its archive does not",
    "sidecar of 0 bytes": f"{META}: it is not valid JSON",
    "sidecar breaks off": f"{META}: it is not valid JSON",
    "sidecar of another format": f"{META}: expected format 1, got 2",
    "sidecar with a list for a level": f"{META}: checked has no known level",
    "sidecar with half a character": f"{META}: it is not valid JSON",
    "sidecar with half a character in a name": f"{META}: it is not valid JSON",
    "sidecar is a folder": f"{META} cannot be read: it is not a regular file",
    "sidecar is a pipe": f"{META} cannot be read: it is not a regular file",
    "sidecar is a link": f"{META} cannot be read: Too many levels of symbolic links",
    "archive grew": "but its metadata says",
    "archive is empty": "it has 0 bytes, but ",
    "archive is a folder": "it is not a regular file",
    "archive is a pipe": "it is not a regular file",
    "archive is a link": "it is not a regular file",
    "archive is a link to nothing": "it is not a regular file",
}


def open_files() -> list[str]:
    return sorted(path.name for path in Path("/proc/self/fd").iterdir())


class TestReading:
    """No content of a file can make a listing fail."""

    def test_an_empty_folder_is_empty(self, folder: Path) -> None:
        listing = read_folder(folder)
        assert (listing.backups, listing.broken, listing.foreign) == ((), (), ())

    def test_one_that_does_not_exist_yet_is_empty_and_not_created(self, tmp_path: Path) -> None:
        assert read_folder(tmp_path / "backups") == Listing((), (), ())
        assert not (tmp_path / "backups").exists()

    @pytest.mark.parametrize("what", ["file", "dangling link"])
    def test_what_is_no_folder_is_refused_in_words(self, tmp_path: Path, what: str) -> None:
        path = tmp_path / "backups"
        if what == "file":
            path.touch()
        elif what == "dangling link":
            path.symlink_to(tmp_path / "nowhere")
        with pytest.raises(BackupFolderUnusable, match=f"^The backup folder {path} cannot be used: N"):
            read_folder(path)

    @pytest.mark.wording
    @pytest.mark.parametrize(("what", "words"), SPOILT.items())
    def test_what_is_broken_is_named_with_the_reason_and_does_not_count(
        self, made: Backup, live: Path, folder: Path, what: str, words: str
    ) -> None:
        other = backup(live, folder, now=NOW + timedelta(days=1))
        spoil(folder, what)
        before = state(folder)
        listing = read_folder(folder)
        assert listing.backups == (other,)
        assert [(broken.filename, words in broken.reason) for broken in listing.broken] == [(NAME, True)]
        assert set(listing.foreign) <= {"elsewhere"}
        assert state(folder) == before

    @pytest.mark.parametrize("what", SPOILT)
    def test_what_is_broken_is_touched_by_nothing(self, made: Backup, live: Path, folder: Path, what: str) -> None:
        spoil(folder, what)
        before = state(folder)
        new = backup(live, folder, kind=BackupKind.SCHEDULED, now=NOW + timedelta(days=1))
        assert prune(folder, Policy(0, timedelta(0)), now=NOW + timedelta(days=900)) == []
        verify_backup(folder, new.filename, required())
        delete_backup(folder, new.filename)
        assert state(folder) == before

    @pytest.mark.parametrize(
        "name",
        [
            "notes.txt",
            ".hidden",
            NAME + "\n",
            NAME + ".part",
            f" {NAME}",
            NAME.upper(),
            NAME.replace("2026", "２０２６"),
            NAME.replace("06-15", "13-15"),
            "tvarr-backup-.db.gz",
            META + "\n",
            "tvarr-backup-2026-06-15.meta.json",
            "restore.json",
            "lost+found",
        ],
    )
    def test_a_file_of_another_name_is_foreign(self, made: Backup, folder: Path, name: str) -> None:
        shutil.copy(folder / NAME, folder / name)
        listing = read_folder(folder)
        assert (listing.backups, listing.broken, listing.foreign) == ((made,), (), (name,))

    @pytest.mark.parametrize("what", SPOILT)
    def test_looking_leaves_no_file_open(self, made: Backup, folder: Path, what: str) -> None:
        spoil(folder, what)
        before = open_files()
        read_folder(folder)
        assert open_files() == before

    def test_a_name_that_is_no_text_is_foreign(self, made: Backup, folder: Path) -> None:
        (Path(os.fsdecode(bytes(folder) + b"/\xff.db.gz"))).touch()
        assert read_folder(folder).foreign == ("\N{REPLACEMENT CHARACTER}.db.gz",)

    def test_tvarrs_own_forms_are_listed_after_ours_by_their_times(
        self, made: Backup, folder: Path, live: Path
    ) -> None:
        old, new = tvarrs_old_backup(folder, live), tvarrs_new_backup(folder, live)
        assert filenames(folder) == [NAME, new.name, old.name]
        found = {each.filename: each.sidecar for each in read_folder(folder).backups}
        assert {found[old.name].kind, found[new.name].kind} == {BackupKind.TVARR}
        assert found[new.name].compressed_size == new.stat().st_size
        assert (found[new.name].tvarr_version, found[old.name].tvarr_version) == ("0.0.30", "0.0.2")

    def test_two_thousand_with_broken_and_foreign_ones_among_them_are_listed_right(self, folder: Path) -> None:
        random, seqs = Random(5), list(range(1, 2001))
        random.shuffle(seqs)
        base = Sidecar(NOW, 1, 3, "sha256:" + "a" * 64, BackupKind.SCHEDULED)
        for number, seq in enumerate(seqs):
            stem = f"tvarr-backup-2026-{number // 100 % 12 + 1:02}-01T00-{number // 60 % 60:02}-{number % 60:02}.{number % 1000:03}"
            (folder / f"{stem}.db.gz").write_bytes(b"abc")
            described = folder / f"{stem}.meta.json"
            described.write_bytes(encode_sidecar(base.with_changes(seq=seq)))
            if number % 40 == 0:
                described.write_bytes(random.choice([b"", b"{", b"[]", random.randbytes(99), b'{"format": 1}']))
        for number in range(20):
            (folder / f"holiday{number}.jpg").touch()
        listing = read_folder(folder)
        assert (len(listing.backups), len(listing.broken), len(listing.foreign)) == (1950, 50, 20)
        listed = [each.sidecar.seq for each in listing.backups]
        assert listed == sorted(set(seqs) - set(seqs[::40]), reverse=True)


class TestRemembering:
    """A sidecar is read again only where it may say something else; the file is the truth."""

    @pytest.fixture(autouse=True)
    def _at_once(self, made: Backup, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(catalogue, "_SETTLED_SECONDS", 0)
        assert read_folder(folder).backups == (made,)
        time.sleep(0.02)  # longer than the clock of files stands still

    def test_what_has_not_changed_is_not_read_again(
        self, made: Backup, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(catalogue, "read_sidecar", None)
        assert read_folder(folder).backups == (made,)

    def test_what_is_written_over_in_place_is_seen_at_once_whatever_its_time_says(
        self, made: Backup, folder: Path
    ) -> None:
        before = (folder / META).stat()
        with (folder / META).open("r+b") as file:
            file.write(encode_sidecar(read_sidecar(folder / META).with_changes(note="weekend")))
        os.utime(folder / META, ns=(before.st_atime_ns, before.st_mtime_ns))
        assert (folder / META).stat().st_size == before.st_size
        assert [each.sidecar.note for each in read_folder(folder).backups] == ["weekend"]
        assert find_backup(folder, NAME).sidecar.note == "weekend"

    def test_one_that_takes_its_place_is_seen_at_once(self, made: Backup, folder: Path) -> None:
        (folder / "other").write_bytes(encode_sidecar(made.sidecar.with_changes(note="another")))
        (folder / "other").replace(folder / META)
        assert [each.sidecar.note for each in read_folder(folder).backups] == ["another"]

    def test_an_archive_that_is_cut_off_is_seen_at_once(self, made: Backup, folder: Path) -> None:
        os.truncate(folder / NAME, 10)
        assert [broken.filename for broken in read_folder(folder).broken] == [NAME]

    def test_one_that_is_gone_is_seen_at_once(self, made: Backup, folder: Path) -> None:
        (folder / META).unlink()
        assert [broken.filename for broken in read_folder(folder).broken] == [NAME]


class TestTvarrsArchives:
    """A broken `.tar.gz` is broken, and nothing more happens."""

    @pytest.mark.parametrize(
        ("content", "words"),
        [
            (b"", "is not one of tvarr's archives"),
            (b"no gzip", "is not one of tvarr's archives"),
            ([], "its first member is not metadata.json"),
            ([("database.db", b"x")], "its first member is not metadata.json"),
            ([("metadata.json", b"")], "it is not valid JSON"),
            ([("metadata.json", b"{}")], "database_size is not a whole number of 0 or more"),
            ([("./metadata.json", b"{}")], "its first member is not metadata.json"),
            ([("metadata.json", b" " * (3 * 2**19 + 1))], "its first member is not metadata.json"),
        ],
    )
    def test_it_is_named_with_the_reason(
        self, folder: Path, content: bytes | list[tuple[str, bytes]], words: str
    ) -> None:
        if isinstance(content, list):
            packed(folder / TAR, tar_of(*(member(*each) for each in content)))
        else:
            (folder / TAR).write_bytes(content)
        listing = read_folder(folder)
        assert [(broken.filename, words in broken.reason) for broken in listing.broken] == [(TAR, True)], listing
        assert listing.backups == ()

    @pytest.mark.parametrize("what", ["folder", "pipe", "link"])
    def test_what_is_no_regular_file_is_not_opened(self, folder: Path, live: Path, what: str) -> None:
        if what == "folder":
            (folder / TAR).mkdir()
        elif what == "pipe":
            os.mkfifo(folder / TAR)
        else:
            tvarrs_new_backup(folder.parent, live)
            (folder / TAR).symlink_to(folder.parent / TAR)
        assert read_folder(folder).broken == (Broken(TAR, Sentence("it is not a regular file")),)

    def test_whatever_bits_are_wrong_it_is_a_backup_or_broken(self, folder: Path, live: Path) -> None:
        random = Random(8)
        whole = tar_of(member("metadata.json", metadata(live)), member("database.db", b"x"))
        for _ in range(300):
            raw = bytearray(whole)
            for _ in range(random.choice([1, 1, 4])):
                raw[random.randrange(1024)] ^= 1 << random.randrange(8)
            packed(folder / TAR, checksummed(raw))
            listing = read_folder(folder)
            assert len(listing.backups) + len(listing.broken) == 1

    @pytest.mark.parametrize("kind", ["x", "g", "L", "K", "S", "1", "2"])
    @pytest.mark.parametrize("size", ["00000000000", "00000001000", "77777777777", "negative", "rubbish"])
    def test_a_header_that_makes_no_sense_is_no_traceback(self, folder: Path, kind: str, size: str) -> None:
        raw = bytearray(tar_of(member("metadata.json", b"30 GNU.sparse.map=no numbers\n" * 40)) * 2)
        raw[156:157] = kind.encode()
        raw[124:136] = {"negative": b"\xff" * 11 + b"\x00", "rubbish": b"not a number"}.get(size, size.encode() + b"\0")
        packed(folder / TAR, checksummed(raw))
        assert [broken.filename for broken in read_folder(folder).broken] == [TAR]

    def test_headers_that_announce_each_other_for_ever_are_no_traceback(self, folder: Path) -> None:
        header, content = member("x", b"11 path=abc\n", type=b"x")
        packed(folder / TAR, tar_of((header, content))[:1024] * 1100)
        assert [broken.filename for broken in read_folder(folder).broken] == [TAR]


def checksummed(raw: bytearray) -> bytes:
    """A tar whose first header has the checksum that it should have."""
    raw[148:156] = b" " * 8
    raw[148:156] = b"%06o\0 " % sum(raw[:512])
    return bytes(raw)


class TestFinding:
    """One by its name."""

    def test_it_is_found_by_its_whole_name(self, made: Backup, folder: Path) -> None:
        assert find_backup(folder, NAME) == made

    @pytest.mark.parametrize(
        "name",
        [
            "",
            ".",
            "..",
            "nothing",
            NAME[:-3],
            NAME + "\n",
            NAME + "\0",
            "../" + NAME,
            "./" + NAME,
            "/etc/passwd",
            META,
            ".lock",
            NAME.replace("2026", "２０２６"),
            NAME.replace("2026", "2025"),
            "x" * 10_000,
        ],
    )
    @pytest.mark.parametrize(
        "act",
        [
            find_backup,
            delete_backup,
            lambda folder, name: protect_backup(folder, name, protected=True),
            lambda folder, name: verify_backup(folder, name, required()),
        ],
        ids=["find", "delete", "protect", "verify"],
    )
    def test_any_other_name_is_not_found(
        self, made: Backup, folder: Path, name: str, act: Callable[[Path, str], object]
    ) -> None:
        before = state(folder.parent)
        with pytest.raises(BackupNotFound) as refused:
            act(folder, name)
        assert str(refused.value) == f"There is no backup {quoted(name)}."
        assert state(folder.parent) == before

    @pytest.mark.parametrize("what", sorted(set(SPOILT) - {"no archive"}))
    def test_what_is_broken_is_refused_with_the_reason(self, made: Backup, folder: Path, what: str) -> None:
        spoil(folder, what)
        with pytest.raises(BackupBroken, match=f"^{NAME} cannot be used: ") as refused:
            find_backup(folder, NAME)
        assert SPOILT[what] in str(refused.value)

    def test_one_without_its_archive_is_not_found(self, made: Backup, folder: Path) -> None:
        spoil(folder, "no archive")
        with pytest.raises(BackupNotFound):
            find_backup(folder, NAME)


class TestProtecting:
    """Only the sidecar is written, and only its members that are to change."""

    def test_protection_and_note_are_set_and_lifted(self, made: Backup, folder: Path) -> None:
        archive = (folder / NAME).stat()
        protect_backup(folder, NAME, protected=True, note="  before the move – Häfen ")
        changed = find_backup(folder, NAME)
        assert changed.sidecar == made.sidecar.with_changes(protected=True, note="before the move – Häfen")
        assert protect_backup(folder, NAME, protected=False, note="nightly") == made == find_backup(folder, NAME)
        assert (folder / NAME).stat() == archive
        assert sorted(state(folder)) == [".lock", ".work", NAME, META]

    def test_what_is_not_named_stays(self, made: Backup, folder: Path) -> None:
        assert protect_backup(folder, NAME, protected=True).sidecar.note == "nightly"
        assert protect_backup(folder, NAME, note="").sidecar.protected

    def test_a_person_who_protects_it_does_so_without_an_end(self, made: Backup, folder: Path) -> None:
        with work_in(folder) as work:
            rewrite_sidecar(folder, work, made, protected=True, protected_until=NOW)
        assert protect_backup(folder, NAME, note="x").sidecar.protected_until == NOW
        assert protect_backup(folder, NAME, protected=True).sidecar.protected_until is None

    def test_nothing_is_written_where_nothing_changes(self, made: Backup, folder: Path) -> None:
        before = (folder / META).stat()
        protect_backup(folder, NAME, protected=False, note="nightly")
        assert (folder / META).stat() == before

    def test_a_note_that_cannot_be_shown_is_refused(self, made: Backup, folder: Path) -> None:
        before = state(folder)
        with pytest.raises(NoteInvalid):
            protect_backup(folder, NAME, protected=True, note="a\tb")
        assert state(folder) == before

    def test_one_of_tvarrs_old_form_keeps_what_tvarr_wrote(self, folder: Path, live: Path) -> None:
        old = tvarrs_old_backup(folder, live)
        protected = protect_backup(folder, old.name, protected=True)
        assert (protected.sidecar.kind, protected.sidecar.tvarr_version) == (BackupKind.TVARR, "0.0.2")
        assert find_backup(folder, old.name) == protected

    def test_one_of_tvarrs_new_form_has_no_place_for_it(self, folder: Path, live: Path) -> None:
        new = tvarrs_new_backup(folder, live)
        before = state(folder)
        with pytest.raises(BackupForeign, match=r"Add it as a backup first \(`backup add`\)"):
            protect_backup(folder, new.name, protected=True)
        assert state(folder) == before


class TestMarks:
    """Who names the mark of what was seen changes nothing else."""

    def test_each_change_makes_another_and_the_way_back_the_same(self, made: Backup, folder: Path) -> None:
        changed = protect_backup(folder, NAME, protected=True, only_if=["other", made.etag])
        assert changed.etag == find_backup(folder, NAME).etag != made.etag
        assert protect_backup(folder, NAME, protected=False, only_if=[changed.etag]).etag == made.etag

    @pytest.mark.parametrize("marks", [[], ["other"]])
    def test_another_one_is_refused_and_nothing_changes(self, made: Backup, folder: Path, marks: list[str]) -> None:
        before = state(folder)
        for act in (
            lambda: protect_backup(folder, NAME, protected=True, only_if=marks),
            lambda: delete_backup(folder, NAME, only_if=marks),
        ):
            with pytest.raises(PreconditionFailed, match="has changed since you loaded it"):
                act()
        assert state(folder) == before

    def test_it_is_deleted_by_its_mark(self, made: Backup, folder: Path) -> None:
        delete_backup(folder, NAME, only_if=[made.etag])
        assert filenames(folder) == []

    def test_what_is_broken_has_none(self, made: Backup, folder: Path) -> None:
        spoil(folder, "no sidecar")
        with pytest.raises(BackupBroken):
            delete_backup(folder, NAME, only_if=[made.etag])
        assert (folder / NAME).exists()


class TestDeleting:
    """What is protected stays, and no half of a backup is left."""

    def test_both_files_go_and_nothing_else(self, made: Backup, live: Path, folder: Path) -> None:
        before = state(folder)
        other = backup(live, folder)
        delete_backup(folder, other.filename)
        assert state(folder) == before

    def test_a_protected_one_is_refused(self, made: Backup, folder: Path) -> None:
        protect_backup(folder, NAME, protected=True)
        before = state(folder)
        with pytest.raises(BackupProtected, match=r"is protected\. Unprotect it first to delete it"):
            delete_backup(folder, NAME)
        assert state(folder) == before

    @pytest.mark.parametrize(("hours", "gone"), [(1, False), (-1, True)])
    def test_a_protection_with_an_end_is_heeded_until_then(
        self, made: Backup, folder: Path, hours: int, *, gone: bool
    ) -> None:
        end = datetime.now(UTC) + timedelta(hours=hours)
        with work_in(folder) as work:
            rewrite_sidecar(folder, work, made, protected=True, protected_until=end)
        with (
            contextlib.nullcontext()
            if gone
            else pytest.raises(BackupProtected, match=f"until {end:%Y-%m-%d %H:%M} UTC")
        ):
            delete_backup(folder, NAME)
        assert (folder / NAME).exists() is not gone

    @pytest.mark.parametrize("what", sorted(set(SPOILT) - {"archive is a folder"}))
    def test_what_is_broken_is_deleted_when_a_person_wants_it(self, made: Backup, folder: Path, what: str) -> None:
        spoil(folder, what)
        delete_backup(folder, NAME)
        assert set(state(folder)) - {"elsewhere"} == {".lock", ".work"}
        assert "is a link" not in what or what.endswith("to nothing") or (folder / "elsewhere").exists()

    def test_a_folder_in_an_archives_place_stays_with_what_is_in_it(self, made: Backup, folder: Path) -> None:
        spoil(folder, "archive is a folder")
        (folder / NAME / "precious").touch()
        before = state(folder)
        with pytest.raises(BackupBroken, match="it is not a regular file"):
            delete_backup(folder, NAME)
        assert state(folder) == before

    def test_tvarrs_new_form_leaves_the_sidecar_of_a_like_named_one_alone(self, folder: Path, live: Path) -> None:
        new = tvarrs_new_backup(folder, live)
        twin = new.name.replace(".tar.gz", ".db.gz")
        tvarrs_old_backup(folder, live).rename(folder / twin)
        (folder / "tvarr-backup-2025-12-14T10-30-00.meta.json").rename(folder / twin.replace(".db.gz", ".meta.json"))
        before = state(folder)
        delete_backup(folder, new.name)
        assert filenames(folder) == [twin]
        assert set(before) - set(state(folder)) == {new.name}


class TestPublishing:
    """A backup appears with its sidecar and not before."""

    def test_it_is_no_backup_before_its_sidecar_is_there(self, folder: Path) -> None:
        name = parse_name(NAME)
        assert name is not None
        sidecar = Sidecar(NOW, 1, 3, "sha256:" + "a" * 64, BackupKind.MANUAL, checked=Checked(CheckLevel.QUICK, NOW))
        with work_in(folder) as work:
            (work / NAME).write_bytes(b"abc")
            published = publish_backup(folder, work, name, sidecar)
        assert published == Backup(NAME, sidecar)
        assert read_folder(folder).backups == (published,)
        assert sorted(state(folder)) == [".lock", ".work", NAME, META]


# --- What is remembered from one look to the next --------------------------------------------------------------------


def long_ago(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As if the file had not been changed for a while."""
    monkeypatch.setattr("tvarr_backup.backups.catalogue.time.time", lambda: path.stat().st_ctime + 60)


def test_a_description_that_is_not_changed_is_read_once(
    live: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = backup(live, folder)
    long_ago(folder / made.name.sidecar, monkeypatch)
    assert filenames(folder) == [made.filename]
    monkeypatch.setattr(catalogue, "read_sidecar", lambda path: pytest.fail(f"{path} was read again"))
    assert filenames(folder) == [made.filename]


def test_one_that_was_changed_is_read_again_however_it_was_changed(
    live: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = backup(live, folder, note="one")
    path = folder / made.name.sidecar
    long_ago(path, monkeypatch)
    for number, text in enumerate(("two", "six")):
        content = path.read_bytes().replace(b'"one"', f'"{text}"'.encode()).replace(b'"two"', f'"{text}"'.encode())
        if number:
            path.unlink()
        path.write_bytes(content)
        os.utime(path, (1, 1))
        assert find_backup(folder, made.filename).sidecar.note == text
