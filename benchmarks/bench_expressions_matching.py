"""Matching of expressions against channels, compared with reading the needed columns from SQLite in the same run.

Also 100 filters in one pass with its memory, canceling, 50 filters on fewer channels, mapping rules, and extreme expressions.
"""

import os
import random
import sqlite3
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path

from benchmarks.measure import peak_bytes
from tvarr_backup.errors import TvarrBackupError
from tvarr_backup.expressions import Domain
from tvarr_backup.expressions.evaluate import Program, compile_expression
from tvarr_backup.expressions.filter_stage import FilterAction, decide
from tvarr_backup.expressions.limits import Budget, EvaluationCanceled, Limit
from tvarr_backup.expressions.mapping_stage import MappingRule, MappingStage
from tvarr_backup.expressions.program_sets import ProgramSet

CHANNELS = int(os.environ.get("BENCH_CHANNELS", "100000"))
PREVIEW_CHANNELS = 30_000
RUNS = 5
FILTER = Domain.STREAM_FILTER
NAMES = [
    "Harbour",
    "Quiet",
    "Bay",
    "Meadow",
    "Lantern",
    "Évening",
    "Movie",
    "Cinéma",
    "Sports",
    "News",
    "Kids",
    "Plus",
    "Channel",
    "HD",
    "FHD",
    "UHD",
    "24/7",
]
GROUPS = [
    f"{country} | {kind}" for country in ("UK", "FR", "DE", "ES") for kind in ("Sports", "News", "Kids", "Cinéma")
]
EXPRESSIONS = (
    ("three texts, all reached", 'channel_name contains "a" AND tvg_id starts_with "id." AND group_title != "x"'),
    ("decided by the first", 'group_title contains "sports" AND channel_name equals "x" AND NOT tvg_id ends_with "1"'),
    ("three alternatives", 'channel_name contains "movie" OR group_title starts_with "fr" OR tvg_id ends_with "7"'),
    ("regular expression", r'channel_name matches "(?i)\\b(adult|xxx|porn)"'),
    ("regular expression and texts", r'channel_name matches "\\bHD$" AND group_title != "x" AND tvg_id starts_with "id"'),
    ("built-in, adult content", r'is_adult == true OR group_title matches "(?i)\\b(adult|xxx|18\\+)" OR channel_name matches "(?i)\\b(adult|xxx|porn)"'),
    ("number", "tvg_name < 500"),
)  # fmt: skip


def make_database(path: Path) -> None:
    random.seed(23)
    with closing(sqlite3.connect(path)) as database:
        database.execute(
            "CREATE TABLE channels (id TEXT PRIMARY KEY, created_at TEXT, tvg_id TEXT, tvg_name TEXT, tvg_logo TEXT, "
            "group_title TEXT, channel_name TEXT, stream_url TEXT, extra TEXT)"
        )
        database.executemany("INSERT INTO channels VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", map(_channel, range(CHANNELS)))
        database.commit()


def _channel(number: int) -> tuple[str, ...]:
    name = f"{' '.join(random.choices(NAMES, k=3))} {number}"
    logo, url = f"http://img.example/{number}.png", f"http://stream.example/live/{number}.ts"
    moment = "2026-11-28 20:00:00+00:00"
    return f"{number:026}", moment, f"id.{number}", str(number), logo, random.choice(GROUPS), name, url, "{}"


def read(database: sqlite3.Connection, columns: Sequence[str], limit: int = CHANNELS) -> Iterator[tuple[str, ...]]:
    return database.execute(f"SELECT {', '.join(columns)} FROM channels LIMIT {limit}")  # our own names


def best(*works: Callable[[], object]) -> list[float]:
    """Return the shortest processor time of each work in seconds. The works take turns."""
    times: list[list[float]] = [[] for _ in works]
    for _ in range(RUNS):
        for work, seconds in zip(works, times, strict=True):
            began = time.process_time()
            work()
            seconds.append(time.process_time() - began)
    return [min(seconds) for seconds in times]


def count(program: Program, rows: Iterator[tuple[str, ...]]) -> int:
    return sum(1 for outcome in program.evaluate_rows(rows) if outcome.matches)


def bench_single(database: sqlite3.Connection) -> None:
    print(f"one expression over {CHANNELS:,} channels, the best of {RUNS} runs (goal: at most 3 times the floor)")
    for label, text in EXPRESSIONS:
        program = compile_expression(text, FILTER)
        floor, ours = best(
            lambda fields=program.fields: sum(1 for _ in read(database, fields)),  # type: ignore[misc]
            lambda program=program: count(program, read(database, program.fields)),  # type: ignore[misc]
        )
        print(
            f"  {label}: floor (read {len(program.fields)} columns) {1000 * floor:.0f} ms, read and match "
            f"{1000 * ours:.0f} ms, {ours / floor:.1f} times"
        )


def hundred_filters() -> list[str]:
    """Return filters as users write them: mostly texts, a third with a regular expression."""
    made = []
    for number in range(100):
        word, group = NAMES[number % len(NAMES)], GROUPS[number % len(GROUPS)]
        made.append(
            (
                f'channel_name contains "{word} {number}" OR group_title == "{group}" AND NOT tvg_id ends_with "{number}"',
                f'group_title starts_with "{group[:2]}" AND channel_name not_contains "{word}"',
                rf'channel_name matches "\\b{word}\\b.*{number}$" OR tvg_name == "{number}"',
            )[number % 3]
        )
    return made


def bench_hundred(database: sqlite3.Connection) -> None:
    budget = Budget()
    programs = ProgramSet([compile_expression(text, FILTER, budget) for text in hundred_filters()], FILTER)
    actions = [FilterAction.EXCLUDE if number % 4 == 3 else FilterAction.INCLUDE for number in range(100)]
    began = time.perf_counter()
    stay = matched = 0
    for outcomes in programs.evaluate_rows(read(database, programs.fields)):
        matches = [outcome.matches for outcome in outcomes]
        matched += matches.count(True)
        stay += decide(zip(actions, matches, strict=True))
    print(f"100 filters over {CHANNELS:,} channels in one pass: {time.perf_counter() - began:.1f} s (goal: at most 30 s), "
          f"{matched:,} matches, {stay:,} channels stay")  # fmt: skip


def bench_cancel(database: sqlite3.Connection, label: str, texts: Sequence[str]) -> None:
    programs = ProgramSet([compile_expression(text, FILTER) for text in texts], FILTER)
    canceled = threading.Event()
    moment = [0.0]

    def cancel() -> None:
        moment[0] = time.perf_counter()
        canceled.set()

    timer = threading.Timer(0.5, cancel)
    timer.start()
    try:
        for _ in programs.evaluate_rows(read(database, programs.fields), Limit(is_canceled=canceled.is_set)):
            pass
    except EvaluationCanceled:
        print(f"canceled, {label}: after {1000 * (time.perf_counter() - moment[0]):.0f} ms (goal: within 1,000 ms)")
    else:
        print(f"finished before it was canceled, {label}")
    timer.cancel()


def bench_preview(database: sqlite3.Connection) -> None:
    began = time.perf_counter()
    texts = hundred_filters()[:50]
    programs = ProgramSet([compile_expression(text, FILTER) for text in texts], FILTER)
    for _ in programs.evaluate_rows(read(database, programs.fields, PREVIEW_CHANNELS)):
        pass
    print(
        f"50 filters over {PREVIEW_CHANNELS:,} channels, with compiling: {time.perf_counter() - began:.1f} s (goal: within 3 s)"
    )


def bench_mapping(database: sqlite3.Connection) -> None:
    texts = (
        r'channel_name matches "^(\\w+) (\\w+).* ([0-9]+)$" AND group_title contains "UK" AND tvg_id != "" SET tvg_name = "$1 $2", group_title += " $3"',
        'channel_name contains "Movie" SET group_title = "Movies"',
        "tvg_name ?= $channel_name".join(("true ", "")),
    )  # fmt: skip
    stage = MappingStage([MappingRule(text, Domain.STREAM_MAPPING) for text in texts])
    columns = stage.channel_fields
    rows = [dict(zip(columns, row, strict=True)) for row in read(database, columns)]
    (seconds,) = best(lambda: sum(1 for _ in stage.map_channels(rows)))
    print(
        f"3 mapping rules over {len(rows):,} channels: {seconds:.1f} s, {len(rows) / seconds / 1e6:.2f} million rows a second"
    )


def bench_extremes(database: sqlite3.Connection) -> None:
    extremes = {
        "10,000 conditions": " OR ".join(f'tvg_id equals "x{number}"' for number in range(10_000)),
        "64 levels": "(" * 64 + 'tvg_id equals "x"' + ")" * 64,
        "1 MiB of conditions": " OR ".join(['tvg_id="x"'] * 74_000),
        "10,000 regular expressions": " OR ".join(f'tvg_id matches "x{number}$"' for number in range(10_000)),
        "a regular expression of 500 KiB": f'channel_name matches "{"|".join(f"channel {n}" for n in range(35_000))}"',
        "many states": r'channel_name matches "(a|b|[a-z ])*a[a-z ]{9}[a-z]{9}$"',
        "repetitions": 'channel_name matches "((a?){30}){30}a{30}"',
    }
    for label, text in extremes.items():
        began = time.perf_counter()
        try:
            program = compile_expression(text, FILTER)
            compiled = time.perf_counter()
            done = sum(1 for _ in program.evaluate_rows(read(database, program.fields, 1_000), Limit(seconds=5)))
            print(
                f"{label}: compiled in {compiled - began:.1f} s, {done:,} channels in {time.perf_counter() - compiled:.1f} s"
            )
        except TvarrBackupError as error:
            print(f"{label}: {error.code} after {time.perf_counter() - began:.1f} s")


def main() -> None:
    if sys.argv[1:2] == ["only"]:
        with closing(sqlite3.connect(sys.argv[3])) as database:
            {"read": lambda it: sum(1 for _ in read(it, ["channel_name"])), "hundred": bench_hundred, "extremes": bench_extremes}[sys.argv[2]](database)  # fmt: skip
        return
    with tempfile.TemporaryDirectory(prefix="tvarr-backup-bench-") as folder:
        path = Path(folder) / "channels.db"
        make_database(path)
        with closing(sqlite3.connect(path)) as database:
            bench_single(database)
            bench_hundred(database)
            bench_cancel(database, "100 filters", hundred_filters())
            bench_cancel(database, "10,000 conditions", [" OR ".join(f'tvg_id = "x{n}"' for n in range(10_000))])
            bench_preview(database)
            bench_mapping(database)
            bench_extremes(database)
        command = (sys.executable, "-m", "benchmarks.bench_expressions_matching", "only")
        floor, hundred, extremes = (peak_bytes([*command, part, str(path)]) for part in ("read", "hundred", "extremes"))
        print(f"memory: reading {floor / 2**20:.0f} MiB, 100 filters {hundred / 2**20:.0f} MiB (goal: under 128 MiB), "
              f"extreme expressions {extremes / 2**20:.0f} MiB")  # fmt: skip


if __name__ == "__main__":
    main()
