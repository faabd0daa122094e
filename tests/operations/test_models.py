"""Backup settings, and what the rows say of themselves."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from importlib import import_module
from types import SimpleNamespace
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.apps import apps
from django.contrib.auth.models import Permission
from django.core.exceptions import ValidationError
from django.core.management import call_command
from django.db import IntegrityError, connection, transaction

from tests.operations.elsewhere import queued
from tvarr_backup import conf
from tvarr_backup.backups.retention import Period
from tvarr_backup.operations.models import (
    Backup,
    BackupSettings,
    ImportRecord,
    ImportState,
    Operation,
    OperationKind,
    OperationState,
)

pytestmark = pytest.mark.django_db


def test_without_a_row_everything_is_as_the_environment_says() -> None:
    assert BackupSettings.load().policy() == conf.default_policy()
    assert BackupSettings.objects.count() == 0  # looking stores nothing


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        ({}, {}),
        ({"keep": 3}, {"keep": 3}),
        ({"keep_all": True}, {"keep": None}),
        ({"keep": 3, "keep_all": True}, {"keep": None}),
        ({"max_age": "1w2d"}, {"max_age": timedelta(days=9)}),
        ({"max_age": "none"}, {"max_age": None}),
        ({"keep": 1, "max_age": "12h"}, {"keep": 1, "max_age": timedelta(hours=12)}),
    ],
)
def test_what_is_set_counts_and_the_rest_is_as_the_environment_says(
    columns: dict[str, Any], expected: dict[str, Any]
) -> None:
    row = BackupSettings(pk=1, **columns)
    row.full_clean()
    row.save()
    assert BackupSettings.load().policy() == replace(conf.default_policy(), **expected)


def test_numbers_of_periods_override_the_environment_one_by_one(settings: Any) -> None:
    settings.BACKUP_RETENTION_DAILY, settings.BACKUP_RETENTION_WEEKLY, settings.TIME_ZONE = 7, 4, "Asia/Tokyo"
    BackupSettings.objects.create(pk=1, daily=0, yearly=2)
    policy = BackupSettings.load().policy()
    assert policy.periods == {Period.DAILY: 0, Period.WEEKLY: 4, Period.MONTHLY: 0, Period.YEARLY: 2}
    assert policy.zone == ZoneInfo("Asia/Tokyo")


def test_the_days_of_the_retention_are_those_of_the_schedule() -> None:
    BackupSettings.objects.create(pk=1, time_zone="Europe/Berlin")
    assert BackupSettings.load().policy().zone == ZoneInfo("Europe/Berlin")


def test_there_is_one_row_at_most() -> None:
    BackupSettings.objects.create(pk=1)
    for wrong in ({"pk": 2}, {"pk": 1}, {}):
        with pytest.raises(IntegrityError), transaction.atomic():
            BackupSettings.objects.create(**wrong)


def test_saving_again_changes_the_row() -> None:
    for keep in (3, 5):
        row = BackupSettings.load()
        row.keep = keep
        row.save()
    assert BackupSettings.load().keep == 5


@pytest.mark.parametrize(
    ("field", "value", "got"),
    [
        ("keep", 0, "got 0."),
        ("keep", -1, "got -1."),
        ("keep", 100_001, "got 100001."),
        ("daily", -1, "got -1."),
        ("yearly", 100_001, "got 100001."),
        ("max_age", "30", 'got "30".'),
        ("max_age", "0d", 'got "0d".'),
        ("max_age", "None", 'got "None".'),
        ("max_age", "3 days", 'got "3 days".'),
    ],
)
def test_an_invalid_value_is_refused_with_the_value_and_what_is_expected(field: str, value: Any, got: str) -> None:
    with pytest.raises(ValidationError) as refusal:
        BackupSettings(pk=1, **{field: value}).full_clean()
    expected = {"keep": "Expected a whole number from 1 to 100000, ", "max_age": 'Expected "none", or '}
    expected |= dict.fromkeys(("daily", "yearly"), "Expected a whole number from 0 to 100000, ")
    sentences = {name: found[-1] for name, found in refusal.value.message_dict.items()}
    assert list(sentences) == [field]
    assert sentences[field].startswith(expected[field])
    assert sentences[field].endswith(got)


@pytest.mark.parametrize(
    ("column", "number"), [("keep", 0), ("keep", 100_001), ("daily", -1), ("weekly", 100_001), ("yearly", 100_001)]
)
def test_the_database_itself_refuses_an_impossible_number(column: str, number: int) -> None:
    with pytest.raises(IntegrityError), transaction.atomic():
        BackupSettings.objects.create(pk=1, **{column: number})


@pytest.mark.parametrize(("state", "is_open"), [(state, state in ("queued", "running")) for state in OperationState])
def test_only_what_waits_or_runs_is_open(state: OperationState, is_open: bool) -> None:
    assert Operation(state=state).is_open == is_open


def test_the_newest_operation_is_first_and_each_has_a_name() -> None:
    first = queued(OperationKind.VERIFY)
    Operation.objects.update(state=OperationState.FAILED)
    second = queued()
    assert list(Operation.objects.all()) == [second, first]
    assert str(Operation.objects.last()) == f"Verification {first.pk}: Failed"


def test_an_operation_outlives_the_user_who_asked_for_it(django_user_model: Any) -> None:
    user = django_user_model.objects.create_user("Ada")
    operation = queued()
    Operation.objects.update(requested_by=user)
    user.delete()
    assert Operation.objects.get(pk=operation.pk).requested_by is None


def test_backups_have_their_permissions() -> None:
    names = set(Permission.objects.filter(content_type__app_label="operations").values_list("codename", flat=True))
    wanted = {"view", "delete", "create", "download", "restore", "verify", "protect"}
    assert {f"{word}_backup" for word in wanted} <= names


def test_a_row_of_the_index_shows_its_file_name() -> None:
    row = Backup(filename="tvarr-backup-2026-03-01T10-30-00.db.gz", created_at=datetime.now(UTC))
    assert str(row) == "tvarr-backup-2026-03-01T10-30-00.db.gz"


def test_the_migrations_are_those_of_the_models() -> None:
    call_command("makemigrations", "operations", check=True, dry_run=True, verbosity=0)


def test_what_had_succeeded_before_the_percentage_was_stored_is_at_a_hundred() -> None:
    for state in OperationState:
        row = Operation(kind="backup", state=state, database=f"/{state}.db", created_at=datetime.now(UTC), percent=None)
        row.save(force_insert=True)
    migration = import_module("tvarr_backup.operations.migrations.0009_percent_of_the_whole")
    migration.fill_in_completed(apps, SimpleNamespace(connection=connection))
    done = Operation.objects.filter(percent=100).values_list("state", flat=True)
    assert set(done) == {"succeeded", "attention"}


@pytest.mark.sqlite
def test_whether_anything_is_open_is_told_by_an_index_alone(django_assert_num_queries: Any) -> None:
    with django_assert_num_queries(1) as asked:
        assert Operation.open_ones() == []
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN QUERY PLAN {asked.captured_queries[0]['sql']}")
        assert "INDEX operation_state" in str(cursor.fetchall())


def test_what_is_open_is_found_in_either_state() -> None:
    waiting = queued()
    assert Operation.open_ones() == [waiting]
    Operation.objects.update(state=OperationState.RUNNING)
    assert Operation.open_ones() == [waiting]
    Operation.objects.update(state=OperationState.SUCCEEDED)
    assert Operation.open_ones() == []


def test_imports_from_before_they_had_a_state_are_applied_and_finished_when_they_were_made() -> None:
    moment = datetime(2026, 11, 2, 2, tzinfo=UTC)
    ImportRecord.objects.create(state=ImportState.APPLIED, kind="filters", origin="web", created_at=moment)
    migration = import_module("tvarr_backup.operations.migrations.0013_pending_imports")
    (state,) = (each for each in migration.Migration.operations if getattr(each, "name", "") == "state")
    migration.fill_in_finished(apps, SimpleNamespace(connection=connection))
    assert (state.field.default, ImportRecord.objects.get().finished_at) == ("applied", moment)
