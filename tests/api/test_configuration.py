"""The history of the configuration, comparisons of its states, and taking items back, with the API."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from django.db import connections
from django.test.utils import CaptureQueriesContext
from rest_framework.test import APIClient

from tests.api.backup_parts import BACKUPS, NO_BACKUP, administrator, client_of, make, problem
from tests.api.conftest import signed_in
from tests.backups.test_configuration import without_it
from tests.factories import ClientDetectionRuleFactory, EncodingProfileFactory, FilterFactory, UserFactory
from tests.operations.test_history import look
from tvarr_backup import conf
from tvarr_backup.backups.folder import prepare_folder
from tvarr_backup.errors import DatabaseMissing
from tvarr_backup.models import Filter
from tvarr_backup.operations import actions
from tvarr_backup.operations.models import HistoryEvent, Operation, OperationKind, Origin
from tvarr_backup.operations.run import run_here
from tvarr_backup.portable.kinds import KINDS, Slug

pytestmark = pytest.mark.django_db

ROOT = "/api/v1/configuration"
HISTORY, DIFF, TAKE = f"{ROOT}/history", f"{ROOT}/diff", f"{ROOT}/take"
NOTHING: dict[str, list[Any]] = {"added": [], "removed": [], "changed": []}


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, settings: Any) -> Path:
    settings.BACKUP_DIRECTORY = tmp_path / "backups"
    return prepare_folder(conf.backup_path())


@pytest.fixture
def client() -> APIClient:
    client = APIClient()
    client.force_login(UserFactory.create(username="keeper"))
    return client


@pytest.fixture
def start() -> str:
    """The time at which a history begins, with three filters."""
    for name in ("Harbour", "Quay", "Pier"):
        FilterFactory.create(name=name, description="old")
    return compare()


def compare() -> str:
    """Record what was changed outside, and return the time of the newest event."""
    look()
    event = HistoryEvent.objects.first()
    assert event is not None
    return event.at.isoformat().replace("+00:00", "Z")


def delete(*names: str) -> None:
    Filter.objects.filter(name__in=names).delete()


def own() -> list[str]:
    return sorted(row.name for row in Filter.objects.filter(is_system=False))


def filter_named(name: str) -> Filter:
    found: Filter = Filter.objects.get(name=name)
    return found


# --- History ---------------------------------------------------------------------------------------------------------


def test_events_are_listed_newest_first_with_their_changes(client: APIClient, start: str) -> None:
    row = filter_named("Quay")
    client.patch(f"/api/v1/filters/{row.pk}", {"description": "new"})
    delete("Pier")
    compare()
    body = client.get(HISTORY).json()
    outside, edit, baseline = body["results"]
    assert (body["count"], outside["origin"], outside["user"], outside["changes"][0]["change"]) == (
        3,
        None,
        None,
        "removed",
    )
    assert {name: value for name, value in edit.items() if name not in {"id", "at"}} == {
        "event": "edit",
        "origin": "api",
        "user": "keeper",
        "subject": None,
        "changes": [
            {
                "kind": "filters",
                "id": row.pk,
                "name": "Quay",
                "source_type": "stream",
                "change": "changed",
                "fields": [{"field": "description", "before": "old", "after": "new"}],
            }
        ],
    }
    assert (baseline["event"], baseline["at"], baseline["changes"]) == ("baseline", start, [])


@pytest.mark.usefixtures("start")
def test_events_come_in_pages(client: APIClient) -> None:
    delete("Pier")
    compare()
    first = client.get(HISTORY, {"page_size": 1}).json()
    second = client.get(first["next"]).json()
    assert [page["results"][0]["event"] for page in (first, second)] == ["edit", "baseline"]
    assert second["next"] is None


@pytest.mark.usefixtures("start")
def test_only_changes_of_some_kinds_are_listed(client: APIClient) -> None:
    EncodingProfileFactory.create(name="Attic")
    FilterFactory.create(name="Mole")
    compare()
    ClientDetectionRuleFactory.create(name="Kitchen", encoding_profile=None)
    compare()

    def listed(query: str) -> list[list[str]]:
        return [
            [change["name"] for change in event["changes"]] for event in client.get(HISTORY + query).json()["results"]
        ]

    assert listed("") == [["Kitchen"], ["Mole", "Attic"], []]
    assert listed("?kind=encoding_profiles") == [["Attic"]]
    assert listed("?kind=encoding_profiles&kind=client_detection_rules") == [["Kitchen"], ["Attic"]]
    assert listed("?kind=data_mapping_rules") == []


@pytest.mark.parametrize("address", [HISTORY + "?", DIFF + "?from=now&"])
@pytest.mark.parametrize("kind", ["proxies", "", "%00"])
def test_an_unknown_kind_is_refused(client: APIClient, address: str, kind: str) -> None:
    answer = client.get(f"{address}kind={kind}")
    assert "encoding_profiles" in problem(answer, 400, "invalid")
    assert answer.json()["errors"][0]["pointer"] == "/kind"


@pytest.mark.usefixtures("start")
def test_more_events_take_no_more_queries(client: APIClient) -> None:
    def count() -> int:
        with CaptureQueriesContext(connections["default"]) as queries:
            assert client.get(HISTORY).status_code == 200
        return len(queries)

    def edit(*descriptions: str) -> None:
        for description in descriptions:
            Filter.objects.filter(is_system=False).update(description=description)
            compare()

    edit("one")
    before = count()
    edit("two", "three", "four")
    assert count() == before


def test_an_event_is_shown(client: APIClient, start: str) -> None:
    delete("Pier")
    compare()
    for listed in client.get(HISTORY).json()["results"]:
        assert client.get(f"{HISTORY}/{listed['id']}").json() == listed


@pytest.mark.parametrize("number", ["0", "4711", "9" * 30])
def test_an_unknown_event_is_not_found(client: APIClient, number: str) -> None:
    problem(client.get(f"{HISTORY}/{number}"), 404, "event_not_found")


def test_an_event_is_named_by_a_number(client: APIClient) -> None:
    for text in ("x", "-1", "1" * 5000):
        problem(client.get(f"{HISTORY}/{text}"), 404, "not_found")


# --- Items -----------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("start")
def test_the_versions_of_an_item_have_its_values(client: APIClient) -> None:
    row = filter_named("Quay")
    client.patch(f"/api/v1/filters/{row.pk}", {"name": "Wharf"})
    delete("Wharf")
    compare()
    body = client.get(f"{ROOT}/items/filters/{row.pk}").json()
    removed, renamed, added = body["results"]
    assert (body["count"], removed["event"], removed["values"]) == (3, "edit", None)
    assert (renamed["origin"], renamed["user"], renamed["values"]["name"]) == ("api", "keeper", "Wharf")
    assert list(added["values"]) == list(KINDS[Slug.FILTERS].by_name)
    assert (added["values"]["name"], added["values"]["description"]) == ("Quay", "old")
    assert client.get(f"{HISTORY}/{renamed['event_id']}").json()["at"] == renamed["at"]


@pytest.mark.usefixtures("start")
def test_a_kind_can_be_written_as_in_addresses(client: APIClient) -> None:
    rule = ClientDetectionRuleFactory.create(name="Kitchen", encoding_profile=None)
    compare()
    for kind in ("client-detection-rules", "client_detection_rules"):
        (version,) = client.get(f"{ROOT}/items/{kind}/{rule.pk}").json()["results"]
        assert version["values"]["name"] == "Kitchen"


@pytest.mark.usefixtures("start")
def test_an_unknown_item_is_not_found(client: APIClient) -> None:
    problem(client.get(f"{ROOT}/items/encoding_profiles/{filter_named('Quay').pk}"), 404, "event_not_found")
    problem(client.get(f"{ROOT}/items/filters/%00"), 404, "event_not_found")
    problem(client.get(f"{ROOT}/items/proxies/1"), 404, "kind_unknown")


# --- Comparisons -----------------------------------------------------------------------------------------------------


def test_two_states_are_compared(client: APIClient, start: str) -> None:
    delete("Pier")
    Filter.objects.filter(name="Quay").update(description="new")
    FilterFactory.create(name="Mole")
    found = {"added": ["Mole"], "removed": ["Pier"], "changed": [{"name": "Quay", "fields": ["description"]}]}
    others = dict.fromkeys(("data_mapping_rules", "client_detection_rules", "encoding_profiles"), NOTHING)
    assert client.get(DIFF, {"from": start}).json() == {"filters": found, **others}
    back = client.get(DIFF, {"from": "now", "to": start}).json()
    assert (back["filters"]["added"], back["filters"]["removed"]) == (["Pier"], ["Mole"])
    assert client.get(DIFF, {"from": start, "kind": "encoding_profiles"}).json() == {"filters": NOTHING, **others}


def test_a_backup_is_compared(client: APIClient, folder: Path) -> None:
    make(folder)
    FilterFactory.create(name="Mole")
    assert client.get(DIFF, {"from": "latest"}).json()["filters"] == NOTHING | {"added": ["Mole"]}


@pytest.mark.usefixtures("start")
def test_rows_that_are_left_out_are_named_in_a_header(client: APIClient) -> None:
    assert "State-Warnings" not in client.get(DIFF, {"from": "now"})
    with connections["tvarr"].cursor() as cursor:
        cursor.execute("UPDATE filters SET is_system = 'perhaps' WHERE name = 'Quay'")
    assert client.get(DIFF, {"from": "now"})["State-Warnings"].count("Quay") == 1


@pytest.mark.parametrize("query", [{}, {"to": "now"}, {"from": ""}, {"from": "now", "to": ""}, {"from": "a\0"}])
def test_a_comparison_needs_two_states(client: APIClient, query: dict[str, str]) -> None:
    answer = client.get(DIFF, query)
    problem(answer, 400, "invalid")
    assert answer.json()["errors"][0]["pointer"] == ("/to" if query.get("from") == "now" else "/from")


@pytest.mark.usefixtures("start")
@pytest.mark.parametrize(
    ("text", "status", "code"),
    [
        ("soon", 404, "state_not_found"),
        ("/etc/hostname", 404, "state_not_found"),
        ("-", 404, "state_not_found"),
        ("2026-99-99", 404, "state_not_found"),
        ("2999-01-01", 404, "state_not_found"),
        ("import:X", 404, "state_not_found"),
        ("2001-01-01", 409, "state_unavailable"),
        (NO_BACKUP, 404, "backup_not_found"),
        ("latest", 404, "backup_not_found"),
    ],
)
def test_what_names_no_state_is_refused(client: APIClient, text: str, status: int, code: str) -> None:
    problem(client.get(DIFF, {"from": text}), status, code)
    problem(client.post(TAKE, {"from": text}), status, code)


def test_an_unusable_database_is_not_an_empty_state(client: APIClient, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> None:
        raise DatabaseMissing("There is no database.")

    monkeypatch.setattr(actions, "require_tvarrs", refuse)
    problem(client.get(DIFF, {"from": "now"}), 503, "database_missing")


# --- Taking ----------------------------------------------------------------------------------------------------------


def take(client: APIClient, moment: str, query: str = "", **body: Any) -> Any:
    return client.post(f"{TAKE}{query}", {"from": moment, **body})


def test_a_preview_shows_the_plan_and_changes_nothing(client: APIClient, start: str) -> None:
    delete("Quay", "Pier")
    plan = take(client, start, "?preview=true", items=["Quay"]).json()
    assert (plan["kind"], plan["counts"]["create"], plan["can_import"]) == ("bundle", 1, True)
    assert own() == ["Harbour"]


def test_items_are_taken_back_and_this_can_be_undone(client: APIClient, start: str) -> None:
    delete("Quay", "Pier")
    done = take(client, start, kinds=["filters"], items=["Quay", "filters/Harbour"]).json()
    part = next(part for part in done["parts"] if part["kind"] == "filters")
    assert (part["imported"], part["unchanged"], own()) == (1, 1, ["Harbour", "Quay"])
    newest = client.get(HISTORY).json()["results"][0]
    assert (newest["event"], newest["subject"], newest["user"]) == ("import", done["import_id"], "keeper")
    client.post(f"/api/v1/imports/{done['import_id']}/undo", {})
    assert own() == ["Harbour"]


def test_the_import_is_listed_with_the_state(client: APIClient, start: str) -> None:
    delete("Quay")
    key = take(client, start).json()["import_id"]
    assert client.get(f"/api/v1/imports/{key}").json()["file_name"] == start


def test_changed_items_are_overwritten_unless_another_answer_is_given(client: APIClient, start: str) -> None:
    Filter.objects.filter(is_system=False).update(description="new")
    take(client, start, resolutions={"Pier": "skip"}, items=["Quay", "Pier"])
    assert [filter_named(name).description for name in ("Harbour", "Quay", "Pier")] == ["new", "old", "new"]
    take(client, start, bulk_resolution="skip")
    assert filter_named("Harbour").description == "new"
    take(client, start, bulk_resolution=None)
    assert filter_named("Harbour").description == "old"


def test_an_import_is_a_state(client: APIClient, start: str) -> None:
    delete("Quay")
    compare()
    key = take(client, start).json()["import_id"]
    delete("Pier")
    found = client.get(DIFF, {"from": f"import:{key}"}).json()["filters"]
    assert found == NOTHING | {"removed": ["Pier"]}


def test_a_stale_plan_comes_back_with_the_new_one(client: APIClient, start: str) -> None:
    delete("Quay")
    shown = take(client, start, "?preview=true").json()
    Filter.objects.filter(name="Harbour").update(description="new")
    answer = take(client, start, fingerprint=shown["fingerprint"])
    problem(answer, 409, "plan_stale")
    assert answer.json()["plan"]["counts"]["overwrite"] == 1
    assert take(client, start, fingerprint=answer.json()["plan"]["fingerprint"]).status_code == 200


def test_an_item_that_cannot_be_stored_comes_back_with_the_plan(client: APIClient, start: str) -> None:
    delete("Quay")
    answer = take(client, start, new_names={"Quay": "Pier"})
    problem(answer, 422, "import_blocked")
    items = next(part["items"] for part in answer.json()["plan"]["parts"] if part["kind"] == "filters")
    assert [(item["name"], item["problems"][0]["code"]) for item in items if item["problems"]] == [
        ("Quay", "name_taken")
    ]
    assert own() == ["Harbour", "Pier"]


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"items": ["Nobody"]}, 404, "item_not_found"),
        ({"kinds": ["encoding_profiles"]}, 400, "selection_empty"),
        ({"kinds": ["proxies"]}, 400, "invalid"),
        ({"bulk_resolution": "merge"}, 400, "answer_invalid"),
        ({"resolutions": {"Nobody": "skip"}}, 400, "answer_invalid"),
        ({"export": {}}, 400, "invalid"),
        ({"from": None}, 400, "invalid"),
    ],
)
def test_what_cannot_be_taken_is_refused(client: APIClient, start: str, body: Any, status: int, code: str) -> None:
    delete("Quay")
    problem(take(client, start, **body), status, code)
    assert own() == ["Harbour", "Pier"]


def test_taking_requires_the_right_to_import(start: str) -> None:
    delete("Quay")
    viewer = signed_in({"access.export_configuration"})
    assert viewer.get(HISTORY).status_code == 200
    for query in ("", "?preview=true"):
        problem(take(viewer, start, query), 403, "permission_denied")
    assert own() == ["Harbour", "Pier"]


# --- Reading backups -------------------------------------------------------------------------------------------------


def test_a_backup_of_an_earlier_version_is_read_first(client: APIClient, folder: Path) -> None:
    name = make(folder).filename
    without_it(folder, name)
    problem(client.get(DIFF, {"from": name}), 409, "state_unread")
    answer = client.post(f"{BACKUPS}/latest/read")
    operation = Operation.objects.get()
    assert (answer.status_code, answer.json()["operation"]["kind"]) == (202, "read")
    assert answer["Location"].endswith(operation.pk)
    assert operation.arguments == {"filename": name}
    operation.delete()
    run_here(OperationKind.READ, origin=Origin.API, arguments=operation.arguments)
    assert client.get(DIFF, {"from": name}).json()["filters"] == NOTHING


def test_a_missing_backup_is_not_read(client: APIClient) -> None:
    problem(client.post(f"{BACKUPS}/{NO_BACKUP}/read"), 404, "backup_not_found")
    problem(client.post(f"{BACKUPS}/{NO_BACKUP}/read", {"note": "x"}), 400, "invalid")


def test_a_backup_is_read_with_the_right_to_verify(folder: Path) -> None:
    make(folder)
    problem(signed_in({"access.export_configuration"}).post(f"{BACKUPS}/latest/read"), 403, "permission_denied")
    assert client_of("verify_backup").post(f"{BACKUPS}/latest/read").status_code == 202
    assert administrator().post(f"{BACKUPS}/latest/read").json()["code"] == "operation_running"
