"""The command `location`, in this process: what locations do is tested in `tests/operations`."""

from __future__ import annotations

import io
import json
import signal
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from tests.backups.makers import backup
from tests.installation import Installation
from tests.management.terminals import type_into
from tvarr_backup import conf
from tvarr_backup.backups.folder import prepare_folder
from tvarr_backup.backups.sidecar import BackupKind
from tvarr_backup.locations.encryption import new_key
from tvarr_backup.operations.copying import open_address
from tvarr_backup.operations.models import Location, Operation, OperationKind, OperationState
from tvarr_backup.operations.track import stop_flag

pytestmark = [pytest.mark.django_db, pytest.mark.sqlite]

SECRET = "tide-table-1912"
SFTP = ("--kind", "sftp", "--host", "nas.example.com", "--user", "marit", "--path", "/srv")


@pytest.fixture(autouse=True)
def nas(tmp_path: Path, settings: Any) -> Iterator[Path]:
    """A folder outside the backup folder."""
    settings.BACKUP_DIRECTORY = tmp_path / "backups"
    prepare_folder(conf.backup_path())
    folder = tmp_path / "nas"
    folder.mkdir()
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    yield folder
    stop_flag.is_set = False
    for number, handler in handlers.items():
        signal.signal(number, handler)


def location(*arguments: str, stdin: str = "") -> str:
    out = io.StringIO()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin.encode())))
        call_command("location", *arguments, stdout=out, stderr=out)
    return out.getvalue()


def refused(*arguments: str, stdin: str = "") -> str:
    with pytest.raises(CommandError) as refusal:
        location(*arguments, stdin=stdin)
    return str(refusal.value)


def add_folder(nas: Path, *more: str) -> str:
    return location("add", "nas", "--kind", "folder", "--path", str(nas), *more)


def stored(name: str = "nas") -> Location:
    return Location.objects.get(name=name)


# --- Adding ----------------------------------------------------------------------------------------------------------


def test_a_folder_is_added_with_its_retention(nas: Path) -> None:
    add_folder(nas, "--keep", "5", "--daily", "7", "--max-age", "90d")
    assert (stored().options, stored().keep, stored().daily, stored().max_age) == ({"path": str(nas)}, 5, 7, "90d")


def test_it_says_that_a_test_comes_first(nas: Path) -> None:
    assert "location test nas`" in add_folder(nas)


def test_an_address_may_be_one_url() -> None:
    location("add", "nas", "--url", "sftp://marit@nas.example.com:2222/srv", "--password-file", "-", stdin=SECRET)
    assert (stored().kind, stored().options["port"]) == ("sftp", "2222")


def test_the_url_of_a_webdav_folder_may_be_its_own() -> None:
    location("add", "nas", "--kind", "webdav", "--url", "https://cloud.example.com/dav")
    assert stored().options == {"url": "https://cloud.example.com/dav"}


def test_all_copies_may_be_kept(nas: Path) -> None:
    add_folder(nas, "--keep", "all", "--max-age", "none")
    assert stored().policy().keep is None


def test_without_a_kind_and_an_address_nothing_is_added() -> None:
    assert "--kind" in refused("add", "nas", "--path", "/mnt/nas")
    assert not Location.objects.exists()


@pytest.mark.parametrize(
    "arguments",
    [
        ("--kind", "folder", "--path", "relative"),
        ("--kind", "folder", "--bucket", "harbour", "--path", "/mnt"),
        ("--kind", "s3", "--url", "folder:/mnt"),
        ("--kind", "attic"),
        ("--kind", "folder", "--path", "/mnt", "--keep", "0"),
        ("--kind", "folder", "--path", "/mnt", "--weekly", "few"),
        ("--kind", "folder", "--path", "/mnt", "--max-age", "soon"),
        ("--kind", "folder", "--path", "/mnt", "--recipient", "age1wrong"),
    ],
)
def test_an_invalid_option_is_refused(arguments: tuple[str, ...]) -> None:
    refused("add", "nas", *arguments)
    assert not Location.objects.exists()


# --- Secrets ---------------------------------------------------------------------------------------------------------


def password() -> str:
    return open_address(stored()).options["password"]


def test_a_secret_comes_from_a_file(tmp_path: Path) -> None:
    (tmp_path / "password").write_text(f"{SECRET}\n")
    location("add", "nas", *SFTP, "--password-file", str(tmp_path / "password"))
    assert password() == SECRET


def test_a_secret_comes_from_the_standard_input() -> None:
    location("add", "nas", *SFTP, "--password-file", "-", stdin=f"{SECRET}\n")
    assert password() == SECRET


def test_only_one_secret_comes_from_the_standard_input() -> None:
    assert "one secret" in refused("add", "nas", *SFTP, "--password-file", "-", "--passphrase-file", "-", stdin=SECRET)


def test_a_secret_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TVARR_BACKUP_LOCATION_PASSWORD", SECRET)
    location("add", "nas", *SFTP)
    assert password() == SECRET


def test_a_secret_comes_from_a_file_that_the_environment_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "password").write_text(SECRET)
    monkeypatch.setenv("TVARR_BACKUP_LOCATION_PASSWORD_FILE", str(tmp_path / "password"))
    location("add", "nas", *SFTP)
    assert password() == SECRET


def test_a_file_that_cannot_be_read_is_refused() -> None:
    assert refused("add", "nas", *SFTP, "--password-file", "/missing").startswith("--password-file: ")


def test_without_a_secret_it_is_refused() -> None:
    assert refused("add", "nas", *SFTP).startswith("password: ")


def test_a_secret_is_asked_for_on_a_terminal_and_not_shown(prepared: Installation) -> None:
    status, shown = type_into(prepared, f"{SECRET}\n".encode(), "location", "add", "nas", *SFTP)
    assert (status, SECRET in shown) == (0, False)
    assert "Secrets    password (not shown)" in shown


def test_no_option_takes_a_secret() -> None:
    assert "unrecognized" in refused("add", "nas", *SFTP, "--private-key", SECRET)


# --- Showing ---------------------------------------------------------------------------------------------------------


def test_the_list_has_each_location(nas: Path) -> None:
    assert "There are no locations" in location("list")
    add_folder(nas)
    assert "not tested yet" in location("list").splitlines()[1]
    assert [one["name"] for one in json.loads(location("list", "--json"))] == ["nas"]


def test_the_names_of_stored_secrets_are_shown() -> None:
    location("add", "nas", *SFTP, "--password-file", "-", stdin=SECRET)
    shown = json.loads(location("show", "nas", "--json"))
    assert (shown["has_secrets"], shown["url"]) == (["password"], "sftp://marit@nas.example.com/srv")


def test_a_failure_is_shown_with_its_reason(nas: Path) -> None:
    add_folder(nas)
    nas.rmdir()
    refused("test", "nas")
    lines = location("show", "nas").splitlines()
    (number,) = (number for number, line in enumerate(lines) if line.startswith("State "))
    assert "failing since " in lines[number]
    assert lines[number + 1] == str(stored().problem)


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ({"tested_at": datetime(2026, 11, 1, 2, tzinfo=UTC)}, "behind since 2026-11-01 02:00:00 UTC"),
        ({"tested_at": datetime(2026, 11, 1, tzinfo=UTC), "recipient": "age1"}, "waits for the recovery key"),
        ({"is_enabled": False}, "paused"),
        (
            {"tested_at": datetime(2026, 11, 1, tzinfo=UTC), "in_sync_at": datetime(2026, 11, 2, 3, tzinfo=UTC)},
            "in sync, last compared 2026-11-02 03:00:00 UTC",
        ),
    ],
)
def test_a_state_has_words(nas: Path, columns: dict[str, Any], words: str) -> None:
    add_folder(nas)
    Location.objects.update(**columns)
    assert words in location("list")


def test_an_unknown_location_is_refused() -> None:
    for action in ("show", "test", "sync", "check", "change", "remove"):
        more = {"change": ["--pause"], "remove": ["--yes"]}.get(action, [])
        assert "nowhere" in refused(action, "nowhere", *more)


# --- Changing and removing -------------------------------------------------------------------------------------------


def test_only_what_is_given_is_changed(nas: Path) -> None:
    location("add", "nas", *SFTP, "--password-file", "-", stdin=SECRET)
    location("change", "nas", "--port", "2222", "--keep", "3")
    assert (stored().options["port"], stored().options["host"], stored().keep) == ("2222", "nas.example.com", 3)
    assert password() == SECRET


def test_a_url_replaces_the_address() -> None:
    location("add", "nas", *SFTP, "--port", "2222", "--password-file", "-", stdin=SECRET)
    location("change", "nas", "--url", "sftp://marit@attic.example.com/srv")
    assert (stored().options["port"], stored().options["host"]) == ("22", "attic.example.com")


def test_a_secret_is_replaced(nas: Path) -> None:
    location("add", "nas", *SFTP, "--password-file", "-", stdin="another")
    location("change", "nas", "--password-file", "-", stdin=SECRET)
    assert password() == SECRET


def test_a_secret_is_removed(nas: Path) -> None:
    location("add", "nas", *SFTP, "--password-file", "-", "--private-key-file", str(_key_file(nas)), stdin=SECRET)
    location("change", "nas", "--remove-secret", "password")
    assert json.loads(location("show", "nas", "--json"))["has_secrets"] == ["private_key"]
    assert "password or a private key" in refused("change", "nas", "--remove-secret", "private_key")


def _key_file(folder: Path) -> Path:
    path = folder / "key"
    path.write_text("PEM")
    return path


def test_more_deletions_need_yes(nas: Path) -> None:
    oldest, *_ = [backup(conf.live_database(), conf.backup_path(), kind=BackupKind.SCHEDULED) for _ in range(3)]
    add_folder(nas)
    location("test", "nas")
    location("sync", "nas")
    assert "The next cleanup in nas would delete 1 copy. Add --yes" in refused("change", "nas", "--keep", "2")
    assert stored().keep == 30
    location("change", "nas", "--keep", "2", "--yes")
    assert stored().keep == 2
    assert f"Deleted {oldest.filename}" in location("sync", "nas")


def test_it_is_paused_and_resumed(nas: Path) -> None:
    add_folder(nas)
    assert "State      paused" in location("change", "nas", "--pause")
    assert "State      not tested yet" in location("change", "nas", "--resume")


def test_the_kind_stays(nas: Path) -> None:
    add_folder(nas)
    assert "folder" in refused("change", "nas", "--url", "s3://harbour")


def test_without_a_change_it_exits_with_2(nas: Path) -> None:
    with pytest.raises(CommandError) as refusal:
        location("change", "nas")
    assert refusal.value.returncode == 2


def test_removing_needs_a_confirmation_and_leaves_the_copies(nas: Path) -> None:
    backup(conf.live_database(), conf.backup_path())
    add_folder(nas)
    location("test", "nas")
    location("sync", "nas")
    there = sorted(nas.rglob("*"))
    assert "--yes" in refused("remove", "nas")
    location("remove", "nas", "--yes")
    assert not Location.objects.exists()
    assert sorted(nas.rglob("*")) == there


# --- Operations ------------------------------------------------------------------------------------------------------


def test_a_test_makes_it_ready(nas: Path) -> None:
    add_folder(nas)
    assert json.loads(location("test", "nas", "--json")) == {"copies": 0}
    assert stored().is_ready
    assert {one.kind for one in Operation.objects.all()} == {OperationKind.TEST_LOCATION}


def test_backups_are_copied_and_checked(nas: Path) -> None:
    made = backup(conf.live_database(), conf.backup_path())
    add_folder(nas)
    location("test", "nas")
    assert f"Copied {made.filename}\n" in location("sync", "nas")
    assert f"{made.filename}: OK\n" in location("check", "nas")
    assert stored().state == "in_sync"


def test_nothing_is_copied_before_a_test(nas: Path) -> None:
    add_folder(nas)
    assert "not tested yet" in refused("sync", "nas")


def test_an_emptied_location_is_accepted_only_when_it_is_asked_for(nas: Path) -> None:
    add_folder(nas)
    location("test", "nas")
    location("sync", "nas")
    for path in sorted(nas.rglob("*"), reverse=True):
        path.unlink() if path.is_file() else path.rmdir()
    refused("sync", "nas")
    assert "in sync" in location("sync", "nas", "--accept-empty")


def test_a_failed_operation_is_recorded(nas: Path) -> None:
    add_folder(nas)
    nas.rmdir()
    refused("test", "nas")
    assert Operation.objects.get().state == OperationState.FAILED


# --- Keys ------------------------------------------------------------------------------------------------------------


def test_a_new_key_has_an_identity_and_a_recipient() -> None:
    shown = location("key", "new")
    assert "Identity:  AGE-SECRET-KEY-1" in shown
    assert "Recipient: age1" in shown


def test_a_new_key_may_be_that_of_a_location(nas: Path) -> None:
    add_folder(nas)
    shown = location("key", "new", "nas")
    assert stored().recipient in shown
    assert not stored().is_key_saved


def test_copies_wait_until_the_key_is_confirmed(nas: Path) -> None:
    key = new_key()
    assert "key confirm nas`" in add_folder(nas, "--recipient", key.recipient)
    location("test", "nas")
    assert "recovery key" in refused("sync", "nas")
    assert "key confirm" not in location("key", "confirm", "nas", stdin=f"{key.identity}\n")
    assert "in sync" in location("sync", "nas")


def test_another_key_is_not_confirmed(nas: Path) -> None:
    add_folder(nas, "--recipient", new_key().recipient)
    refused("key", "confirm", "nas", stdin=new_key().identity)
    assert not stored().is_key_saved


def test_a_key_that_is_saved_is_not_asked_for(nas: Path) -> None:
    assert "key confirm" not in add_folder(nas, "--recipient", new_key().recipient, "--key-saved")
    assert stored().is_key_saved


def test_an_identity_instead_of_a_recipient_is_not_repeated(nas: Path) -> None:
    key = new_key()
    assert key.identity not in refused(
        "add", "nas", "--kind", "folder", "--path", str(nas), "--recipient", key.identity
    )


# --- Secrets stay secret ---------------------------------------------------------------------------------------------


def test_no_output_and_no_record_has_a_secret(prepared: Installation) -> None:
    """Also at the most detailed level of the log."""
    prepared.environment |= {"TVARR_LOGGING_LEVEL": "debug"}
    unreachable = ("--kind", "sftp", "--host", "127.0.0.1", "--port", "9", "--user", "marit", "--path", "/srv")
    said = ""
    for arguments in [
        ("add", "nas", *unreachable, "--password-file", "-"),
        ("add", "nas", *unreachable, "--password-file", "-"),
        ("change", "nas", "--password-file", "-", "--port", "0"),
        ("change", "nas", "--password-file", "-", "--keep", "3"),
        ("test", "nas"),
        ("sync", "nas"),
        ("show", "nas", "--json"),
        ("list",),
        ("add", "--help"),
        ("key", "confirm", "nas"),
        ("remove", "nas"),
    ]:
        done = prepared.run("location", *arguments, stdin=SECRET)
        said += done.stdout + done.stderr
    said += prepared.ok("operation", "list", "--json")
    said += prepared.ok("shell", "-c", "from django.core import serializers; from tvarr_backup.operations.models import Location, Operation; print(serializers.serialize('json', [*Location.objects.all(), *Operation.objects.all()]))")  # fmt: skip
    assert "nas" in said
    assert "location.added" in said
    assert SECRET not in said
    assert SECRET.encode() not in (prepared.data / "app.db").read_bytes()
