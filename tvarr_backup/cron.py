"""When automatic backups run: five cron fields in a time zone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cronsim import CronSim, CronSimError

ALLOWED_CRONS = (
    "five fields (minute, hour, day of the month, month, day of the week) that come true some day, such as 0 2 * * *; a "
    "sixth one in front, the second, must be 0"
)
ALLOWED_ZONES = "names of time zones, such as UTC or Europe/Berlin"
LONGEST_CRON = 100
LONGEST_ZONE = 50

_EVERY_HOUR = set(range(24))
_DAYS = ("Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday")
_SOME_DAY = datetime(2000, 1, 1)  # noqa: DTZ001  # what clocks show, in no zone


def parse_cron(text: str) -> str:
    """Return the five fields with one blank between them. Raise `ValueError`.

    Six fields, with the second in front, are tvarr's form. Words such as `@daily` are refused.
    """
    fields = text.split()
    if len(fields) == 6 and fields[0] == "0":
        del fields[0]
    cron = " ".join(fields)
    if len(text) > LONGEST_CRON or len(fields) != 5 or not text.isascii() or not _comes_true(cron):
        raise ValueError(f"{text[:LONGEST_CRON]!r} is no time of a schedule; allowed are {ALLOWED_CRONS}.")
    return cron


def parse_zone(name: str) -> ZoneInfo:
    """Raise `ValueError` for an unknown zone."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, OSError, ValueError):  # the last two: a folder's name, a path
        raise ValueError(f"{name[:LONGEST_ZONE]!r} is no time zone; allowed are {ALLOWED_ZONES}.") from None


@dataclass(frozen=True)
class Timetable:
    """Five fields from `parse_cron` in a time zone."""

    cron: str
    zone: ZoneInfo

    def times_after(self, moment: datetime) -> Iterator[datetime]:
        """Yield the times after `moment`, in order, in the zone.

        Times left out when clocks go forward come once, right after; times that come twice when clocks go back count the first time.
        Only a schedule for every hour follows the hours as they pass, 23 or 25 a day.
        """
        if CronSim(self.cron, _SOME_DAY).hours == _EVERY_HOUR:
            # With seconds, because cronsim has rules of its own for five fields.
            yield from CronSim(f"0 {self.cron}", moment.astimezone(self.zone))
            return
        last = moment.astimezone(UTC)  # two times of one zone would be compared by what clocks show
        for shown in CronSim(self.cron, moment.astimezone(self.zone).replace(tzinfo=None)):
            found = _first_moment(shown, self.zone)
            if found > last:
                yield found
                last = found

    def interval_at(self, moment: datetime) -> timedelta:
        """Return the longer one of the gap between two times in which `moment` is, and the gap before it."""
        return _interval_at(self, moment.astimezone(UTC).replace(second=0, microsecond=0))  # times are of whole minutes

    def _times_around(self, start: datetime, moment: datetime) -> Iterator[datetime]:
        """Yield the times after `start` up to the first one after `moment`."""
        for time in self.times_after(start):
            yield time
            if time > moment:
                return

    def describe(self) -> str:
        """Describe daily, weekly and hourly times in English, and others by their fields."""
        minute, _hour, day, month, _weekday = self.cron.split()
        times = CronSim(self.cron, _SOME_DAY)
        weekdays = {weekday % 7 for weekday in times.weekdays if isinstance(weekday, int)}
        if (
            not minute.isdigit()
            or (day, month) != ("*", "*")
            or not all(isinstance(each, int) for each in times.weekdays)
        ):
            return f"At the times of “{self.cron}” ({self.zone.key})"
        from_monday = [_DAYS[weekday % 7] for weekday in range(1, 8) if weekday % 7 in weekdays]
        days = "day" if len(from_monday) == 7 else _listed(from_monday)
        if times.hours == _EVERY_HOUR:
            return f"Every {days}, every hour at minute {int(minute)} ({self.zone.key})"
        return f"Every {days} at {_listed([f'{hour:02}:{int(minute):02}' for hour in sorted(times.hours)])} ({self.zone.key})"


@lru_cache(maxsize=100)
def _interval_at(timetable: Timetable, moment: datetime) -> timedelta:
    back = timedelta(hours=1)
    while True:
        times = list(timetable._times_around(moment - back, moment))  # noqa: SLF001  # the same class
        if len(times) > 2:
            first, second, third = (time.astimezone(UTC) for time in times[-3:])
            return max(second - first, third - second)
        back *= 2


def _comes_true(cron: str) -> bool:
    try:
        return next(CronSim(cron, _SOME_DAY), None) is not None
    except CronSimError:
        return False


def _first_moment(shown: datetime, zone: ZoneInfo) -> datetime:
    """Return the first moment at which clocks in the zone show a time, or the next one that they show."""
    while (found := shown.replace(tzinfo=zone)) != found.astimezone(UTC).astimezone(zone):
        shown += timedelta(minutes=1)
    return found


def _listed(words: Sequence[str]) -> str:
    *most, last = words
    return f"{', '.join(most)} and {last}" if most else last
