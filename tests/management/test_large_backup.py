"""The worker backs up a database of 1 GB while two processes write to it. All measurements are printed."""

from __future__ import annotations

import gzip
import json
import shutil
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest

from tests.installation import Installation
from tests.workers import RunningWorker, rows, submit_backup

PROGRAMMES = 2_400_000

WRITER = """
import os, sqlite3, sys, time
path, name, log = sys.argv[1:]
connection = sqlite3.connect(path, isolation_level=None, timeout=30)
acknowledged = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
number, longest, last = 0, 0.0, time.monotonic()
while os.getppid() != 1 and not os.path.exists(path + ".stop"):
    number += 1
    connection.execute("BEGIN IMMEDIATE")
    connection.execute("INSERT INTO oracle VALUES (?, ?)", (name, number))
    connection.execute("UPDATE total SET value = value + 1")
    connection.execute("COMMIT")
    os.write(acknowledged, f"{time.time()} {number} {time.monotonic() - last}\\n".encode())
    time.sleep(0.002)  # or the other one hardly gets a turn: SQLite's waiting is not fair
    last = time.monotonic()
"""


def acknowledged(log: Path) -> list[tuple[float, int, float]]:
    """Return the time, the number and the duration of each commit."""
    lines = [line.split() for line in log.read_text().splitlines()]
    return [(float(moment), int(number), float(seconds)) for moment, number, seconds in lines]


@pytest.mark.long
def test_a_gigabyte_is_backed_up_while_two_processes_write(prepared: Installation, tmp_path: Path) -> None:
    database = prepared.data / "tvarr.db"
    subprocess.run(
        prepared.command("demo_data", "--programmes", str(PROGRAMMES), "--channels", "50000"),
        env=prepared.variables(), check=True, capture_output=True, timeout=600,
    )  # fmt: skip
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.executescript(
            "CREATE TABLE oracle (name, number); CREATE TABLE total (value); INSERT INTO total VALUES (0)"
        )
    size = database.stat().st_size
    logs = [tmp_path / f"writer-{name}.log" for name in "ab"]
    writers = [subprocess.Popen([sys.executable, "-c", WRITER, str(database), log.stem[-1], str(log)]) for log in logs]
    worker = RunningWorker(prepared)
    seen: list[tuple[str, str, int]] = []
    try:
        time.sleep(1)
        began = time.time()
        submit_backup(prepared)
        while not seen or seen[-1][0] in ("queued", "running"):
            ((state, phase, done),) = rows(prepared, "SELECT state, phase, done_bytes FROM operations_operation")
            if not seen or seen[-1] != (state, phase, done):
                seen.append((state, phase, done))
                print(f"{time.time() - began:6.2f} s  {state:<10} {phase:<8} {done / 1e6:7.1f} MB")  # noqa: T201
            time.sleep(0.1)
        ended = time.time()
        time.sleep(0.5)
    finally:
        database.with_name("tvarr.db.stop").touch()
        for writer in writers:
            writer.wait(timeout=60)
        worker.end()
    assert seen[-1][0] == "succeeded"
    assert len({done for state, phase, done in seen if state == "running"}) >= 3, "the progress was seen moving"

    ((result,),) = rows(prepared, "SELECT result FROM operations_operation")
    backup = json.loads(result)["backup"]
    copy = tmp_path / "copy.db"
    with gzip.open(prepared.data / "backups" / backup["filename"]) as packed, copy.open("wb") as target:
        shutil.copyfileobj(packed, target)
    with closing(sqlite3.connect(copy)) as connection:
        assert connection.execute("PRAGMA quick_check").fetchone() == ("ok",)
        (total,) = connection.execute("SELECT value FROM total").fetchone()
        found = dict(connection.execute("SELECT name, max(number) FROM oracle GROUP BY name").fetchall())
        assert connection.execute("SELECT count(*) FROM oracle").fetchone() == (total,) == (sum(found.values()),)
    print(f"database {size / 1e6:.0f} MB, archive {backup['file_size'] / 1e6:.0f} MB, from the request until it is done "  # noqa: T201
          f"{ended - began:.1f} s")  # fmt: skip
    for log in logs:
        commits = acknowledged(log)
        before = max((number for moment, number, _ in commits if moment <= began), default=0)
        during = [seconds for moment, _, seconds in commits if began <= moment <= ended]
        print(f"writer {log.stem[-1]}: {len(commits)} commits, {before} acknowledged before, {found[log.stem[-1]]} in "  # noqa: T201
              f"the backup, longest wait {max(during):.2f} s")  # fmt: skip
        assert before <= found[log.stem[-1]] <= commits[-1][1]
        with closing(sqlite3.connect(database)) as connection:
            query = "SELECT count(*) FROM oracle WHERE name = ?"
            assert connection.execute(query, (log.stem[-1],)).fetchone()[0] >= len(commits)
    shutil.rmtree(prepared.data)
