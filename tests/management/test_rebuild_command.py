"""`rebuild`: a database comes back from a location, on a machine that has nothing else."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.backups.makers import backup, changed, query, tvarrs
from tests.installation import Installation
from tests.locations.rebuilding import KEY, add_location, copy_now, dump, identifier, save_identity
from tests.management.terminals import type_into
from tvarr_backup.backups.sidecar import read_sidecar
from tvarr_backup.locations.addresses import parse_url
from tvarr_backup.locations.copies import CopyFolder, describe
from tvarr_backup.locations.encryption import new_key
from tvarr_backup.locations.stores import open_store

ID = "01kxq3v7e8r9t0y1z2a3b4c5d6"
OTHER = "01kxq3v7e8r9t0y1z2a3b4c5d7"


@dataclass
class Machine:
    """An empty machine, and a location with two encrypted backups that were made elsewhere."""

    installation: Installation
    nas: Path
    live: Path
    """The database on the machine that is lost."""
    identity: Path

    @property
    def target(self) -> Path:
        return self.installation.data.parent / "tvarr" / "tvarr.db"

    @property
    def arguments(self) -> tuple[str, ...]:
        return ("--from", f"folder:{self.nas}", "--to", str(self.target))

    @property
    def with_identity(self) -> tuple[str, ...]:
        return (*self.arguments, "--identity", str(self.identity))

    def rebuild(self, *arguments: str) -> Any:
        return self.installation.json("rebuild", *self.with_identity, *arguments, "--json")

    def refused(self, *arguments: str, **environment: str) -> str:
        """Run a command that must fail, and leave nothing."""
        found = self.installation.refused("rebuild", *arguments, **environment)
        assert list(self.target.parent.iterdir()) == []
        assert not self.installation.data.exists()
        return found

    def copy(self, installation: str = ID, *recipients: str, note: str = "", live: Path | None = None) -> str:
        """Make a backup and copy it to the location."""
        folder = self.nas.with_name("backups")
        folder.mkdir(exist_ok=True)
        made = backup(live or self.live, folder, note=note)
        with open_store(parse_url(f"folder:{self.nas}")) as store:
            copies = CopyFolder(store, installation)
            copies.mark()
            copies.write_copy(folder / made.filename, read_sidecar(folder / made.name.sidecar), recipients)
        return made.filename


@pytest.fixture
def empty(installation: Installation, tmp_path: Path) -> Machine:
    """A machine and a location without backups."""
    nas = tmp_path / "nas"
    nas.mkdir()
    machine = Machine(installation, nas, tvarrs(tmp_path / "lost.db"), save_identity(tmp_path / "identity.txt"))
    machine.target.parent.mkdir()
    return machine


@pytest.fixture
def machine(empty: Machine) -> Machine:
    empty.copy(ID, KEY.recipient, note="the first one")
    changed(empty.live, "UPDATE filters SET name = 'Only in the second' WHERE rowid = 1")
    empty.copy(ID, KEY.recipient, note="the second one")
    return empty


# --- What comes back -------------------------------------------------------------------------------------------------


def test_the_newest_backup_becomes_the_database(machine: Machine) -> None:
    done = machine.rebuild()
    assert dump(machine.target) == dump(machine.live)
    assert (done["to"], done["installation"]) == (str(machine.target), ID)
    assert done["missing"] == ["users", "settings", "schedule", "locations", "history"]
    assert [path.name for path in machine.target.parent.iterdir()] == ["tvarr.db"]
    assert not machine.installation.data.exists()


def test_the_database_is_in_wal_mode_and_private(machine: Machine) -> None:
    machine.rebuild()
    assert query(machine.target, "PRAGMA journal_mode") == "wal"
    assert machine.target.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("name", ["latest~1", "2", ""])
def test_an_older_backup_can_be_named(name: str, machine: Machine) -> None:
    listed = machine.installation.json("rebuild", *machine.with_identity, "--list", "--json")["backups"]
    assert machine.rebuild(name or listed[1]["filename"])["filename"] == listed[1]["filename"]
    assert query(machine.target, "SELECT count(*) FROM filters WHERE name = 'Only in the second'") == 0


def test_the_output_says_what_is_there_what_is_missing_and_what_to_do(machine: Machine) -> None:
    done = machine.installation.run("rebuild", *machine.with_identity)
    assert (done.returncode, "the second one" in done.stderr) == (0, True)
    for words in (
        str(machine.target),
        "Not restored: users",
        f"Set TVARR_DATABASE_DSN={machine.target}",
        "backup create",
    ):
        assert words in done.stdout


def test_the_database_of_the_environment_is_the_default(machine: Machine) -> None:
    machine.installation.environment["TVARR_DATABASE_DSN"] = str(machine.target)
    arguments = ("--from", f"folder:{machine.nas}", "--identity", str(machine.identity))
    done = machine.installation.json("rebuild", *arguments, "--json")
    assert machine.target.exists()
    assert not any("TVARR_DATABASE_DSN" in step for step in done["next"])


def test_the_identity_can_come_from_standard_input(machine: Machine) -> None:
    machine.installation.ok("rebuild", *machine.arguments, "--identity", "-", stdin=KEY.identity)
    assert machine.target.exists()


def test_the_identity_can_be_a_private_key_of_ssh(empty: Machine, tmp_path: Path) -> None:
    path = tmp_path / "id_ed25519"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", path], check=True)
    empty.copy(ID, path.with_suffix(".pub").read_text().strip())
    empty.installation.ok("rebuild", *empty.arguments, "--identity", str(path))
    assert dump(empty.target) == dump(empty.live)


def test_an_unencrypted_location_needs_no_identity(empty: Machine) -> None:
    empty.copy()
    empty.installation.ok("rebuild", *empty.arguments)
    assert dump(empty.target) == dump(empty.live)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_root_sets_the_owner(machine: Machine) -> None:
    done = machine.rebuild("--owner", "1234:2345")
    status = machine.target.stat()
    assert (status.st_uid, status.st_gid, done["owner"]) == (1234, 2345, "1234:2345")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_for_root_the_owner_of_the_folder_is_the_default(machine: Machine) -> None:
    os.chown(machine.target.parent, 1234, 2345)
    machine.rebuild()
    assert (machine.target.stat().st_uid, machine.target.stat().st_gid) == (1234, 2345)


# --- Listing ---------------------------------------------------------------------------------------------------------


def test_a_list_has_numbers_dates_sizes_and_notes(machine: Machine) -> None:
    listed = machine.installation.json("rebuild", *machine.with_identity, "--list", "--json")
    assert [(one["number"], one["note"]) for one in listed["backups"]] == [(1, "the second one"), (2, "the first one")]
    assert all(one["size"] > 0 and one["created_at"] and one["is_encrypted"] for one in listed["backups"])
    assert not machine.target.exists()


def test_without_an_identity_the_list_has_no_notes(machine: Machine) -> None:
    done = machine.installation.ok("rebuild", "--from", f"folder:{machine.nas}", "--list")
    assert ("(encrypted)" in done, "the first one" in done, "2 backups" in done) == (True, False, True)


# --- What is refused -------------------------------------------------------------------------------------------------


def test_a_missing_identity_is_asked_for_by_the_message(machine: Machine) -> None:
    assert "--identity" in machine.refused(*machine.arguments)


def test_another_identity_is_refused(machine: Machine) -> None:
    save_identity(machine.identity, new_key())
    assert "does not decrypt" in machine.refused(*machine.with_identity)


@pytest.mark.parametrize("ending", ["", "-wal", "-shm", "-journal"])
def test_an_existing_database_is_never_replaced(ending: str, machine: Machine) -> None:
    existing = Path(f"{machine.target}{ending}")
    existing.write_text("precious")
    assert "exists already" in machine.installation.refused("rebuild", *machine.with_identity)
    assert [(path, path.read_text()) for path in machine.target.parent.iterdir()] == [(existing, "precious")]


def test_without_a_target_nothing_is_done(machine: Machine) -> None:
    assert "--to FILE" in machine.refused("--from", f"folder:{machine.nas}", "--identity", str(machine.identity))


def test_a_missing_folder_is_named(machine: Machine) -> None:
    to = machine.target.parent / "missing" / "tvarr.db"
    assert str(to.parent) in machine.refused(*machine.with_identity, "--to", str(to))


def test_an_empty_location_is_refused(empty: Machine) -> None:
    assert "no backups" in empty.refused(*empty.with_identity)


def test_a_location_that_is_not_there_is_refused(machine: Machine) -> None:
    machine.nas.rename(machine.nas.with_name("unplugged"))
    assert str(machine.nas) in machine.refused(*machine.with_identity)


def test_an_unknown_name_is_refused(machine: Machine) -> None:
    assert "latest~7" in machine.refused(*machine.with_identity, "latest~7")
    assert "no backup" in machine.refused(*machine.with_identity, "tvarr-backup-2020-01-01T00-00-00.db.gz")


def test_with_several_installations_one_is_named(machine: Machine) -> None:
    machine.copy(OTHER)
    found = machine.refused(*machine.with_identity)
    assert all(words in found for words in (ID, OTHER, "--installation"))
    assert machine.rebuild("--installation", ID.upper())["installation"] == ID


def test_an_unknown_installation_is_refused(machine: Machine) -> None:
    assert ID in machine.refused(*machine.with_identity, "--installation", OTHER)


def test_a_damaged_copy_is_refused(machine: Machine) -> None:
    for archive in (machine.nas / f"tvarr-backup-{ID}").glob("*.age"):
        content = bytearray(archive.read_bytes())
        content[-100] ^= 1
        archive.write_bytes(content)
    machine.refused(*machine.with_identity)


def test_code_in_a_database_has_to_be_accepted(empty: Machine) -> None:
    changed(empty.live, "CREATE TRIGGER greedy AFTER INSERT ON filters BEGIN DELETE FROM filters; END")
    empty.copy()
    assert "--accept-code" in empty.refused(*empty.arguments)
    empty.installation.ok("rebuild", *empty.arguments, "--accept-code")


def test_a_schema_of_the_future_has_to_be_accepted(empty: Machine) -> None:
    changed(
        empty.live,
        "INSERT INTO schema_migrations (version, description, applied_at) VALUES ('999', 'later', '2030-01-01')",
    )
    empty.copy()
    assert "--accept-newer" in empty.refused(*empty.arguments)
    empty.installation.ok("rebuild", *empty.arguments, "--accept-newer")


def test_an_invalid_owner_is_refused(machine: Machine) -> None:
    assert "1000:1000" in machine.refused(*machine.with_identity, "--owner", "tvarr")


def test_without_space_nothing_is_fetched(machine: Machine) -> None:
    copies = CopyFolder(open_store(parse_url(f"folder:{machine.nas}")), ID)
    for copy in copies.read_listing().copies:
        sidecar = copies.read_metadata(copy.filename).open(KEY.identity)
        huge = sidecar.with_changes(database_size=2**50)
        metadata = copies.read_metadata(copy.filename)
        copies.write_metadata(copy.filename, describe(huge, metadata.size, metadata.checksum, [KEY.recipient]))
    assert "free" in machine.refused(*machine.with_identity)


# --- Interruptions ---------------------------------------------------------------------------------------------------


@pytest.fixture
def large(empty: Machine) -> Machine:
    """With a database that takes a while."""
    changed(
        empty.live,
        "CREATE TABLE ballast (bytes BLOB)",
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 60) "
        "INSERT INTO ballast SELECT randomblob(1000000) FROM n",
    )
    empty.copy(ID, KEY.recipient)
    return empty


@pytest.mark.parametrize(
    "seconds", [0.5, *(pytest.param(number / 8, marks=pytest.mark.long) for number in range(24) if number != 4)]
)
def test_a_kill_leaves_no_database_or_a_complete_one(seconds: float, large: Machine) -> None:
    """And the next run removes what is left, and succeeds."""
    command = large.installation.command("rebuild", *large.with_identity, "--json")
    process = subprocess.Popen(
        command, env=large.installation.variables(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    work = Path(f"{large.target}.rebuild")
    deadline = time.monotonic() + 60
    while not work.exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.005)
    time.sleep(seconds)
    process.kill()
    process.wait()
    if large.target.exists():
        assert dump(large.target) == dump(large.live)
        large.target.unlink()
    large.rebuild()
    assert dump(large.target) == dump(large.live)
    assert [path.name for path in large.target.parent.iterdir()] == ["tvarr.db"]


@pytest.mark.long
@pytest.mark.parametrize("calls", ["link,linkat", "rename,renameat,renameat2", "fsync", "rmdir"])
def test_a_kill_at_each_call_that_makes_something_durable(calls: str, machine: Machine) -> None:
    """The first, the second ... such call never returns, until the command succeeds."""
    for number in range(1, 40):
        injection = ("-e", f"trace={calls}", "-e", f"inject={calls}:signal=SIGKILL:when={number}")
        command = ["strace", "-qqq", "-f", "-o", "/dev/null", *injection]
        done = subprocess.run(
            [*command, *machine.installation.command("rebuild", *machine.with_identity, "--json")],
            env=machine.installation.variables(),
            capture_output=True,
            check=False,
        )
        if done.returncode == 0:
            break
        if machine.target.exists():
            assert dump(machine.target) == dump(machine.live)
            machine.target.unlink()
    assert number > 1
    assert [path.name for path in machine.target.parent.iterdir()] == ["tvarr.db"]
    assert dump(machine.target) == dump(machine.live)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_leaves_nothing(number: signal.Signals, large: Machine) -> None:
    command = large.installation.command("rebuild", *large.with_identity)
    process = subprocess.Popen(command, env=large.installation.variables(), stderr=subprocess.PIPE, text=True)
    while not any(Path(f"{large.target}.rebuild").glob("*/*.part")) and process.poll() is None:
        time.sleep(0.005)
    process.send_signal(number)
    _out, err = process.communicate(timeout=60)
    assert (process.returncode, "Canceled" in err, "Traceback" in err) == (130, True, False)
    assert list(large.target.parent.iterdir()) == []


def test_two_at_the_same_time_do_not_disturb_each_other(large: Machine) -> None:
    command = large.installation.command("rebuild", *large.with_identity)
    first = subprocess.Popen(command, env=large.installation.variables(), stderr=subprocess.DEVNULL)
    while not any(Path(f"{large.target}.rebuild").glob("*/*.part")) and first.poll() is None:
        time.sleep(0.005)
    assert large.installation.refused("rebuild", *large.with_identity)
    assert first.wait(timeout=60) == 0
    assert dump(large.target) == dump(large.live)


# --- Terminals and credentials ---------------------------------------------------------------------------------------


def test_a_terminal_asks_for_the_identity(machine: Machine) -> None:
    status, shown = type_into(machine.installation, f"{KEY.identity}\n".encode(), "rebuild", *machine.arguments)
    assert (status, KEY.identity in shown) == (0, False), shown
    assert machine.target.exists()


def test_missing_credentials_are_named(machine: Machine) -> None:
    to = ("--to", str(machine.target))
    assert "access_key" in machine.refused("--from", "s3://bucket/tvarr", *to)
    assert "password" in machine.refused("--from", "sftp://tvarr@127.0.0.1/backups", *to)


def test_an_unreadable_file_with_a_password_is_named(machine: Machine) -> None:
    missing = {"TVARR_BACKUP_LOCATION_PASSWORD_FILE": "/missing/password"}
    assert "/missing/password" in machine.refused(
        "--from", "sftp://tvarr@127.0.0.1/backups", "--to", str(machine.target), **missing
    )


# --- This program's own state ----------------------------------------------------------------------------------------


@pytest.fixture
def copied(prepared: Installation, tmp_path: Path) -> tuple[Installation, Machine]:
    """An installation with a user and an encrypted location, and an empty machine."""
    nas = tmp_path / "nas"
    nas.mkdir()
    prepared.ok("user", "create", "marit", "--role", "operator", stdin="correct horse battery\n")
    prepared.ok("backup", "create")
    add_location(prepared, f"folder:{nas}")
    copy_now(prepared)
    machine = Machine(
        Installation(tmp_path / "new" / "data"),
        nas,
        prepared.data / "tvarr.db",
        save_identity(tmp_path / "identity.txt"),
    )
    machine.target.parent.mkdir(parents=True)
    machine.installation.environment["TVARR_DATABASE_DSN"] = str(machine.target)
    return prepared, machine


def test_users_settings_and_the_identifier_come_back(copied: tuple[Installation, Machine]) -> None:
    lost, machine = copied
    machine.rebuild("--with-settings")
    new = machine.installation
    assert (new.data / "secret-key").read_bytes() == (lost.data / "secret-key").read_bytes()
    assert (new.data / "app.db").stat().st_mode & 0o777 == 0o600
    new.ok("prepare")
    assert not (new.data / "initial-password").exists()
    assert identifier(new) == identifier(lost)
    shutil.rmtree(lost.data)
    new.ok("backup", "create")
    assert len(copy_now(new)["copied"]) == 1
    assert len(list(machine.nas.iterdir())) == 1
    check = "from django.contrib.auth import authenticate; from django.test import RequestFactory; "
    check += "print(authenticate(RequestFactory().get('/'), username='marit', password='correct horse battery'))"
    assert new.ok("shell", "--no-imports", "-c", check).strip() == "marit"


def test_existing_settings_are_never_replaced(copied: tuple[Installation, Machine]) -> None:
    _lost, machine = copied
    machine.installation.data.mkdir()
    (machine.installation.data / "app.db").write_text("precious")
    found = machine.installation.refused("rebuild", *machine.with_identity, "--with-settings")
    assert "without --with-settings" in found
    assert (machine.installation.data / "app.db").read_text() == "precious"
    assert not machine.target.exists()


def test_a_run_that_was_interrupted_after_the_settings_is_finished_by_the_next(
    copied: tuple[Installation, Machine],
) -> None:
    _lost, machine = copied
    machine.rebuild("--with-settings")
    machine.target.unlink()
    machine.rebuild("--with-settings")
    assert machine.target.exists()


def test_a_location_without_settings_is_refused(machine: Machine) -> None:
    assert "settings archive" in machine.refused(*machine.with_identity, "--with-settings")


def test_a_key_of_the_environment_has_to_be_set_again(copied: tuple[Installation, Machine]) -> None:
    lost, machine = copied
    lost.environment["SECRET_KEY"] = (lost.data / "secret-key").read_text().strip()
    for archive in (lost.data / "backups").glob("*settings*"):
        archive.unlink()
    time.sleep(1.1)
    copy_now(lost)
    done = machine.rebuild("--with-settings")
    assert done["settings"]["secret_key"] == "environment"
    assert "SECRET_KEY" in json.dumps(done["warnings"])
    assert not (machine.installation.data / "secret-key").exists()
