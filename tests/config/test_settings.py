"""Settings as processes meet them: nonsense stops every command, and reading them leaves no trace."""

import pytest

from tests.installation import Installation

NONSENSE = [
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
    ("TVARR_BACKUP_SCHEDULE_MAX_AGE", "soon"),
    ("ALLOWED_HOSTS", "https://harbour.example"),
    ("CSRF_TRUSTED_ORIGINS", "harbour.example"),
    ("FORWARDED_ALLOW_IPS", "harbour.example"),
    ("SECRET_KEY_FILE", "/nowhere/key"),
]


def shown_settings(installation: Installation) -> dict[str, str]:
    """Settings by name, as Python source."""
    lines = installation.ok("diffsettings", "--all").splitlines()
    return {name: value for name, _, value in (line.strip("# ").partition(" = ") for line in lines)}


@pytest.mark.parametrize(("name", "value"), NONSENSE)
def test_nonsense_stops_every_command_with_one_sentence(name: str, value: str, installation: Installation) -> None:
    (sentence,) = installation.refused("prepare", **{name: value}).splitlines()
    assert sentence.startswith(f"error: {name} is {value!r}; allowed is ")
    assert list(installation.data.parent.iterdir()) == []


def test_reading_the_settings_creates_nothing(installation: Installation) -> None:
    assert "DATABASES" in shown_settings(installation)
    assert list(installation.data.parent.iterdir()) == []


def test_without_any_variable_everything_lies_in_the_folder_data(installation: Installation) -> None:
    installation.environment["TVARR_STORAGE_BASE_DIR"] = ""
    shown = shown_settings(installation)
    assert shown["STORAGE_BASE_DIR"] == f"PosixPath('{installation.data}')"
    assert f"'file:{installation.data}/app.db?mode=rw'" in shown["DATABASES"]
    assert f"'file:{installation.data}/tvarr.db?mode=rw'" in shown["DATABASES"]
    assert (shown["SERVER_HOST"], shown["SERVER_PORT"]) == ("'127.0.0.1'", "8080")


def test_debugging_is_off_and_the_zone_is_utc(installation: Installation) -> None:
    shown = shown_settings(installation)
    assert (shown["DEBUG"], shown["TIME_ZONE"], shown["USE_TZ"]) == ("False", "'UTC'", "True")


@pytest.mark.parametrize(("word", "level"), [("warn", "WARNING"), ("Warning", "WARNING"), ("debug", "DEBUG")])
def test_levels_may_be_written_as_tvarr_writes_them(word: str, level: str, installation: Installation) -> None:
    installation.environment["TVARR_LOGGING_LEVEL"] = word
    assert f"'level': '{level}'" in shown_settings(installation)["LOGGING"]


def test_an_ipv6_address_is_a_host_of_ours(installation: Installation) -> None:
    installation.environment["TVARR_SERVER_HOST"] = "fd00::5"
    assert "'[fd00::5]'" in shown_settings(installation)["ALLOWED_HOSTS"]


def test_whoever_asks_from_the_same_machine_is_always_allowed(installation: Installation) -> None:
    installation.environment["ALLOWED_HOSTS"] = "backup.example"
    hosts = shown_settings(installation)["ALLOWED_HOSTS"]
    assert hosts == "['backup.example', 'localhost', '127.0.0.1', '[::1]']"


def test_the_key_that_prepare_kept_is_the_key_of_later_processes(prepared: Installation) -> None:
    kept = (prepared.data / "secret-key").read_text().strip()
    assert shown_settings(prepared)["SECRET_KEY"] == repr(kept)


def test_a_prepared_installation_passes_the_check_for_deployment(prepared: Installation) -> None:
    prepared.ok("check", "--deploy", "--fail-level", "WARNING")
