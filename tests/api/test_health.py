"""`/healthz`, `/readyz` and `/metrics`: permissions, requests and answers."""

from __future__ import annotations

import base64
import os
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connections
from django.test import Client
from django_q.models import Schedule
from prometheus_client.parser import text_string_to_metric_families
from rest_framework.test import APIClient

from tests.api.backup_parts import client_of, make, problem
from tests.api.conftest import signed_in
from tests.factories import UserFactory
from tests.operations.app_databases import change
from tests.operations.elsewhere import queued
from tvarr_backup.access.groups import VIEWER
from tvarr_backup.access.tokens import create_token
from tvarr_backup.backups.sidecar import BackupKind, Checked, CheckLevel, encode_sidecar
from tvarr_backup.operations.health import Subject
from tvarr_backup.operations.heartbeat import Heartbeat
from tvarr_backup.operations.models import Operation, OperationKind, OperationState, Origin
from tvarr_backup.operations.run import run_here

pytestmark = pytest.mark.django_db

GUARDED = ("/readyz", "/metrics")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, settings: Any) -> Iterator[Path]:
    """A backup folder, and a running worker."""
    settings.STORAGE_BASE_DIR, settings.BACKUP_DIRECTORY = tmp_path, tmp_path / "backups"
    settings.BACKUP_DIRECTORY.mkdir()
    with Heartbeat():
        yield settings.BACKUP_DIRECTORY


def scraped(client: APIClient) -> dict[str, float]:
    """Return every sample of `/metrics` by name and labels, as Prometheus reads them."""
    response: Any = client.get("/metrics")
    assert response.status_code == 200, response.content
    families = text_string_to_metric_families(response.content.decode())
    return {
        sample.name.removeprefix("tvarr_backup_")
        + "".join(f" {value}" for value in sample.labels.values()): sample.value
        for family in families
        for sample in family.samples
    }


# --- Alive -----------------------------------------------------------------------------------------------------------


def test_healthz_needs_no_user() -> None:
    response = Client().get("/healthz")
    assert (response.status_code, response.json()) == (200, {"status": "alive"})


def test_healthz_reads_no_database_and_no_session(django_assert_num_queries: Any) -> None:
    client = Client()
    client.force_login(UserFactory.create())
    with django_assert_num_queries(0), django_assert_num_queries(0, using="tvarr"):
        response = client.get("/healthz", headers={"Authorization": "Bearer nonsense"})
    assert (response.status_code, response.cookies) == (200, {})


# --- Permissions -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("address", GUARDED)
def test_it_requires_a_user(address: str) -> None:
    response = APIClient().get(address)
    problem(response, 401, "not_authenticated")
    assert response["WWW-Authenticate"] == 'Bearer realm="tvarr-backup"'


@pytest.mark.parametrize("address", GUARDED)
@pytest.mark.parametrize("permissions", [(), ("view_backup",), ("view_operation",)])
def test_it_requires_the_permissions_to_view_backups_and_operations(address: str, permissions: tuple[str, ...]) -> None:
    problem(client_of(*permissions).get(address), 403, "permission_denied")


@pytest.mark.parametrize("address", GUARDED)
def test_viewers_have_these_permissions(address: str) -> None:
    assert signed_in(VIEWER).get(address).status_code == 200


@pytest.mark.parametrize("address", GUARDED)
@pytest.mark.parametrize("how", ["bearer", "key", "basic"])
def test_all_credentials_of_the_api_are_accepted(address: str, how: str) -> None:
    user: User = UserFactory.create()
    _, token = create_token(user.username, "Prometheus", None)
    basic = base64.b64encode(f"{user.username}:correct horse".encode()).decode()
    headers = {
        "bearer": {"Authorization": f"Bearer {token}"},
        "key": {"X-Api-Key": token},
        "basic": {"Authorization": f"Basic {basic}"},
    }
    assert APIClient().get(address, headers=headers[how]).status_code == 200
    wrong = {name: value[:-1] + ("0" if value[-1] != "0" else "1") for name, value in headers[how].items()}
    assert APIClient().get(address, headers=wrong).status_code == 401


# --- Requests --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("address", ["/healthz", *GUARDED])
class TestEveryAddress:
    def test_a_slash_at_the_end_is_ignored(self, address: str, viewer: APIClient) -> None:
        assert viewer.get(f"{address}/").status_code == 200

    def test_head_is_get_without_the_body(self, address: str, viewer: APIClient) -> None:
        response = viewer.head(address)
        assert (response.status_code, response.content) == (200, b"")

    def test_answers_are_not_cached(self, address: str, viewer: APIClient) -> None:
        for client in (viewer, APIClient()):
            assert client.get(address)["Cache-Control"] == "no-store"

    @pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "TRACE"])
    def test_other_methods_are_refused(self, address: str, method: str, viewer: APIClient) -> None:
        response = viewer.generic(method, address)
        problem(response, 405, "method_not_allowed")
        assert response["Allow"] == "GET, HEAD, OPTIONS"

    def test_parameters_are_refused(self, address: str, viewer: APIClient) -> None:
        sentence = problem(viewer.get(f"{address}?verbose=1"), 400, "invalid")
        assert sentence.endswith(" This call accepts no parameters.")

    def test_another_media_type_is_refused(self, address: str, viewer: APIClient) -> None:
        problem(viewer.get(address, headers={"Accept": "image/png"}), 406, "not_acceptable")

    def test_unknown_hosts_are_refused(self, address: str, viewer: APIClient, settings: Any) -> None:
        settings.ALLOWED_HOSTS = ["backup.example", "127.0.0.1"]
        for host, status in {"127.0.0.1:8080": 200, "backup.example": 200, "evil.example": 400}.items():
            assert viewer.get(address, headers={"Host": host}).status_code == status


# --- Ready -----------------------------------------------------------------------------------------------------------


def test_readyz_lists_every_check(viewer: APIClient, folder: Path) -> None:
    backup = make(folder)
    response = viewer.get("/readyz")
    body = response.json()
    assert (response.status_code, body["state"]) == (200, "ok")
    assert [(check["name"], check["state"]) for check in body["checks"]] == [(one, "ok") for one in Subject]
    assert body["last_good_backup"]["filename"] == backup.filename


def test_a_warning_is_answered_with_200(viewer: APIClient, folder: Path) -> None:
    (folder / make(folder).name.sidecar).unlink()
    response = viewer.get("/readyz")
    assert (response.status_code, response.json()["state"]) == (200, "warning")


def test_a_failing_check_is_answered_with_503(viewer: APIClient, tmp_path: Path) -> None:
    (tmp_path / "worker").write_text("")
    response = viewer.get("/readyz")
    assert (response.status_code, response.json()["state"]) == (503, "sick")
    assert response["Content-Type"] == "application/json"


def test_readyz_shows_no_paths(viewer: APIClient, folder: Path, tmp_path: Path) -> None:
    folder.rmdir()
    response = viewer.get("/readyz")
    checks = {check["name"]: check["message"] for check in response.json()["checks"]}
    assert checks["backup_folder"] == "The first backup will create the folder backups."
    assert str(tmp_path) not in response.content.decode()


def test_readyz_shows_no_path_of_a_folder_that_cannot_be_created(
    viewer: APIClient, tmp_path: Path, settings: Any
) -> None:
    settings.BACKUP_DIRECTORY = tmp_path / "nowhere" / "backups"
    response = viewer.get("/readyz")
    assert response.status_code == 503
    assert "The backup folder backups cannot be created because " in response.content.decode()
    assert str(tmp_path) not in response.content.decode()


# --- Without our own database ----------------------------------------------------------------------------------------


@pytest.mark.sqlite
@pytest.mark.parametrize("address", GUARDED)
@pytest.mark.parametrize("credentials", [{}, {"Authorization": "Bearer " + "0" * 64}, {"Authorization": "Basic eDp5"}])
@pytest.mark.parametrize("content", [None, b"", b"no database " * 99])
def test_without_our_own_database_it_is_not_ready(
    address: str, credentials: dict[str, str], content: bytes | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if content is not None:
        (tmp_path / "app.db").write_bytes(content)
    monkeypatch.setitem(connections["default"].settings_dict, "NAME", str(tmp_path / "app.db"))
    sentence = problem_of_database(APIClient().get(address, headers=credentials))
    assert sentence.startswith("Not ready: this program's own database cannot be used, ")
    assert "Run `manage.py status`" in sentence
    assert (tmp_path / "app.db").exists() is (content is not None)


def problem_of_database(response: Any) -> str:
    code = response.json()["code"]
    assert code in {"database_missing", "database_not_prepared", "database_foreign", "database_unusable"}
    return problem(response, 503, code)


def test_without_our_own_database_healthz_answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(connections["default"].settings_dict, "NAME", str(tmp_path / "app.db"))
    assert Client().get("/healthz").status_code == 200


@pytest.mark.sqlite
def test_a_database_whose_tables_for_tokens_are_missing_is_not_ready(viewer: APIClient) -> None:
    with connections["default"].cursor() as cursor:
        cursor.execute("ALTER TABLE access_apitoken RENAME TO gone")
    problem(APIClient().get("/readyz", headers={"X-Api-Key": "0" * 64}), 503, "database_unusable")


# --- Metrics ---------------------------------------------------------------------------------------------------------


def test_metrics_have_prometheus_text_format(viewer: APIClient) -> None:
    response: Any = viewer.get("/metrics")
    assert response["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    families = list(text_string_to_metric_families(response.content.decode()))
    assert all(family.name.startswith("tvarr_backup_") and family.documentation for family in families)


def test_prometheus_own_accept_header_is_accepted(viewer: APIClient) -> None:
    accept = (
        "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,application/openmetrics-text;version=0.0.1;"
        "q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
    )
    assert viewer.get("/metrics", headers={"Accept": accept}).status_code == 200


def test_every_check_has_its_state(viewer: APIClient, tmp_path: Path) -> None:
    (tmp_path / "worker").write_text("")
    samples = scraped(viewer)
    assert {name: value for name, value in samples.items() if name.startswith("check_state worker")} == {
        "check_state worker ok": 0,
        "check_state worker warning": 0,
        "check_state worker sick": 1,
    }
    assert sum(value for name, value in samples.items() if name.startswith("check_state ")) == len(Subject)
    assert samples["worker_alive"] == 0


def test_number_and_size_of_backups_are_counted_by_kind(viewer: APIClient, folder: Path) -> None:
    sizes = [make(folder, kind=BackupKind.SCHEDULED).sidecar.compressed_size for _ in range(2)]
    damaged = make(folder)
    checked = Checked(CheckLevel.FULL, datetime.now(UTC), ("It is damaged.",))
    (folder / damaged.name.sidecar).write_bytes(encode_sidecar(damaged.sidecar.with_changes(checked=checked)))
    samples = scraped(viewer)
    assert (samples["backups scheduled"], samples["backups_bytes scheduled"]) == (2, sum(sizes))
    assert (samples["backups manual"], samples["backups tvarr"], samples["damaged_backups"]) == (1, 0, 1)
    assert samples["broken_backups"] == 0


def test_the_last_good_backup_and_the_next_run_are_timestamps(viewer: APIClient, folder: Path) -> None:
    backup = make(folder)
    samples = scraped(viewer)
    assert samples["last_good_backup_timestamp_seconds"] == backup.sidecar.created_at.timestamp()
    assert samples["last_good_backup_max_age_seconds"] == 2 * 86400
    assert samples["next_run_timestamp_seconds"] % 86400 == 2 * 3600
    assert samples["overdue"] == 0


def test_an_unknown_value_has_no_sample(viewer: APIClient, settings: Any) -> None:
    settings.BACKUP_SCHEDULE_ENABLED = False
    samples = scraped(viewer)
    for name in ("last_good_backup_timestamp", "last_good_backup_max_age", "next_run_timestamp"):
        assert f"{name}_seconds" not in samples


def test_an_overdue_backup_has_a_sample(viewer: APIClient) -> None:
    due = datetime.now(UTC) - timedelta(hours=1)
    Schedule.objects.create(name="scheduled-backup", next_run=due)
    samples = scraped(viewer)
    assert samples["overdue"] == 1
    assert samples["next_run_timestamp_seconds"] == pytest.approx(due.timestamp())


def test_operations_are_counted_by_kind_and_state(viewer: APIClient) -> None:
    run_here(OperationKind.BACKUP, origin=Origin.COMMAND)
    Operation.objects.filter(pk=queued(OperationKind.RESTORE).pk).update(
        created_at=datetime.now(UTC) - timedelta(seconds=90)
    )
    samples = scraped(viewer)
    assert samples["operations backup succeeded"] == 1
    assert samples["operations restore queued"] == 1
    assert sum(name.startswith("operations ") for name in samples) == len(OperationKind) * len(OperationState)
    assert samples["queued_operations"] == 1
    assert 90 <= samples["queued_operations_oldest_age_seconds"] < 100


def test_the_last_operation_of_a_kind_has_time_duration_and_size(viewer: APIClient, folder: Path) -> None:
    run_here(OperationKind.BACKUP, origin=Origin.COMMAND)
    last = run_here(OperationKind.BACKUP, origin=Origin.COMMAND)
    run_here(OperationKind.VERIFY, origin=Origin.COMMAND)
    run_here(OperationKind.PRUNE, origin=Origin.COMMAND)
    assert last.finished_at is not None
    assert last.started_at is not None
    assert last.result is not None
    samples = scraped(viewer)
    assert samples["last_operation_timestamp_seconds backup"] == pytest.approx(last.finished_at.timestamp())
    duration = (last.finished_at - last.started_at).total_seconds()
    assert samples["last_operation_duration_seconds backup"] == pytest.approx(duration)
    assert samples["last_operation_bytes backup"] == last.result["backup"]["file_size"]
    assert samples["last_operation_bytes verify"] == sum(path.stat().st_size for path in folder.glob("*.gz"))
    assert "last_operation_bytes prune" not in samples


def test_free_space_and_build_have_samples(viewer: APIClient) -> None:
    samples = scraped(viewer)
    assert min(samples["free_bytes backup_folder"], samples["free_bytes tvarr_database"]) > 0
    assert [value for name, value in samples.items() if name.startswith("build_info ")] == [1]


@pytest.mark.sqlite
@pytest.mark.parametrize("address", GUARDED)
def test_before_a_pending_migration_it_is_not_ready(address: str, viewer: APIClient, app_database: Path) -> None:
    change(app_database, "DELETE FROM django_migrations WHERE name = '0003_origin_api'")
    problem(viewer.get(address), 503, "database_not_prepared")


# --- Speed -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def busy(folder: Path, viewer: APIClient) -> APIClient:
    """A viewer, with 500 backups and 500 operations."""
    backup = make(folder)
    for number in range(500):
        name = f"tvarr-backup-2026-01-01T{number // 60:02}-{number % 60:02}-00"
        os.link(folder / backup.filename, folder / f"{name}.db.gz")
        (folder / f"{name}.meta.json").write_bytes(encode_sidecar(backup.sidecar.with_changes(seq=number + 2)))
    Operation.objects.bulk_create(
        Operation(
            kind=OperationKind.BACKUP,
            state=OperationState.SUCCEEDED,
            origin=Origin.SCHEDULE,
            database="/live.db",
            created_at=datetime.now(UTC),
            result={"backup": {"file_size": 4711}},
        )
        for _ in range(500)
    )
    return viewer


# Four for the user and permissions, six for the schedule, one each for the backup disk, locations and rehearsals, two for alerts; two more
# for the metrics.
@pytest.mark.sqlite
@pytest.mark.parametrize(("address", "queries"), [("/readyz", 15), ("/metrics", 17)])
def test_the_number_of_queries_is_fixed(
    address: str, queries: int, busy: APIClient, django_assert_num_queries: Any
) -> None:
    with django_assert_num_queries(queries), django_assert_num_queries(0, using="tvarr"):
        assert busy.get(address).status_code == 200


@pytest.mark.parametrize("address", GUARDED)
def test_many_backups_are_quick(address: str, busy: APIClient) -> None:
    busy.get(address)
    began = time.process_time()
    busy.get(address)
    taken = time.process_time() - began
    print(f"{address}: {taken:.3f} s")  # noqa: T201  # shown with `-s`
    assert taken < 0.5
