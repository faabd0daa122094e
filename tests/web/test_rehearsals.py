"""Rehearsals on the pages: buttons, results, the setting, and identities."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from django.test import Client

from tests.locations.rebuilding import KEY
from tests.web.backup_parts import make, messages_on
from tests.web.browsing import text_of
from tests.web.conftest import SignIn
from tvarr_backup.locations.addresses import LocationKind
from tvarr_backup.locations.encryption import new_key
from tvarr_backup.operations import locations
from tvarr_backup.operations.models import BackupSettings, Location, Operation, OperationKind, Origin, Rehearsal
from tvarr_backup.operations.run import run_here

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("attached")]

IDENTITY = "/locations/nas/identity/"


@pytest.fixture
def client(signed_in: SignIn, folder: Path) -> Client:
    """The administrator's."""
    return signed_in()


@pytest.fixture
def nas(tmp_path: Path, client: Client, folder: Path) -> Location:
    """A location with an encrypted copy."""
    path = tmp_path / "nas"
    path.mkdir()
    make(folder)
    added = locations.add_location(
        "nas", LocationKind.FOLDER, {"path": str(path)}, recipient=KEY.recipient, is_key_saved=True
    )
    for kind in (OperationKind.TEST_LOCATION, OperationKind.COPY):
        run_here(kind, origin=Origin.COMMAND, arguments={"location": str(added.pk)})
    return added


def rehearsals() -> list[Operation]:
    return list(Operation.objects.filter(kind=OperationKind.REHEARSE))


def test_a_button_rehearses_a_backup(client: Client, folder: Path) -> None:
    name = make(folder).filename
    assert "Rehearse restore" in text_of(client.get(f"/backups/{name}/"))
    answer = client.post(f"/backups/{name}/rehearse/")
    (operation,) = rehearsals()
    assert answer["Location"] == f"/operations/{operation.pk}/"
    assert operation.arguments == {"location": "", "filename": name}
    again = client.post(f"/backups/{name}/rehearse/")
    assert again["Location"] == answer["Location"]
    assert len(rehearsals()) == 1


def test_the_result_is_on_the_page_of_the_operation_and_on_the_status_card(client: Client, folder: Path) -> None:
    name = make(folder).filename
    operation = run_here(OperationKind.REHEARSE, origin=Origin.WEB, arguments={"filename": name})
    shown = text_of(client.get(f"/operations/{operation.pk}/"))
    assert "Rehearsed" in shown
    assert "equal to the metadata of the backup" in shown
    assert name in shown
    assert "Last rehearsal: today, " in text_of(client.get("/"))


def test_a_failure_is_on_the_status_card(client: Client, folder: Path) -> None:
    make(folder)
    Rehearsal.objects.create(
        place=Rehearsal.LOCAL,
        filename="tvarr-backup-2026-01-01T00-00-00.db.gz",
        ended_at=datetime.now(UTC),
        seconds=12,
        error_code="restore_refused",
        error="It is damaged.",
        operation="0" * 26,
    )
    shown = text_of(client.get("/"))
    assert "failed , 12 s." in shown
    assert "It is damaged." in shown


def test_a_queued_rehearsal_is_not_in_the_bar(client: Client, folder: Path) -> None:
    name = make(folder).filename
    client.post(f"/backups/{name}/rehearse/")
    assert "Rehearsal: queued" not in text_of(client.get("/"))


def test_the_interval_is_set_on_the_settings_page(client: Client) -> None:
    form = {"enabled": "True", "often": "day", "at": "02:00", "keeping": "newest", "keep": "7", "time_zone": "UTC"}
    client.post("/settings/", form | {"rehearsal_interval": "30d"})
    assert BackupSettings.load().rehearsal_interval == "30d"
    client.post("/settings/", form | {"rehearsal_interval": ""})
    assert BackupSettings.load().rehearses_every() is None
    refused = text_of(client.post("/settings/", form | {"rehearsal_interval": "12h"}))
    assert "(1d to 9999w)" in refused


# --- Locations -------------------------------------------------------------------------------------------------------


def test_an_encrypted_copy_is_rehearsed_once_its_identity_is_stored(client: Client, nas: Location) -> None:
    assert "Rehearse restore" not in text_of(client.get("/locations/nas/"))
    assert "can decrypt the copies in nas" in text_of(client.get(IDENTITY))
    client.post(IDENTITY, {"identity": KEY.identity})
    shown = text_of(client.get("/locations/nas/"))
    assert "Rehearse restore" in shown
    assert "Identity stored" in shown
    client.post("/locations/nas/rehearse/")
    (operation,) = rehearsals()
    assert operation.arguments["location"] == str(nas.pk)
    assert "Rehearsal: queued" in text_of(client.get("/locations/nas/"))


def test_the_identity_is_on_no_page(client: Client, nas: Location) -> None:
    client.post(IDENTITY, {"identity": KEY.identity})
    for address in ("/locations/nas/", IDENTITY, "/locations/nas/key/", "/locations/nas/change/", "/history/"):
        assert KEY.identity.encode() not in client.get(address).content


def test_a_wrong_identity_is_refused_on_the_form(client: Client, nas: Location) -> None:
    shown = text_of(client.post(IDENTITY, {"identity": new_key().identity}))
    assert "This is not the identity of nas" in shown
    assert Location.objects.get().sealed_identity == ""


def test_the_identity_is_deleted(client: Client, nas: Location) -> None:
    client.post(IDENTITY, {"identity": KEY.identity})
    answer: Any = client.post(IDENTITY, {"forget": "yes"})
    assert Location.objects.get().sealed_identity == ""
    assert "Identity deleted" in messages_on(client, answer)


def test_without_an_identity_the_rehearsal_is_refused(client: Client, nas: Location) -> None:
    assert "identity is not stored here" in messages_on(client, client.post("/locations/nas/rehearse/"))
    assert rehearsals() == []
