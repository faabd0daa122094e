"""Locations in a folder: what can go wrong with disks, shares and links."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.backups.makers import on_small_disk, python
from tests.faults.test_exfat import exfat_at
from tests.installation import ROOT
from tests.locations.places import FolderPlace, ZerosSource
from tests.locations.test_stores import CancelAfter, Canceled, content_of
from tests.processes import wait_until
from tvarr_backup.errors import LocationFailed, LocationFull, LocationUnreachable
from tvarr_backup.locations import folder_store
from tvarr_backup.locations.addresses import LocationKind, read_address
from tvarr_backup.locations.names import name_part
from tvarr_backup.locations.stores import BytesSource, Entry, Store

_USE = """
import json, os, subprocess, sys
from pathlib import Path
from tests.locations.places import ZerosSource
from tvarr_backup.errors import LocationError
from tvarr_backup.locations.addresses import LocationKind, read_address
from tvarr_backup.locations.folder_store import FolderStore
from tvarr_backup.locations.stores import BytesSource
root = Path(sys.argv[1])
store = FolderStore(read_address(LocationKind.FOLDER, {"path": str(root)}))
def attempt(work, *arguments, **options):
    try:
        return str(work(*arguments, **options))
    except LocationError as problem:
        return [problem.code, str(problem)]
def files():
    return sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file())
"""


@pytest.fixture
def store(folder_place: FolderPlace) -> Iterator[Store]:
    with folder_place.open() as opened:
        yield opened


@pytest.mark.parametrize("tag", ["", "t"])
def test_a_full_disk_is_reported_and_not_kept_full(tmp_path: Path, tag: str) -> None:
    code = f"""{_USE}
store.write("mine/a.age", BytesSource(b"content"))
refused = attempt(store.write, "mine/b.age", ZerosSource(200_000_000, tag={tag!r}))
print(json.dumps([refused, files(), os.statvfs(root).f_bavail * 4096 > 90_000_000]))
"""
    refused, files, has_room = on_small_disk(code, tmp_path)
    message = f"{tmp_path} is full (104.9 MB free, about 200.0 MB needed)."
    assert refused == [
        "location_full",
        f"{message} The copies there are unchanged. Free some space there, then try again.",
    ]
    assert (files, has_room) == (["mine/a.age"], True)


def test_a_full_disk_does_not_even_take_a_folder(tmp_path: Path) -> None:
    code = f"""{_USE}
print(json.dumps(attempt(store.write, "mine/b.age", BytesSource(b"content"))))
"""
    assert on_small_disk(code, tmp_path, options="size=100m,nr_inodes=1")[0] == "location_full"


def test_a_disk_that_is_read_only_can_be_read(tmp_path: Path) -> None:
    code = f"""{_USE}
store.write("mine/a.age", BytesSource(b"content"))
subprocess.run(["mount", "-o", "remount,ro", str(root)], check=True)
print(json.dumps([
    attempt(store.write, "mine/b.age", BytesSource(b"")),
    attempt(store.write, "new/b.age", BytesSource(b"")),
    attempt(store.delete, "mine/a.age"),
    attempt(lambda: b"".join(store.read("mine/a.age")).decode()),
    attempt(store.list_folders),
]))
"""
    *refused, content, folders = on_small_disk(code, tmp_path)
    message = f"{tmp_path} is read-only. Nothing was written. Mount it for writing, or choose another location."
    assert refused == [["location_read_only", message]] * 3
    assert (content, folders) == ("content", "['mine']")


def test_a_denied_folder_is_reported_with_its_owner(tmp_path: Path) -> None:
    code = f"""{_USE}
root.chmod(0o500)
written = attempt(store.write, "mine/a.age", BytesSource(b""))
root.chmod(0o000)
print(json.dumps([written, attempt(store.list_folders)]))
root.chmod(0o700)
"""
    for denied, message in python(code, tmp_path, heeds_modes=True):
        assert denied == "location_denied"
        assert "does not permit this: Permission denied. It belongs to" in message


def test_a_disk_that_was_unmounted_is_not_empty(tmp_path: Path) -> None:
    """The mount point is removed with the disk, as desktops do. One that remains has no marker, which others check."""
    root = tmp_path / "disk"
    root.mkdir()
    code = f"""{_USE}
store.write("mine/a.age", BytesSource(b"content"))
subprocess.run(["umount", str(root)], check=True)
root.rmdir()
print(json.dumps([attempt(store.list_folders), attempt(store.list_objects, "mine"), attempt(store.delete, "mine/a.age")]))
"""
    assert [code for code, _message in on_small_disk(code, root)] == ["object_missing"] * 3


def test_a_store_does_not_keep_its_disk_mounted(tmp_path: Path) -> None:
    code = f"""{_USE}
store.write("mine/a.age", BytesSource(b"content"))
reading = store.read("mine/a.age")
next(reading)
reading.close()
print(json.dumps(subprocess.run(["umount", str(root)]).returncode))
"""
    assert on_small_disk(code, tmp_path) == 0


def test_a_file_in_place_of_the_folder_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    address = read_address(LocationKind.FOLDER, {"path": str(tmp_path / "file")})
    with pytest.raises(LocationFailed), folder_store.FolderStore(address) as store:
        store.list_folders()


# --- Links -----------------------------------------------------------------------------------------------------------


def test_the_path_of_the_address_may_be_a_link(folder_place: FolderPlace, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(folder_place.root)
    with folder_store.FolderStore(folder_place.address.with_options(path=str(tmp_path / "link"))) as store:
        store.write("mine/a.age", BytesSource(b"content"))
        assert store.list_folders() == ["mine"]


def test_a_linked_folder_is_not_followed(store: Store, folder_place: FolderPlace, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "a.age").write_bytes(b"private")
    (outside / "b.age.0123456789abcdef.part").write_bytes(b"private")
    (folder_place.root / "mine").symlink_to(outside)
    assert store.list_folders() == []
    for use in (
        lambda: store.list_objects("mine"),
        lambda: content_of(store, "mine/a.age"),
        lambda: store.write("mine/b.age", BytesSource(b"")),
        lambda: store.delete("mine/a.age"),
        lambda: store.delete_unfinished("mine"),
    ):
        with pytest.raises(LocationFailed):
            use()
    assert len(list(outside.iterdir())) == 2


def test_a_linked_object_is_not_followed(store: Store, folder_place: FolderPlace, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.write_bytes(b"private")
    (folder_place.root / "mine").mkdir()
    (folder_place.root / "mine" / "a.age").symlink_to(outside)
    assert store.list_objects("mine") == []
    with pytest.raises(LocationFailed):
        content_of(store, "mine/a.age")
    store.write("mine/a.age", BytesSource(b"content"), replace=True)
    assert outside.read_bytes() == b"private"
    assert content_of(store, "mine/a.age") == b"content"


def test_an_unfinished_object_that_is_a_link_is_not_followed(
    store: Store, folder_place: FolderPlace, tmp_path: Path
) -> None:
    outside = tmp_path / "outside"
    outside.write_bytes(b"private")
    (folder_place.root / "mine").mkdir()
    part = folder_place.root / "mine" / name_part("a.age", "t")
    part.symlink_to(outside)
    with pytest.raises(LocationFailed):
        store.write("mine/a.age", ZerosSource(7, tag="t"))
    assert outside.read_bytes() == b"private"


def test_pipes_and_folders_are_no_objects(store: Store, folder_place: FolderPlace) -> None:
    (folder_place.root / "mine" / "folder").mkdir(parents=True)
    os.mkfifo(folder_place.root / "mine" / "pipe")
    assert store.list_objects("mine") == []
    for name in ("folder", "pipe"):
        with pytest.raises(LocationFailed):
            content_of(store, f"mine/{name}")


def test_names_that_are_not_text_are_ignored(store: Store, folder_place: FolderPlace) -> None:
    (folder_place.root / "mine").mkdir()
    (folder_place.root / os.fsdecode(b"\xff")).mkdir()
    (folder_place.root / "mine" / os.fsdecode(b"\xff.age")).write_bytes(b"")
    assert store.list_folders() == ["mine"]
    assert store.list_objects("mine") == []


# --- Interruptions ---------------------------------------------------------------------------------------------------

_WRITE = """
import sys, time
from tests.locations.places import ZerosSource
from tvarr_backup.locations.addresses import LocationKind, read_address
from tvarr_backup.locations.folder_store import FolderStore
store = FolderStore(read_address(LocationKind.FOLDER, {"path": sys.argv[1]}))
store.write("mine/a.age", ZerosSource(60 * 2**20, tag="t"), report=lambda done: time.sleep(0.01))
"""


def test_a_killed_write_is_not_listed_and_is_resumed(store: Store, folder_place: FolderPlace) -> None:
    process = subprocess.Popen([sys.executable, "-c", _WRITE, str(folder_place.root)], cwd=ROOT)
    part = folder_place.root / "mine" / name_part("a.age", "t")
    wait_until(lambda: part.exists() and part.stat().st_size > 20 * 2**20, "a part is written")
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert store.list_objects("mine") == []
    again = ZerosSource(60 * 2**20, tag="t")
    store.write("mine/a.age", again)
    assert again.starts[0] >= 16 * 2**20
    assert store.list_objects("mine") == [Entry("a.age", 60 * 2**20)]


@pytest.mark.parametrize("mebibytes", range(1, 21))
def test_only_what_was_synced_before_a_power_cut_is_resumed(
    store: Store, folder_place: FolderPlace, mebibytes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was written after the last sync is zeros after a power cut."""
    synced = 0  # the size of the file at its last sync, or of a folder, which is smaller
    fsync = os.fsync

    def note(descriptor: int) -> None:
        nonlocal synced
        synced = os.fstat(descriptor).st_size
        fsync(descriptor)

    size = 30 * 2**20 + 5
    monkeypatch.setattr(os, "fsync", note)
    with pytest.raises(Canceled):
        store.write("mine/a.age", ZerosSource(size, tag="t", byte=b"x"), report=CancelAfter(mebibytes * 2**20 - 7))
    part = folder_place.root / "mine" / name_part("a.age", "t")
    with part.open("r+b") as file:
        file.seek(synced if synced > 10_000 else 0)
        file.write(bytes(part.stat().st_size - file.tell()))
    store.write("mine/a.age", ZerosSource(size, tag="t", byte=b"x"))
    assert content_of(store, "mine/a.age") == b"x" * size


def test_an_unfinished_object_that_is_too_long_is_begun_again(store: Store, folder_place: FolderPlace) -> None:
    folder_place.put(f"mine/{name_part('a.age', 't')}", b"y" * (30 * 2**20))
    source = ZerosSource(20 * 2**20, tag="t")
    store.write("mine/a.age", source)
    assert source.starts == [0]
    assert content_of(store, "mine/a.age") == bytes(20 * 2**20)


@pytest.mark.parametrize(
    ("number", "error"),
    [
        (errno.ESTALE, LocationUnreachable),
        (errno.EIO, LocationUnreachable),
        (errno.EHOSTDOWN, LocationUnreachable),
        (errno.EFBIG, LocationFailed),
        (errno.EINVAL, LocationFailed),
    ],
)
def test_an_error_of_the_system_has_a_cause(
    store: Store, folder_place: FolderPlace, number: int, error: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    """These cannot be had from a real disk here: the system call is replaced."""

    def refuse(*_arguments: Any) -> int:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "write", refuse)
    with pytest.raises(error) as raised:
        store.write("mine/a.age", BytesSource(b"content"))
    assert str(folder_place.root) in str(raised.value)
    assert folder_place.names() == set()


def test_a_share_that_cannot_sync_folders_is_used(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    fsync = os.fsync

    def refuse_folders(descriptor: int) -> None:
        if Path(f"/proc/self/fd/{descriptor}").is_dir():
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", refuse_folders)
    store.write("mine/a.age", BytesSource(b"content"))
    assert store.list_objects("mine") == [Entry("a.age", 7)]


def test_a_name_that_cannot_be_made_durable_is_taken_back(
    store: Store, folder_place: FolderPlace, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.write("mine/a.age", BytesSource(b"content"))
    fsync = os.fsync

    def refuse_folders(descriptor: int) -> None:
        if Path(f"/proc/self/fd/{descriptor}").is_dir():
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", refuse_folders)
    with pytest.raises(LocationUnreachable):
        store.write("mine/b.age", BytesSource(b"content"))
    assert folder_place.names() == {"mine/a.age"}


# --- Other file systems ----------------------------------------------------------------------------------------------


def test_objects_on_exfat(tmp_path: Path) -> None:
    root = tmp_path / "disk"
    root.mkdir()
    with exfat_at(root, tmp_path / "image"):
        address = read_address(LocationKind.FOLDER, {"path": str(root)})
        with folder_store.FolderStore(address) as store:
            store.write("mine/a.age", BytesSource(b"content"))
            with pytest.raises(Canceled):
                store.write("mine/b.age", ZerosSource(20 * 2**20, tag="t"), report=CancelAfter(12 * 2**20))
            again = ZerosSource(20 * 2**20, tag="t")
            store.write("mine/b.age", again)
            store.write("mine/a.age", BytesSource(b"new"), replace=True)
            assert again.starts == [8 * 2**20]
            assert sorted(store.list_objects("mine"), key=lambda entry: entry.name) == [
                Entry("a.age", 3),
                Entry("b.age", 20 * 2**20),
            ]
            with pytest.raises(LocationFull):
                store.write("mine/c.age", ZerosSource(100 * 2**20, tag="t"))
            store.delete("mine/b.age")
            assert {path.name for path in (root / "mine").iterdir()} == {"a.age"}
