"""The test world: a live database, older backups, other people's files, and the conditions that always hold."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import sqlite3
import subprocess
import sys
import tarfile
import zlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from tests.faults import driver
from tests.faults.driver import BACKUPS, KEPT, LIVE, NOW, OLD, REQUIRED, Answer
from tests.faults.trees import Entry, Tree, take
from tvarr_backup.backups.create import create_backup
from tvarr_backup.backups.folder import prepare_folder
from tvarr_backup.backups.sidecar import BackupKind

Rows = list[tuple[Any, ...]]
Listed = Mapping[str, Any]

_STORE = str(driver.STORE)
_BACKUPS = f"{BACKUPS}/"
_WORK = f"{BACKUPS}/.work"
_BY_HAND = "tvarr-backup-2020-01-01T00-00-00.db.gz"
"""An archive without a sidecar that somebody put there: no leftover of ours."""
_ALONE = "tvarr-backup-2020-02-02T00-00-00"
"""A sidecar without an archive, likewise."""
_BROKEN = sorted([_BY_HAND, _ALONE + ".db.gz"])
_HALF_PUBLISHED = "tvarr-backup-2026-06-14T18-00-00"
_HALF_DELETED = "tvarr-backup-2026-06-09T12-00-00"
_HALF_RENAMED = "tvarr-backup-2026-06-14T20-00-00.db.gz"
"""An archive that was renamed into the folder; its record is in `.work`."""

# The last of these rows are committed, but only in the -wal file: the process has ended without closing its database.
_WRITE = """
import os, sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("PRAGMA journal_mode=WAL")
connection.execute("PRAGMA wal_autocheckpoint=0")
first, last = int(sys.argv[2]), int(sys.argv[3])
connection.execute("BEGIN")
for number in range(first, last):
    connection.execute("INSERT INTO channels VALUES (?, ?, NULL)", (number, f"Channel {number} " + "x" * 600))
connection.execute("COMMIT")
os._exit(0)
"""


@dataclass(frozen=True)
class World:
    """The folders of a case before anything happens to them, and what is in them."""

    clean: Tree
    dirty: Tree
    """As `clean`, with all that earlier crashes can have left in the backup folder."""
    renamed: Tree
    """As `dirty`, on a disk without hard links."""
    nothing: Tree
    """Without a backup folder."""
    live_rows: Rows
    uploaded_rows: Rows
    old: Mapping[str, tuple[bytes, bytes]]
    """Archive and sidecar of each older backup."""


@dataclass(frozen=True)
class Case:
    """An operation, what it starts from, and what it may do."""

    name: str
    operation: str
    start: Callable[[World], Tree] = lambda world: world.clean
    makes: Callable[[World], Rows] | None = None
    """The rows of the backup that it makes."""
    removes: tuple[str, ...] = ()
    describes: str = ""
    """The backup whose metadata file it rewrites."""
    hard_links: bool = True
    """Whether the disk has them."""
    completes: str = ""
    """The backup whose publishing broke off before, which recovery completes."""
    foreign: bool = True
    """Whether files of other people's are there."""
    done: Callable[[Answer, Listed], bool] = lambda _answer, _listed: True
    """Whether an operation that said it was done is so."""


def _made(answer: Answer, listed: Listed) -> bool:
    return answer.result in listed["backups"]


CASES: tuple[Case, ...] = (
    Case("create", "create", makes=lambda world: world.live_rows, done=_made),
    Case(
        "create after a crash",
        "create",
        start=lambda world: world.dirty,
        makes=lambda world: world.live_rows,
        done=_made,
    ),
    Case(
        "first create",
        "first create",
        start=lambda world: world.nothing,
        makes=lambda world: world.live_rows,
        foreign=False,
        done=_made,
    ),
    Case("adopt an archive", "adopt", makes=lambda world: world.uploaded_rows, done=_made),
    Case("adopt a database", "adopt a database", makes=lambda world: world.uploaded_rows, done=_made),
    Case("adopt tvarr's", "adopt tvarr's", makes=lambda world: world.uploaded_rows, done=_made),
    Case("adopt a dead machine's", "adopt a dead machine's", makes=lambda world: world.live_rows, done=_made),
    Case(
        "prune",
        "prune",
        removes=OLD[:2],
        # One whose sidecar could not be read is none that counts: then fewer are removed.
        done=lambda answer, listed: {*answer.result} <= {*OLD[:2]} and not {*answer.result} & {*listed["backups"]},
    ),
    Case("delete", "delete", removes=OLD[1:2], done=lambda _, listed: OLD[1] not in listed["backups"]),
    Case(
        "verify",
        "verify",
        describes=OLD[1],
        done=lambda answer, listed: (
            listed["backups"].get(OLD[1], {}).get("problems") == answer.result
            and listed["backups"][OLD[1]]["checked"] == "full"
        ),
    ),
    Case(
        "protect",
        "protect",
        describes=OLD[1],
        done=lambda _, listed: (
            OLD[1] in listed["backups"]
            and (listed["backups"][OLD[1]]["protected"], listed["backups"][OLD[1]]["note"]) == (True, "kept")
        ),
    ),
    Case("recover", "recover", start=lambda world: world.dirty),
)
_WITHOUT_LINKS = (
    *(
        replace(case, name=f"{case.name}, no hard links", hard_links=False)
        for case in CASES
        if case.name in ("create", "first create", "adopt an archive", "prune", "delete", "verify", "protect")
    ),
    Case(
        "create after a crash, no hard links",
        "create",
        start=lambda world: world.renamed,
        makes=lambda world: world.live_rows,
        done=_made,
        hard_links=False,
        completes=_HALF_RENAMED,
    ),
    Case(
        "recover, no hard links",
        "recover",
        start=lambda world: world.renamed,
        hard_links=False,
        completes=_HALF_RENAMED,
    ),
)
CASES += _WITHOUT_LINKS


def build_world(root: Path, scratch: Path) -> World:
    """Make everything once, with the program as it is."""
    live = root / LIVE
    live.parent.mkdir()
    with closing(sqlite3.connect(live)) as connection, connection:
        connection.execute("CREATE TABLE schema_migrations (version TEXT)")
        connection.execute("INSERT INTO schema_migrations VALUES ('029')")
        connection.execute("CREATE TABLE channels (id INTEGER PRIMARY KEY, channel_name TEXT, deleted_at TEXT)")
        connection.execute("CREATE INDEX channel_names ON channels (channel_name)")
        connection.execute("CREATE TABLE filters (id INTEGER PRIMARY KEY, name TEXT)")
        connection.execute("INSERT INTO filters VALUES (1, 'Harbour Sports')")
    (root / driver.STORE).mkdir()
    folder = prepare_folder(root / BACKUPS)
    for number, filename in enumerate(OLD):
        _write(live, number * 3, number * 3 + 3)
        kind = BackupKind.MANUAL if filename == OLD[-1] else BackupKind.SCHEDULED
        made = create_backup(live, folder, REQUIRED, kind=kind, now=NOW - timedelta(days=5 - number))
        assert made.filename == filename
    _lay_uploads(live, root)
    uploaded_rows = rows_of((root / driver.UPLOADED_DATABASE).read_bytes(), b"", scratch)
    old = {name: ((folder / name).read_bytes(), (folder / _sidecar(name)).read_bytes()) for name in OLD}
    _lay_foreign(folder)
    _write(live, 100, 112)
    assert live.with_name("live.db-wal").stat().st_size
    for ending in ("", "-wal"):
        (root / f"{driver.UPLOADED_DEAD}{ending}").write_bytes(live.with_name(f"live.db{ending}").read_bytes())
    live_rows = rows_of(live.read_bytes(), live.with_name("live.db-wal").read_bytes(), scratch)
    assert len(live_rows) > len(uploaded_rows)
    clean = {name: entry for name, entry in take(root).items() if not name.endswith("-shm")}
    dirty = _dirtied(clean, old)
    nothing = {name: entry for name, entry in clean.items() if not name.startswith(str(BACKUPS))}
    return World(clean, dirty, _renamed(clean, old), nothing, live_rows, uploaded_rows, old)


def _sidecar(filename: str) -> str:
    return filename.removesuffix(".db.gz") + ".meta.json"


def _write(live: Path, first: int, last: int) -> None:
    subprocess.run([sys.executable, "-c", _WRITE, str(live), str(first), str(last)], check=True)


def _lay_uploads(live: Path, root: Path) -> None:
    """Write the current live database in the three forms that can be added."""
    upload = root / driver.UPLOADED_GZIP
    upload.parent.mkdir()
    copied = root / driver.UPLOADED_DATABASE
    with closing(sqlite3.connect(live, isolation_level=None)) as connection:
        connection.execute("VACUUM INTO ?", (str(copied),))
    with closing(sqlite3.connect(copied)) as connection:  # as the copy of a live file would be
        connection.execute("PRAGMA journal_mode=WAL")
    content = copied.read_bytes()
    upload.write_bytes(gzip.compress(content))
    metadata = {
        "created_at": "2026-06-13T08:00:00Z",
        "database_size": len(content),
        "compressed_size": 1,
        "checksum": "sha256:" + "0" * 64,
    }
    with tarfile.open(root / driver.UPLOADED_TAR, "w:gz") as tar:
        for name, data in (("metadata.json", json.dumps(metadata).encode()), ("database.db", content)):
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))


def _lay_foreign(folder: Path) -> None:
    (folder / "notes.txt").write_text("mine")
    (folder / _BY_HAND).write_bytes(b"copied here by hand")
    (folder / f"{_ALONE}.meta.json").write_bytes((folder / _sidecar(OLD[0])).read_bytes())
    (folder / "elsewhere").mkdir()
    (folder / "elsewhere" / "file").write_text("mine")
    (folder / "link").symlink_to("notes.txt")


def _dirtied(clean: Tree, old: Mapping[str, tuple[bytes, bytes]]) -> Tree:
    archive, sidecar = old[OLD[0]]
    shared = max(entry.group for entry in clean.values()) + 1
    left = {
        f"{_BACKUPS}{_HALF_PUBLISHED}.db.gz": Entry(0o600, archive, group=shared),
        f"{_WORK}/{_HALF_PUBLISHED}.db.gz": Entry(0o600, archive, group=shared),
        f"{_WORK}/{_HALF_PUBLISHED}.meta.json": Entry(0o600, sidecar),
        f"{_BACKUPS}{_HALF_DELETED}.db.gz": Entry(0o600, archive),
        f"{_WORK}/{_HALF_DELETED}.db.gz.deleted": Entry(0o600, sidecar),
        f"{_WORK}/snapshot.db": Entry(0o600, b"SQLite format 3\0 and no more"),
        f"{_WORK}/snapshot.db-journal": Entry(0o600, b"\0" * 512),
        f"{_WORK}/some": Entry(0o700),
        f"{_WORK}/some/thing": Entry(0o600, b"x"),
        # What was finished but for the clean-up, and what was not begun: both must stay.
        f"{_WORK}/{OLD[4]}": clean[f"{_BACKUPS}{OLD[4]}"],
        f"{_WORK}/{OLD[3]}.deleted": Entry(0o600, old[OLD[3]][1]),
    }
    return {**clean, **left}


def _renamed(clean: Tree, old: Mapping[str, tuple[bytes, bytes]]) -> Tree:
    """What crashes can leave where an archive is renamed and its record stays behind."""
    archive, sidecar = old[OLD[0]]
    left = {
        f"{_BACKUPS}{_HALF_RENAMED}": Entry(0o600, archive),
        f"{_WORK}/{_sidecar(_HALF_RENAMED)}": Entry(0o600, sidecar),
        f"{_WORK}/{_sidecar(_HALF_RENAMED)}.new": Entry(0o600, sidecar),
        # An archive that was not renamed yet; a record of another file than the one that somebody put there by hand.
        f"{_WORK}/{_HALF_PUBLISHED}.db.gz": Entry(0o600, archive),
        f"{_WORK}/{_HALF_PUBLISHED}.meta.json": Entry(0o600, sidecar),
        f"{_WORK}/{_sidecar(_BY_HAND)}": Entry(0o600, sidecar),
        f"{_BACKUPS}{_HALF_DELETED}.db.gz": Entry(0o600, archive),
        f"{_WORK}/{_HALF_DELETED}.db.gz.deleted": Entry(0o600, sidecar),
        f"{_WORK}/{OLD[3]}.deleted": Entry(0o600, old[OLD[3]][1]),
        f"{_WORK}/{_sidecar(OLD[4])}": Entry(0o600, old[OLD[4]][1]),
    }
    return {**clean, **left}


# --- what must be true ------------------------------------------------------------------------------------------------


@dataclass
class Judge:
    """Looks at a folder after a fault and says in sentences what is wrong; what it has proven once it remembers."""

    world: World
    scratch: Path
    _archives: dict[tuple[str, str], list[str]] = field(default_factory=dict)
    _live: dict[str, bool] = field(default_factory=dict)

    def after_fault(self, case: Case, tree: Tree, listed: Listed, answer: Answer | None, fault: str = "") -> list[str]:
        """Before any recovery; `answer` is `None` where the operation was cut off.

        Two things are not asked for. Where the disk is dead from the publishing on, the publishing cannot be taken
        back: there is a complete backup and an error. And where a page cannot be read, SQLite calls the database
        malformed, so that a check may find fault with a good backup until the next one.
        """
        wrong = [*self._old(case, tree, listed), *self._new(case, tree, listed), *self._foreign(case, tree)]
        if answer is None:
            replaced_in_two_steps = f"{case.describes} is no longer listed"  # until recovery
            return [sentence for sentence in wrong if case.hard_links or sentence != replaced_in_two_steps]
        if answer.ended == "done":
            if not case.done(answer, listed):
                wrong.append(f"it said it was done, but is not: {answer.result} {[*listed['backups']]}")
        elif answer.ended == "refused":
            if case.makes and self._new_names(case, listed) and fault != "dead":
                wrong.append(f'it said "{answer.said}", but the backup is there')
            if not answer.said.endswith("."):
                wrong.append(f"no sentence: {answer.said}")
        else:
            wrong.append(f"it {answer.ended}: {answer.said}")
        return wrong

    def after_recovery(self, case: Case, tree: Tree, listed: Listed) -> list[str]:
        """Once `recover` has run to its end."""
        wrong = [*self._old(case, tree, listed), *self._new(case, tree, listed), *self._foreign(case, tree)]
        work = [name for name in tree if name.startswith(f"{_WORK}/")]
        if work:
            wrong.append(f"left in .work: {work}")
        names = {
            name.removeprefix(_BACKUPS)
            for name in tree
            if name.startswith(_BACKUPS) and "/" not in name.removeprefix(_BACKUPS)
        }
        known = {file for backup in listed["backups"] for file in (backup, _sidecar(backup))} | {".lock", ".work"}
        if case.foreign:
            known |= {"notes.txt", "elsewhere", "link", _BY_HAND, f"{_ALONE}.meta.json"}
        if names - known:
            wrong.append(f"left in the folder: {sorted(names - known)}")
        if listed["broken"] != (_BROKEN if case.foreign else []):
            wrong.append(f"broken: {listed['broken']}")
        return [*wrong, *self._completed(case, tree, listed)]

    def _completed(self, case: Case, tree: Tree, listed: Listed) -> list[str]:
        if not case.completes:
            return []
        there = tuple(tree.get(f"{_BACKUPS}{name}") for name in (case.completes, _sidecar(case.completes)))
        if (
            case.completes in listed["backups"]
            and tuple(entry and entry.data for entry in there) == self.world.old[OLD[0]]
        ):
            return []
        return [f"{case.completes} was not completed as it was recorded"]

    def live(self, tree: Tree) -> list[str]:
        """The content of the live database, through a copy of its files."""
        database = tree[str(LIVE)].data or b""
        journal = tree.get(f"{LIVE}-wal")
        changes = (journal.data if journal else None) or b""
        key = hashlib.sha256(database + b"\0" + changes).hexdigest()
        if key not in self._live:
            self._live[key] = rows_of(database, changes, self.scratch) == self.world.live_rows
        return [] if self._live[key] else ["the live database's content has changed"]

    def _old(self, case: Case, tree: Tree, listed: Listed) -> list[str]:
        if not case.foreign:
            return []
        wrong = []
        for name, (archive, sidecar) in self.world.old.items():
            there = tree.get(f"{_BACKUPS}{name}"), tree.get(f"{_BACKUPS}{_sidecar(name)}")
            if name in case.removes and name not in listed["backups"]:
                continue
            if name not in listed["backups"]:
                wrong.append(f"{name} is no longer listed")
            if there[0] is None or there[0].data != archive:
                wrong.append(f"{name} is no longer what it was")
            if name != case.describes and (there[1] is None or there[1].data != sidecar):
                wrong.append(f"the sidecar of {name} is no longer what it was")
            if name == case.describes and name in listed["backups"]:
                wrong += _described_anew(listed["backups"][name], archive)
        if case.operation == "prune":
            automatic = [name for name in OLD[:4] if name in listed["backups"]]
            if len(automatic) < KEPT:
                wrong.append(f"only {automatic} are kept")
        return wrong

    def _new_names(self, case: Case, listed: Listed) -> list[str]:
        return [name for name in listed["backups"] if name not in self.world.old and name != case.completes]

    def _new(self, case: Case, tree: Tree, listed: Listed) -> list[str]:
        new = self._new_names(case, listed)
        if not new:
            return []
        if case.makes is None or len(new) > 1:
            return [f"there are new backups: {new}"]
        archive, sidecar = tree[f"{_BACKUPS}{new[0]}"], tree[f"{_BACKUPS}{_sidecar(new[0])}"]
        key = (hashlib.sha256(archive.data or b"").hexdigest(), json.dumps(listed["backups"][new[0]], sort_keys=True))
        if key not in self._archives:
            self._archives[key] = self._archive(archive.data or b"", listed["backups"][new[0]], case.makes(self.world))
        wrong = list(self._archives[key])
        if (archive.mode, sidecar.mode) != (0o600, 0o600):
            wrong.append("its files are not its owner's alone")
        return wrong

    def _archive(self, archive: bytes, recorded: Mapping[str, Any], rows: Rows) -> list[str]:
        path = self.scratch / "proven.gz"
        path.write_bytes(archive)
        done = subprocess.run(["gzip", "-t", str(path)], capture_output=True, text=True, check=False)
        if done.returncode:
            return [f"gzip -t: {done.stderr}"]
        wrong = []
        inflate = zlib.decompressobj(31)
        database = inflate.decompress(archive)
        if inflate.unused_data or not inflate.eof:
            wrong.append("it is not exactly one member")
        if recorded["checksum"] != f"sha256:{hashlib.sha256(archive).hexdigest()}":
            wrong.append("the checksum of the archive is not the recorded one")
        if recorded["database_checksum"] != f"sha256:{hashlib.sha256(database).hexdigest()}":
            wrong.append("the checksum of the database is not the recorded one")
        if rows_of(database, b"", self.scratch) != rows:
            wrong.append("its rows are not those that were committed before")
        if recorded["table_counts"] != {"channels": len(rows) - 2, "filters": 1}:
            wrong.append(f"its counts are {recorded['table_counts']}")
        return wrong

    def _foreign(self, case: Case, tree: Tree) -> list[str]:
        if not case.foreign:
            return []
        names = ["notes.txt", "elsewhere", "elsewhere/file", "link", _BY_HAND, f"{_ALONE}.meta.json"]
        before = self.world.clean
        changed = [name for name in names if not _same(tree.get(_BACKUPS + name), before[_BACKUPS + name])]
        return [f"touched: {changed}"] if changed else []


def _same(one: Entry | None, other: Entry) -> bool:
    return one is not None and (one.mode, one.data, one.target) == (other.mode, other.data, other.target)


def _described_anew(recorded: Mapping[str, Any], archive: bytes) -> list[str]:
    """Check that a rewritten metadata file is the old one or the new one, and belongs to the same archive."""
    wrong = []
    if recorded["checksum"] != f"sha256:{hashlib.sha256(archive).hexdigest()}":
        wrong.append("the rewritten metadata file has another checksum")
    if not only_unread(recorded["problems"] or []):
        wrong.append(f"a good backup was called damaged: {recorded['problems']}")
    if (recorded["protected"], recorded["note"]) not in ((False, ""), (True, "kept")):
        wrong.append("half of a change was written")
    return wrong


def only_unread(problems: Sequence[str]) -> bool:
    """Whether a check found fault only with a page that could not be read, which SQLite takes for damage."""
    unread = ("SQLite cannot read it: database disk image is malformed.", "unable to get the page. error code=")
    return not problems or any(words in problems[0] for words in unread)


def rows_of(database: bytes, wal: bytes, scratch: Path) -> Rows:
    """All rows, read from a copy of the files, and before them what `integrity_check` says."""
    path = scratch / "read.db"
    for ending in ("-wal", "-shm", "-journal"):
        path.with_name(path.name + ending).unlink(missing_ok=True)
    path.write_bytes(database)
    if wal:
        path.with_name("read.db-wal").write_bytes(wal)
    try:
        with closing(sqlite3.connect(path)) as connection:
            rows = list(connection.execute("PRAGMA integrity_check"))
            rows += connection.execute("SELECT 'f', id, name FROM filters ORDER BY id")
            rows += connection.execute("SELECT id, channel_name, deleted_at FROM channels ORDER BY id")
    except sqlite3.Error as problem:
        return [(str(problem),)]
    return rows
