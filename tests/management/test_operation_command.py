"""The command `operation`, in this process."""

from __future__ import annotations

import io
import json
from datetime import UTC, datetime

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command

from tvarr_backup.api.operations import OPERATION_EXAMPLE, OperationSerializer
from tvarr_backup.operations.models import Operation, OperationKind, OperationState, Origin
from tvarr_backup.operations.report import operation_as_data
from tvarr_backup.operations.track import create_operation

pytestmark = pytest.mark.django_db


def operation(*arguments: str) -> str:
    out = io.StringIO()
    call_command("operation", *arguments, stdout=out)
    return out.getvalue()


@pytest.fixture
def queued() -> Operation:
    user = User.objects.create_user("marit")
    return create_operation(OperationKind.BACKUP, origin=Origin.WEB, state=OperationState.QUEUED, requested_by=user)


def test_operations_are_listed_newest_first(queued: Operation) -> None:
    create_operation(OperationKind.VERIFY, origin=Origin.API, state=OperationState.FAILED)
    headings, first, second = operation("list").splitlines()
    assert headings.split() == ["Created", "Kind", "State", "Started", "by", "Id"]
    assert ("Verification" in first, "Backup" in second, "Queued  marit, Web" in second) == (True, True, True)
    assert second.endswith(str(queued.pk))
    assert len(json.loads(operation("list", "--limit", "1", "--json"))) == 1


def test_without_operations_the_list_says_so() -> None:
    assert operation("list") == "There are no operations.\n"


def test_an_operation_is_shown(queued: Operation) -> None:
    lines = operation("show", str(queued.pk)).splitlines()
    assert lines[:3] == ["Backup: queued", f"Id          {queued.pk}", "Started by  marit, Web"]
    assert "Finished    -" in lines


def test_as_json_it_has_the_members_of_the_api(queued: Operation) -> None:
    data, answered = operation_as_data(queued), OperationSerializer(queued).data
    assert [*data] == [*OPERATION_EXAMPLE] == [*answered]
    times = {name: data.pop(name) for name in ("created_at", "started_at", "finished_at")}
    assert data == {name: answered[name] for name in data}
    assert datetime.fromisoformat(times["created_at"]) == queued.created_at.astimezone(UTC)


def test_a_queued_operation_is_canceled_once(queued: Operation) -> None:
    assert operation("cancel", str(queued.pk)) == "Operation canceled.\n"
    queued.refresh_from_db()
    assert queued.state == OperationState.CANCELLED
    with pytest.raises(CommandError):
        operation("cancel", str(queued.pk))


@pytest.mark.parametrize("action", ["show", "cancel"])
def test_an_unknown_id_is_refused(action: str) -> None:
    with pytest.raises(CommandError):
        operation(action, "nothing")
