"""Rehearsals over the API."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from rest_framework.test import APIClient

from tests.backups.makers import backup
from tests.locations.rebuilding import KEY
from tvarr_backup import conf
from tvarr_backup.backups.catalogue import Backup
from tvarr_backup.backups.folder import prepare_folder
from tvarr_backup.locations.addresses import LocationKind
from tvarr_backup.locations.encryption import new_key
from tvarr_backup.operations import locations
from tvarr_backup.operations.models import Location, Operation, OperationKind, Origin
from tvarr_backup.operations.run import run_here
from tvarr_backup.tasks import run_operation

pytestmark = [pytest.mark.django_db, pytest.mark.sqlite, pytest.mark.usefixtures("attached")]

LOCATION = "/api/v1/locations/nas"


@pytest.fixture
def made(tmp_path: Path, settings: Any, attached: Path) -> Backup:
    settings.BACKUP_DIRECTORY = tmp_path / "backups"
    return backup(attached, prepare_folder(conf.backup_path()))


@pytest.fixture
def nas(tmp_path: Path, made: Backup) -> Location:
    """A location with an encrypted copy."""
    path = tmp_path / "nas"
    path.mkdir()
    added = locations.add_location(
        "nas", LocationKind.FOLDER, {"path": str(path)}, recipient=KEY.recipient, is_key_saved=True
    )
    for kind in (OperationKind.TEST_LOCATION, OperationKind.COPY):
        run_here(kind, origin=Origin.COMMAND, arguments={"location": str(added.pk)})
    return added


def perform(response: Any) -> Operation:
    """Run the operation of an answer as a worker does."""
    assert response.status_code == 202, response.json()
    key = response.json()["operation"]["id"]
    run_operation(key)
    return Operation.objects.get(pk=key)


def test_a_backup_is_rehearsed_and_the_result_is_in_readyz_and_metrics(administrator: APIClient, made: Backup) -> None:
    operation = perform(administrator.post("/api/v1/backups/latest/rehearse", {}, format="json"))
    assert operation.result is not None
    assert operation.result["filename"] == made.filename
    (last,) = administrator.get("/readyz").json()["last_rehearsals"]
    assert (last["location"], last["filename"], last["error_code"]) == (None, made.filename, "")
    metrics = administrator.get("/metrics").content.decode().splitlines()
    assert 'tvarr_backup_rehearsal_ok{place="backup_folder"} 1.0' in metrics
    assert sum(line.startswith("tvarr_backup_rehearsal_duration_seconds{") for line in metrics) == 1


def test_an_identity_is_stored_for_a_location_and_never_answered(administrator: APIClient, nas: Location) -> None:
    refused = administrator.post(f"{LOCATION}/rehearse", {}, format="json")
    assert (refused.status_code, refused.json()["code"]) == (400, "identity_required")
    wrong = administrator.put(f"{LOCATION}/identity", {"identity": new_key().identity}, format="json")
    assert (wrong.status_code, wrong.json()["code"]) == (400, "identity_wrong")
    stored = administrator.put(f"{LOCATION}/identity", {"identity": KEY.identity}, format="json")
    assert stored.json()["identity_stored"] is True
    assert KEY.identity not in stored.content.decode() + administrator.get(LOCATION).content.decode()
    operation = perform(administrator.post(f"{LOCATION}/rehearse", {}, format="json"))
    assert operation.result is not None
    assert operation.result["location"] == "nas"
    assert administrator.delete(f"{LOCATION}/identity").status_code == 204
    assert administrator.get(LOCATION).json()["identity_stored"] is False


def test_a_copy_is_named_as_a_backup_is(administrator: APIClient, nas: Location, made: Backup) -> None:
    administrator.put(f"{LOCATION}/identity", {"identity": KEY.identity}, format="json")
    body = {"filename": made.filename.removesuffix(".db.gz")}
    operation = perform(administrator.post(f"{LOCATION}/rehearse", body, format="json"))
    assert operation.arguments["filename"] == made.filename


def test_a_copy_that_is_not_there_is_refused(administrator: APIClient, nas: Location) -> None:
    body = {"filename": "tvarr-backup-2001-01-01T00-00-00.db.gz"}
    response = administrator.post(f"{LOCATION}/rehearse", body, format="json")
    assert (response.status_code, response.json()["code"]) == (404, "backup_not_found")


def test_the_interval_is_part_of_the_schedule(administrator: APIClient, made: Backup) -> None:
    address = "/api/v1/backups/schedule"
    assert administrator.get(address).json()["rehearsal_interval"] == "7d"
    assert (
        administrator.put(address, {"rehearsal_interval": "none"}, format="json").json()["rehearsal_interval"] == "none"
    )
    assert administrator.put(address, {"rehearsal_interval": "6h"}, format="json").status_code == 400
    assert administrator.put(address, {"rehearsal_interval": None}, format="json").json()["rehearsal_interval"] == "7d"
