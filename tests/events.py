"""What has been logged, as data."""

from typing import Any

import pytest


def told(caplog: pytest.LogCaptureFixture, *names: str) -> list[dict[str, Any]]:
    """The members of our own events, in order; with names, only of these."""
    events = [{"level": record.levelname.lower(), **record.msg} for record in caplog.records if _is_ours(record)]
    return [event for event in events if not names or event["event"] in names]


def _is_ours(record: Any) -> bool:
    return isinstance(record.msg, dict)
