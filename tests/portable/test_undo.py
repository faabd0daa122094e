"""Undo of an import: every column comes back, what was changed since is kept, and an undo can be undone."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from django.db import connections, transaction
from django.test import TestCase
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.portable.files import (
    CLIENTS,
    EXAMPLES,
    FILTERS,
    MAPPING,
    PROFILES,
    client_item,
    envelope,
    filter_item,
    profile_item,
)
from tests.portable.test_apply import exported, load
from tests.tvarr_own import FILTER_ID
from tvarr_backup.errors import PlanStale, UndoRefused
from tvarr_backup.models import ClientDetectionRule, EncodingProfile, Filter, ProxyFilter, StreamProxy
from tvarr_backup.portable.answers import read_answers
from tvarr_backup.portable.apply import apply_import
from tvarr_backup.portable.kinds import KINDS, Kind, Slug
from tvarr_backup.portable.models import HeldReference
from tvarr_backup.portable.tvarr_memory import RELOAD_ADVICE
from tvarr_backup.portable.undo import ChangeLog, KeptBecause, UndoAction, UndoResult, apply_undo, plan_undo

pytestmark = pytest.mark.django_db


def undo(done: Any, include: Iterable[str] = (), fingerprint: str | None = None) -> UndoResult:
    """Undo by the log as it is stored."""
    with TestCase.captureOnCommitCallbacks(using="tvarr", execute=True):
        return apply_undo(ChangeLog.unpack(done.log.pack()), set(include), fingerprint)


def dump() -> dict[str, list[Any]]:
    """All rows of the kinds with every stored column and its type."""
    found = {}
    with connections["tvarr"].cursor() as cursor:
        for kind in KINDS.values():
            table = kind.model._meta.db_table
            columns = [
                column.name for column in connections["tvarr"].introspection.get_table_description(cursor, table)
            ]
            if connections["tvarr"].vendor == "sqlite":
                shown = [f'typeof("{name}") || quote("{name}")' for name in columns]
            else:
                shown = [f'"{name}"::text' for name in columns]
            cursor.execute(f"SELECT {', '.join(shown)} FROM {table} ORDER BY id")
            found[table] = cursor.fetchall()
    return found


def own() -> Any:
    """The filters that are not built in."""
    return Filter.objects.filter(is_system=False)


def actions_of(done: UndoResult) -> dict[UndoAction, int]:
    return {action: number for action in UndoAction if (number := done.plan.count(action))}


def reasons(log: ChangeLog, include: Iterable[str] = ()) -> list[KeptBecause | None]:
    return [step.reason for step in plan_undo(log, set(include)).steps]


@pytest.mark.parametrize("kind", KINDS.values(), ids=[*KINDS])
def test_created_rows_are_removed(kind: Kind) -> None:
    before = dump()
    done = load(kind, EXAMPLES[kind.slug]())
    assert dump() != before
    assert actions_of(undo(done)) == {UndoAction.REMOVE: 1}
    assert dump() == before


@pytest.mark.parametrize("kind", KINDS.values(), ids=[*KINDS])
def test_an_overwritten_row_gets_back_every_column(kind: Kind) -> None:
    load(kind, EXAMPLES[kind.slug]())
    before = dump()
    done = load(kind, EXAMPLES[kind.slug](description="Other"), bulk="overwrite")
    assert dump() != before
    assert actions_of(undo(done)) == {UndoAction.PUT_BACK: 1}
    assert dump() == before


def test_what_tvarr_has_stored_comes_back_byte_for_byte(attached: Path) -> None:
    with closing(sqlite3.connect(attached)) as connection, connection:
        connection.execute("ALTER TABLE filters ADD COLUMN of_a_newer_tvarr")
        connection.execute(
            "UPDATE filters SET of_a_newer_tvarr = x'00ff', description = CAST(x'66ff67' AS TEXT), updated_at = 'some day'"
        )
    before = dump()
    done = load(FILTERS, filter_item("Harbour Sports"), bulk="overwrite")
    assert done.lines[0].row_id == FILTER_ID
    assert dump() != before
    undo(done)
    assert dump() == before


def test_a_deleted_row_gets_its_name_back(attached: Path) -> None:
    before = dump()
    done = load(PROFILES, profile_item("Dead Profile"))
    assert actions_of(undo(done)) == {UndoAction.REMOVE: 1, UndoAction.PUT_BACK: 1}
    assert dump() == before


def test_an_undo_can_be_undone_and_that_as_well(attached: Path) -> None:
    before = dump()
    done = load(PROFILES, profile_item("Dead Profile"), profile_item("Fresh"))
    imported = dump()
    first = undo(done)
    again = undo(first)
    assert dump() == imported
    undo(again)
    assert dump() == before


def test_a_row_changed_since_is_kept_unless_it_is_included() -> None:
    done = load(FILTERS, filter_item("Mine"), filter_item("Other"))
    Filter.objects.filter(name="Mine").update(description="Edited")
    assert sorted(map(str, reasons(done.log))) == ["None", "changed"]
    kept = undo(done)
    assert actions_of(kept) == {UndoAction.REMOVE: 1, UndoAction.KEEP: 1}
    assert [row.name for row in own()] == ["Mine"]
    undo(done, include=[own().get().id])
    assert not own().exists()


def test_an_overwritten_row_that_was_deleted_since_is_added_back_if_included() -> None:
    load(FILTERS, filter_item())
    before = dump()
    done = load(FILTERS, filter_item(action="exclude"), bulk="overwrite")
    key = own().get().id
    own().delete()
    assert reasons(done.log) == [KeptBecause.DELETED]
    assert actions_of(undo(done, include=[key])) == {UndoAction.ADD_BACK: 1}
    assert dump() == before


def test_a_row_that_tvarr_marked_as_deleted_counts_as_changed() -> None:
    done = load(FILTERS, filter_item())
    own().get().mark_deleted()
    assert reasons(done.log) == [KeptBecause.CHANGED]


def test_a_row_in_use_is_kept_even_if_it_is_included() -> None:
    done = load(FILTERS, filter_item("Used"), filter_item("Free"))
    used = Filter.objects.get(name="Used")
    proxy = StreamProxy.objects.create(name="Living room")
    ProxyFilter.objects.create(proxy=proxy, filter=used)
    result = undo(done, include=[used.id])
    assert actions_of(result) == {UndoAction.REMOVE: 1, UndoAction.KEEP: 1}
    assert [step.reason for step in result.plan.steps if step.reason] == [KeptBecause.IN_USE]
    assert own().get() == used
    assert ProxyFilter.objects.count() == 1


def test_a_name_that_another_row_has_now_is_not_put_back(attached: Path) -> None:
    done = load(PROFILES, profile_item("Dead Profile"))
    EncodingProfile.objects.filter(name="Dead Profile").update(description="Edited")
    result = undo_refused(done)
    assert "nothing to undo" in str(result)
    assert sorted(map(str, reasons(done.log))) == ["changed", "name_taken"]


def undo_refused(done: Any) -> UndoRefused:
    before = dump()
    with pytest.raises(UndoRefused) as refused:
        undo(done)
    assert dump() == before
    return refused.value


def test_undoing_twice_is_refused() -> None:
    done = load(FILTERS, filter_item())
    undo(done)
    assert "nothing to undo" in str(undo_refused(done))


def test_an_undo_across_a_restore_is_refused(attached: Path) -> None:
    done = load(FILTERS, filter_item("Fresh"))
    with closing(sqlite3.connect(attached)) as connection:
        connection.execute("PRAGMA user_version = 4711")
    assert "restored since" in str(undo_refused(done))


def test_an_undo_of_other_rows_than_previewed_is_refused() -> None:
    done = load(FILTERS, filter_item("Mine"), filter_item("Other"))
    shown = plan_undo(done.log).fingerprint
    Filter.objects.filter(name="Mine").update(description="Edited")
    with pytest.raises(PlanStale):
        undo(done, fingerprint=shown)
    assert own().count() == 2


def test_a_reference_that_the_import_completed_waits_again() -> None:
    load(CLIENTS, client_item(encoding_profile_name="Tablet HEVC"))
    before, waiting = dump(), list(HeldReference.objects.values("kind", "row_id", "value", "row_updated_at"))
    assert [held["value"] for held in waiting] == ["Tablet HEVC"]
    done = load(PROFILES, profile_item("Tablet HEVC"))
    assert ClientDetectionRule.objects.get(name="Kitchen Tablet").encoding_profile.name == "Tablet HEVC"
    imported = dump()
    first = undo(done)
    assert dump() == before
    assert exported(CLIENTS)[0]["encoding_profile_name"] == "Tablet HEVC"
    undo(first)
    assert dump() == imported


def test_a_profile_that_a_rule_uses_since_is_kept() -> None:
    done = load(PROFILES, profile_item("Tablet HEVC"))
    load(CLIENTS, client_item(encoding_profile_name="Tablet HEVC"))
    assert reasons(done.log) == [KeptBecause.IN_USE]


def test_an_undo_says_that_tvarr_must_reload(attached: Path) -> None:
    done = load(CLIENTS, client_item("Fresh"))
    assert RELOAD_ADVICE in done.notes
    assert undo(done).restart_required


def test_an_import_that_changes_nothing_has_an_empty_log() -> None:
    load(FILTERS, filter_item())
    assert load(FILTERS, filter_item()).log.pack() == b""


@contextmanager
def rolled_back() -> Iterator[None]:
    with transaction.atomic(using="default"), transaction.atomic(using="tvarr"):
        yield
        for alias in ("default", "tvarr"):
            transaction.set_rollback(True, using=alias)


NAMES = st.sampled_from(["A", "B", "C", "Dead Profile"])
MAKERS: dict[Slug, Callable[..., dict[str, Any]]] = {kind.slug: EXAMPLES[kind.slug] for kind in KINDS.values()}


@st.composite
def imports(draw: st.DrawFn) -> tuple[Kind, list[dict[str, Any]], str]:
    kind = draw(st.sampled_from([FILTERS, MAPPING, CLIENTS, PROFILES]))
    names = draw(st.lists(NAMES, min_size=1, max_size=4, unique=True))
    items = [MAKERS[kind.slug](name, description=draw(st.sampled_from(["", "x", "y"]))) for name in names]
    if kind is CLIENTS:
        for item in items:
            item["encoding_profile_name"] = draw(NAMES)
    return kind, items, draw(st.sampled_from(["skip", "rename", "overwrite"]))


@settings(max_examples=60, suppress_health_check=list(HealthCheck))
@given(first=st.lists(imports(), max_size=3), then=imports())
def test_undo_gives_back_every_column_and_undoing_that_gives_back_the_import(
    first: list[tuple[Kind, list[dict[str, Any]], str]], then: tuple[Kind, list[dict[str, Any]], str]
) -> None:
    with rolled_back():
        for kind, items, bulk in first:
            load(kind, *items, bulk=bulk)
        before = dump()
        kind, items, bulk = then
        with TestCase.captureOnCommitCallbacks(using="tvarr", execute=True):
            done = apply_import(envelope(kind, *items), read_answers({}, bulk))
        imported = dump()
        if done.log.changes:
            undone = undo(done)
            assert dump() == before
            undo(undone)
            assert dump() == imported
        else:
            assert imported == before
