"""Copy a live database: one whole state of it, whatever its writers do."""

from __future__ import annotations

import os
import resource
import sqlite3
import stat
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.backups.makers import on_small_disk
from tests.installation import ROOT
from tvarr_backup.backups.sqlite import Size, copy_database, measure, open_database, remove_database
from tvarr_backup.errors import CopyFailed

WRITER = """
import sqlite3, sys, time
connection = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=20)
number = 0
longest = 0.0
end = time.monotonic() + float(sys.argv[2])
print("writing", flush=True)
while time.monotonic() < end:
    started = time.monotonic()
    number += 1
    connection.execute("BEGIN IMMEDIATE")
    connection.execute("INSERT INTO acknowledged VALUES (?)", (number,))
    connection.execute("UPDATE total SET value = value + 1")
    connection.execute("COMMIT")
    longest = max(longest, time.monotonic() - started)
print(number, longest)
"""


@pytest.fixture
def live(tmp_path: Path) -> Path:
    """A database of about 8 MB in WAL mode with a writer's tables."""
    path = tmp_path / "live.db"
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("CREATE TABLE acknowledged (number)")
        connection.execute("CREATE TABLE total (value)")
        connection.execute("INSERT INTO total VALUES (0)")
        connection.execute("CREATE TABLE ballast (data)")
        connection.executemany("INSERT INTO ballast VALUES (randomblob(8000))", [()] * 1_000)
    return path


def query(path: Path, text: str) -> Any:
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
        return connection.execute(text).fetchone()[0]


def test_a_copy_holds_what_was_committed_and_is_its_owners_alone(live: Path, tmp_path: Path) -> None:
    copy_database(live, tmp_path / "copy.db")
    assert query(tmp_path / "copy.db", "SELECT count(*) FROM ballast") == 1_000
    assert query(tmp_path / "copy.db", "PRAGMA integrity_check") == "ok"
    assert query(tmp_path / "copy.db", "PRAGMA journal_mode") == "delete"
    assert stat.S_IMODE((tmp_path / "copy.db").stat().st_mode) == 0o600


def test_free_pages_are_measured_and_left_out(live: Path, tmp_path: Path) -> None:
    with closing(sqlite3.connect(live)) as connection, connection:
        connection.execute("DELETE FROM ballast WHERE rowid > 100")
    size = copy_database(live, tmp_path / "copy.db")
    assert size.used < size.pages / 5
    assert abs((tmp_path / "copy.db").stat().st_size - size.used) < 64 * 1024
    with open_database(live) as connection:
        assert measure(connection) == size == Size(size.pages, size.used)


def test_writers_go_on_and_the_copy_is_one_state_of_theirs(live: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-c", WRITER, str(live), "2"]
    writer = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert writer.stdout is not None
    writer.stdout.readline()
    copies = 0
    while writer.poll() is None:
        target = tmp_path / f"copy{copies}.db"
        copy_database(live, target)
        total = query(target, "SELECT value FROM total")
        assert (
            total
            == query(target, "SELECT count(*) FROM acknowledged")
            == query(target, "SELECT ifnull(max(number), 0) FROM acknowledged")
        )
        copies += 1
    number = int(writer.communicate()[0].split()[0])
    assert copies > 2
    assert query(live, "SELECT count(*) FROM acknowledged") == number


def test_it_copies_while_a_writer_holds_the_lock_and_without_what_is_not_committed(live: Path, tmp_path: Path) -> None:
    with closing(sqlite3.connect(live, isolation_level=None)) as writer:
        writer.execute("BEGIN IMMEDIATE")
        writer.execute("DELETE FROM ballast")
        copy_database(live, tmp_path / "copy.db")
        writer.execute("ROLLBACK")
    assert query(tmp_path / "copy.db", "SELECT count(*) FROM ballast") == 1_000


def test_a_table_with_a_generated_column_and_a_check_is_copied(live: Path, tmp_path: Path) -> None:
    with closing(sqlite3.connect(live)) as connection, connection:
        connection.execute("CREATE TABLE t (a INTEGER CHECK (a > 0), b GENERATED ALWAYS AS (a * 2) STORED)")
        connection.execute("INSERT INTO t (a) VALUES (4)")
    copy_database(live, tmp_path / "copy.db")
    assert query(tmp_path / "copy.db", "SELECT b FROM t") == 8


def test_progress_grows_to_the_whole(live: Path, tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    size = copy_database(live, tmp_path / "copy.db", lambda done, total: seen.append((done, total)))
    assert seen == sorted(seen)
    assert seen[-1] == (size.used, size.used)


def test_a_cancelled_copy_leaves_nothing(live: Path, tmp_path: Path) -> None:
    with closing(sqlite3.connect(live)) as connection, connection:
        connection.executemany("INSERT INTO ballast VALUES (randomblob(100000))", [()] * 2_000)

    def cancel(_done: int, _total: int) -> None:
        raise KeyboardInterrupt

    started = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        copy_database(live, tmp_path / "copy.db", cancel)
    assert time.monotonic() - started < 5
    assert sorted(path.name for path in tmp_path.iterdir()) == ["live.db"]


@pytest.mark.parametrize("what", ["file", "link", "folder"])
def test_a_target_that_is_there_is_refused_and_left_alone(live: Path, tmp_path: Path, what: str) -> None:
    target = tmp_path / "copy.db"
    if what == "file":
        target.write_text("precious")
    elif what == "folder":
        target.mkdir()
    else:
        target.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(FileExistsError):
        copy_database(live, target)
    assert what != "file" or target.read_text() == "precious"
    assert not (tmp_path / "elsewhere").exists()


@pytest.mark.parametrize("content", [None, b"not a database " * 1_000])
def test_a_source_that_is_none_is_refused_and_not_made(tmp_path: Path, content: bytes | None) -> None:
    source = tmp_path / "live.db"
    if content is not None:
        source.write_bytes(content)
    with pytest.raises(CopyFailed, match=f"^{source} could not be copied: "):
        copy_database(source, tmp_path / "copy.db")
    assert [path.name for path in tmp_path.iterdir()] == ([] if content is None else ["live.db"])


def test_a_damaged_source_is_refused(live: Path, tmp_path: Path) -> None:
    with closing(sqlite3.connect(live)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    raw = bytearray(live.read_bytes())
    for page in range(5, 400, 7):
        raw[page * 4096 : page * 4096 + 64] = b"\xff" * 64
    live.write_bytes(raw)
    with pytest.raises(CopyFailed, match="malformed"):
        copy_database(live, tmp_path / "copy.db")
    assert not (tmp_path / "copy.db").exists()


def test_a_limit_of_file_size_is_survived(live: Path, tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from tvarr_backup.backups.sqlite import copy_database;"
        "copy_database(Path(sys.argv[1]), Path(sys.argv[2]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(live), str(tmp_path / "copy.db")],
        cwd=ROOT,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (2**20, 2**20)),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert "CopyFailed" in done.stderr
    assert not (tmp_path / "copy.db").exists()
    assert query(live, "PRAGMA integrity_check") == "ok"


def test_a_full_disk_is_said_and_nothing_is_left(live: Path, tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    code = (
        "import json, sys; from pathlib import Path; from tvarr_backup.backups.sqlite import copy_database\n"
        "try: copy_database(Path(sys.argv[2]), Path(sys.argv[1]) / 'copy.db')\n"
        "except Exception as problem: found = [type(problem).__name__, str(problem)]\n"
        "print(json.dumps([*found, [path.name for path in Path(sys.argv[1]).iterdir()]]))"
    )
    name, words, left = on_small_disk(code, tmp_path / "disk", live, options="size=2m")
    assert (name, left) == ("NoRoom", [])
    assert (
        words == f"The disk became full while {live} was copied. The copy was removed. Free some space, then try again."
    )


def test_an_odd_path_is_only_a_path(live: Path, tmp_path: Path) -> None:
    odd = tmp_path / "a?mode=memory#b%20c.db"
    live.rename(odd)
    target = tmp_path / "file:copy?x.db"
    copy_database(odd, target)
    assert query_plain(target, "SELECT count(*) FROM ballast") == 1_000
    remove_database(target)
    assert not target.exists()


def query_plain(path: Path, text: str) -> Any:
    with closing(sqlite3.connect(os.fspath(path))) as connection:
        return connection.execute(text).fetchone()[0]
