"""History and comparison of the configuration: time of a comparison, of a restore preview, of reading a backup, and size of a year."""

import io
import json
import os
import random
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

RUNS = 5
ITEMS_OF_A_KIND = 250
ITEMS_OF_A_KIND_IN_THE_YEAR = 300
CHANGES_A_DAY = 10
LARGE_MEBIBYTES = int(os.environ.get("BENCH_HISTORY_MIB", "300"))


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="tvarr-backup-bench-") as folder:
        os.environ |= {"TVARR_STORAGE_BASE_DIR": folder, "DJANGO_SETTINGS_MODULE": "config.settings"}
        import django  # noqa: PLC0415  # needs the variables

        django.setup()
        from django.core.management import call_command  # noqa: PLC0415

        call_command("prepare", stdout=io.StringIO())
        _fill(ITEMS_OF_A_KIND)
        bench_comparison_of_the_worker()
        bench_backup(0)
        bench_backup(LARGE_MEBIBYTES)
        bench_year()


def bench_comparison_of_the_worker() -> None:
    """Measure the worker's comparison of 1,000 items, compared with reading them."""
    from django.db import connections  # noqa: PLC0415

    from tvarr_backup.models import Filter  # noqa: PLC0415
    from tvarr_backup.portable.kinds import KINDS  # noqa: PLC0415

    _compare()

    def floor() -> None:
        with connections["tvarr"].cursor() as cursor:
            for kind in KINDS.values():
                cursor.execute(f"SELECT * FROM {kind.model._meta.db_table} WHERE deleted_at IS NULL")  # ours
                cursor.fetchall()

    row = Filter.objects.filter(is_system=False).first()
    assert row is not None
    moments = iter(range(1_000_000))

    def change() -> None:
        Filter.objects.filter(pk=row.pk).update(description=f"changed {next(moments)}")

    floor_seconds = _best(floor)
    time.sleep(3)  # the times of files that were just written do not count
    _compare(forget=False)
    idle = _best(lambda: _compare(forget=False))
    unchanged, changed = _best(_compare), _best(_compare, change)
    print(f"worker's comparison, 1,000 items: floor {1000 * floor_seconds:.1f} ms, files unchanged {1000 * idle:.1f} ms, items unchanged {1000 * unchanged:.1f} ms, ratio "
          f"{unchanged / floor_seconds:.1f} (goal: under 20 ms), one change {1000 * changed:.1f} ms (goal: under 100 ms)")  # fmt: skip


def bench_backup(mebibytes: int) -> None:
    """Measure comparing a backup of this size, the restore page, and reading a backup without a stored configuration."""
    from django.contrib.auth.models import User  # noqa: PLC0415
    from django.test import Client  # noqa: PLC0415
    from django.urls import reverse  # noqa: PLC0415

    from tvarr_backup import conf  # noqa: PLC0415
    from tvarr_backup.backups.archive import unpack  # noqa: PLC0415
    from tvarr_backup.backups.catalogue import find_backup  # noqa: PLC0415
    from tvarr_backup.models import Filter  # noqa: PLC0415
    from tvarr_backup.operations.models import OperationKind, Origin  # noqa: PLC0415
    from tvarr_backup.operations.run import run_here  # noqa: PLC0415
    from tvarr_backup.operations.states import NOW, find_state  # noqa: PLC0415
    from tvarr_backup.portable.states import compare_states  # noqa: PLC0415

    if mebibytes:
        _add_ballast(mebibytes)
    made = run_here(OperationKind.BACKUP, origin=Origin.COMMAND).result
    assert made is not None
    name = made["backup"]["filename"]
    Filter.objects.filter(is_system=False).update(action="exclude")
    client = Client(headers={"host": "127.0.0.1"})
    client.force_login(User.objects.get(username="admin"))
    size = find_backup(conf.backup_folder(), name).sidecar.database_size / 2**20
    compare = _best(lambda: compare_states(find_state(NOW).state, find_state(name).state))
    page = _best(lambda: client.get(reverse("restore", args=[name])))
    print(
        f"backup of {size:.0f} MiB, 1,000 items: compare {1000 * compare:.0f} ms, restore page {1000 * page:.0f} ms (goal: under 300 ms)"
    )

    path = conf.backup_folder() / name

    def floor() -> None:
        target = conf.backup_folder() / ".work" / "floor.db"
        with path.open("rb") as archive, target.open("wb") as file:
            unpack(archive, file.write, limit_bytes=2**40)
            os.fsync(file.fileno())
        target.unlink()

    sidecar = path.with_name(name.replace(".db.gz", ".meta.json"))

    def forget() -> None:
        members = json.loads(sidecar.read_text())
        members.pop("configuration", None)
        sidecar.write_text(json.dumps(members))

    floor_seconds = _best(floor, runs=3)
    ours = _best(
        lambda: run_here(OperationKind.READ, origin=Origin.COMMAND, arguments={"filename": name}), forget, runs=3
    )
    print(f"reading it without a stored configuration: floor (unpack, sync) {floor_seconds:.2f} s, ours {ours:.2f} s, ratio "
          f"{ours / floor_seconds:.2f} (goal: 1.1 for large ones)")  # fmt: skip


def bench_year() -> None:
    """Measure the size of the history of a year with ten changes a day, as SQLite stores it."""
    from django.db import connections  # noqa: PLC0415

    from tvarr_backup.models import Filter  # noqa: PLC0415
    from tvarr_backup.operations.history import OUTSIDE, record_changes, used_bytes  # noqa: PLC0415
    from tvarr_backup.operations.models import HistoryEvent, HistoryProgress, ItemContent, ItemVersion  # noqa: PLC0415
    from tvarr_backup.portable.kinds import KINDS  # noqa: PLC0415

    for table in (ItemVersion, ItemContent, HistoryEvent, HistoryProgress):
        table.objects.all().delete()
    for kind in KINDS.values():
        kind.model.all_rows.filter(is_system=False).delete()
    _fill(ITEMS_OF_A_KIND_IN_THE_YEAR)
    with connections["default"].cursor() as cursor:
        cursor.execute("VACUUM")
        before = _pages(cursor)
        record_changes(OUTSIDE)
        rows = [
            (kind.model, pk)
            for kind in KINDS.values()
            for pk in kind.model.objects.filter(is_system=False).values_list("pk", flat=True)
        ]
        choose = random.Random(7)
        for number in range(365 * CHANGES_A_DAY):
            model, pk = choose.choice(rows)
            model.objects.filter(pk=pk).update(description=f"version {number} of a description that someone writes")
            record_changes(OUTSIDE, {kind_slug(model): [pk]})
        after = _pages(cursor)
    print(f"history of a year, {CHANGES_A_DAY} changes a day, {ITEMS_OF_A_KIND_IN_THE_YEAR} items of each kind: {(after - before) / 1e6:.1f} MB "
          f"in the file, {used_bytes() / 1e6:.1f} MB shown (goal: at most 5 MB)")  # fmt: skip
    assert Filter.objects.exists()


def kind_slug(model: Any) -> Any:
    from tvarr_backup.portable.kinds import kind_of_model  # noqa: PLC0415

    return kind_of_model(model).slug


def _pages(cursor: Any) -> int:
    cursor.execute("SELECT page_count * page_size FROM pragma_page_count, pragma_page_size")
    return int(cursor.fetchone()[0])


def _compare(*, forget: bool = True) -> None:
    """Compare as another worker does, which has not seen the files (`forget`), or as the same one."""
    from tvarr_backup.operations import history  # noqa: PLC0415
    from tvarr_backup.operations.history import compare_now  # noqa: PLC0415
    from tvarr_backup.operations.models import HistoryProgress  # noqa: PLC0415

    if forget:
        history.compared.files = ()
    HistoryProgress.objects.update(compared_at=datetime.now(UTC) - timedelta(minutes=1))
    compare_now()


def _fill(number: int) -> None:
    from tvarr_backup.models import ClientDetectionRule, DataMappingRule, EncodingProfile, Filter  # noqa: PLC0415

    for model, values in (
        (Filter, {"expression": 'channel_name contains "Harbour News" AND group_title not_contains "Test"'}),
        (DataMappingRule, {"expression": 'channel_name contains "Harbour" SET group_title = "Coast"'}),
        (ClientDetectionRule, {"expression": '@header_req:User-Agent contains "Tablet"'}),
        (EncodingProfile, {"target_video_codec": "h265"}),
    ):
        manager: Any = model.objects
        manager.bulk_create(
            model(name=f"Item {each}", description="Keeps what the harbour town likes.", **values)
            for each in range(number)
        )


def _add_ballast(mebibytes: int) -> None:
    from django.db import connections  # noqa: PLC0415

    with connections["tvarr"].cursor() as cursor:
        cursor.execute("CREATE TABLE ballast (id TEXT PRIMARY KEY, data TEXT)")
        for _ in range(mebibytes):
            cursor.execute(
                "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1024) "
                "INSERT INTO ballast SELECT hex(randomblob(16)), hex(randomblob(64)) || printf('%800s', i) FROM n"
            )


def _best(run: Callable[[], object], before: Callable[[], object] = lambda: None, *, runs: int = RUNS) -> float:
    best = float("inf")
    for _ in range(runs):
        before()
        began = time.perf_counter()
        run()
        best = min(best, time.perf_counter() - began)
    return best


if __name__ == "__main__":
    main()
