"""The schedule where clocks change or are put, with real workers: what is computed beforehand is what is run.

Only the wall clock is another one (`clock.c`). Four cases run at the same time, each with a worker of its own.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from tests.faults.clocks import ClockedWorker, Run, at
from tests.faults.figures import Figures
from tests.faults.harness import build_library
from tests.installation import Installation

pytestmark = pytest.mark.long

BERLIN, NEW_YORK = "Europe/Berlin", "America/New_York"
LATEST = timedelta(minutes=5)

# What the clock of the case is put to (UTC), and whether a backup is made then.
NIGHTS: dict[str, tuple[str, str, str, list[tuple[str, bool]]]] = {
    "Berlin, spring, 02:30 does not exist": (
        "30 2 * * *",
        BERLIN,
        "2026-03-28 11:00",
        [
            ("2026-03-29 00:30", False),  # 01:30
            ("2026-03-29 01:00", True),  # 03:00, right after
            ("2026-03-29 01:30", False),  # 03:30
            ("2026-03-30 00:30", True),  # 02:30
        ],
    ),
    "Berlin, autumn, 02:30 comes twice": (
        "30 2 * * *",
        BERLIN,
        "2026-10-24 10:00",
        [
            ("2026-10-25 00:30", True),  # 02:30, the first time
            ("2026-10-25 01:05", False),  # 02:05, the second time
            ("2026-10-25 01:30", False),  # 02:30, the second time
            ("2026-10-26 01:30", True),
        ],
    ),
    "New York, spring, 02:30 does not exist": (
        "30 2 * * *",
        NEW_YORK,
        "2026-03-07 17:00",
        [
            ("2026-03-08 06:30", False),  # 01:30
            ("2026-03-08 07:00", True),  # 03:00, right after
            ("2026-03-08 07:30", False),
            ("2026-03-09 06:30", True),
        ],
    ),
    "New York, autumn, 01:30 comes twice": (
        "30 1 * * *",
        NEW_YORK,
        "2026-10-31 16:00",
        [
            ("2026-11-01 05:30", True),
            ("2026-11-01 06:05", False),
            ("2026-11-01 06:30", False),
            ("2026-11-02 06:30", True),
        ],
    ),
    "Berlin, spring, every hour": (
        "0 * * * *",
        BERLIN,
        "2026-03-28 23:30",
        [(f"2026-03-29 0{hour}:00", True) for hour in range(4)] + [("2026-03-29 03:30", False)],
    ),
    "Berlin, autumn, every hour": (
        "0 * * * *",
        BERLIN,
        "2026-10-24 22:30",
        [("2026-10-24 23:00", True)] + [(f"2026-10-25 0{hour}:00", True) for hour in range(3)],
    ),
    "New York, spring, every hour": (
        "0 * * * *",
        NEW_YORK,
        "2026-03-08 05:30",
        [(f"2026-03-08 0{hour}:00", True) for hour in range(6, 9)] + [("2026-03-08 08:30", False)],
    ),
    "New York, autumn, every hour": (
        "0 * * * *",
        NEW_YORK,
        "2026-11-01 04:30",
        [(f"2026-11-01 0{hour}:00", True) for hour in range(5, 9)],
    ),
}


def in_fours(names: Iterable[str]) -> list[list[str]]:
    every = list(names)
    return [every[start : start + 4] for start in range(0, len(every), 4)]


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The compiled clock."""
    return build_library(tmp_path_factory.mktemp("clock"), "clock")


@pytest.fixture
def new_worker(library: Path, _prepared_folder: Path, tmp_path: Path) -> Callable[..., ClockedWorker]:
    """A worker on an installation of its own; not started."""

    def make(name: str, cron: str, zone: str = "UTC") -> ClockedWorker:
        place = tmp_path / "".join(letter if letter.isalnum() else "-" for letter in name)
        place.mkdir()
        shutil.copytree(_prepared_folder, place / "data")
        return ClockedWorker(Installation(place / "data"), library, cron, zone)

    return make


def told(moments: list[datetime], zone: str) -> str:
    place = ZoneInfo(zone)
    return ", ".join(f"{moment.astimezone(place):%m-%d %H:%M %Z}" for moment in moments)


def late(run: Run) -> float:
    return (run.started - run.due).total_seconds()


@pytest.mark.parametrize("names", in_fours(NIGHTS))
def test_in_the_nights_when_clocks_change(
    new_worker: Callable[..., ClockedWorker], figures: Figures, names: list[str]
) -> None:
    def night(name: str) -> None:
        cron, zone, begin, visits = NIGHTS[name]
        worker = new_worker(name, cron, zone)
        try:
            worker.start(begin)
            for moment, makes_one in visits:
                (worker.runs_at if makes_one else worker.does_nothing_at)(moment)
            runs, computed = worker.runs(), [at(moment) for moment, makes_one in visits if makes_one]
            figures.count(
                "clocks that change",
                name,
                cron=cron,
                computed=told(computed, zone),
                run=told([run.due for run in runs], zone),
                latest_seconds=max(late(run) for run in runs),
                cpu_share=worker.busiest_share,
            )
            assert [run.due for run in runs] == computed, name
            assert all(timedelta(0) <= run.started - run.due < LATEST for run in runs), runs
            assert len(worker.backups()) == len(computed)
            assert worker.busiest_share < 0.5
        finally:
            worker.end()

    with ThreadPoolExecutor(len(names)) as pool:
        list(pool.map(night, names))


# --- Clocks that are put ---------------------------------------------------------------------------------------------


def a_day_forward(worker: ClockedWorker) -> list[str]:
    worker.start("2026-06-10 12:00")
    worker.clock.put(at("2026-06-11 12:00"))
    worker.makes_one_more_than(0)
    worker.does_nothing_at("2026-06-11 13:00")
    worker.runs_at("2026-06-12 02:00")
    return ["2026-06-11 02:00", "2026-06-12 02:00"]


def a_day_back(worker: ClockedWorker) -> list[str]:
    worker.start("2026-06-10 01:58")
    worker.runs_at("2026-06-10 02:00")
    worker.does_nothing_at("2026-06-09 12:00")
    worker.does_nothing_at("2026-06-10 01:30")
    worker.runs_at("2026-06-10 02:00")
    return ["2026-06-10 02:00", "2026-06-10 02:00"]


def five_minutes_back_right_after(worker: ClockedWorker) -> list[str]:
    worker.start("2026-06-10 01:58")
    worker.runs_at("2026-06-10 02:00")
    worker.does_nothing_at("2026-06-10 01:56")
    worker.does_nothing_at("2026-06-10 02:00")
    worker.runs_at("2026-06-11 02:00")
    return ["2026-06-10 02:00", "2026-06-11 02:00"]


def five_minutes_back_and_started_again(worker: ClockedWorker) -> list[str]:
    worker.start("2026-06-10 01:58")
    worker.runs_at("2026-06-10 02:00")
    worker.stop()
    worker.start("2026-06-10 01:56")
    worker.does_nothing_at("2026-06-10 02:00")
    worker.runs_at("2026-06-11 02:00")
    return ["2026-06-10 02:00", "2026-06-11 02:00"]


def three_days_off(worker: ClockedWorker) -> list[str]:
    worker.start("2026-06-10 12:00")
    worker.stop()
    worker.start("2026-06-13 12:00")
    worker.makes_one_more_than(0)
    worker.does_nothing_at("2026-06-13 13:00")
    worker.runs_at("2026-06-14 02:00")
    return ["2026-06-11 02:00", "2026-06-14 02:00"]


def half_an_hour_back_every_hour(worker: ClockedWorker) -> list[str]:
    worker.start("2026-06-10 09:58")
    worker.runs_at("2026-06-10 10:00")
    worker.does_nothing_at("2026-06-10 09:31")
    worker.does_nothing_at("2026-06-10 10:00")
    worker.runs_at("2026-06-10 11:00")
    return ["2026-06-10 10:00", "2026-06-10 11:00"]


def years_ahead_and_back(worker: ClockedWorker) -> list[str]:
    worker.start("2026-06-10 12:00")
    worker.clock.put(at("2031-01-01 12:00"))
    worker.makes_one_more_than(0)
    worker.does_nothing_at("2026-06-10 12:10")
    worker.does_nothing_at("2026-06-11 01:30")
    worker.runs_at("2026-06-11 02:00")
    return ["2026-06-11 02:00", "2026-06-11 02:00"]


def a_start_in_1970(worker: ClockedWorker) -> list[str]:
    worker.start("2026-06-10 12:00")
    worker.stop()
    worker.start("1970-01-01 00:01")
    worker.is_planned_for("1970-01-01 02:00")
    worker.clock.put(at("2026-06-10 13:00"))
    worker.makes_one_more_than(0)
    worker.runs_at("2026-06-11 02:00")
    return ["1970-01-01 02:00", "2026-06-11 02:00"]


DAILY, HOURLY = "0 2 * * *", "0 * * * *"
PUT: dict[str, tuple[str, Callable[[ClockedWorker], list[str]]]] = {
    "a day forward": (DAILY, a_day_forward),
    "a day back, ten hours after a run": (DAILY, a_day_back),
    "five minutes back, right after a run": (DAILY, five_minutes_back_right_after),
    "five minutes back at a new start": (DAILY, five_minutes_back_and_started_again),
    "off for three days": (DAILY, three_days_off),
    "half an hour back, every hour": (HOURLY, half_an_hour_back_every_hour),
    "five years ahead and back": (DAILY, years_ahead_and_back),
    "a start without a clock, then the right time": (DAILY, a_start_in_1970),
}


@pytest.mark.parametrize("names", in_fours(PUT))
def test_where_the_clock_is_put(new_worker: Callable[..., ClockedWorker], figures: Figures, names: list[str]) -> None:
    def case(name: str) -> None:
        cron, act = PUT[name]
        worker = new_worker(name, cron)
        try:
            computed = [at(moment) for moment in act(worker)]
            runs = worker.runs()
            figures.count(
                "clocks that are put",
                name,
                cron=cron,
                computed=told(computed, "UTC"),
                run=told([run.due for run in runs], "UTC"),
                began=told([run.started for run in runs], "UTC"),
                cpu_share=worker.busiest_share,
            )
            assert [run.due for run in runs] == computed, name
            assert len(worker.backups()) == len(computed)
            assert worker.busiest_share < 0.5
        finally:
            worker.end()

    with ThreadPoolExecutor(len(names)) as pool:
        list(pool.map(case, names))
