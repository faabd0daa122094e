"""Sizes and times as text."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tvarr_backup import formatting

NOON = datetime(2026, 11, 2, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("size", "text"), [(0, "0 Bytes"), (1_000, "1.0 kB"), (7_100_000, "7.1 MB"), (78_000_000_000, "78.0 GB")]
)
def test_a_size_has_the_unit_that_suits_it(size: int, text: str) -> None:
    assert formatting.format_size(size) == text


def test_times_are_in_the_zone_of_the_settings(settings: Any) -> None:
    settings.TIME_ZONE = "Asia/Kathmandu"
    assert formatting.format_time(NOON) == "2 Nov 2026, 17:45"
    assert formatting.format_exact_time(NOON) == "2026-11-02 17:45:00 +0545"


def test_days_are_not_counted_as_months() -> None:
    assert formatting.format_duration(timedelta(days=45)) == "45 days"
    assert formatting.format_age(datetime.now(UTC) - timedelta(days=45)) == "45 days ago"


@pytest.mark.parametrize(
    ("started", "ended", "text"),
    [(None, None, ""), (NOON, NOON, "less than a second"), (NOON, NOON + timedelta(seconds=9), "9 s")],
)
def test_what_has_taken_no_time_yet_says_nothing(started: datetime | None, ended: datetime | None, text: str) -> None:
    assert formatting.format_elapsed(started, ended) == text
