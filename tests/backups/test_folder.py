"""Work in the backup folder, and clean up after a crash at any point."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest

from tests.backups.makers import (
    FOREIGN,
    NOW,
    backup,
    filenames,
    on_small_disk,
    packed,
    python,
    raising_at,
    refusing_links,
    required,
    state,
    umask,
)
from tvarr_backup.backups.catalogue import delete_backup, find_backup, protect_backup
from tvarr_backup.backups.folder import (
    DELETED_ENDING,
    UPLOADS_NAME,
    WORK_NAME,
    explained,
    prepare_folder,
    receive_in,
    recover,
    work_in,
)
from tvarr_backup.backups.lock import LOCK_NAME, backup_lock
from tvarr_backup.backups.progress import Phase
from tvarr_backup.backups.retention import Policy, prune
from tvarr_backup.backups.sidecar import BackupKind
from tvarr_backup.backups.verify import verify_backup
from tvarr_backup.errors import BackupBusy, BackupFolderUnusable, NoRoom
from tvarr_backup.permissions import disk_of

NAME = "tvarr-backup-2026-06-15T12-30-00.db.gz"
META = NAME.replace(".db.gz", ".meta.json")
DYING = """
import json, os, shutil, sys
from pathlib import Path
from tvarr_backup.backups.folder import recover
folder, saved, found, ended = Path(sys.argv[1]), Path(sys.argv[2]), [], False
def die_before(step):
    steps = iter(range(100))
    def hook(event, _arguments):
        if event == "os.remove" and next(steps) == step: os._exit(1)
    sys.addaudithook(hook)
    recover(folder)
    os._exit(0)
while not ended:
    shutil.rmtree(folder)
    shutil.copytree(saved, folder, symlinks=True, copy_function=os.link)
    child = os.fork() or die_before(len(found))
    ended = os.waitpid(child, 0)[1] == 0
    recover(folder)
    found.append(sorted(str(path.relative_to(folder)) for path in folder.rglob("*")))
print(json.dumps(found))
"""
"""Recovers once for each file that is to be deleted, dying just before it, and then once more."""


class TestPreparing:
    """The folder by its real path, made where that is asked for."""

    def test_it_is_made_for_its_owner_alone(self, tmp_path: Path) -> None:
        with umask(0):
            folder = prepare_folder(tmp_path / "backups")
        assert folder == tmp_path / "backups"
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700

    def test_one_that_is_there_stays_as_it_is(self, tmp_path: Path) -> None:
        (tmp_path / "backups").mkdir(mode=0o750)
        (tmp_path / "backups" / "file").touch()
        before = state(tmp_path)
        prepare_folder(tmp_path / "backups")
        assert state(tmp_path) == before

    def test_a_link_to_a_folder_is_followed_once(self, tmp_path: Path, live: Path) -> None:
        (tmp_path / "disk").mkdir()
        (tmp_path / "backups").symlink_to(tmp_path / "disk")
        folder = prepare_folder(tmp_path / "backups")
        assert folder == tmp_path / "disk"
        assert (folder / backup(live, folder).filename).is_file()

    @pytest.mark.parametrize(
        ("what", "words"),
        [
            ("file", "is not a folder."),
            ("below a file", "cannot be used: Not a directory."),
            ("without a parent", "cannot be used: No such file or directory."),
            ("dangling link", "cannot be used: No such file or directory."),
            ("link to itself", "cannot be used: Too many levels of symbolic links."),
            ("link to a file", "is not a folder."),
            ("pipe", "is not a folder."),
        ],
    )
    def test_what_cannot_be_one_is_refused_and_stays_as_it_was(self, tmp_path: Path, what: str, words: str) -> None:
        path, file = tmp_path / "backups", tmp_path / "file"
        file.touch()
        match what:
            case "file":
                path.touch()
            case "below a file":
                path = file / "backups"
            case "without a parent":
                path = tmp_path / "a" / "b"
            case "pipe":
                os.mkfifo(path)
            case _:
                targets = {"dangling link": "nowhere", "link to itself": "backups", "link to a file": "file"}
                path.symlink_to(tmp_path / targets[what])
        before = state(tmp_path)
        with pytest.raises(BackupFolderUnusable) as refused:
            prepare_folder(path)
        assert str(refused.value).startswith(f"The backup folder {path} {words}")
        assert state(tmp_path) == before

    def test_several_may_make_it_at_the_same_moment(self, tmp_path: Path) -> None:
        together = Barrier(4)

        def make(path: Path) -> Path:
            together.wait()
            return prepare_folder(path)

        with ThreadPoolExecutor(4) as threads:
            for number in range(100):
                path = tmp_path / str(number)
                assert set(threads.map(make, [path] * 4)) == {path}

    def test_one_that_may_not_be_made_is_refused(self, tmp_path: Path) -> None:
        code = (
            "import json, sys; from pathlib import Path; from tvarr_backup.backups.folder import prepare_folder\n"
            "try: prepare_folder(Path(sys.argv[1]))\n"
            "except Exception as problem: print(json.dumps([type(problem).__name__, str(problem)]))"
        )
        (tmp_path / "closed").mkdir(mode=0o500)
        name, words = python(code, tmp_path / "closed" / "backups", heeds_modes=True)
        assert name == "BackupFolderUnusable"
        assert words.startswith(
            f"The backup folder {tmp_path / 'closed' / 'backups'} cannot be used: Permission denied."
        )


class TestDisk:
    """Where the disk of a folder is mounted."""

    def test_it_is_the_nearest_mount_point_above(self, tmp_path: Path) -> None:
        place = disk_of(tmp_path)
        assert place.is_mount()
        assert place in tmp_path.parents

    def test_a_disk_of_its_own_is_known(self, tmp_path: Path) -> None:
        code = (
            "import json, sys; from pathlib import Path; from tvarr_backup.permissions import disk_of\n"
            "disk = Path(sys.argv[1]); folder = disk / 'backups'; folder.mkdir()\n"
            "print(json.dumps([str(disk_of(disk)), str(disk_of(folder))]))"
        )
        assert on_small_disk(code, tmp_path) == [str(tmp_path)] * 2


class TestWork:
    """The folder for temporary files: empty at the beginning, empty at the end."""

    def test_it_is_made_and_emptied(self, tmp_path: Path) -> None:
        with work_in(tmp_path) as work:
            assert work == tmp_path / WORK_NAME
            assert list(work.iterdir()) == []
            (work / "snapshot.db").touch()
        assert sorted(state(tmp_path)) == [LOCK_NAME, WORK_NAME]
        assert stat.S_IMODE(work.stat().st_mode) == 0o700

    def test_the_lock_is_held_meanwhile_and_not_after(self, folder: Path) -> None:
        for act in (lambda: recover(folder), lambda: prune(folder, Policy(1)), lambda: delete_backup(folder, NAME)):
            with work_in(folder), pytest.raises(BackupBusy):
                act()
        recover(folder)

    @pytest.mark.parametrize("what", ["file", "link", "dangling link", "pipe"])
    def test_what_is_no_folder_in_its_place_is_refused_and_stays(self, folder: Path, live: Path, what: str) -> None:
        (folder / WORK_NAME).rmdir()
        elsewhere = folder.parent / "elsewhere"
        if what == "file":
            (folder / WORK_NAME).write_text("precious")
        elif what == "pipe":
            os.mkfifo(folder / WORK_NAME)
        else:
            (folder / WORK_NAME).symlink_to(elsewhere)
        if what == "link":
            elsewhere.mkdir()
            (elsewhere / "precious").touch()
        before = state(folder.parent)
        with pytest.raises(BackupFolderUnusable, match=r"\.work is not a folder\. "):
            backup(live, folder)
        assert state(folder.parent) == before

    @pytest.mark.parametrize("what", ["link", "folder"])
    def test_a_lock_that_is_no_file_is_refused(self, folder: Path, live: Path, what: str) -> None:
        (folder / LOCK_NAME).unlink()
        (folder / LOCK_NAME).mkdir() if what == "folder" else (folder / LOCK_NAME).symlink_to(
            folder.parent / "elsewhere"
        )
        with pytest.raises(BackupFolderUnusable, match=r"cannot be used: .* \(\.lock\)\.$"):
            backup(live, folder)
        assert not (folder.parent / "elsewhere").exists()

    def test_a_folder_that_is_gone_is_said(self, folder: Path, live: Path) -> None:
        shutil.rmtree(folder)
        with pytest.raises(BackupFolderUnusable, match=r"cannot be used: No such file or directory \(\.lock\)\.$"):
            backup(live, folder)
        assert not folder.exists()

    def test_links_that_were_planted_in_it_are_removed_and_not_followed(self, folder: Path, live: Path) -> None:
        elsewhere = folder.parent / "elsewhere"
        elsewhere.mkdir()
        (elsewhere / "precious").write_text("precious")
        made = backup(live, folder, now=NOW)
        packed(folder / FOREIGN, live)
        before = state(folder.parent)
        for name, target in {
            "snapshot.db": elsewhere / "precious",
            "snapshot.db-journal": elsewhere / "precious",
            "all": elsewhere,
            FOREIGN: folder / FOREIGN,
            FOREIGN + DELETED_ENDING: folder / FOREIGN,
            made.filename: folder / made.filename,
            made.filename + DELETED_ENDING: elsewhere / "precious",
        }.items():
            (folder / WORK_NAME / name).symlink_to(target)
        (folder / WORK_NAME / "deep" / "er").mkdir(parents=True)
        (folder / WORK_NAME / "deep" / "er" / "link").symlink_to(elsewhere)
        assert len(recover(folder)) == 8
        assert state(folder.parent) == before

    @pytest.mark.parametrize("name", ["x" * 255, "line\nbreak", "-journal", "ä" * 127, NAME + "-journal"])
    def test_any_name_in_it_is_removed(self, folder: Path, name: str) -> None:
        (folder / WORK_NAME / name).touch()
        assert recover(folder) == [f"{WORK_NAME}/{name}"]
        assert list((folder / WORK_NAME).iterdir()) == []


class TestWithoutHardLinks:
    """As on exFAT, FAT and some network disks."""

    @pytest.fixture(autouse=True)
    def _refused(self) -> Iterator[None]:
        with refusing_links():
            yield

    def test_backups_are_made_protected_verified_and_deleted(self, folder: Path, live: Path) -> None:
        made = backup(live, folder, now=NOW).filename
        assert protect_backup(folder, made, note="kept").sidecar.note == "kept"
        assert verify_backup(folder, made, required()).problems == ()
        delete_backup(folder, made)
        assert sorted(state(folder)) == [LOCK_NAME, WORK_NAME]

    def test_a_sidecar_of_another_program_is_not_taken_for_ours(self, folder: Path, live: Path) -> None:
        def put_there(phase: Phase, _done: int, _total: int) -> None:
            if phase is Phase.PUBLISH:
                (folder / META).write_text("of another program")

        with pytest.raises(BackupFolderUnusable, match="File exists"):
            backup(live, folder, now=NOW, progress=put_there)
        assert (folder / META).read_text() == "of another program"
        assert not (folder / NAME).exists()


class TestReceiving:
    """What is coming in is nobody's business but its receiver's, however long it takes."""

    def test_it_comes_in_beside_whoever_is_at_work(self, folder: Path, live: Path) -> None:
        with receive_in(folder) as place:
            assert place.parent == folder / WORK_NAME / UPLOADS_NAME
            (place / "file").write_bytes(b"half")
            made = backup(live, folder)
            delete_backup(folder, made.filename)
            assert recover(folder) == []
            assert (place / "file").read_bytes() == b"half"
        assert sorted(state(folder)) == [LOCK_NAME, WORK_NAME]

    def test_it_may_be_the_first_in_a_new_folder(self, tmp_path: Path) -> None:
        folder = prepare_folder(tmp_path / "new")
        with receive_in(folder) as place:
            assert place.is_dir()
        assert sorted(state(folder)) == [WORK_NAME]

    def test_what_a_killed_receiver_leaves_is_removed_by_the_next_operation(self, folder: Path, live: Path) -> None:
        code = (
            "import os, sys; from pathlib import Path; from tvarr_backup.backups.folder import receive_in\n"
            "with receive_in(Path(sys.argv[1])) as place: (place / 'file').touch(); print(1, flush=True); os._exit(0)"
        )
        python(code, folder)
        (left,) = (folder / WORK_NAME / UPLOADS_NAME).iterdir()
        with receive_in(folder) as place:
            assert recover(folder) == [f"{WORK_NAME}/{UPLOADS_NAME}/{left.name}"]
            assert place.exists()
        assert sorted(state(folder)) == [LOCK_NAME, WORK_NAME]

    @pytest.mark.parametrize("what", ["file", "link"])
    def test_what_stands_in_its_place_is_refused_and_removed_by_the_next_operation(
        self, folder: Path, what: str
    ) -> None:
        place = folder / WORK_NAME / UPLOADS_NAME
        place.symlink_to(folder) if what == "link" else place.touch()
        with pytest.raises(BackupFolderUnusable), receive_in(folder):
            pytest.fail("it was used")
        assert recover(folder) == [f"{WORK_NAME}/{UPLOADS_NAME}"]
        with receive_in(folder) as place:
            assert place.is_dir()

    def test_a_link_in_the_place_of_the_work_folder_is_refused(self, folder: Path) -> None:
        (folder / WORK_NAME).rmdir()
        (folder.parent / "elsewhere").mkdir()
        (folder / WORK_NAME).symlink_to(folder.parent / "elsewhere")
        with pytest.raises(BackupFolderUnusable, match=r"\.work is not a folder"), receive_in(folder):
            pytest.fail("it was used")
        assert list((folder.parent / "elsewhere").iterdir()) == []

    def test_a_full_disk_is_told_as_such(self, folder: Path) -> None:
        with pytest.raises(NoRoom), receive_in(folder):
            raise OSError(28, "No space left on device")


class TestWords:
    """What the system refuses becomes a sentence."""

    @pytest.mark.parametrize(
        ("problem", "error", "words"),
        [
            (
                OSError(28, "No space left on device"),
                NoRoom,
                r"is full \([0-9.]+ [MG]B free\)\. The unfinished files were",
            ),
            (OSError(122, "Disk quota exceeded"), NoRoom, r"is full \("),
            (OSError(5, "Input/output error"), BackupFolderUnusable, r"cannot be used: Input/output error\.$"),
            (OSError(30, "Read-only", "/a/b"), BackupFolderUnusable, r"cannot be used: Read-only \(b\)\.$"),
            (OSError("odd"), BackupFolderUnusable, r"cannot be used: odd\.$"),
        ],
    )
    def test_each_cause_has_its_own(self, folder: Path, problem: OSError, error: type[Exception], words: str) -> None:
        with pytest.raises(error, match=words), explained(folder):
            raise problem

    def test_a_full_disk_of_a_folder_that_is_gone_is_still_full(self, tmp_path: Path) -> None:
        with pytest.raises(NoRoom, match=r"\(0\.0 MB free\)"), explained(tmp_path / "gone"):
            raise OSError(28, "No space left on device")


def _with_leftovers(what: str) -> Callable[[Path, Path], None]:
    """What a kill leaves at one point of creating or deleting the backup NAME, made by hand."""

    def leave(folder: Path, other: Path) -> None:
        work, archive, sidecar = folder / WORK_NAME, folder / NAME, folder / META
        shutil.copy(other, work / NAME)
        shutil.copy(other.with_name(other.name.replace(".db.gz", ".meta.json")), work / META)
        match what:
            case "only the copy":
                (work / NAME).unlink()
                (work / META).unlink()
                (work / "snapshot.db").write_bytes(b"")
                (work / "snapshot.db-journal").write_bytes(b"half")
            case "half an archive":
                (work / META).unlink()
                (work / NAME).write_bytes(b"\x1f\x8b half")
                (work / "snapshot.db").write_bytes(b"copy")
            case "before the first link":
                pass
            case "the archive is linked":
                os.link(work / NAME, archive)
            case "the archive is linked, and its sidecar was never written":
                (work / META).unlink()
                os.link(work / NAME, archive)
            case "the sidecar is moved":
                (work / NAME).rename(archive)
                (work / META).rename(work / (NAME + DELETED_ENDING))
            case "the sidecar is moved and the archive gone":
                (work / NAME).unlink()
                (work / META).rename(work / (NAME + DELETED_ENDING))
            case "an old staging":
                (work / NAME).unlink()
                (work / META).unlink()
                for name in ("staged.db", "staged.db-wal", "staged.db-shm", "extracted.db", "x.part"):
                    (work / name).write_bytes(b"half")
            case "published, but not cleaned up":
                os.link(work / NAME, archive)
                os.link(work / META, sidecar)

    return leave


LEFTOVERS = [
    "only the copy",
    "half an archive",
    "before the first link",
    "the archive is linked",
    "the archive is linked, and its sidecar was never written",
    "the sidecar is moved",
    "the sidecar is moved and the archive gone",
    "an old staging",
]


class TestRecovery:
    """What a kill left is undone or finished, and nothing else is touched."""

    @pytest.fixture
    def other(self, live: Path, folder: Path) -> Path:
        """The archive of an older backup that must stay, beside archives without a sidecar that somebody put there."""
        packed(folder / FOREIGN, live)
        (folder / "tvarr-backup-2019-01-01T00-00-00.meta.json").write_text("by hand")
        return folder / backup(live, folder).filename

    @pytest.mark.parametrize("what", LEFTOVERS)
    def test_what_a_kill_left_goes_and_everything_else_stays(self, folder: Path, other: Path, what: str) -> None:
        before = state(folder)
        _with_leftovers(what)(folder, other)
        assert filenames(folder) == [other.name]
        assert recover(folder)
        assert state(folder) == before
        assert recover(folder) == []

    @pytest.mark.parametrize("what", LEFTOVERS)
    @pytest.mark.parametrize("next_", ["create", "delete", "protect", "prune", "verify nothing"])
    def test_whatever_comes_next_begins_with_it(
        self, folder: Path, other: Path, live: Path, what: str, next_: str
    ) -> None:
        before = state(folder)
        _with_leftovers(what)(folder, other)
        match next_:
            case "create":
                assert backup(live, folder, now=NOW).filename == NAME
                delete_backup(folder, NAME)
            case "delete":
                with pytest.raises(Exception, match="There is no backup"):
                    delete_backup(folder, NAME)
            case "protect":
                protect_backup(folder, other.name, protected=False)
            case "prune":
                assert prune(folder, Policy(0)) == []
            case _:
                with work_in(folder) as work:
                    assert list(work.iterdir()) == []
        assert state(folder) == before

    @pytest.mark.parametrize("what", [*LEFTOVERS, "published, but not cleaned up"])
    def test_it_can_be_cut_short_at_each_step_and_run_again(self, folder: Path, other: Path, what: str) -> None:
        _with_leftovers(what)(folder, other)
        saved = folder.parent / "saved"
        shutil.copytree(folder, saved, symlinks=True, copy_function=os.link)
        recover(folder)
        wanted = sorted(state(folder))
        found = python(DYING, folder, saved)
        assert len(found) > 1
        assert [names for names in found if names != wanted] == []

    def test_a_backup_whose_publishing_was_done_stays(self, folder: Path, other: Path) -> None:
        _with_leftovers("published, but not cleaned up")(folder, other)
        published = find_backup(folder, NAME)
        assert recover(folder) == [f"{WORK_NAME}/{NAME}", f"{WORK_NAME}/{META}"]
        assert find_backup(folder, NAME) == published

    def test_one_that_was_protected_after_its_publishing_broke_off_stays(self, folder: Path, other: Path) -> None:
        _with_leftovers("published, but not cleaned up")(folder, other)
        (folder / META).write_text((folder / META).read_text().replace('"protected": false', '"protected": true'))
        recover(folder)
        assert find_backup(folder, NAME).sidecar.protected

    def test_an_archive_that_is_another_file_than_the_one_left_over_stays(self, folder: Path, other: Path) -> None:
        _with_leftovers("before the first link")(folder, other)
        (folder / NAME).write_bytes(b"put here by hand")
        assert recover(folder) == [f"{WORK_NAME}/{NAME}", f"{WORK_NAME}/{META}"]
        assert (folder / NAME).read_bytes() == b"put here by hand"

    def test_a_backup_that_got_its_sidecar_back_stays(self, folder: Path, other: Path) -> None:
        _with_leftovers("the sidecar is moved")(folder, other)
        shutil.copy(folder / WORK_NAME / (NAME + DELETED_ENDING), folder / META)
        recover(folder)
        assert find_backup(folder, NAME).filename == NAME

    def test_a_link_in_the_place_of_an_archive_stays(self, folder: Path, other: Path) -> None:
        _with_leftovers("the sidecar is moved and the archive gone")(folder, other)
        (folder / NAME).symlink_to(other)
        recover(folder)
        assert (folder / NAME).is_symlink()
        assert other.exists()

    def test_an_archive_that_its_record_describes_is_completed(self, folder: Path, other: Path) -> None:
        _with_leftovers("before the first link")(folder, other)
        (folder / WORK_NAME / NAME).rename(folder / NAME)
        assert recover(folder) == []
        assert find_backup(folder, NAME).sidecar == find_backup(folder, other.name).sidecar
        assert recover(folder) == []

    def test_a_record_does_not_replace_a_sidecar(self, folder: Path, other: Path) -> None:
        _with_leftovers("before the first link")(folder, other)
        (folder / WORK_NAME / NAME).rename(folder / NAME)
        record = (folder / WORK_NAME / META).read_text()
        (folder / META).write_text(record.replace('"protected": false', '"protected": true'))
        assert recover(folder) == [f"{WORK_NAME}/{META}"]
        assert find_backup(folder, NAME).sidecar.protected

    @pytest.mark.parametrize("what", ["other bytes", "more bytes", "link", "folder"])
    def test_a_file_that_its_record_does_not_describe_stays_as_it_is(
        self, folder: Path, other: Path, what: str
    ) -> None:
        _with_leftovers("before the first link")(folder, other)
        content = (folder / WORK_NAME / NAME).read_bytes()
        match what:
            case "link":
                (folder / NAME).symlink_to(other)
            case "folder":
                (folder / NAME).mkdir()
            case _:
                (folder / NAME).write_bytes(content[:-1] + b"x" if what == "other bytes" else content + b"x")
        before = {name: entry for name, entry in state(folder).items() if not name.startswith(f"{WORK_NAME}/")}
        assert sorted(recover(folder)) == [f"{WORK_NAME}/{NAME}", f"{WORK_NAME}/{META}"]
        assert state(folder) == before

    def test_half_a_record_completes_nothing(self, folder: Path, other: Path) -> None:
        _with_leftovers("before the first link")(folder, other)
        (folder / WORK_NAME / NAME).rename(folder / NAME)
        (folder / WORK_NAME / META).write_bytes((folder / WORK_NAME / META).read_bytes()[:100])
        assert recover(folder) == [f"{WORK_NAME}/{META}"]
        assert (folder / NAME).exists()

    def test_it_is_refused_while_somebody_is_at_work(self, folder: Path, other: Path) -> None:
        _with_leftovers("the archive is linked")(folder, other)
        before = state(folder)
        with backup_lock(folder), pytest.raises(BackupBusy):
            recover(folder)
        assert state(folder) == before

    def test_a_cancelled_prune_is_whole_backups(self, folder: Path, live: Path) -> None:
        made = [backup(live, folder, kind=BackupKind.SCHEDULED).filename for _ in range(4)]
        with pytest.raises(KeyboardInterrupt):
            prune(folder, Policy(1), progress=raising_at(Phase.PRUNE, KeyboardInterrupt(), call=3))
        assert filenames(folder) == made[:1:-1]
        assert len(state(folder)) == 2 + 2 * 2
