"""Common schedules and their cron fields."""

from __future__ import annotations

from datetime import time

import pytest

from tvarr_backup.cron import parse_cron
from tvarr_backup.web.times import HOURS, Often, Times, cron_of, times_of


@pytest.mark.parametrize(
    ("times", "cron"),
    [
        (Times(Often.DAY, time(2, 5)), "5 2 * * *"),
        (Times(Often.WEEK, time(23, 59), day="WED"), "59 23 * * WED"),
        (Times(Often.HOURS, time(1, 30), hours=6), "30 1,7,13,19 * * *"),
        (Times(Often.HOURS, time(20, 0), hours=8), "0 4,12,20 * * *"),
        (Times(Often.HOURS, time(5, 15), hours=1), "15 * * * *"),
        (Times(Often.CRON, cron="0 2 1 * *"), "0 2 1 * *"),
    ],
)
def test_what_is_chosen_becomes_five_fields(times: Times, cron: str) -> None:
    assert cron_of(times) == cron == parse_cron(cron)


@pytest.mark.parametrize(
    ("cron", "often", "at", "more"),
    [
        ("0 2 * * *", Often.DAY, time(2, 0), {}),
        ("05 23 * * *", Often.DAY, time(23, 5), {}),
        ("30 4 * * SUN", Often.WEEK, time(4, 30), {"day": "SUN"}),
        ("30 4 * * 7", Often.WEEK, time(4, 30), {"day": "SUN"}),
        ("30 4 * * 0", Often.WEEK, time(4, 30), {"day": "SUN"}),
        ("30 4 * * mon", Often.WEEK, time(4, 30), {"day": "MON"}),
        ("0 */6 * * *", Often.HOURS, time(0, 0), {"hours": 6}),
        ("15 1,13 * * *", Often.HOURS, time(1, 15), {"hours": 12}),
        ("15 * * * *", Often.HOURS, time(0, 15), {"hours": 1}),
    ],
)
def test_usual_times_are_known_again(cron: str, often: Often, at: time, more: dict[str, object]) -> None:
    found = times_of(parse_cron(cron))
    assert (found.often, found.at) == (often, at)
    assert {name: getattr(found, name) for name in more} == more


@pytest.mark.parametrize(
    "cron",
    [
        "*/5 * * * *",
        "0 2 1 * *",
        "0 2 * 3 *",
        "0 2 * * 1,4",
        "0 */5 * * *",
        "0 2,3 * * *",
        "0 8-18 * * *",
        "0 13,1 * * *",
        "0 2 * * 1#2",
        "0 */6 * * MON",
        "0,30 2 * * *",
    ],
)
def test_all_others_stay_as_they_are_written(cron: str) -> None:
    assert times_of(parse_cron(cron)).often is Often.CRON
    assert cron_of(times_of(cron)) == cron


@pytest.mark.parametrize("hours", HOURS)
def test_every_few_hours_is_known_again_whenever_it_begins(hours: int) -> None:
    for first in range(24):
        cron = cron_of(Times(Often.HOURS, time(first, 7), hours=hours))
        assert cron_of(times_of(cron)) == cron
        assert times_of(cron).hours == hours
