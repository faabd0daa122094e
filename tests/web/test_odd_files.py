"""Every entrance shows the backup folder, whatever its files contain, in any time zone."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connections
from django.test import Client
from django.utils import timezone
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.backups.makers import backup, tvarrs, tvarrs_new_backup
from tests.backups.odd_sidecars import ODD_TIMES, as_bytes, odd_members
from tests.factories import FilterFactory, UserFactory

pytestmark = pytest.mark.django_db

QUICK = settings(
    max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
NAME = "tvarr-backup-2026-06-15T12-30-00"
NAMES = st.one_of(
    st.binary(min_size=1, max_size=60).filter(lambda name: not set(name) & {0, 0x2F} and name not in (b".", b"..")),
    st.builds(
        lambda stamp, ending: f"tvarr-backup-{stamp}{ending}".encode(errors="surrogateescape"),
        st.sampled_from(["0001-01-01T00-00-00", "9999-12-31T23-59-59.999", "2026-13-01T00-00-00", "\udcff", "\u202e"]),
        st.sampled_from([".db.gz", ".tar.gz", ".meta.json", ".db.gz\udcff", ".meta.json.new"]),
    ),
)


ZONES = ("Asia/Tokyo", "America/Los_Angeles")  # the first overflows after 9999, the second before the year 1


@pytest.fixture(params=ZONES)
def zone(request: Any) -> Iterator[None]:
    with timezone.override(request.param):
        yield


@pytest.fixture
def made(folder: Path, tmp_path: Path) -> Path:
    """The metadata file of the one backup."""
    made = backup(tvarrs(tmp_path / "live.db"), folder)
    (folder / made.filename).rename(folder / f"{NAME}.db.gz")
    (folder / made.name.sidecar).rename(folder / f"{NAME}.meta.json")
    return folder / f"{NAME}.meta.json"


@pytest.fixture
def client(db: None) -> Client:
    client = Client()
    client.force_login(UserFactory.create())
    return client


def require_shown_everywhere(client: Client, *, one: str = "") -> None:
    pages = ["/", "/api/v1/backups", "/admin/operations/backup/", "/readyz", "/metrics"]
    pages += [f"/backups/{one}/", f"/backups/{one}/restore/", f"/admin/operations/backup/{one}/change/"] if one else []
    for address in pages:
        answer = client.get(address, follow=True)
        assert answer.status_code in (200, 409, 503), (address, answer.status_code)
        assert b"</html>" in answer.content or not address.endswith("/"), address
        assert len(answer.content) < 300_000
    for action in (["list"], ["list", "--json"]):
        call_command("backup", *action, stdout=io.TextIOWrapper(io.BytesIO(), encoding="utf-8"), stderr=io.StringIO())


@QUICK
@given(members=odd_members(likely=True), zone=st.sampled_from(ZONES))
def test_metadata_with_any_values(members: dict[str, Any], zone: str, client: Client, made: Path) -> None:
    good = made.read_bytes()
    try:
        made.write_bytes(as_bytes(json.loads(good) | members))
        with timezone.override(zone):
            require_shown_everywhere(client, one=f"{NAME}.db.gz")
    finally:
        made.write_bytes(good)


@pytest.mark.parametrize("time", ["0001-01-01T00:00:00Z", "9999-12-31T23:59:59.999999999Z"])
def test_metadata_with_impossible_times(time: str, client: Client, made: Path, zone: None) -> None:
    checked = {"level": "full", "at": time, "problems": [], "warnings": []}
    times = {"created_at": time, "protected_until": time, "newest_row_at": time, "checked": checked}
    made.write_bytes(as_bytes(json.loads(made.read_bytes()) | times | {"protected": True}))

    require_shown_everywhere(client, one=f"{NAME}.db.gz")

    (shown,) = client.get("/api/v1/backups").json()["backups"]
    assert (shown["created_at"], shown["created_at_source"]) == ("2026-06-15T12:30:00Z", "name")
    assert (shown["protected"], shown["protected_until"], shown["checked"]["at"]) == (True, None, None)


@QUICK
@given(members=odd_members(likely=False), zone=st.sampled_from(ZONES))
def test_metadata_with_values_of_any_type(members: dict[str, Any], zone: str, client: Client, made: Path) -> None:
    good = made.read_bytes()
    try:
        made.write_bytes(as_bytes(json.loads(good) | members))
        with timezone.override(zone):
            require_shown_everywhere(client)
    finally:
        made.write_bytes(good)


@QUICK
@given(names=st.lists(NAMES, min_size=1, max_size=4), content=st.binary(max_size=5), zone=st.sampled_from(ZONES))
def test_any_names(names: list[bytes], content: bytes, zone: str, client: Client, made: Path) -> None:
    folder, before = os.fsencode(made.parent), set(os.listdir(os.fsencode(made.parent)))  # noqa: PTH208  # as bytes
    try:
        for name in set(names) - before:
            with open(os.path.join(folder, name), "wb") as file:  # noqa: PTH118, PTH123  # the same
                file.write(content)
        with timezone.override(zone):
            require_shown_everywhere(client)
    finally:
        for name in set(os.listdir(folder)) - before:  # noqa: PTH208
            os.unlink(os.path.join(folder, name))  # noqa: PTH108, PTH118


def test_archives_of_tvarrs_with_any_time(client: Client, made: Path, tmp_path: Path, zone: None) -> None:
    database = tvarrs(tmp_path / "other.db")
    for number, time in enumerate(ODD_TIMES):
        archive = tvarrs_new_backup(made.parent, database, created_at=time)
        os.utime(archive, (2**33, 2**33))
        archive.rename(made.parent / f"tvarr-backup-2025-01-01T00-00-{number:02}.000.tar.gz")
    require_shown_everywhere(client)


@pytest.mark.parametrize("seconds", [b"\0\0\0\0", b"\xff\xff\xff\xff"])
def test_the_time_in_the_header_of_gzip_is_not_shown(seconds: bytes, client: Client, made: Path, zone: None) -> None:
    archive = made.parent / f"{NAME}.db.gz"
    content = archive.read_bytes()
    archive.write_bytes(content[:4] + seconds + content[8:])
    require_shown_everywhere(client, one=archive.name)


@pytest.mark.sqlite
@pytest.mark.parametrize("time", ["0001-01-01 00:00:00+00:00", "9999-12-31 23:59:59.999999+00:00"])
def test_a_row_of_tvarrs_with_such_a_time_is_shown_with_an_unknown_one(time: str, client: Client, zone: None) -> None:
    row = FilterFactory.create()
    with connections["tvarr"].cursor() as cursor:
        cursor.execute("UPDATE filters SET created_at = %s, updated_at = %s WHERE id = %s", [time, time, row.pk])

    assert client.get("/admin/tvarr_backup/filter/").status_code == 200
    assert client.get(f"/admin/tvarr_backup/filter/{row.pk}/change/").status_code == 200
    assert client.get(f"/api/v1/filters/{row.pk}").json()["created_at"] is None
    assert client.patch(
        f"/api/v1/filters/{row.pk}", {"description": "new"}, content_type="application/json"
    ).status_code in (200, 428)
    with connections["tvarr"].cursor() as cursor:
        cursor.execute("SELECT created_at FROM filters WHERE id = %s", [row.pk])
        assert cursor.fetchone() == (time,)


def test_an_import_of_a_file_with_such_a_time_is_reviewed(client: Client, zone: None) -> None:
    file = {
        "metadata": {"version": "1.0.0", "export_type": "filters", "exported_at": "0001-01-01T00:00:00Z"},
        "items": [],
    }
    answer = client.post("/import/", {"text": json.dumps(file)}, follow=True)
    assert answer.status_code == 200
    assert b"</html>" in answer.content
