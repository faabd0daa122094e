"""Cron fields: which are accepted, their times, also when clocks change, and their descriptions."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import islice, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tvarr_backup.cron import Timetable, parse_cron, parse_zone

BERLIN, NEW_YORK = "Europe/Berlin", "America/New_York"


def times(cron: str, zone: str, after: str, number: int) -> list[str]:
    """Return the next times after a clock time in the zone, to the minute, with the offset."""
    place = parse_zone(zone)
    found = Timetable(parse_cron(cron), place).times_after(datetime.fromisoformat(after).replace(tzinfo=place))
    return [time.isoformat(timespec="minutes") for time in islice(found, number)]


# --- Reading ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "cron"),
    [
        ("0 2 * * *", "0 2 * * *"),
        ("  0\t2  * * * ", "0 2 * * *"),
        ("0 0 2 * * *", "0 2 * * *"),
        ("*/15 0-6,22 1,15 jan-jun mon-fri", "*/15 0-6,22 1,15 jan-jun mon-fri"),
        ("0 0 L * *", "0 0 L * *"),
        ("0 0 29 2 *", "0 0 29 2 *"),
        ("0 0 31 2 MON", "0 0 31 2 MON"),  # on Mondays in February
        ("0 0 * * 7", "0 0 * * 7"),
    ],
)
def test_it_reads_five_fields_and_tvarrs_six(text: str, cron: str) -> None:
    assert parse_cron(text) == cron


@pytest.mark.parametrize(
    "text",
    [
        "",
        "0 2 * *",
        "0 2 * * * * *",
        "30 0 2 * * *",
        "* 0 2 * * *",
        "00 0 2 * * *",
        "*/10 0 2 * * *",
        "x y z a b c",
        "0 x y z a b",
        "x y z a b",
        "@daily",
        "@every 5m",
        "@reboot",
        "60 2 * * *",
        "0 24 * * *",
        "0 2 0 * *",
        "0 2 * 13 *",
        "0 2 * * 8",
        "0 2 ? * *",
        "5-1 2 * * *",
        "*/0 2 * * *",
        "-1 2 * * *",
        "0 2 * * MOON",
        "٠ 2 * * *",
        "0 2 * * ſun",
        "0 2 * * *\0",
        "0 2 " + "1," * 60 + "1 * *",
        "1" * 5000 + " 2 * * *",
    ],
)
def test_everything_else_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="Expected five fields") as refusal:
        parse_cron(text)
    assert len(str(refusal.value)) < 400


@pytest.mark.parametrize("text", ["0 0 31 2 *", "0 0 30 2 *", "0 0 31 4,6,9,11 *", "0 0 31 2 */2", "0 0 */5 2 SUN#5"])
def test_a_date_that_does_not_exist_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="that match some date"):
        parse_cron(text)


@given(st.text("0123456789*/,-LW#MONTUEJAFEB ?@", max_size=30))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        cron = parse_cron(text)
    except ValueError:
        return
    table = Timetable(cron, parse_zone(BERLIN))
    assert parse_cron(cron) == cron
    assert next(table.times_after(datetime(2026, 1, 1, tzinfo=UTC))).second == 0
    assert table.describe()


@pytest.mark.parametrize(
    "name", ["Mars/Base", "", "Europe", "../etc/passwd", "/etc/localtime", "+01:00", "a\0b", "\ud800", "x" * 9000]
)
def test_an_unknown_time_zone_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="Expected a time zone such as") as refusal:
        parse_zone(name)
    assert len(str(refusal.value)) < 300


# --- Clocks that change ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cron", "zone", "after", "expected"),
    [
        ("30 2 * * *", BERLIN, "2026-03-28T12:00", ["2026-03-29T03:00+02:00", "2026-03-30T02:30+02:00"]),
        ("15,45 2 * * *", BERLIN, "2026-03-28T12:00", ["2026-03-29T03:00+02:00", "2026-03-30T02:15+02:00"]),
        ("*/20 2 * * *", BERLIN, "2026-03-28T12:00", ["2026-03-29T03:00+02:00", "2026-03-30T02:00+02:00"]),
        ("30 2,3 * * *", BERLIN, "2026-03-28T12:00", ["2026-03-29T03:00+02:00", "2026-03-29T03:30+02:00"]),
        ("0 2,3 * * *", BERLIN, "2026-03-28T12:00", ["2026-03-29T03:00+02:00", "2026-03-30T02:00+02:00"]),
        ("0 */2 * * *", BERLIN, "2026-03-29T01:00", ["2026-03-29T03:00+02:00", "2026-03-29T04:00+02:00"]),
        ("30 2 * * *", NEW_YORK, "2026-03-07T12:00", ["2026-03-08T03:00-04:00", "2026-03-09T02:30-04:00"]),
        ("0 0 * * *", "Africa/Cairo", "2026-04-23T12:00", ["2026-04-24T01:00+03:00", "2026-04-25T00:00+03:00"]),
    ],
)
def test_a_time_that_does_not_exist_comes_once_right_after(
    cron: str, zone: str, after: str, expected: list[str]
) -> None:
    assert times(cron, zone, after, 2) == expected


@pytest.mark.parametrize(
    ("cron", "zone", "after", "expected"),
    [
        ("30 2 * * *", BERLIN, "2026-10-25T00:00", ["2026-10-25T02:30+02:00", "2026-10-26T02:30+01:00"]),
        ("30 2 * * *", BERLIN, "2026-10-25T02:30", ["2026-10-26T02:30+01:00", "2026-10-27T02:30+01:00"]),
        ("0 */2 * * *", BERLIN, "2026-10-25T00:00", ["2026-10-25T02:00+02:00", "2026-10-25T04:00+01:00"]),
        ("*/30 2 25 * *", BERLIN, "2026-10-25T02:00", ["2026-10-25T02:30+02:00", "2026-11-25T02:00+01:00"]),
        ("30 1 * * *", NEW_YORK, "2026-11-01T00:00", ["2026-11-01T01:30-04:00", "2026-11-02T01:30-05:00"]),
    ],
)
def test_a_time_that_comes_twice_counts_once(cron: str, zone: str, after: str, expected: list[str]) -> None:
    assert times(cron, zone, after, 2) == expected


def test_times_in_a_repeated_hour_are_not_in_the_past() -> None:
    table = Timetable("30 2 * * *", parse_zone(BERLIN))
    again = datetime(2026, 10, 25, 1, 10, tzinfo=UTC)  # 02:10 for the second time
    assert next(table.times_after(again.astimezone(table.zone))) == datetime(2026, 10, 26, 1, 30, tzinfo=UTC)
    assert next(table.times_after(again)) == datetime(2026, 10, 26, 1, 30, tzinfo=UTC)


@pytest.mark.parametrize("cron", ["0 * * * *", "0 0-23 * * *", "0 */1 * * *"])
@pytest.mark.parametrize(("zone", "day"), [(BERLIN, "2026-03-29"), (BERLIN, "2026-10-25"), (NEW_YORK, "2026-11-01")])
def test_every_hour_includes_skipped_and_repeated_hours(cron: str, zone: str, day: str) -> None:
    table = Timetable(cron, parse_zone(zone))
    found = list(islice(table.times_after(datetime.fromisoformat(day).replace(tzinfo=table.zone)), 24))
    gaps = {later.astimezone(UTC) - earlier.astimezone(UTC) for earlier, later in pairwise(found)}
    assert gaps == {timedelta(hours=1)}


# --- In words --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cron", "words"),
    [
        ("0 2 * * *", "Every day at 02:00 (Europe/Berlin)"),
        ("5 9,21 * * *", "Every day at 09:05 and 21:05 (Europe/Berlin)"),
        ("0 */6 * * *", "Every day at 00:00, 06:00, 12:00 and 18:00 (Europe/Berlin)"),
        ("30 4 * * SUN", "Every Sunday at 04:30 (Europe/Berlin)"),
        ("30 4 * * 0,7", "Every Sunday at 04:30 (Europe/Berlin)"),
        ("30 4 * * 4,1,0", "Every Monday, Thursday and Sunday at 04:30 (Europe/Berlin)"),
        ("30 4 * * 0-6", "Every day at 04:30 (Europe/Berlin)"),
        ("7 * * * *", "Every day, every hour at minute 7 (Europe/Berlin)"),
        ("*/7 3 * * 1-5", 'Cron "*/7 3 * * 1-5" (Europe/Berlin)'),
        ("0 3 1 * *", 'Cron "0 3 1 * *" (Europe/Berlin)'),
        ("0 3 * 6 *", 'Cron "0 3 * 6 *" (Europe/Berlin)'),
        ("0 3 * * 5L", 'Cron "0 3 * * 5L" (Europe/Berlin)'),
    ],
)
def test_it_is_described_in_english(cron: str, words: str) -> None:
    assert Timetable(cron, parse_zone(BERLIN)).describe() == words


# --- The time between two of them ------------------------------------------------------------------------------------


def interval(cron: str, zone: str, now: str) -> timedelta:
    place = parse_zone(zone)
    return Timetable(parse_cron(cron), place).interval_at(datetime.fromisoformat(now).replace(tzinfo=place))


@pytest.mark.parametrize(
    ("cron", "zone", "now", "hours"),
    [
        ("0 2 * * *", "UTC", "2026-06-15T12:00", 24),
        ("0 2 * * *", "UTC", "2026-06-15T02:00", 24),
        ("* * * * *", BERLIN, "2026-06-15T12:00:30", 1 / 60),
        ("*/15 * * * *", "UTC", "2026-06-15T12:00", 1 / 4),
        ("0 * * * *", BERLIN, "2026-03-29T03:30", 1),
        ("0 */6 * * *", "UTC", "2026-06-15T12:00", 6),
        ("30 4 * * SUN", "UTC", "2026-06-15T12:00", 7 * 24),
        ("0 2 * * MON-FRI", "UTC", "2026-06-18T12:00", 24),  # a Thursday
        ("0 2 * * MON-FRI", "UTC", "2026-06-20T12:00", 72),  # a Saturday: within the gap
        ("0 2 * * MON-FRI", "UTC", "2026-06-22T12:00", 72),  # a Monday: the gap came before
        ("0 2,3,4 * * *", "UTC", "2026-06-15T02:30", 22),
        ("0 2,3,4 * * *", "UTC", "2026-06-15T03:30", 1),
        ("0 2 1 * *", "UTC", "2026-03-15T12:00", 31 * 24),
        ("0 0 29 2 *", "UTC", "2026-06-15T12:00", (4 * 365 + 1) * 24),
        ("0 0 29 2 *", "UTC", "2107-06-15T12:00", (8 * 365 + 1) * 24),  # there is none in 2100
    ],
)
def test_the_interval_is_the_longer_of_the_current_one_and_the_one_before(
    cron: str, zone: str, now: str, hours: float
) -> None:
    assert interval(cron, zone, now) == timedelta(hours=hours)


@pytest.mark.parametrize(
    ("zone", "cron", "now", "hours"),
    [
        (BERLIN, "0 4 * * *", "2026-03-29T12:00", 24),  # 23 hours came before
        (BERLIN, "0 4 * * *", "2026-10-25T12:00", 25),
        (BERLIN, "0 4 * * *", "2026-10-26T12:00", 24),
        (NEW_YORK, "0 4 * * SUN", "2026-11-01T12:00", 7 * 24 + 1),
        (NEW_YORK, "0 4 * * SUN", "2026-03-08T12:00", 7 * 24),
    ],
)
def test_it_is_measured_in_elapsed_hours_when_clocks_change(zone: str, cron: str, now: str, hours: float) -> None:
    assert interval(cron, zone, now) == timedelta(hours=hours)
