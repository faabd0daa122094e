"""Times as tvarr stores them: read in every form, written in one form."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from tvarr_backup.timestamps import read_timestamp, write_timestamp

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


class TestReadTimestamp:
    """Every form that tvarr writes is read as an instant in UTC; other text is None."""

    @pytest.mark.parametrize(
        ("text", "moment"),
        [
            ("2026-03-01 12:00:00+00:00", NOON),
            ("2026-03-01 07:00:00-05:00", NOON),
            ("2026-03-01 17:45:00+05:45", NOON),
            ("2026-03-02 02:00:00+14:00", NOON),
            ("2026-03-01 12:00:00", NOON),
            ("2026-03-01T12:00:00+00:00", NOON),
            ("2026-03-01T07:00:00-05:00", NOON),
            ("2026-03-01T12:00:00Z", NOON),
            ("2026-03-01 12:00:00Z", NOON),
            ("2026-03-01 12:00", NOON),
            ("2026-03-01T12:00", NOON),
            ("2026-03-01 07:00-05:00", NOON),
            ("2026-03-01", NOON - timedelta(hours=12)),
            ("2026-03-01 12:00:00 +0000 UTC", NOON),
            ("2026-03-01 07:00:00 -0500 EST", NOON),
            ("2026-03-01 09:00:00 -0300 -03", NOON),
            ("2026-03-01 17:30:00 +0530 +0530", NOON),
            ("2026-03-01 07:00:00 -0500 EST m=+0.000012345", NOON),
            ("2026-03-01 12:00:00 +0000 UTC m=-3.5", NOON),
            ("2026-03-01 07:00:00.5 -0500 EST m=+12.25", NOON + timedelta(seconds=0.5)),
            ("2026-03-01 07:00:00.123456789 -0500 EST", NOON + timedelta(microseconds=123_456)),
            ("1970-01-01 00:00:00+00:00", datetime(1970, 1, 1, tzinfo=UTC)),
            ("2024-02-29 23:59:59.999999999-00:00", datetime(2024, 2, 29, 23, 59, 59, 999_999, tzinfo=UTC)),
        ],
    )
    def test_every_form_that_tvarr_writes_is_read(self, text: str, moment: datetime) -> None:
        read = read_timestamp(text)
        assert read == moment
        assert read is not None
        assert read.tzinfo is UTC

    def test_a_time_without_an_offset_is_utc_whatever_the_zone_of_the_machine(self, settings: Any) -> None:
        settings.TIME_ZONE = "America/New_York"
        assert datetime(2026, 3, 1, 12).astimezone().utcoffset() == timedelta(hours=-5)
        assert read_timestamp("2026-03-01 12:00:00") == NOON

    @pytest.mark.parametrize("digits", range(1, 10))
    def test_a_fraction_of_one_to_nine_digits_is_cut_to_microseconds(self, digits: int) -> None:
        read = read_timestamp(f"2026-03-01 12:00:00.{'987654321'[:digits]}+00:00")
        assert read == NOON + timedelta(microseconds=int("987654321"[: min(digits, 6)].ljust(6, "0")))

    @pytest.mark.parametrize(
        "value",
        [
            None,
            "",
            "rubbish",
            "2026-02-30 12:00:00+00:00",
            "2026-13-01",
            "2026-03-01 25:00:00+00:00",
            "2026-03-01 12:60",
            "2026-03-01 12:00:00+25:00",
            "12:00:00",
            "1772359200",
            1_772_359_200,
            1772359200.5,
            b"2026-03-01 12:00:00+00:00",
            "2026-03-01 12:00:00 EST",
            "2026-03-01 12:00:00 -0500 EST m=later",
            "0001-01-01 00:00:00+00:00",
            "0001-01-01 00:00:00+05:00",
            "1969-12-31 23:59:59.999999+00:00",
            "3000-01-01 00:00:00+00:00",
            "9999-12-31 23:59:59-05:00",
        ],
    )
    def test_null_other_text_and_times_out_of_range_are_none(self, value: object) -> None:
        assert read_timestamp(value) is None


class TestWriteTimestamp:
    """tvarr's own form, always in UTC."""

    @pytest.mark.parametrize(
        ("moment", "text"),
        [
            (NOON, "2026-03-01 12:00:00+00:00"),
            (NOON.replace(microsecond=123_456), "2026-03-01 12:00:00.123456+00:00"),
            (NOON.replace(microsecond=120_000), "2026-03-01 12:00:00.12+00:00"),
            (NOON.replace(microsecond=1), "2026-03-01 12:00:00.000001+00:00"),
            (NOON.replace(microsecond=100), "2026-03-01 12:00:00.0001+00:00"),
            (NOON.replace(second=50), "2026-03-01 12:00:50+00:00"),
            (NOON.astimezone(timezone(timedelta(hours=-5))), "2026-03-01 12:00:00+00:00"),
            (datetime(2026, 3, 2, 1, tzinfo=timezone(timedelta(hours=13))), "2026-03-01 12:00:00+00:00"),
            (datetime(987, 6, 5, tzinfo=UTC), "0987-06-05 00:00:00+00:00"),
            (datetime(1, 1, 1, tzinfo=UTC), "0001-01-01 00:00:00+00:00"),
        ],
    )
    def test_it_is_in_utc_without_trailing_zeros(self, moment: datetime, text: str) -> None:
        assert write_timestamp(moment) == text
        assert read_timestamp(text) in (moment, None)
