"""Export and import: time compared with plain bulk writing, memory, and queries of a plan."""

import gc
import io
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.measure import ROOT, peak_bytes

RUNS = 3


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="tvarr-backup-bench-") as folder:
        os.environ |= {"TVARR_STORAGE_BASE_DIR": folder, "DJANGO_SETTINGS_MODULE": "config.settings"}
        import django  # noqa: PLC0415  # needs the variables

        django.setup()
        from django.core.management import call_command  # noqa: PLC0415

        call_command("prepare", stdout=io.StringIO())
        bench_import()
        bench_undo()
        bench_queries()
        bench_export_memory()


def bench_import() -> None:
    """Measure planning and applying 10,000 new filters, compared with parsing and `bulk_create`."""
    from tvarr_backup.expressions import parse, rewrite  # noqa: PLC0415
    from tvarr_backup.models import Filter  # noqa: PLC0415
    from tvarr_backup.portable.apply import apply_import  # noqa: PLC0415
    from tvarr_backup.portable.plan import plan_import  # noqa: PLC0415
    from tvarr_backup.validation import check_long, check_short  # noqa: PLC0415

    items = _filters(10_000)
    envelope = _envelope(items)

    def floor() -> None:
        for item in items:
            parse(rewrite(item["expression"]))
        Filter.objects.bulk_create(Filter(**item) for item in items)

    def ours() -> None:
        plan_import(envelope)
        apply_import(envelope)

    def clean() -> None:
        Filter.all_rows.filter(is_system=False).delete()
        check_short.cache_clear()
        check_long.cache_clear()

    floor_seconds, our_seconds = _best(floor, clean), _best(ours, clean)
    ratio = our_seconds / floor_seconds
    print(f"plan + apply, 10,000 new filters: floor {floor_seconds:.2f} s, ours {our_seconds:.2f} s, "
          f"ratio {ratio:.2f} (goal: at most 4)")  # fmt: skip


def bench_undo() -> None:
    """Measure undoing an import of 10,000 filters, new or overwritten, compared with that import."""
    from tvarr_backup.models import Filter  # noqa: PLC0415
    from tvarr_backup.portable.answers import read_answers  # noqa: PLC0415
    from tvarr_backup.portable.apply import apply_import  # noqa: PLC0415
    from tvarr_backup.portable.undo import ChangeLog, apply_undo  # noqa: PLC0415

    items = _filters(10_000)
    new, changed = _envelope(items), _envelope([item | {"action": "exclude"} for item in items])
    for name, envelope in (("new", new), ("overwritten", changed)):
        times = []
        for _ in range(RUNS):
            Filter.all_rows.filter(is_system=False).delete()
            if name == "overwritten":
                apply_import(new)
            gc.collect()
            started = time.perf_counter()
            log = apply_import(envelope, read_answers({}, "overwrite")).log.pack()
            applied = time.perf_counter()
            apply_undo(ChangeLog.unpack(log))
            times.append((applied - started, time.perf_counter() - applied, len(log)))
        imported, undone = (min(each) for each in list(zip(*times, strict=True))[:2])
        print(f"undo of 10,000 {name} filters: import {imported:.2f} s, undo {undone:.2f} s, ratio {undone / imported:.2f} "
              f"(goal: at most 2); {times[0][2] / 2**20:.1f} MiB stored")  # fmt: skip
    Filter.all_rows.filter(is_system=False).delete()


def bench_queries() -> None:
    from django.db import connections  # noqa: PLC0415
    from django.test.utils import CaptureQueriesContext  # noqa: PLC0415

    from tvarr_backup.portable.plan import plan_import  # noqa: PLC0415

    counts = []
    for number in (10, 10_000):
        envelope = _envelope(_filters(number))
        with (
            CaptureQueriesContext(connections["tvarr"]) as tvarr,
            CaptureQueriesContext(connections["default"]) as ours,
        ):
            plan_import(envelope)
        counts.append(len(tvarr) + len(ours))
    print(f"queries of a plan: {counts[0]} for 10 items, {counts[1]} for 10,000 (goal: the same)")


def bench_export_memory() -> None:
    from tvarr_backup.models import Filter  # noqa: PLC0415

    peaks = []
    for number in (1_000, 100_000):
        Filter.all_rows.filter(is_system=False).delete()
        Filter.objects.bulk_create((Filter(**item) for item in _filters(number)), batch_size=5_000)
        started = time.perf_counter()
        peak, size = _export_peak()
        print(f"export of {number:,} filters: {time.perf_counter() - started:.1f} s with start of the process, "
              f"{size / 2**20:.1f} MiB written, peak {peak / 2**20:.1f} MiB")  # fmt: skip
        peaks.append(peak)
    print(f"growth of the peak: {(peaks[1] - peaks[0]) / 2**20:.1f} MiB (goal: at most 30)")


def _export_peak() -> tuple[int, int]:
    with tempfile.NamedTemporaryFile() as output:
        path = Path(output.name)
        export = [sys.executable, str(ROOT / "manage.py"), "portable", "export", "filters", "--all"]
        return peak_bytes(export, output=path), path.stat().st_size


def _filters(count: int) -> list[dict[str, Any]]:
    return [
        {
            "name": f"Filter {number}",
            "description": f"Keeps what belongs to group {number}",
            "expression": f'group_title == "Group {number}" AND (channel_name contains "HD" OR tvg_id starts_with "x{number}")',
            "source_type": "stream",
            "action": "include",
        }
        for number in range(count)
    ]  # fmt: skip


def _envelope(items: list[dict[str, Any]]) -> Any:
    from tvarr_backup.portable.envelope import read_envelope  # noqa: PLC0415
    from tvarr_backup.portable.kinds import KINDS, Slug  # noqa: PLC0415

    metadata = {
        "version": "1.0.0",
        "export_type": "filters",
        "tvarr_version": "",
        "exported_at": "",
        "item_count": len(items),
    }
    text = json.dumps({"metadata": metadata, "items": items}).encode()
    return read_envelope(io.BytesIO(text), KINDS[Slug.FILTERS])


def _best(work: Callable[[], object], clean: Callable[[], object]) -> float:
    seconds = []
    for _ in range(RUNS):
        clean()
        gc.collect()
        started = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - started)
    clean()
    return min(seconds)


if __name__ == "__main__":
    main()
