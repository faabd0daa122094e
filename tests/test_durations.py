"""Durations as text."""

from datetime import timedelta

import pytest

from tvarr_backup.durations import format_duration, parse_duration


@pytest.mark.parametrize(
    ("text", "duration"),
    [
        ("30d", timedelta(days=30)),
        ("12h", timedelta(hours=12)),
        ("1w2d", timedelta(days=9)),
        ("1w2d3h", timedelta(days=9, hours=3)),
        ("0w1d", timedelta(days=1)),
        ("48h", timedelta(days=2)),
        ("007d", timedelta(days=7)),
        ("2W", timedelta(days=14)),
        ("1h", timedelta(hours=1)),
        ("9999w", timedelta(weeks=9999)),
    ],
)
def test_it_reads_weeks_days_and_hours(text: str, duration: timedelta) -> None:
    assert parse_duration(text) == duration


@pytest.mark.parametrize(
    "text",
    [
        "", " ", "30", "d", "30 d", " 30d", "30d\n", "-1d", "+1d", "1.5d", "1e3d", "2d1w", "1d1d", "30m", "1y", "1mo",
        "30s", "P30D", "30days", "٣d", "3٣d", "30d,", "1w 2d", "100000d", "None", "none", "9" * 5000 + "h",
    ],
)  # fmt: skip
def test_it_refuses_other_text(text: str) -> None:
    with pytest.raises(ValueError, match="Expected a duration such as"):
        parse_duration(text)


@pytest.mark.parametrize("text", ["0d", "0w0d0h", "9999w1h"])
def test_it_refuses_durations_out_of_range(text: str) -> None:
    with pytest.raises(ValueError, match="Expected a duration from 1h to 9999w, got"):
        parse_duration(text)


@pytest.mark.parametrize(("text", "formatted"), [("1w2d", "9d"), ("36h", "1d12h"), ("5h", "5h"), ("9999w", "69993d")])
def test_it_writes_what_it_reads(text: str, formatted: str) -> None:
    assert format_duration(parse_duration(text)) == formatted
    assert parse_duration(formatted) == parse_duration(text)
