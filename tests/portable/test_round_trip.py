"""Everything that tvarr stores is exported, imported elsewhere and exported again unchanged."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.db import connections
from django.test import TestCase

from tests.portable.files import read
from tests.portable.round_trips import make_rows
from tvarr_backup.fields import new_ulid
from tvarr_backup.models import EncodingProfile, EpgSource, StreamSource
from tvarr_backup.portable.apply import ImportResult, apply_import
from tvarr_backup.portable.export import stream_export
from tvarr_backup.portable.kinds import KINDS, Slug
from tvarr_backup.portable.models import HeldReference
from tvarr_backup.portable.steps import ItemAction

pytestmark = [pytest.mark.django_db, pytest.mark.sqlite]  # rows are written as tvarr writes them into SQLite

SOURCE_ID = "01KAEHXEGJ5GMS392SP1ZYMK59"


def store(slug: Slug, values: list[dict[str, Any]]) -> None:
    """Write rows as tvarr does, without our fields and validation."""
    profile = EncodingProfile.objects.filter(is_system=True).first()
    assert profile is not None
    with connections["tvarr"].cursor() as cursor:
        for number, row in enumerate(values):
            if row.get("encoding_profile_id"):
                row = row | {"encoding_profile_id": profile.pk}  # noqa: PLW2901  # the one that every installation has
            moment = f"2026-03-01 10:{number // 60 % 60:02}:{number % 60:02}.{number:06}-05:00"
            record = {"id": new_ulid(), "created_at": moment, "updated_at": moment, "is_system": 0}
            columns = row | record
            names = ", ".join(columns)
            marks = ", ".join(["%s"] * len(columns))
            table = KINDS[slug].model._meta.db_table
            cursor.execute(f"INSERT INTO {table} ({names}) VALUES ({marks})", list(columns.values()))


def exported(slug: Slug) -> bytes:
    blocks = stream_export(KINDS[slug])
    assert blocks.warnings == ()
    return b"".join(blocks)


def items_of(file: bytes) -> Any:
    return json.loads(file)["items"]


def load(slug: Slug, file: bytes) -> ImportResult:
    with TestCase.captureOnCommitCallbacks(using="tvarr", execute=True):
        return apply_import(read(file, KINDS[slug]))


def become_fresh(slug: Slug) -> None:
    """Delete all rows but the built-in ones."""
    KINDS[slug].model.all_rows.filter(is_system=False)._raw_delete("tvarr")
    for model in (HeldReference, StreamSource, EpgSource):
        model._default_manager.all().delete()


def go_there_and_back(slug: Slug, values: list[dict[str, Any]]) -> None:
    become_fresh(slug)
    StreamSource.objects.create(id=SOURCE_ID, name="Pelican", type="m3u", url="http://pelican.example.test/")
    store(slug, values)
    first = exported(slug)
    assert len(items_of(first)) == len(values)
    assert load(slug, first).unchanged == len(values)  # where it comes from

    become_fresh(slug)
    result = load(slug, first)
    assert result.count(ItemAction.CREATE) == len(values)
    second = exported(slug)
    assert sorted_items(second) == sorted_items(first)
    if slug is Slug.FILTERS:  # the others are sorted by a priority that may be missing, or by the mark of the default
        assert items_of(second) == items_of(first)
    assert load(slug, second).unchanged == len(values)
    assert load(slug, first).unchanged == len(values)


def sorted_items(file: bytes) -> list[str]:
    """Return items as texts, sorted, because items of equal priority have the same time after an import."""
    return sorted(json.dumps(_imported(item), sort_keys=True) for item in items_of(file))


def _imported(item: dict[str, Any]) -> dict[str, Any]:
    """Return an item without what an import ignores: whether a profile is the default."""
    return {name: value for name, value in item.items() if name != "is_default"}


@pytest.mark.parametrize("slug", Slug)
def test_items_with_everything_that_tvarr_stores(slug: Slug) -> None:
    go_there_and_back(slug, make_rows(slug, 60))


@pytest.mark.long
@pytest.mark.parametrize("slug", Slug)
def test_500_items_with_everything_that_tvarr_stores(slug: Slug) -> None:
    go_there_and_back(slug, make_rows(slug, 500))
