"""The times of automatic backups: five cron fields in a time zone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cronsim import CronSim, CronSimError

from tvarr_backup.quoting import quoted

ALLOWED_CRONS = (
    "five fields (minute, hour, day of the month, month, day of the week) that match some date, such as "
    '"0 2 * * *", or six with "0" for the second in front'
)
ALLOWED_ZONES = 'a time zone such as "UTC" or "Europe/Berlin"'
"""Both complete "Expected ..."."""
LONGEST_CRON = 100
LONGEST_ZONE = 50

_EVERY_HOUR = set(range(24))
_DAYS = ("Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday")
_SOME_DAY = datetime(2000, 1, 1)  # noqa: DTZ001  # a clock time, in no zone


def parse_cron(text: str) -> str:
    """Return the five fields, separated by single spaces; the second in front is dropped. Raise `ValueError`."""
    fields = text.split()
    if len(fields) == 6 and fields[0] == "0":
        del fields[0]
    cron = " ".join(fields)
    if len(text) > LONGEST_CRON or len(fields) != 5 or not text.isascii() or not _has_times(cron):
        raise ValueError(f"Expected {ALLOWED_CRONS}, got {quoted(text)}.")
    return cron


def with_seconds(cron: str) -> str:
    """Return five fields from `parse_cron` as tvarr writes them: six, of which the first is the second."""
    return f"0 {cron}"


def without_seconds(text: str) -> str:
    """Return the five fields after the seconds of a cron like tvarr's. A text that is none is returned unchanged."""
    fields = text.split()
    is_tvarrs = len(fields) == 6 and len(text) <= LONGEST_CRON and text.isascii() and _has_times(" ".join(fields))
    return " ".join(fields[1:]) if is_tvarrs else text


def has_ignored_seconds(text: str) -> bool:
    """Return whether a cron like tvarr's begins with other seconds than 0. Backups start at whole minutes."""
    return without_seconds(text) != text and text.split(maxsplit=1)[0] != "0"


def parse_zone(name: str) -> ZoneInfo:
    """Return the zone. Raise `ValueError`."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, OSError, ValueError):  # the last two for the name of a folder and for a path
        raise ValueError(f"Expected {ALLOWED_ZONES}, got {quoted(name)}.") from None


@dataclass(frozen=True)
class Timetable:
    """Five cron fields from `parse_cron`, in a time zone."""

    cron: str
    zone: ZoneInfo

    def times_after(self, moment: datetime) -> Iterator[datetime]:
        """Yield the times after `moment`, in order, in the zone.

        Times skipped when clocks go forward come once, right afterward; times repeated when clocks go back come once, the first
        time. Only a schedule for every hour runs every hour, 23 or 25 times on these days.
        """
        if CronSim(self.cron, _SOME_DAY).hours == _EVERY_HOUR:
            # With seconds, because cronsim treats clock changes differently for five fields.
            yield from CronSim(f"0 {self.cron}", moment.astimezone(self.zone))
            return
        last = moment.astimezone(UTC)  # Python compares two times of one zone by their clock times
        for clock_time in CronSim(self.cron, moment.astimezone(self.zone).replace(tzinfo=None)):
            found = _first_moment(clock_time, self.zone)
            if found > last:
                yield found
                last = found

    def interval_at(self, moment: datetime) -> timedelta:
        """Return the longer of two intervals: the one that contains `moment`, and the one before it."""
        return _interval_at(self, moment.astimezone(UTC).replace(second=0, microsecond=0))  # cron has whole minutes

    def _times_around(self, start: datetime, moment: datetime) -> Iterator[datetime]:
        """Yield the times after `start` up to the first one after `moment`."""
        for time in self.times_after(start):
            yield time
            if time > moment:
                return

    def describe(self) -> str:
        """Return an English description of daily, weekly and hourly times, and the cron fields of others."""
        minute, _hour, day, month, _weekday = self.cron.split()
        times = CronSim(self.cron, _SOME_DAY)
        weekdays = {weekday % 7 for weekday in times.weekdays if isinstance(weekday, int)}
        if (
            not minute.isdigit()
            or (day, month) != ("*", "*")
            or not all(isinstance(each, int) for each in times.weekdays)
        ):
            return f'Cron "{self.cron}" ({self.zone.key})'
        from_monday = [_DAYS[weekday % 7] for weekday in range(1, 8) if weekday % 7 in weekdays]
        days = "day" if len(from_monday) == 7 else _join_names(from_monday)
        if times.hours == _EVERY_HOUR:
            return f"Every {days}, every hour at minute {int(minute)} ({self.zone.key})"
        at = _join_names([f"{hour:02}:{int(minute):02}" for hour in sorted(times.hours)])
        return f"Every {days} at {at} ({self.zone.key})"


@lru_cache(maxsize=100)
def _interval_at(timetable: Timetable, moment: datetime) -> timedelta:
    back = timedelta(hours=1)
    while True:
        times = list(timetable._times_around(moment - back, moment))  # noqa: SLF001  # the same class
        if len(times) > 2:
            first, second, third = (time.astimezone(UTC) for time in times[-3:])
            return max(second - first, third - second)
        back *= 2


def _has_times(cron: str) -> bool:
    try:
        return next(CronSim(cron, _SOME_DAY), None) is not None
    except CronSimError:
        return False


def _first_moment(clock_time: datetime, zone: ZoneInfo) -> datetime:
    """Return the first moment at which clocks in the zone show this time, or the next existing time."""
    while (found := clock_time.replace(tzinfo=zone)) != found.astimezone(UTC).astimezone(zone):
        clock_time += timedelta(minutes=1)
    return found


def _join_names(names: Sequence[str]) -> str:
    *most, last = names
    return f"{', '.join(most)} and {last}" if most else last
