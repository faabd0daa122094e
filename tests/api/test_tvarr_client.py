"""What tvarr's own client sends and reads: members, crons of six fields, and numbers that add up."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from rest_framework.test import APIClient

from tests.api.backup_parts import make
from tests.factories import EncodingProfileFactory, FilterFactory
from tests.portable.files import FILTERS, PROFILES, document, filter_item, profile_item
from tvarr_backup import conf
from tvarr_backup.backups.folder import prepare_folder
from tvarr_backup.models import EncodingProfile, Filter
from tvarr_backup.portable.kinds import Kind

pytestmark = pytest.mark.django_db

ROOT = "/api/v1"
SCHEDULE = f"{ROOT}/backups/schedule"
BACKUP = {
    *("filename", "file_path", "created_at", "file_size", "checksum", "tvarr_version", "database_size"),
    *("compressed_size", "table_counts", "protected", "imported"),
}


# --- Schedule --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sent", "answered", "is_rounded"),
    [
        ("0 30 3 * * *", "0 30 3 * * *", False),
        ("15 30 3 * * *", "0 30 3 * * *", True),
        ("*/10  30 3 * * MON", "0 30 3 * * MON", True),
        ("30 3 * * *", "0 30 3 * * *", False),
    ],
)
def test_a_cron_is_answered_with_six_fields(
    administrator: APIClient, sent: str, answered: str, is_rounded: bool
) -> None:
    body = administrator.put(SCHEDULE, {"cron": sent}).json()
    assert (body["cron"], bool(body["notes"])) == (answered, is_rounded)
    shown = administrator.get(SCHEDULE).json()
    assert (shown["cron"], shown["notes"], shown["defaults"]["cron"]) == (answered, [], "0 0 2 * * *")
    assert administrator.get(f"{ROOT}/backups").json()["schedule"]["cron"] == answered


def test_the_answer_can_be_sent_back(administrator: APIClient) -> None:
    shown = administrator.get(SCHEDULE).json()
    sent = {name: shown[name] for name in ("enabled", "cron", "retention")}
    body = administrator.put(SCHEDULE, sent).json()
    assert {name: body[name] for name in sent} == sent


@pytest.mark.parametrize(
    "cron", ["60 30 3 * * *", "x 30 3 * * *", "15 30 33 * * *", "0 15 30 3 * * *", "15 30 3 31 2 *"]
)
def test_a_cron_that_tvarr_could_not_run_is_refused(administrator: APIClient, cron: str) -> None:
    response = administrator.put(SCHEDULE, {"cron": cron})
    assert (response.status_code, response.json()["errors"][0]["code"]) == (400, "invalid_cron")
    assert cron in response.json()["detail"]


def test_a_backup_has_tvarrs_members(administrator: APIClient, tmp_path: Path, settings: Any) -> None:
    settings.BACKUP_DIRECTORY = tmp_path / "backups"
    made = make(prepare_folder(conf.backup_path()))
    listed = administrator.get(f"{ROOT}/backups").json()
    assert listed.keys() >= {"backups", "backup_directory", "schedule"}
    assert listed["backups"][0].keys() >= BACKUP
    assert administrator.get(f"{ROOT}/backups/{made.filename}").json().keys() >= BACKUP
    changed = administrator.patch(f"{ROOT}/backups/{made.filename}/protection", {"protected": True}).json()
    assert (changed.keys() >= BACKUP, changed["protected"]) == (True, True)


# --- Imports ---------------------------------------------------------------------------------------------------------


def preview(client: APIClient, kind: Kind, *items: Any) -> Any:
    response: Any = client.post(f"{ROOT}/import/{kind.url_slug}/preview", document(kind, *items))
    return json.loads(response.getvalue())


def run(client: APIClient, kind: Kind, *items: Any, **answers: Any) -> Any:
    response = client.post(f"{ROOT}/import/{kind.url_slug}", {"export": document(kind, *items), **answers})
    assert response.status_code == 200, response.content
    result = response.json()
    shown = ("imported", "skipped", "overwritten", "renamed", "errors")
    assert sum(result[name] for name in shown) == result["total_items"] == len(items)
    return result


TWINS = (filter_item("A", expression='group_title == "1"'), filter_item("A", expression='group_title == "2"'))
PROFILE_TWINS = (profile_item("A"), profile_item("A", quality_preset="high"))


@pytest.mark.parametrize(("kind", "twins"), [(FILTERS, TWINS), (PROFILES, PROFILE_TWINS)])
def test_the_second_of_two_equal_names_is_a_conflict(operator: APIClient, kind: Kind, twins: tuple[Any, Any]) -> None:
    plan = preview(operator, kind, *twins, {**twins[0], "name": "B"})
    assert [item["name"] for item in plan["new_items"]] == ["A", "B"]
    assert plan["conflicts"] == [{"import_name": "A", "existing_id": "", "existing_name": "A", "resolution": "skip"}]
    assert (plan["errors"], plan["can_import"]) == ([], True)


@pytest.mark.parametrize(
    ("answers", "numbers", "names"),
    [
        ({}, (1, 1, 0), ["A"]),
        ({"resolutions": {"A": "skip"}}, (1, 1, 0), ["A"]),
        ({"resolutions": {"A": "overwrite"}}, (1, 1, 0), ["A"]),
        ({"resolutions": {"A": "rename"}}, (1, 0, 1), ["A", "A (1)"]),
        ({"bulk_resolution": "skip"}, (1, 1, 0), ["A"]),
        ({"bulk_resolution": "overwrite"}, (1, 1, 0), ["A"]),
        ({"bulk_resolution": "rename"}, (1, 0, 1), ["A", "A (1)"]),
        ({"resolutions": {"#1": "skip"}}, (0, 2, 0), []),
    ],
)
@pytest.mark.parametrize(("kind", "twins"), [(FILTERS, TWINS), (PROFILES, PROFILE_TWINS)])
def test_equal_names_are_answered(
    operator: APIClient,
    kind: Kind,
    twins: tuple[Any, Any],
    answers: dict[str, Any],
    numbers: tuple[int, int, int],
    names: list[str],
) -> None:
    result = run(operator, kind, *twins, **answers)
    assert (result["imported"], result["skipped"], result["renamed"]) == numbers
    rows = kind.model.objects.filter(is_system=False)
    assert sorted(rows.values_list("name", flat=True)) == names


@pytest.mark.parametrize("answer", ["skip", "overwrite", "rename"])
def test_equal_names_that_a_row_has_too_are_answered(operator: APIClient, answer: str) -> None:
    FilterFactory.create(name="A", expression='group_title == "0"')
    assert [item["import_name"] for item in preview(operator, FILTERS, *TWINS)["conflicts"]] == ["A", "A"]
    result = run(operator, FILTERS, *TWINS, resolutions={"A": answer})
    stored = sorted(Filter.objects.filter(is_system=False).values_list("name", "expression"))
    expected = {
        "skip": [("A", 'group_title == "0"')],
        "overwrite": [("A", 'group_title == "1"')],
        "rename": [("A", 'group_title == "0"'), ("A (1)", 'group_title == "1"'), ("A (2)", 'group_title == "2"')],
    }
    assert stored == expected[answer]
    assert result["skipped"] == {"skip": 2, "overwrite": 1, "rename": 0}[answer]


@pytest.mark.parametrize("answer", ["skip", "overwrite", "rename"])
def test_equal_names_of_profiles_that_a_row_has_too_are_answered(operator: APIClient, answer: str) -> None:
    EncodingProfileFactory.create(name="A", quality_preset="medium")
    run(operator, PROFILES, *PROFILE_TWINS, resolutions={"A": answer})
    count = EncodingProfile.objects.filter(name__startswith="A", is_system=False).count()
    assert count == {"skip": 1, "overwrite": 1, "rename": 3}[answer]


def test_a_file_that_is_imported_again_is_skipped(operator: APIClient) -> None:
    run(operator, FILTERS, *TWINS, filter_item("B"), resolutions={"A": "rename"})
    plan = preview(operator, FILTERS, *TWINS, filter_item("B"))
    assert plan["total_items"] == len(plan["new_items"]) + len(plan["conflicts"]) + len(plan["errors"])
    result = run(operator, FILTERS, filter_item("B"), filter_item("C"))
    assert (result["imported"], result["skipped"], result["unchanged"]) == (1, 1, 1)


def test_the_numbers_of_a_preview_add_up(operator: APIClient) -> None:
    FilterFactory.create(name="B", expression='group_title == "0"')
    with_three_problems = {"action": "include"}
    plan = preview(operator, FILTERS, *TWINS, filter_item("B"), filter_item("C"), with_three_problems)
    assert (len(plan["new_items"]), len(plan["conflicts"]), len(plan["errors"])) == (2, 2, 1)
    assert plan["total_items"] == 5


def test_our_own_path_counts_unchanged_items_apart(operator: APIClient) -> None:
    run(operator, FILTERS, filter_item("B"))
    result = operator.post(f"{ROOT}/filters/import", {"export": document(FILTERS, filter_item("B"))}).json()
    assert (result["skipped"], result["unchanged"]) == (0, 1)
