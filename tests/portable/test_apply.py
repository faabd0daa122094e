"""Import: all of it or nothing, with ids kept and no changes of other writers lost."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
import threading
import time
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db import connections, transaction
from django.test import TestCase
from django.test.utils import CaptureQueriesContext

from tests.events import told
from tests.installation import ROOT, Installation
from tests.portable.files import (
    CLIENTS,
    EXAMPLES,
    FILTERS,
    MAPPING,
    PROFILES,
    client_item,
    document,
    envelope,
    filter_item,
    mapping_item,
    profile_item,
)
from tests.tvarr_own import FILTER_ID, PROFILE_ID, RULE_ID, schema_of
from tvarr_backup import errors
from tvarr_backup.models import ClientDetectionRule, DataMappingRule, EncodingProfile, Filter, PortableRow
from tvarr_backup.portable.answers import read_answers
from tvarr_backup.portable.apply import ImportResult, apply_import
from tvarr_backup.portable.export import stream_export
from tvarr_backup.portable.kinds import KINDS, Kind
from tvarr_backup.portable.models import HeldReference
from tvarr_backup.portable.plan import plan_import
from tvarr_backup.portable.steps import ItemAction, ItemState, Plan
from tvarr_backup.portable.tvarr_memory import RELOAD_ADVICE
from tvarr_backup.quoting import quoted

pytestmark = pytest.mark.django_db

OVERWRITE = read_answers({}, "overwrite")


def load(
    kind: Kind, *items: Any, bulk: str | None = None, fingerprint: str | None = None, **answers: Any
) -> ImportResult:
    given = read_answers(answers.pop("resolutions", {}), bulk, **answers)
    with TestCase.captureOnCommitCallbacks(using="tvarr", execute=True):
        return apply_import(envelope(kind, *items), given, fingerprint)


def exported(kind: Kind) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = json.loads(b"".join(stream_export(kind)))["items"]
    return items


def everything() -> list[Any]:
    return [list(kind.model.all_rows.order_by("id").values()) for kind in KINDS.values()]


@pytest.mark.parametrize("kind", KINDS.values(), ids=[*KINDS])
def test_imported_items_are_exported_unchanged(kind: Kind) -> None:
    item = EXAMPLES[kind.slug]()
    load(kind, item)
    assert exported(kind) == [item]


@pytest.mark.parametrize("kind", KINDS.values(), ids=[*KINDS])
def test_importing_a_second_time_changes_nothing(kind: Kind) -> None:
    load(kind, EXAMPLES[kind.slug]())
    before = everything()
    result = load(kind, EXAMPLES[kind.slug]())
    assert (result.unchanged, result.skipped, result.count(ItemAction.CREATE)) == (1, 0, 0)
    assert everything() == before


def test_every_optional_member_survives_an_import_and_an_export() -> None:
    item = client_item(
        description="In the kitchen",
        accepted_video_codecs=["h264", "hevc"],
        accepted_audio_codecs=["aac"],
        preferred_video_codec="h265",
        preferred_audio_codec="aac",
        preferred_format="hls-fmp4",
        is_enabled=False,
        supports_mpegts=False,
    )
    load(CLIENTS, item)
    assert exported(CLIENTS) == [item]


def test_created_rows_are_not_built_in() -> None:
    load(PROFILES, profile_item(is_default=True))
    row = EncodingProfile.objects.get(name="Tablet HEVC")
    assert (row.is_system, row.is_default, row.deleted_at) == (False, False, None)
    assert abs(row.created_at - row.updated_at) < timedelta(seconds=1)


def test_overwriting_keeps_id_creation_time_and_default_and_replaces_the_rest() -> None:
    row = EncodingProfile.objects.create(**profile_item(is_default=True, description="Old"))
    EncodingProfile.objects.filter(pk=row.pk).update(created_at=datetime(2020, 1, 2, tzinfo=UTC), updated_at=None)
    load(PROFILES, profile_item(quality_preset="high"), bulk="overwrite")
    after = EncodingProfile.objects.get(pk=row.pk)
    assert (after.created_at, after.is_default) == (datetime(2020, 1, 2, tzinfo=UTC), True)
    assert (after.description, after.quality_preset) == ("", "high")
    assert after.updated_at is not None


def test_overwriting_keeps_tvarrs_text_of_the_creation_time(attached: Path) -> None:
    load(FILTERS, filter_item("Harbour Sports"), bulk="overwrite")
    with closing(sqlite3.connect(attached)) as connection:
        found = connection.execute("SELECT created_at, updated_at, expression FROM filters WHERE id = ?", (FILTER_ID,))
        created_at, updated_at, expression = found.fetchone()
    assert created_at == "2026-03-01 10:00:00.123456789-05:00"
    assert updated_at.endswith("+00:00")
    assert expression == 'group_title == "News"'


def test_renaming_keeps_the_existing_row() -> None:
    row = Filter.objects.create(**filter_item(action="exclude"))
    result = load(FILTERS, filter_item(), bulk="rename")
    assert Filter.objects.get(pk=row.pk).action == "exclude"
    assert Filter.objects.get(name="Harbour News (1)").id == result.lines[0].row_id != row.id


def test_a_deleted_row_gives_up_its_name_to_a_new_profile(attached: Path) -> None:
    load(PROFILES, profile_item("Dead Profile"))
    assert EncodingProfile.objects.get(name="Dead Profile").target_video_codec == "h265"
    dead = EncodingProfile.all_rows.get(pk="01KAHVK8X608E15BJ4BWZNPJ41")
    assert dead.name == "Dead Profile (deleted 01KAHVK8X608E15BJ4BWZNPJ41)"
    assert dead.deleted_at is not None


def test_the_result_counts_and_names_every_item() -> None:
    for name in ("Same", "Other", "Copy", "Left"):
        Filter.objects.create(**filter_item(name, action="include" if name == "Same" else "exclude"))
    items = [filter_item(name) for name in ("New", "Same", "Other", "Copy", "Left", "Sports Only")]
    result = load(FILTERS, *items, resolutions={"Other": "overwrite", "Copy": "rename"})
    assert [(line.original_name, line.final_name, line.action, line.state) for line in result.lines] == [
        ("New", "New", ItemAction.CREATE, ItemState.NEW),
        ("Same", "Same", ItemAction.SKIP, ItemState.IDENTICAL),
        ("Other", "Other", ItemAction.OVERWRITE, ItemState.DIFFERENT),
        ("Copy", "Copy (1)", ItemAction.RENAME, ItemState.DIFFERENT),
        ("Left", "Left", ItemAction.SKIP, ItemState.DIFFERENT),
        ("Sports Only", "Sports Only", ItemAction.SKIP, ItemState.SYSTEM),
    ]
    assert (result.count(ItemAction.CREATE), result.unchanged, result.skipped) == (1, 1, 2)
    assert all(line.row_id for line in result.lines)


def test_one_bad_item_among_10000_stores_nothing_and_is_named() -> None:
    items = [filter_item(f"Filter {number}") for number in range(10_000)]
    items[5_000]["expression"] = None
    with pytest.raises(errors.ImportBlocked) as refused:
        load(FILTERS, *items)
    assert f"#5001 {quoted('Filter 5000')}, expression: Expected text, got nothing." in str(refused.value)
    assert Filter.objects.filter(is_system=False).count() == 0


def test_a_refused_import_says_all_problems_up_to_twenty() -> None:
    with pytest.raises(errors.ImportBlocked) as refused:
        load(MAPPING, *[mapping_item(f"M{number}", priority=2**63) for number in range(23)])
    lines = str(refused.value).splitlines()
    assert lines[0] == "Nothing was imported. Fix or skip these items:"
    assert (len(lines), lines[-1]) == (22, "And 3 more.")
    assert isinstance(refused.value.plan, Plan)


def test_a_database_error_halfway_changes_nothing(attached: Path) -> None:
    with closing(sqlite3.connect(attached)) as connection, connection:
        connection.execute(
            "CREATE TRIGGER refuse BEFORE INSERT ON filters WHEN NEW.name = 'F900' BEGIN SELECT RAISE(ABORT, 'no'); END"
        )
    before = everything()
    items = [filter_item(f"F{number}", source_id="01KAEHXEGJ5GMS392SP1ZYMK59") for number in range(1_000)]
    with pytest.raises(
        errors.DatabaseUnusable, match="Nothing was imported, because tvarr's database reported an error: no"
    ):
        load(FILTERS, *items)
    assert everything() == before
    assert HeldReference.objects.count() == 0


def test_a_stale_preview_writes_nothing_and_gives_the_new_plan() -> None:
    preview = plan_import(envelope(FILTERS, filter_item()))
    Filter.objects.create(**filter_item(action="exclude"))
    before = everything()
    with pytest.raises(errors.PlanStale) as refused:
        load(FILTERS, filter_item(), fingerprint=preview.fingerprint)
    assert isinstance(refused.value.plan, Plan)
    assert refused.value.plan.steps[0].state is ItemState.DIFFERENT
    assert everything() == before


def test_the_fingerprint_does_not_depend_on_the_answers() -> None:
    Filter.objects.create(**filter_item(action="exclude"))
    preview = plan_import(envelope(FILTERS, filter_item()))
    result = load(FILTERS, filter_item(), fingerprint=preview.fingerprint, bulk="overwrite")
    assert result.count(ItemAction.OVERWRITE) == 1


@pytest.mark.parametrize("answer", [None, "overwrite"])
def test_writing_takes_one_query_for_each_batch_of_rows(answer: str | None) -> None:
    def queries(count: int) -> int:
        items = [filter_item(f"F{count} {number}") for number in range(count)]
        if answer:
            Filter.objects.bulk_create(Filter(**item | {"action": "exclude"}) for item in items)
        with CaptureQueriesContext(connections["tvarr"]) as captured:
            load(FILTERS, *items, bulk=answer)
        return len(captured)

    few, many = queries(10), queries(1_000)
    assert many - few <= 1_000 / 75


class TestReferences:
    """Rules and profiles may come in either order."""

    def test_profiles_first(self) -> None:
        load(PROFILES, profile_item())
        load(CLIENTS, client_item(encoding_profile_name="Tablet HEVC"))
        rule = ClientDetectionRule.objects.get(name="Kitchen Tablet")
        assert rule.encoding_profile == EncodingProfile.objects.get(name="Tablet HEVC")

    def test_rules_first_are_linked_when_their_profile_is_imported(self) -> None:
        load(CLIENTS, client_item(encoding_profile_name="Tablet HEVC"))
        result = load(PROFILES, profile_item())
        rule = ClientDetectionRule.objects.get(name="Kitchen Tablet")
        assert rule.encoding_profile == EncodingProfile.objects.get(name="Tablet HEVC")
        assert (
            f"{quoted('Kitchen Tablet')} (client detection rules) now refers to {quoted('Tablet HEVC')}, which did not exist when it was imported."
            in result.notes
        )
        assert HeldReference.objects.count() == 0

    @pytest.mark.parametrize(
        ("kind", "item"),
        [
            (CLIENTS, client_item(encoding_profile_name="Tablet HEVC")),
            (FILTERS, filter_item(source_id="01KAEHXEGJ5GMS392SP1ZYMK59")),
            (MAPPING, mapping_item(source_id="01KAEHXEGJ5GMS392SP1ZYMK59")),
        ],
    )
    def test_a_waiting_reference_is_exported_as_in_its_file(self, kind: Kind, item: Any) -> None:
        load(kind, item)
        assert exported(kind) == [item]
        assert load(kind, item).unchanged == 1

    def test_the_column_is_empty_while_the_reference_waits(self) -> None:
        load(FILTERS, filter_item(source_id="01KAEHXEGJ5GMS392SP1ZYMK59"))
        assert Filter.objects.get(name="Harbour News").source_id is None

    def test_a_row_that_was_edited_since_waits_no_longer(self) -> None:
        load(CLIENTS, client_item(encoding_profile_name="Tablet HEVC"))
        rule = ClientDetectionRule.objects.get(name="Kitchen Tablet")
        rule.description = "edited"
        rule.save()
        load(PROFILES, profile_item())
        rule.refresh_from_db()
        assert rule.encoding_profile is None
        assert "encoding_profile_name" not in exported(CLIENTS)[0]

    def test_a_row_that_was_deleted_since_waits_no_longer(self) -> None:
        load(CLIENTS, client_item(encoding_profile_name="Tablet HEVC"))
        ClientDetectionRule.objects.get(name="Kitchen Tablet").delete()
        assert load(PROFILES, profile_item()).notes == ()
        assert ClientDetectionRule.all_rows.get(name="Kitchen Tablet").encoding_profile is None

    def test_overwriting_without_the_reference_forgets_it(self) -> None:
        load(CLIENTS, client_item(encoding_profile_name="Tablet HEVC"))
        load(CLIENTS, client_item(), bulk="overwrite")
        assert HeldReference.objects.count() == 0
        assert exported(CLIENTS) == [client_item()]

    def test_a_waiting_reference_survives_the_rollback_of_an_overwrite(self) -> None:
        waiting = client_item(encoding_profile_name="Tablet HEVC")
        load(CLIENTS, waiting)
        with transaction.atomic(using="tvarr"):
            apply_import(envelope(CLIENTS, client_item(encoding_profile_name="Other", priority=7)), OVERWRITE)
            apply_import(envelope(PROFILES, profile_item()))
            transaction.set_rollback(True, using="tvarr")
        assert exported(CLIENTS) == [waiting]
        load(PROFILES, profile_item())
        assert ClientDetectionRule.objects.get(name="Kitchen Tablet").encoding_profile is not None

    def test_an_overwritten_row_waits_for_the_reference_of_the_newer_file(self) -> None:
        load(CLIENTS, client_item(encoding_profile_name="Tablet HEVC"))
        load(CLIENTS, client_item(encoding_profile_name="Other"), bulk="overwrite")
        assert [held.value for held in HeldReference.objects.all()] == ["Other"]
        assert exported(CLIENTS) == [client_item(encoding_profile_name="Other")]

    def test_an_overwritten_row_keeps_its_link_and_does_not_wait(self) -> None:
        load(PROFILES, profile_item())
        load(CLIENTS, client_item(encoding_profile_name="Tablet HEVC"))
        load(CLIENTS, client_item(encoding_profile_name="Gone", priority=7), bulk="overwrite")
        assert exported(CLIENTS) == [client_item(encoding_profile_name="Tablet HEVC", priority=7)]
        assert HeldReference.objects.count() == 0


def test_client_rules_in_an_attached_database_need_a_reload(attached: Path) -> None:
    before = schema_of(attached)
    result = load(CLIENTS, client_item("New Tablet"))
    assert (result.notes, result.restart_required) == ((RELOAD_ADVICE,), True)
    other = load(FILTERS, filter_item())
    assert (other.notes, other.restart_required) == ((), False)
    assert schema_of(attached) == before


def test_a_rule_that_is_linked_later_needs_a_reload_of_an_attached_database_too(attached: Path) -> None:
    load(CLIENTS, client_item("New Tablet", encoding_profile_name="Small"))
    completed, reload = load(PROFILES, profile_item("Small")).notes
    assert "New Tablet" in completed
    assert reload == RELOAD_ADVICE


@pytest.mark.usefixtures("attached")
def test_a_rule_that_an_import_disables_was_in_tvarrs_memory() -> None:
    load(CLIENTS, client_item("New Tablet"))
    assert load(CLIENTS, client_item("New Tablet", is_enabled=False), bulk="overwrite").restart_required
    assert not load(CLIENTS, client_item("New Tablet", is_enabled=False, priority=9), bulk="overwrite").restart_required


@pytest.mark.usefixtures("attached")
def test_a_profile_counts_where_an_enabled_rule_uses_it() -> None:
    load(PROFILES, profile_item("Small"), profile_item("Unused"))
    load(CLIENTS, client_item("New Tablet", encoding_profile_name="Small"))
    assert load(PROFILES, profile_item("Small", quality_preset="high"), bulk="overwrite").restart_required
    assert not load(PROFILES, profile_item("Unused", quality_preset="high"), bulk="overwrite").restart_required


def test_a_readonly_database_is_refused(attached: Path) -> None:
    with connections["tvarr"].cursor() as cursor:
        cursor.execute("PRAGMA query_only = 1")
    with pytest.raises(errors.DatabaseUnusable, match=r"Nothing was imported.*: attempt to write a readonly database"):
        load(FILTERS, filter_item())


def test_rows_of_an_attached_database_are_overwritten_in_place(attached: Path) -> None:
    load(CLIENTS, client_item(encoding_profile_name="Tablet HEVC"), bulk="overwrite")
    with closing(sqlite3.connect(attached)) as connection:
        (row,) = connection.execute(
            "SELECT id, priority, is_enabled, accepted_video_codecs, encoding_profile_id FROM client_detection_rules"
        ).fetchall()
    assert row == (RULE_ID, 50, 1, "", PROFILE_ID)


@pytest.mark.parametrize("model", [Filter, DataMappingRule, ClientDetectionRule, EncodingProfile])
def test_no_new_row_is_built_in(model: type[PortableRow]) -> None:
    kind = next(kind for kind in KINDS.values() if kind.model is model)
    load(kind, EXAMPLES[kind.slug]("Imported"))
    assert model.objects.get(name="Imported").is_system is False


class TestTwoAtOnce:
    """Real processes on one real database."""

    def test_two_imports_of_one_file_make_no_duplicates(self, installation: Installation, tmp_path: Path) -> None:
        file = tmp_path / "filters.json"
        file.write_text(json.dumps(document(FILTERS, *[filter_item(f"F{number}") for number in range(300)])))
        installation.prepared()
        command = [sys.executable, str(ROOT / "manage.py"), "portable", "import", "filters", str(file), "--json"]
        running = [
            subprocess.Popen(command, env=installation.variables(), stdout=subprocess.PIPE, text=True) for _ in range(3)
        ]
        results = [json.loads(process.communicate(timeout=60)[0]) for process in running]
        assert sorted((result["imported"], result["unchanged"]) for result in results) == [(0, 300), (0, 300), (300, 0)]
        assert installation.json("portable", "export", "filters", "--all")["metadata"]["item_count"] == 300

    def test_an_import_waits_for_a_writer(self, installation: Installation, tmp_path: Path) -> None:
        file = tmp_path / "filters.json"
        file.write_text(json.dumps(document(FILTERS, filter_item())))
        installation.prepared()
        writer = sqlite3.connect(installation.data / "tvarr.db", isolation_level=None, check_same_thread=False)
        writer.execute("BEGIN IMMEDIATE")
        release = threading.Timer(2, writer.execute, ("COMMIT",))
        release.start()
        started = time.monotonic()
        assert installation.json("portable", "import", "filters", str(file), "--json")["imported"] == 1
        assert time.monotonic() - started >= 2
        release.join()
        writer.close()


def test_an_import_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    apply_import(envelope(FILTERS, filter_item("Harbour News"), filter_item("Harbour Sports")))
    (event,) = told(caplog)
    assert 0 < event.pop("seconds") < 10
    counts = {"items": 2, "created": 2, "renamed": 0, "overwritten": 0, "unchanged": 0, "skipped": 0}
    assert event == {"level": "info", "event": "import.applied", "kind": "filters", **counts}


def test_a_refused_import_is_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    with pytest.raises(errors.ImportBlocked):
        apply_import(envelope(FILTERS, filter_item(expression=None)))
    assert told(caplog) == []
