"""Changes of locations: only the changed columns are written."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from tvarr_backup.locations.addresses import LocationKind
from tvarr_backup.operations.locations import add_location, change_location
from tvarr_backup.operations.models import Location

pytestmark = pytest.mark.django_db


def test_a_change_leaves_what_a_worker_has_written_in_the_meantime(tmp_path: Path) -> None:
    read_before = add_location("nas", LocationKind.FOLDER, {"path": str(tmp_path)})
    Location.objects.update(in_sync_at=datetime(2026, 11, 2, tzinfo=UTC))
    change_location(read_before, {}, keep=3)
    stored = Location.objects.get()
    assert (stored.keep, stored.in_sync_at) == (3, datetime(2026, 11, 2, tzinfo=UTC))


def test_an_unchanged_address_stays_tested(tmp_path: Path) -> None:
    location = add_location("nas", LocationKind.FOLDER, {"path": str(tmp_path)})
    Location.objects.update(tested_at=datetime(2026, 11, 2, tzinfo=UTC))
    location.refresh_from_db()
    assert change_location(location, {"path": str(tmp_path)}).tested_at is not None
    assert change_location(location, {"path": "/mnt/another"}).tested_at is None
