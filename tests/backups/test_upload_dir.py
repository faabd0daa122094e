"""Folders for uploads are removed when their process ends, however it ends, and never before."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from threading import Event, Thread

import pytest

from tests.backups.makers import umask
from tests.installation import ROOT
from tvarr_backup.backups.lock import lock_file
from tvarr_backup.backups.upload_dir import open_upload_dir, remove_abandoned

HOLDER = """
import sys
from pathlib import Path
from tvarr_backup.backups.upload_dir import open_upload_dir
with open_upload_dir(Path(sys.argv[1])) as place:
    (place / "file").write_bytes(b"half")
    print(place, flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def parent(tmp_path: Path) -> Path:
    return tmp_path / "uploads"


@pytest.fixture
def holder(parent: Path) -> Iterator[tuple[subprocess.Popen[str], Path]]:
    """Another process that holds a folder, and that folder."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(parent)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        yield process, Path(process.stdout.readline().strip())
        process.kill()


def test_it_is_made_for_its_owner_alone_and_removed_at_the_end(parent: Path) -> None:
    with umask(0), open_upload_dir(parent) as place:
        assert place.parent == parent
        assert [stat.S_IMODE(path.stat().st_mode) for path in (parent, place)] == [0o700, 0o700]
        (place / "deep").mkdir()
        (place / "deep" / "file").write_bytes(b"half")
    assert not parent.exists()


def test_it_is_removed_whatever_happens(parent: Path) -> None:
    def fail() -> None:
        with open_upload_dir(parent) as place:
            (place / "file").touch()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert not parent.exists()


def test_several_at_once_have_one_each(parent: Path) -> None:
    with open_upload_dir(parent) as first:
        with open_upload_dir(parent) as second:
            assert first != second
        assert first.is_dir()
    assert not parent.exists()


def test_what_is_held_stays_in_this_process_too(parent: Path) -> None:
    with open_upload_dir(parent) as place:
        (place / "file").touch()
        assert remove_abandoned(parent) == []
        assert (place / "file").exists()


def test_what_another_process_holds_stays_until_that_is_gone(
    parent: Path, holder: tuple[subprocess.Popen[str], Path]
) -> None:
    process, place = holder
    assert remove_abandoned(parent) == []
    assert (place / "file").read_bytes() == b"half"
    process.kill()
    process.wait()
    assert (place / "file").exists()
    assert remove_abandoned(parent) == [place.name]
    assert not parent.exists()


def test_what_nobody_holds_is_removed_whatever_it_is(parent: Path, tmp_path: Path) -> None:
    (tmp_path / "precious").write_bytes(b"precious")
    (parent / "folder" / "deep").mkdir(parents=True)
    (parent / "folder" / "link").symlink_to(tmp_path)
    (parent / "odd" / ".lock").mkdir(parents=True)
    (parent / "odder").mkdir()
    (parent / "odder" / ".lock").symlink_to(tmp_path / "precious")
    (parent / "file").touch()
    (parent / "link").symlink_to(tmp_path)
    (parent / "dangling").symlink_to(tmp_path / "nowhere")
    os.mkfifo(parent / "pipe")
    assert remove_abandoned(parent) == ["dangling", "file", "folder", "link", "odd", "odder", "pipe"]
    assert not parent.exists()
    assert (tmp_path / "precious").read_bytes() == b"precious"


@pytest.mark.parametrize("what", ["file", "link"])
def test_what_is_no_folder_in_its_place_is_refused_and_stays(parent: Path, tmp_path: Path, what: str) -> None:
    (tmp_path / "elsewhere").mkdir()
    parent.symlink_to(tmp_path / "elsewhere") if what == "link" else parent.write_bytes(b"precious")
    with pytest.raises(OSError, match="Not a directory"), open_upload_dir(parent):
        pytest.fail("it was used")
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_a_clean_up_that_comes_before_the_lock_is_survived(parent: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The new folder is taken for one that nobody holds, and another is made."""
    real, times = lock_file, []

    def late(path: Path) -> int:
        times.append(path)
        if len(times) == 1:
            monkeypatch.setattr("tvarr_backup.backups.upload_dir.lock_file", real)
            assert remove_abandoned(parent) == [path.parent.name]
            monkeypatch.setattr("tvarr_backup.backups.upload_dir.lock_file", late)
        return real(path)

    monkeypatch.setattr("tvarr_backup.backups.upload_dir.lock_file", late)
    with open_upload_dir(parent) as place:
        assert place == times[1].parent != times[0].parent


def test_a_clean_up_that_has_just_begun_is_survived(parent: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real, times = lock_file, []

    def taken(path: Path) -> int:
        times.append(path)
        lock = real(path)
        if len(times) == 1:  # removed while its holder waits for the lock
            shutil.rmtree(path.parent)
        return lock

    monkeypatch.setattr("tvarr_backup.backups.upload_dir.lock_file", taken)
    with open_upload_dir(parent) as place:
        assert place == times[1].parent != times[0].parent


def test_holders_and_clean_ups_at_once_take_nothing_from_each_other(parent: Path) -> None:
    done, lost = Event(), []

    def clean() -> None:
        while not done.is_set():
            if parent.exists():
                try:
                    remove_abandoned(parent)
                except FileNotFoundError:  # the last holder removed the folder itself
                    continue

    cleaner = Thread(target=clean)
    cleaner.start()
    try:
        for _ in range(300):
            with open_upload_dir(parent) as place:
                (place / "file").touch()
                if not (place / "file").exists():
                    lost.append(place)
    finally:
        done.set()
        cleaner.join()
    assert lost == []
