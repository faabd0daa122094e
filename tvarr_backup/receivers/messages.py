"""Messages to receivers, safe to display and of limited length."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from tvarr_backup.quoting import cut
from tvarr_backup.texts import escape_hidden

MOST_OF_SUBJECT = 200
MOST_OF_TEXT = 2_000
"""Characters. Discord, the narrowest of the common services, accepts 2,000."""
MOST_OF_DATA_BYTES = 20_000
TEST_EVENT = "receiver_test"
"""The event of a test message, which is not about a problem."""


@dataclass(frozen=True)
class OutgoingMessage:
    """One message, the same at each attempt to send it.

    `id` lets receivers ignore duplicates. `event` is a stable code such as `backup_failed`, and `is_over` says that the problem has
    ended. `text` may have several lines. Control characters in `subject`, `text` and `installation` are escaped here, and long
    texts are cut. `data` has JSON values for programs; it becomes `{"is_cut": true}` if it is too large.
    """

    id: str
    event: str
    is_over: bool
    subject: str
    text: str
    created_at: datetime
    installation: str
    data: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        clean: dict[str, Any] = {
            "subject": cut(escape_hidden(cut(self.subject, MOST_OF_SUBJECT)), MOST_OF_SUBJECT),
            "text": cut(escape_hidden(cut(self.text, MOST_OF_TEXT), keep="\n"), MOST_OF_TEXT),
            "installation": cut(escape_hidden(cut(self.installation, MOST_OF_SUBJECT)), MOST_OF_SUBJECT),
        }
        if len(json.dumps(self.data)) > MOST_OF_DATA_BYTES:
            clean["data"] = {"is_cut": True}
        for name, value in clean.items():
            object.__setattr__(self, name, value)
