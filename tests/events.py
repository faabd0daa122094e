"""What has been logged, as data."""

from typing import Any

import pytest


def told(caplog: pytest.LogCaptureFixture, *names: str) -> list[dict[str, Any]]:
    """The members of our own events, in order; with names, only of these."""
    ours: list[tuple[str, Any]] = [(record.levelname.lower(), record.msg) for record in caplog.records]
    events = [{"level": level, **members} for level, members in ours if isinstance(members, dict)]
    return [event for event in events if not names or event["event"] in names]
