"""An operation requires little more free space than it then uses."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.backups.makers import backup, changed, on_small_disk, required, tvarrs, with_ballast
from tvarr_backup.backups import room
from tvarr_backup.backups.catalogue import Listing, read_folder
from tvarr_backup.backups.restore import restore_backup
from tvarr_backup.backups.verify import verify_backup
from tvarr_backup.errors import NoRoom

AT_MOST = 1.3
COMPRESSIBLE = (
    "CREATE TABLE ballast (data)",
    (
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {}) "
        "INSERT INTO ballast SELECT printf('Channel %d of the harbour %s', i, hex(randomblob(12))) || printf('%.200c', 'x') FROM n"
    ),
)


def database(path: Path, size: str) -> Path:
    """200 kB, 5 MB or 50 MB, of text or of random bytes."""
    live = tvarrs(path)
    match size:
        case "text":
            return changed(live, *(statement.format(20_000) for statement in COMPRESSIBLE))
        case "much text":
            return changed(live, *(statement.format(180_000) for statement in COMPRESSIBLE))
        case "random":
            return with_ballast(live, 5)
        case "much random":
            return with_ballast(live, 50)
    return live


class Peak:
    """The most bytes that a folder has taken, beyond what it took at the beginning."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._before = self._taken()
        self.bytes = 0

    def look(self, *_progress: object) -> None:
        self.bytes = max(self.bytes, self._taken() - self._before)

    def _taken(self) -> int:
        taken: dict[int, int] = {}  # a file with two names is one
        for folder, _, names in os.walk(self._folder):  # passes over a folder that has just been removed
            for path in (Path(folder), *(Path(folder, name) for name in names)):
                with contextlib.suppress(FileNotFoundError):  # it has just been removed
                    status = path.stat()
                    taken[status.st_ino] = status.st_blocks * 512
        return sum(taken.values())


@contextmanager
def watched(folder: Path) -> Iterator[Peak]:
    """Looks all the time, as well as whenever progress is reported."""
    peak, ended = Peak(folder), threading.Event()

    def look() -> None:
        while not ended.wait(0.002):
            peak.look()

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield peak
    finally:
        ended.set()
        thread.join()


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Every number of bytes that is asked for."""
    numbers: list[int] = []
    real: Callable[[int], int] = room.estimate

    def estimate(needed: int) -> int:
        numbers.append(real(needed))
        return numbers[-1]

    monkeypatch.setattr(room, "estimate", estimate)
    return numbers


@pytest.mark.parametrize("size", ["small", "text", "much text", "random", "much random"])
def test_a_backup_asks_for_little_more_than_it_uses(size: str, tmp_path: Path, folder: Path, asked: list[int]) -> None:
    live = database(tmp_path / "live.db", size)
    for attempt in ("without a recent archive", "with one"):
        asked.clear()
        with watched(folder) as peak:
            backup(live, folder, progress=peak.look)
        (estimated,) = asked
        print(f"{size}, {attempt}: {peak.bytes} used, {estimated} asked for, {estimated / peak.bytes:.2f} x")  # noqa: T201
        assert estimated <= AT_MOST * peak.bytes
    assert estimated >= peak.bytes * 0.97


@pytest.mark.parametrize("size", ["small", "text", "random"])
def test_a_verification_and_a_restore_do_so_too(size: str, tmp_path: Path, folder: Path, asked: list[int]) -> None:
    live = database(tmp_path / "live.db", size)
    made = backup(live, folder).filename
    for act in (
        lambda look: verify_backup(folder, made, required(), progress=look),
        lambda look: restore_backup(live, folder, made, required(), progress=look),
    ):
        asked.clear()
        with watched(tmp_path) as peak:
            act(peak.look)
        print(f"{size}: {peak.bytes} used, {asked[0]} asked for, {asked[0] / peak.bytes:.2f} x")  # noqa: T201
        assert peak.bytes * 0.95 <= asked[0] <= AT_MOST * peak.bytes  # of a small database, single blocks count


def test_without_any_archive_the_usual_ratio_is_assumed() -> None:
    assert room.archive_bytes(1000, Listing((), (), ())) == 250


def test_the_newest_archives_tell_the_ratio(tmp_path: Path, folder: Path) -> None:
    live = database(tmp_path / "live.db", "random")
    made = backup(live, folder).sidecar
    expected = 1000 * made.compressed_size // made.database_size
    assert room.archive_bytes(1000, read_folder(folder)) == expected > 900


def test_too_little_room_is_reported_with_both_numbers(folder: Path) -> None:
    room.require_room(folder, 0, "Verification")
    with pytest.raises(
        NoRoom, match=r"^Verification needs about 1020000\.0 GB of free space in .*, but only [0-9.]+ [MG]B is free"
    ):
        room.require_room(folder, 10**15, "Verification")


def test_a_full_disk_is_reported_as_full(tmp_path: Path) -> None:
    code = (
        "import json, sys; from pathlib import Path; from tvarr_backup.backups.room import require_room\n"
        "disk = Path(sys.argv[1])\n"
        "try: (disk / 'ballast').write_bytes(bytes(2**21))\n"
        "except OSError: pass\n"
        "try: require_room(disk, 1, 'The backup')\n"
        "except Exception as problem: print(json.dumps([type(problem).__name__, str(problem)]))"
    )
    name, message = on_small_disk(code, tmp_path, options="size=1m")
    assert name == NoRoom.__name__
    assert message.startswith("The disk is full (0 MB free). The backup needs about 0.0 MB of free space in ")
