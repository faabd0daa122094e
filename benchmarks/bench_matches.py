"""Counting of matches, compared with only reading the needed columns of the same channels."""

import os
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from benchmarks.measure import ROOT, peak_bytes, run

CHANNELS = int(os.environ.get("BENCH_CHANNELS", "100000"))
FEW = CHANNELS * 3 // 10
REPEATS = 3
ONE = 'channel_name contains "harbour" AND group_title starts_with "news" AND channel_name not_equals "x"'
MANY = 'channel_name contains "harbour" AND group_title not_equals "x{0}" OR tvg_id ends_with "{0}.example"'
LARGE = " OR ".join(f'channel_name contains "harbour {number}"' for number in range(10_000))
PATTERN = 'channel_name matches "(a{900}){900}"'
_DISABLED = (
    "from tvarr_backup.models import DataMappingRule as R; R.objects.filter(is_system=False).update(is_enabled=False)"
)


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="tvarr-backup-bench-") as folder:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("TVARR_")}
        environment["TVARR_STORAGE_BASE_DIR"] = folder
        manage = partial(_manage, environment)
        manage("prepare")
        manage("demo_data", f"--channels={CHANNELS}", "--programmes=0", "--items=0")
        manage("shell", "-c", _DISABLED)
        print(run([sys.executable, "-m", "benchmarks.bench_matches", "times"], environment), end="")
        for label, part in (("nothing", "idle"), ("100 filters in one pass", "peak")):
            size = peak_bytes([sys.executable, "-m", "benchmarks.bench_matches", part], environment=environment)
            print(f"peak memory of a process that counts {label}: {size / 2**20:.0f} MiB")


def _manage(environment: dict[str, str], *arguments: str) -> str:
    return run([sys.executable, str(ROOT / "manage.py"), *arguments], environment)


def _set_up() -> None:
    import django  # noqa: PLC0415  # only in the processes with a database

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    django.setup()


def _best(work: Callable[[], Any]) -> tuple[float, float]:
    """Return processor and wall-clock seconds of the fastest of some runs."""
    found = []
    for _ in range(REPEATS):
        began, processor = time.perf_counter(), time.process_time()
        work()
        found.append((time.process_time() - processor, time.perf_counter() - began))
    return min(found)


def _show(label: str, seconds: tuple[float, float], floor: tuple[float, float] | None = None) -> None:
    times = "" if floor is None else f", {seconds[0] / floor[0]:.1f} times the reading"
    print(f"{label}: {seconds[0]:.2f} s of processor time{times} ({seconds[1]:.2f} s)", flush=True)


def _times() -> None:
    _set_up()
    from tvarr_backup.expressions import Domain  # noqa: PLC0415
    from tvarr_backup.expressions.evaluate import compile_expression  # noqa: PLC0415
    from tvarr_backup.expressions.limits import EvaluationCanceled, Limit  # noqa: PLC0415
    from tvarr_backup.matches.count import count_matches  # noqa: PLC0415
    from tvarr_backup.matches.rows import read_channels  # noqa: PLC0415

    program = compile_expression(ONE, Domain.STREAM_FILTER)
    floor = _best(partial(_read, program.fields))
    print(f"{CHANNELS:,} channels, the best of {REPEATS} runs with a load of {os.getloadavg()[0]:.1f}")
    _show(f"reading {len(program.fields)} columns", floor)
    _show("the same in batches by id", _best(lambda: sum(map(len, read_channels(program.fields)))), floor)
    _show("one expression, counted", _best(lambda: count_matches(ONE, Domain.STREAM_FILTER, limit=Limit())), floor)
    _show("100 filters in one pass", _best(lambda: _preview(100)), floor)
    began = time.perf_counter()
    canceled = time.perf_counter() + 1
    try:
        _preview(100, Limit(is_canceled=lambda: time.perf_counter() > canceled))
    except EvaluationCanceled:
        print(f"canceled after 1 s, it ended after {time.perf_counter() - began:.2f} s")
    for label, text in (("10,000 conditions", LARGE), ("a large regular expression", PATTERN)):
        began = time.perf_counter()
        count = count_matches(text, Domain.STREAM_FILTER, limit=Limit(5))
        what = count.matches.problem.code if count.matches.problem else count.matches.stop or count.stop or "complete"
        print(
            f"{label}, 5 s allowed: {time.perf_counter() - began:.2f} s, {what}, {count.matches.evaluated:,} channels"
        )
    _keep(FEW)
    _show(f"preview of 50 new filters, {FEW:,} channels", _best(lambda: _preview(50)))
    _show(f"preview of 50 changed filters, {FEW:,} channels", _best(lambda: _preview(50, is_changed=True)))


def _read(columns: Sequence[str]) -> None:
    from tvarr_backup.models import Channel  # noqa: PLC0415

    count = sum(1 for _ in Channel.objects.order_by("pk").values_list("pk", *columns).iterator())
    assert count == CHANNELS


def _preview(count: int, limit: Any = None, *, is_changed: bool = False) -> Any:
    from tvarr_backup.expressions import Domain  # noqa: PLC0415
    from tvarr_backup.expressions.limits import Limit  # noqa: PLC0415
    from tvarr_backup.matches.items import Change, Item  # noqa: PLC0415
    from tvarr_backup.matches.preview import preview_changes  # noqa: PLC0415
    from tvarr_backup.portable.kinds import Slug  # noqa: PLC0415

    texts = [(MANY.format(number), MANY.format(number + count)) for number in range(count)]
    items = [tuple(Item(Slug.FILTERS, "Harbour", Domain.STREAM_FILTER, text) for text in pair) for pair in texts]
    changes = [Change(str(number), old if is_changed else None, new) for number, (new, old) in enumerate(items)]
    preview = preview_changes(changes, limit=limit or Limit())
    assert preview.stop is None
    assert len(preview.effects) == count
    return preview


def _keep(count: int) -> None:
    """Mark the channels beyond `count` as deleted."""
    from django.utils import timezone  # noqa: PLC0415

    from tvarr_backup.models import Channel  # noqa: PLC0415

    last = Channel.objects.order_by("pk").values_list("pk", flat=True)[count]
    Channel.objects.filter(pk__gte=last).update(deleted_at=timezone.now())


if __name__ == "__main__":
    part = sys.argv[1] if len(sys.argv) > 1 else ""
    if part == "times":
        _times()
    elif part:
        _set_up()
        if part == "peak":
            _preview(100)
    else:
        main()
