"""Locations from environment variables: names, values, files, and messages without secrets."""

from pathlib import Path

import pytest

from tvarr_backup.errors import LocationInvalid
from tvarr_backup.locations.addresses import LocationKind
from tvarr_backup.locations.variables import PREFIX, DescribedLocation, find_locations

SECRET = "tide-table-1912"


def read(**variables: str) -> DescribedLocation:
    (found,) = find_locations({f"{PREFIX}{name}": text for name, text in variables.items()})
    return found.read()


def refused(**variables: str) -> str:
    with pytest.raises(LocationInvalid) as refusal:
        read(**variables)
    return str(refusal.value)


def test_a_variable_names_its_location() -> None:
    found = find_locations({f"{PREFIX}MY_NAS_URL": "folder:/mnt/nas", f"{PREFIX}ATTIC_KEEP": "3", "PATH": "/bin"})
    assert [one.name for one in found] == ["attic", "my-nas"]


def test_the_variables_of_the_command_are_no_location() -> None:
    names = ("PASSWORD", "PASSWORD_FILE", "SECRET_KEY", "SECRET_KEY_FILE", "PRIVATE_KEY_FILE", "PASSPHRASE")
    assert find_locations({f"{PREFIX}{name}": "x" for name in names}) == ()


def test_all_of_a_bucket_can_be_described() -> None:
    found = read(
        NAS_URL="s3://harbour/home?endpoint=https://s3.example.com",
        NAS_ACCESS_KEY="marit",
        NAS_SECRET_KEY=SECRET,
        NAS_RECIPIENT="age1",
        NAS_KEEP="all",
        NAS_DAILY="7",
        NAS_MAX_AGE="90d",
    )
    assert (found.name, found.address.kind, found.recipient) == ("nas", LocationKind.S3, "age1")
    assert (found.address.options["bucket"], found.address.options["access_key"]) == ("harbour", "marit")
    assert found.address.secrets == {"secret_key": SECRET}
    assert found.columns == {"keep": None, "daily": 7, "max_age": "90d"}


def test_a_secret_may_be_in_a_file(tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text(f"{SECRET}\n")
    found = read(NAS_URL="sftp://marit@nas/srv", NAS_PASSWORD_FILE=str(file))
    assert found.address.secrets == {"password": SECRET}


def test_a_private_key_keeps_its_lines(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text("BEGIN\nabc\nEND\n")
    found = read(NAS_URL="sftp://marit@nas/srv", NAS_PRIVATE_KEY_FILE=str(file))
    assert found.address.secrets == {"private_key": "BEGIN\nabc\nEND\n"}


@pytest.mark.parametrize(
    ("variables", "named"),
    [
        ({"NAS_KEEP": "3"}, "NAS_URL"),
        ({"NAS_URL": "nonsense"}, "NAS_URL"),
        ({"NAS_URL": "folder:relative"}, "NAS_URL"),
        ({"NAS_URL": "folder:/mnt", "NAS_KEEP": "0"}, "NAS_KEEP"),
        ({"NAS_URL": "folder:/mnt", "NAS_WEEKLY": "few"}, "NAS_WEEKLY"),
        ({"NAS_URL": "folder:/mnt", "NAS_MAX_AGE": "soon"}, "NAS_MAX_AGE"),
        ({"NAS_URL": "s3://harbour", "NAS_SECRET_KEY": SECRET}, "NAS_ACCESS_KEY"),
        ({"NAS_URL": "sftp://marit@nas/srv", "NAS_PASSWORD_FILE": "/missing"}, "NAS_PASSWORD_FILE"),
        ({"NAS_URL": "sftp://marit@nas/srv", "NAS_HOST_KEY": "what"}, "NAS_HOST_KEY"),
    ],
)
def test_an_invalid_value_is_refused_with_its_variable(variables: dict[str, str], named: str) -> None:
    assert refused(**variables).startswith(f"{PREFIX}{named}: ")


@pytest.mark.parametrize(
    "url",
    [f"sftp://marit:{SECRET}@nas/srv", f"sftp://marit:a/{SECRET}@nas/srv", f"sftp://marit@nas/srv?password={SECRET}"],
)
def test_a_secret_in_an_address_is_refused_and_not_repeated(url: str) -> None:
    assert SECRET not in refused(NAS_URL=url)


def test_its_form_for_a_log_has_no_secret() -> None:
    found = find_locations({f"{PREFIX}NAS_PASSWORD": SECRET, f"{PREFIX}NAS_URL": "webdav+https://u@nas/x"})
    assert SECRET not in repr(found)
    assert SECRET not in repr(found[0].read())
