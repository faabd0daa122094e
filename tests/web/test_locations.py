"""The pages of locations: forms, states, copies, keys, and actions."""

from __future__ import annotations

import base64
import hashlib
import re
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.test import Client

from tests.installation import ROOT
from tests.web.backup_parts import make, messages_on
from tests.web.browsing import person, text_of
from tests.web.conftest import SignIn
from tvarr_backup.backups.catalogue import Backup
from tvarr_backup.backups.sidecar import BackupKind
from tvarr_backup.errors import LocationDenied
from tvarr_backup.locations.addresses import OPTIONS, LocationKind
from tvarr_backup.operations import locations
from tvarr_backup.operations.copying import next_to_check
from tvarr_backup.operations.models import Location, LocationState, Operation, OperationKind, OperationState, Origin
from tvarr_backup.operations.run import run_here

pytestmark = pytest.mark.django_db

MANAGE = "operations.manage_locations"
HERE = "/locations/nas/"
HOST_KEY = f"ssh-ed25519 {base64.b64encode(b'a key of a server').decode()}"
FINGERPRINT = "SHA256:" + base64.b64encode(hashlib.sha256(b"a key of a server").digest()).decode().rstrip("=")


@pytest.fixture
def client(signed_in: SignIn, folder: Path) -> Client:
    """The administrator's."""
    return signed_in()


@pytest.fixture
def share(tmp_path: Path) -> Path:
    """The folder of a location."""
    path = tmp_path / "share"
    path.mkdir()
    return path


@pytest.fixture
def nas(share: Path, client: Client) -> Location:
    """A folder that was not tested yet."""
    return locations.add_location("nas", LocationKind.FOLDER, {"path": str(share)})


@pytest.fixture
def sftp(client: Client) -> Location:
    options = {"host": "nas.example.com", "user": "me", "path": "/backups", "password": "wharf-lantern"}
    return locations.add_location("nas", LocationKind.SFTP, options)


def run(location: Location, kind: OperationKind) -> Operation:
    return run_here(kind, origin=Origin.COMMAND, arguments={"location": str(location.pk)})


@pytest.fixture
def copied(nas: Location, folder: Path, attached: Path) -> list[Backup]:
    """Three automatic backups with copies in the location, oldest first."""
    made = [make(folder, kind=BackupKind.SCHEDULED) for _ in range(3)]
    run(nas, OperationKind.TEST_LOCATION)
    run(nas, OperationKind.COPY)
    nas.refresh_from_db()
    return made


def filled_in(share: Path, **changes: str) -> dict[str, str]:
    """What a browser sends for a new folder."""
    values = {"name": "nas", "option_path": str(share), "keeping": "newest", "keep": "30", "encryption": "none"}
    return values | changes


ADD = "/locations/add/?kind=folder"

# --- The list --------------------------------------------------------------------------------------------------------


def test_an_empty_list_says_why_a_second_location_matters(client: Client) -> None:
    text = text_of(client.get("/locations/"))
    assert "on the same disk as tvarr's database. If this disk fails, you lose both." in text
    assert "Add location" in text


def test_the_list_shows_state_copies_and_address(client: Client, copied: list[Backup], share: Path) -> None:
    text = text_of(client.get("/locations/"))
    assert f"Folder: {share}" in text
    assert "In sync , compared" in text
    assert re.search(r"3 \([\d.]+ kB\)", text)
    assert "after the next backup" in text


def test_the_list_says_why_a_location_fails_and_when_the_next_attempt_is(client: Client, nas: Location) -> None:
    now = datetime.now(UTC)
    sentence = LocationDenied("The server refused the password of {user}.", user="me").sentence
    Location.objects.update(
        failing_since=now - timedelta(hours=2),
        tested_at=now,
        next_attempt_at=now + timedelta(hours=3),
        error=str(sentence),
        sentences={"error": sentence.as_data()},
    )
    text = text_of(client.get("/locations/"))
    assert "(2 hours ago) The server refused the password of me." in text
    assert re.search(r"\(in (2|3) hours\)", text)


def test_the_number_of_queries_does_not_depend_on_the_number_of_locations(
    client: Client, share: Path, django_assert_num_queries: Any
) -> None:
    client.get("/locations/")
    for number in range(5):
        locations.add_location(f"nas-{number}", LocationKind.FOLDER, {"path": f"{share}/{number}"})
    with django_assert_num_queries(7):
        client.get("/locations/")


# --- Adding ----------------------------------------------------------------------------------------------------------


def test_first_the_kind_is_chosen(client: Client) -> None:
    page = client.get("/locations/add/").content.decode()
    for kind in LocationKind:
        assert f'href="/locations/add/?kind={kind}"' in page
    assert "Where will the copies be?" in text_of(client.get("/locations/add/?kind=tape"))


@pytest.mark.parametrize("kind", LocationKind)
def test_the_form_of_a_kind_has_its_options(client: Client, kind: LocationKind) -> None:
    form = client.get(f"/locations/add/?kind={kind}").context["form"]
    assert [field.name for field in form.option_fields] == [f"option_{option.name}" for option in OPTIONS[kind]]
    for option in OPTIONS[kind]:
        field = form[f"option_{option.name}"]
        assert field.field.required or not option.is_required
        assert (field.widget_type in ("password", "_secrettextarea")) == option.is_secret


def test_a_folder_is_added(client: Client, share: Path) -> None:
    answer = client.post(ADD, filled_in(share, weekly="4", max_age="90d"))
    assert (answer.status_code, answer["Location"]) == (302, HERE)
    added = Location.objects.get()
    assert (added.kind, added.options, added.keep, added.weekly) == ("folder", {"path": str(share)}, 30, 4)
    assert (added.daily, added.max_age, added.recipient) == (0, "90d", "")
    assert "Not tested yet" in text_of(client.get(HERE))


def test_all_copies_can_be_kept(client: Client, share: Path) -> None:
    client.post(ADD, filled_in(share, keeping="all", keep=""))
    assert Location.objects.get().keep is None
    assert client.get(f"{HERE}change/").context["form"]["keeping"].value() == "all"


@pytest.mark.parametrize(
    ("changes", "field", "expected"),
    [
        ({"name": "My NAS"}, "name", "Expected a name of lower-case letters"),
        ({"name": ""}, "name", "Expected a name"),
        ({"name": "add"}, "name", "Expected another name"),
        ({"name": "other"}, "name", "There is already a location"),
        (
            {"option_path": "backups"},
            "option_path",
            'Expected an absolute path such as "/mnt/nas/backups", got "backups".',
        ),
        ({"option_path": ""}, "option_path", "Expected an absolute path"),
        ({"keep": "0"}, "keep", "Expected a whole number from 1"),
        ({"weekly": "-1"}, "weekly", "Expected a whole number from 0"),
        ({"max_age": "soon"}, "max_age", 'got "soon"'),
        ({"encryption": "recipient"}, "recipient", "Expected a recipient"),
        ({"encryption": "recipient", "recipient": "age1x"}, "has_identity", "Confirm that you have it"),
        ({"encryption": "recipient", "recipient": "age1x", "has_identity": "on"}, "recipient", "Expected a recipient"),
        ({"encryption": "rot13"}, "encryption", "Select a valid choice"),
    ],
)
def test_a_mistake_is_shown_beside_its_field(
    client: Client, share: Path, changes: dict[str, str], field: str, expected: str
) -> None:
    locations.add_location("other", LocationKind.FOLDER, {"path": "/mnt/other"})
    answer = client.post(ADD, filled_in(share, **changes))
    assert answer.status_code == 200
    assert expected in " ".join(answer.context["form"].errors[field])
    assert Location.objects.count() == 1


def test_two_locations_are_not_in_one_place(client: Client, nas: Location, share: Path) -> None:
    answer = client.post(ADD, filled_in(share, name="another", option_path=f"{share}/"))
    assert "The location nas is in the same place." in text_of(answer)
    assert Location.objects.count() == 1


@pytest.mark.parametrize(
    ("kind", "values", "field"),
    [
        ("sftp", {"option_host": "nas", "option_user": "me", "option_path": "/b"}, "option_password"),
        ("s3", {"option_bucket": "backups", "option_access_key": "AK"}, "option_secret_key"),
        ("webdav", {"option_url": "https://me:pw@cloud.example.com/"}, "option_url"),
    ],
)
def test_a_missing_credential_is_shown_beside_its_field(
    client: Client, kind: str, values: dict[str, str], field: str
) -> None:
    common = {"name": "nas", "keeping": "all", "encryption": "none", "option_port": "22", "option_region": "here"}
    answer = client.post(f"/locations/add/?kind={kind}", common | values)
    assert list(answer.context["form"].errors) == [field]


def test_secrets_are_stored_and_never_sent_back(client: Client) -> None:
    values = {
        "name": "nas",
        "option_host": "nas.example.com",
        "option_port": "2222",
        "option_user": "me",
        "option_path": "/backups",
        "option_password": " wharf lantern ",
        "option_private_key": "-----BEGIN KEY-----\r\nabc\r\n-----END KEY-----",
        "keeping": "newest",
        "keep": "0",
        "encryption": "none",
    }
    refused = client.post("/locations/add/?kind=sftp", values)
    assert refused.status_code == 200
    client.post("/locations/add/?kind=sftp", values | {"keep": "30"})
    stored = locations.read_options(Location.objects.get(), {})
    assert stored.options["password"] == " wharf lantern "
    assert stored.options["private_key"] == "-----BEGIN KEY-----\nabc\n-----END KEY-----\n"
    pages = [refused, *(client.get(path) for path in ("/locations/", HERE, f"{HERE}change/", f"{HERE}remove/"))]
    for page in pages:
        assert "wharf lantern" not in page.content.decode()
        assert "BEGIN KEY" not in page.content.decode()


# --- Changing and removing -------------------------------------------------------------------------------------------


def changed(client: Client, **changes: str) -> Any:
    """Send the form as the page shows it, with these changes."""
    form = client.get(f"{HERE}change/").context["form"]
    values = {name: form[name].value() for name in form.fields}
    values = {name: value for name, value in values.items() if value not in (None, False)}
    return client.post(f"{HERE}change/", values | changes)


def test_an_empty_secret_keeps_the_stored_one(client: Client, sftp: Location) -> None:
    assert "Stored, and not shown. Leave it empty to keep it." in text_of(client.get(f"{HERE}change/"))
    assert changed(client, option_path="/elsewhere").status_code == 302
    stored = locations.read_options(Location.objects.get(), {})
    assert (stored.options["path"], stored.options["password"]) == ("/elsewhere", "wharf-lantern")


def test_a_stored_secret_is_removed(client: Client, sftp: Location) -> None:
    locations.change_location(sftp, {"private_key": "PEM"})
    assert "Remove the stored password" in text_of(client.get(f"{HERE}change/"))
    assert changed(client, remove_password="on").status_code == 302
    assert locations.stored_secrets(Location.objects.get()) == {"private_key"}
    assert "Expected a password or a private key." in text_of(changed(client, remove_private_key="on"))


def test_a_new_secret_is_stored_even_if_the_old_one_is_to_be_removed(client: Client, sftp: Location) -> None:
    changed(client, option_password="quay", remove_password="on")
    assert locations.read_options(Location.objects.get(), {}).options["password"] == "quay"


def test_a_secret_that_is_required_cannot_be_removed(client: Client) -> None:
    options = {"bucket": "backups", "access_key": "AK", "secret_key": "wharf-lantern"}
    locations.add_location("nas", LocationKind.S3, options)
    assert "Remove the stored" not in text_of(client.get(f"{HERE}change/"))


def test_a_changed_secret_replaces_the_stored_one_and_has_to_be_tested(client: Client, sftp: Location) -> None:
    Location.objects.update(tested_at=datetime.now(UTC))
    changed(client, option_password="quay")
    found = Location.objects.get()
    assert (locations.read_options(found, {}).options["password"], found.tested_at) == ("quay", None)


def test_after_the_secret_key_has_changed_credentials_have_to_be_entered_again(
    client: Client, sftp: Location, settings: Any
) -> None:
    settings.SECRET_KEY = "another key, as after a move"
    other = person([MANAGE])  # sessions depend on the key, too
    assert "Enter them again." in text_of(other.get(f"{HERE}change/"))
    assert "Expected a password or a private key." in text_of(changed(other))


def test_a_location_is_renamed(client: Client, nas: Location) -> None:
    answer = changed(client, name="shed")
    assert answer["Location"] == "/locations/shed/"
    assert client.get(HERE).status_code == 404


def test_a_shorter_retention_asks_before_copies_are_deleted(client: Client, copied: list[Backup]) -> None:
    asked = changed(client, keep="1")
    assert asked.status_code == 200
    assert "the next cleanup deletes 2 copies in nas permanently" in text_of(asked)
    assert Location.objects.get().keep == 30
    saved = changed(client, keep="1", agreed=asked.context["form"].agreement)
    assert saved.status_code == 302
    assert Location.objects.get().keep == 1
    assert text_of(client.get(HERE)).count("Will be deleted at the next cleanup there") == 2


def test_removing_says_that_copies_stay(client: Client, copied: list[Backup], share: Path) -> None:
    before = sorted(share.rglob("*"))
    text = text_of(client.get(f"{HERE}remove/"))
    assert "3 copies stay there." in text
    answer = client.post(f"{HERE}remove/")
    assert messages_on(client, answer) == "Location nas removed. Its copies are still there."
    assert not Location.objects.exists()
    assert sorted(share.rglob("*")) == before


def test_a_location_with_an_open_operation_is_not_removed(client: Client, nas: Location) -> None:
    client.post(f"{HERE}test/")
    answer = client.post(f"{HERE}remove/")
    assert answer.status_code == 409
    assert Location.objects.exists()


# --- A location ------------------------------------------------------------------------------------------------------


def test_copies_are_shown_with_why_they_are_kept(client: Client, copied: list[Backup], folder: Path) -> None:
    for name in (copied[0].filename, copied[0].name.sidecar):
        (folder / name).unlink()
    Location.objects.update(keep=2)
    text = text_of(client.get(HERE))
    assert text.count("Kept: newest 2") == 2
    assert text.count("Will be deleted at the next cleanup there") == 1
    assert text.count("only here") == 1


def test_checks_and_damage_are_shown(client: Client, copied: list[Backup], nas: Location, share: Path) -> None:
    assert text_of(client.get(HERE)).count("Checked") == 1
    row = next_to_check(nas)
    assert row is not None
    (archive,) = share.rglob(row.filename)
    archive.write_bytes(b"x" * archive.stat().st_size)
    with pytest.raises(Exception, match="damaged"):
        run(nas, OperationKind.CHECK_COPY)
    text = text_of(client.get(HERE))
    assert "1 copy is damaged" in text
    assert "Check of a copy failed" in text


@pytest.mark.parametrize(
    ("action", "kind"),
    [("test", OperationKind.TEST_LOCATION), ("copy", OperationKind.COPY), ("check", OperationKind.CHECK_COPY)],
)
def test_an_operation_is_started_and_shown(
    client: Client, copied: list[Backup], action: str, kind: OperationKind
) -> None:
    answer = client.post(f"{HERE}{action}/")
    assert answer["Location"] == HERE
    operation = Operation.objects.get(state=OperationState.QUEUED)
    assert operation.kind == kind
    page = client.get(HERE).content.decode()
    assert f'hx-get="/operations/{operation.pk}/"' in page
    assert messages_on(client, client.post(f"{HERE}{action}/")) == ""
    assert Operation.objects.filter(state=OperationState.QUEUED).count() == 1


def test_nothing_is_copied_before_a_test(client: Client, nas: Location) -> None:
    page = text_of(client.get(HERE))
    assert "Nothing is copied before a test has succeeded." in page
    assert "Copy now" not in page
    assert "Nothing can be copied to nas now" in messages_on(client, client.post(f"{HERE}copy/"))


def test_a_location_is_paused_and_resumed(client: Client, nas: Location) -> None:
    client.post(f"{HERE}pause/", {"enabled": "false"})
    assert Location.objects.get().state is LocationState.PAUSED
    assert "Resume" in text_of(client.get(HERE))
    client.post(f"{HERE}pause/", {"enabled": "true"})
    assert Location.objects.get().state is LocationState.UNTESTED


def test_an_unknown_host_key_is_shown_and_confirmed(client: Client, sftp: Location) -> None:
    Location.objects.update(offered_host_key=HOST_KEY, failing_since=datetime.now(UTC), error="Unknown host key.")
    text = text_of(client.get(HERE))
    assert "host key is not known yet" in text
    assert f"ssh-ed25519 Fingerprint {FINGERPRINT}" in text
    client.post(f"{HERE}host-key/", {"host_key": HOST_KEY})
    found = Location.objects.get()
    assert (found.options["host_key"], found.offered_host_key) == (HOST_KEY, "")


def test_a_changed_host_key_is_a_warning(client: Client, sftp: Location) -> None:
    other = f"ssh-rsa {base64.b64encode(b'another').decode()}"
    locations.change_location(sftp, {"host_key": other})
    Location.objects.update(offered_host_key=HOST_KEY)
    text = text_of(client.get(HERE))
    assert "The server's host key has changed." in text
    assert "ssh-rsa" in text


def test_another_host_key_than_the_offered_one_is_refused(client: Client, sftp: Location) -> None:
    Location.objects.update(offered_host_key=HOST_KEY)
    assert client.post(f"{HERE}host-key/", {"host_key": "ssh-rsa AAAA"}).status_code == 409
    assert "host_key" not in Location.objects.get().options


def test_an_emptied_location_is_accepted_on_its_page(client: Client, copied: list[Backup], share: Path) -> None:
    for path in sorted(share.rglob("*"), reverse=True):
        path.unlink() if path.is_file() else path.rmdir()
    with pytest.raises(Exception, match="does not have"):
        run(Location.objects.get(), OperationKind.COPY)
    assert "Accept empty location" in text_of(client.get(HERE))
    client.post(f"{HERE}copy/", {"accept_empty": "true"})
    assert Operation.objects.get(state=OperationState.QUEUED).arguments["accept_empty"] is True


def test_an_unknown_location_is_not_found(client: Client) -> None:
    for path in ("", "change/", "remove/", "key/"):
        assert client.get(f"/locations/nowhere/{path}").status_code == 404


# --- Keys ------------------------------------------------------------------------------------------------------------


def identity_in(page: Any) -> str:
    """Return the identity that the recovery kit shows."""
    return page.context["kit"].key.identity if page.context and "kit" in page.context else ""


def test_a_new_key_is_shown_once_with_the_recovery_kit(client: Client, share: Path) -> None:
    kit = client.post(ADD, filled_in(share, encryption="new"))
    identity, added = identity_in(kit), Location.objects.get()
    assert identity.startswith("AGE-SECRET-KEY-1")
    assert added.state is LocationState.UNTESTED
    assert "no-store" in kit["Cache-Control"]
    text = text_of(kit)
    for part in (
        "Without this key nobody can read these copies, not even this server.",
        identity,
        added.recipient,
        f"tvarr-backup rebuild --from folder:{share} --identity tvarr-backup-recovery-nas.txt",
    ):
        assert part in text
    for path in ("/locations/", HERE, f"{HERE}key/", f"{HERE}change/"):
        assert identity not in client.get(path).content.decode()


def test_the_saved_kit_is_a_file_with_the_identity(client: Client, share: Path) -> None:
    kit = client.post(ADD, filled_in(share, encryption="new"))
    (data,) = re.findall(r'href="data:text/plain;charset=utf-8;base64,([^"]*)"', kit.content.decode())
    content = base64.b64decode(data).decode()
    assert locations.recipient_of(content) == Location.objects.get().recipient
    assert f"# Address:      folder:{share}" in content


def test_copies_wait_until_the_identity_is_typed_back(client: Client, share: Path) -> None:
    identity = identity_in(client.post(ADD, filled_in(share, encryption="new")))
    run(Location.objects.get(), OperationKind.TEST_LOCATION)
    assert Location.objects.get().state is LocationState.KEY_UNSAVED
    wrong = client.post(f"{HERE}key/", {"identity": locations.new_key().identity})
    assert "This is not the identity of nas." in " ".join(wrong.context["form"].errors["identity"])
    mistyped = client.post(f"{HERE}key/", {"identity": identity[:-1]})
    assert "identity" in mistyped.context["form"].errors
    assert client.post(f"{HERE}key/", {"identity": f" {identity} "})["Location"] == HERE
    assert Location.objects.get().is_ready


def test_a_private_key_of_ssh_is_typed_back_as_several_lines(client: Client, nas: Location, tmp_path: Path) -> None:
    path = tmp_path / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", path], check=True)
    locations.change_location(nas, {}, recipient=path.with_suffix(".pub").read_text())
    assert "The private key of SSH" in text_of(client.get(f"{HERE}key/"))
    sent = path.read_text().replace("\n", "\r\n")  # as browsers do
    assert client.post(f"{HERE}key/", {"identity": sent})["Location"] == HERE
    assert Location.objects.get().is_key_saved


def test_a_recipient_can_be_given_instead(client: Client, share: Path) -> None:
    key = locations.new_key()
    values = filled_in(share, encryption="recipient", recipient=key.recipient, has_identity="on")
    assert client.post(ADD, values).status_code == 302
    added = Location.objects.get()
    assert (added.recipient, added.is_key_saved) == (key.recipient, True)


def test_a_location_gets_a_key_later(client: Client, nas: Location) -> None:
    kit = client.post(f"{HERE}key/", {"make": "yes"})
    assert identity_in(kit)
    assert Location.objects.get().recipient


def test_a_key_with_copies_is_not_replaced(client: Client, copied: list[Backup], nas: Location) -> None:
    nas.copies.update(is_encrypted=True)
    assert "Make a new key" not in text_of(client.get(f"{HERE}key/"))
    assert client.post(f"{HERE}key/", {"make": "yes"}).status_code == 409
    assert Location.objects.get().recipient == ""


# --- Other pages -----------------------------------------------------------------------------------------------------


def test_backups_show_where_they_have_copies(client: Client, copied: list[Backup], folder: Path) -> None:
    made = make(folder)
    assert text_of(client.get("/")).count("Copied to nas") == 3
    assert "Copied to nas" in text_of(client.get(f"/backups/{copied[0].filename}/"))
    assert "Copied to" not in text_of(client.get(f"/backups/{made.filename}/"))


def test_the_status_card_names_the_locations(client: Client, copied: list[Backup]) -> None:
    assert "Copies in 1 location : nas (in sync)." in text_of(client.get("/"))


def test_operations_of_locations_are_labelled_in_the_history(client: Client, copied: list[Backup]) -> None:
    text = text_of(client.get("/history/"))
    assert "Copy to a location nas Command Copied Copied: tvarr-backup-" in text
    assert "Location test nas Command Location tested It has 0 copies of this installation." in text
    Location.objects.all().delete()
    assert "Copy to a location a removed location" in text_of(client.get("/history/"))


def test_the_page_of_an_operation_leads_to_its_location(client: Client, copied: list[Backup]) -> None:
    operation = Operation.objects.filter(kind=OperationKind.COPY).get()
    assert f'href="{HERE}"' in client.get(f"/operations/{operation.pk}/").content.decode()


@pytest.mark.parametrize("group", ["Viewer", "Operator"])
def test_others_see_neither_the_menu_nor_the_pages(signed_in: SignIn, nas: Location, group: str) -> None:
    client = signed_in(group)
    assert 'href="/locations/"' not in client.get("/").content.decode()
    for path in ("/locations/", "/locations/add/", HERE, f"{HERE}key/"):
        assert client.get(path).status_code == 403


def test_a_user_who_may_only_manage_locations_sees_no_operations(nas: Location, client: Client) -> None:
    client.post(f"{HERE}test/")
    page = person([MANAGE]).get(HERE)
    assert page.status_code == 200
    assert "/operations/" not in page.content.decode()


_IMPORT_ALL = """
import importlib, pkgutil, sys
import config.wsgi
import tvarr_backup.web
for module in pkgutil.walk_packages(tvarr_backup.web.__path__, "tvarr_backup.web."):
    importlib.import_module(module.name)
print(*sorted({"asyncssh", "obstore", "pyrage", "webdav4"} & set(sys.modules)))
"""


def test_web_processes_do_not_load_the_libraries_of_locations(prepared: Any) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _IMPORT_ALL],
        cwd=ROOT,
        env=prepared.variables() | {"DJANGO_SETTINGS_MODULE": "config.settings"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "\n"), done.stderr
