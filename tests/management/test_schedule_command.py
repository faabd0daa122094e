"""The command `schedule`, in this process: behavior of the settings is tested in `tests/operations`."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from tests.backups.makers import backup, tvarrs
from tvarr_backup import conf
from tvarr_backup.backups.folder import prepare_folder
from tvarr_backup.backups.sidecar import BackupKind
from tvarr_backup.operations.models import BackupSettings
from tvarr_backup.operations.schedule import schedule_as_data

pytestmark = [pytest.mark.django_db, pytest.mark.sqlite]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, settings: Any) -> Path:
    settings.BACKUP_DIRECTORY = tmp_path / "backups"
    return prepare_folder(conf.backup_path())


def schedule(*arguments: str) -> str:
    out = io.StringIO()
    call_command("schedule", *arguments, stdout=out)
    return out.getvalue()


def test_it_shows_the_schedule_as_text_and_as_json() -> None:
    BackupSettings(pk=1, enabled=True, cron="30 4 * * 0", time_zone="UTC", keep=14, weekly=8, max_age="90d").save()
    first, _, retention, *_ = schedule("show").splitlines()
    assert (first, retention) == (
        "Every Sunday at 04:30 (UTC)",
        "Retention         the newest 14 automatic backups, plus 8 weekly, at most 90d old",
    )
    shown = json.loads(schedule("show", "--json"))
    assert {name: shown[name] for name in ("cron", "retention", "max_age")} == {
        "cron": "30 4 * * 0", "retention": 14, "max_age": "90d",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("--on",), {"enabled": True}),
        (("--off",), {"enabled": False}),
        (("--cron", "0 3 * * *", "--time-zone", "Europe/Berlin"), {"cron": "0 3 * * *", "timezone": "Europe/Berlin"}),
        (("--keep", "20"), {"retention": 20}),
        (("--daily", "7", "--weekly", "4"), {"retention_daily": 7, "retention_weekly": 4}),
        (("--monthly", "12", "--yearly", "0"), {"retention_monthly": 12, "retention_yearly": 0}),
        (("--keep", "all", "--max-age", "none"), {"retention": 0, "max_age": "none"}),
    ],
)
def test_it_changes_only_what_is_given(arguments: tuple[str, ...], expected: dict[str, Any]) -> None:
    before = schedule_as_data()
    schedule("set", *arguments, "--yes")
    after = schedule_as_data()
    assert {name: after[name] for name in expected} == expected
    others = set(before["defaults"]) - set(expected)
    assert {name: after[name] for name in others} == {name: before[name] for name in others}


def test_defaults_reset_what_is_not_given() -> None:
    BackupSettings(pk=1, cron="30 4 * * 0", keep=14).save()
    schedule("set", "--defaults", "--keep", "3")
    assert schedule_as_data()["retention"] == 3
    assert schedule_as_data()["cron"] == schedule_as_data()["defaults"]["cron"]


@pytest.mark.parametrize(
    ("arguments", "option"),
    [(("--cron", "soon"), "--cron"), (("--keep", "0"), "--keep"), (("--keep", "few"), "--keep"),
     (("--keep", "9" * 5000), "--keep"), (("--daily", "-1"), "--daily"), (("--weekly", "few"), "--weekly"),
     (("--monthly", ""), "--monthly"), (("--yearly", "100001"), "--yearly"), (("--max-age", "soon"), "--max-age"), (("--time-zone", "Mars"), "--time-zone")],
)  # fmt: skip
def test_an_invalid_value_is_refused_with_its_option(arguments: tuple[str, ...], option: str) -> None:
    with pytest.raises(CommandError, match=rf"^{option}: ") as refused:
        schedule("set", *arguments)
    assert refused.value.returncode == 1
    assert not BackupSettings.objects.exists()


def test_without_a_change_it_exits_with_2() -> None:
    with pytest.raises(CommandError) as refused:
        schedule("set")
    assert refused.value.returncode == 2


def test_more_deletions_need_yes(tmp_path: Path, folder: Path) -> None:
    live = tvarrs(tmp_path / "live.db")
    for _ in range(3):
        backup(live, folder, kind=BackupKind.SCHEDULED)
    with pytest.raises(CommandError, match="would delete 2 backups"):
        schedule("set", "--keep", "1")
    assert not BackupSettings.objects.exists()
    schedule("set", "--keep", "1", "--yes")
    assert BackupSettings.load().keep == 1
