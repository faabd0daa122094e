"""Settings: invalid values stop every command, and reading them changes nothing."""

import os
import runpy
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured

from tests.installation import ROOT, Installation

INVALID = [
    ("TVARR_STORAGE_BASE_DIR", "~nobody-of-this-name/data"),
    ("TVARR_SERVER_HOST", "http://harbour.example"),
    ("TVARR_SERVER_PORT", "eighty"),
    ("TVARR_LOGGING_LEVEL", "loud"),
    ("TVARR_LOGGING_FORMAT", "yaml"),
    ("TVARR_DATABASE_DSN", "mysql://harbour.example/tvarr"),
    ("DATABASE_URL", "sqlite://app.db"),
    ("REDIS_URL", "harbour.example:6379"),
    ("TZ", "Mars/Base"),
    ("TVARR_BACKUP_SCHEDULE_ENABLED", "maybe"),
    ("TVARR_BACKUP_SCHEDULE_CRON", "@daily"),
    ("TVARR_BACKUP_SCHEDULE_RETENTION", "0"),
    ("TVARR_BACKUP_SCHEDULE_RETENTION_DAILY", "-1"),
    ("TVARR_BACKUP_SCHEDULE_RETENTION_WEEKLY", "few"),
    ("TVARR_BACKUP_SCHEDULE_RETENTION_MONTHLY", "1.5"),
    ("TVARR_BACKUP_SCHEDULE_RETENTION_YEARLY", "100001"),
    ("TVARR_BACKUP_SCHEDULE_MAX_AGE", "soon"),
    ("TVARR_BACKUP_REHEARSAL_INTERVAL", "12h"),
    ("TVARR_BACKUP_REHEARSAL_INTERVAL", "soon"),
    ("ALLOWED_HOSTS", "https://harbour.example"),
    ("CSRF_TRUSTED_ORIGINS", "harbour.example"),
    ("FORWARDED_ALLOW_IPS", "harbour.example"),
    ("SECRET_KEY_FILE", "/nowhere/key"),
]


def settings_of(monkeypatch: pytest.MonkeyPatch, **environment: str) -> dict[str, Any]:
    """Run the settings file with just these variables."""
    for name in os.environ.keys() - {"PATH", "HOME"}:
        monkeypatch.delenv(name)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    return runpy.run_path(str(ROOT / "config" / "settings.py"))


def shown_settings(installation: Installation) -> dict[str, str]:
    """Settings of a process by name, as Python source."""
    lines = installation.ok("diffsettings", "--all").splitlines()
    return {name: value for name, _, value in (line.strip("# ").partition(" = ") for line in lines)}


@pytest.mark.parametrize(("name", "value"), INVALID)
def test_an_invalid_value_is_refused_and_the_variable_named(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ImproperlyConfigured) as refused:
        settings_of(monkeypatch, **{name: value})
    assert str(refused.value).startswith(f"{name}: expected ")
    assert str(refused.value).endswith(f', got "{value}".')


def test_a_proxy_that_signs_users_in_must_have_an_address(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ImproperlyConfigured, match=r"^TVARR_PROXY_ADDRESSES: expected the addresses of the proxy"):
        settings_of(monkeypatch, TVARR_PROXY_USER_HEADER="Remote-User")


def test_the_proxys_own_sign_out_page_may_be_reached_from_the_form(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = settings_of(monkeypatch, TVARR_PROXY_SIGN_OUT_URL="https://auth.example:9091/logout?a")
    assert "https://auth.example:9091" in shown["CONTENT_SECURITY_POLICY"]["DIRECTIVES"]["form-action"]


def test_an_invalid_value_stops_every_command_with_one_sentence(installation: Installation) -> None:
    (sentence,) = installation.refused("prepare", TVARR_SERVER_PORT="eighty").splitlines()
    assert sentence == 'error: TVARR_SERVER_PORT: expected a whole number from 1 to 65535, got "eighty".'
    assert list(installation.data.parent.iterdir()) == []


def test_without_any_variable_everything_is_in_the_folder_data(installation: Installation) -> None:
    installation.environment["TVARR_STORAGE_BASE_DIR"] = ""
    shown = shown_settings(installation)
    assert shown["STORAGE_BASE_DIR"] == f"PosixPath('{installation.data}')"
    assert f"'file:{installation.data}/app.db?mode=rw'" in shown["DATABASES"]
    assert f"'file:{installation.data}/tvarr.db?mode=rw'" in shown["DATABASES"]
    assert (shown["SERVER_HOST"], shown["SERVER_PORT"]) == ("'127.0.0.1'", "8081")
    assert list(installation.data.parent.iterdir()) == []


def test_debugging_is_off_and_the_zone_is_utc(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = settings_of(monkeypatch)
    assert (shown["DEBUG"], shown["TIME_ZONE"], shown["USE_TZ"]) == (False, "UTC", True)


def test_no_backup_is_kept_for_a_period_unless_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    names = [f"BACKUP_RETENTION_{period}" for period in ("DAILY", "WEEKLY", "MONTHLY", "YEARLY")]
    shown = settings_of(monkeypatch, TVARR_BACKUP_SCHEDULE_RETENTION_WEEKLY="4")
    assert [shown[name] for name in names] == [0, 4, 0, 0]


@pytest.mark.parametrize(("word", "level"), [("warn", "WARNING"), ("Warning", "WARNING"), ("debug", "DEBUG")])
def test_tvarrs_names_of_levels_work(word: str, level: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert f"'level': '{level}'" in str(settings_of(monkeypatch, TVARR_LOGGING_LEVEL=word)["LOGGING"])


def test_an_ipv6_address_is_an_allowed_host(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "[fd00::5]" in settings_of(monkeypatch, TVARR_SERVER_HOST="fd00::5")["ALLOWED_HOSTS"]


def test_a_request_from_the_same_machine_is_always_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = settings_of(monkeypatch, ALLOWED_HOSTS="backup.example")
    assert shown["ALLOWED_HOSTS"] == ["backup.example", "localhost", "127.0.0.1", "[::1]"]


def test_later_processes_use_the_key_that_prepare_saved(prepared: Installation) -> None:
    kept = (prepared.data / "secret-key").read_text().strip()
    assert shown_settings(prepared)["SECRET_KEY"] == repr(kept)


def test_a_prepared_installation_passes_the_check_for_deployment(prepared: Installation) -> None:
    prepared.ok("check", "--deploy", "--fail-level", "WARNING")
