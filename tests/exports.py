"""The exports of all four kinds, as the command writes them, for comparing before and after."""

from __future__ import annotations

import re

from tests.installation import Installation

_EXPORT = """
from django.core.management import call_command
from tvarr_backup.portable.kinds import KINDS
for kind in KINDS:
    call_command("portable", "export", kind, "--all")
"""
_EXPORTED_AT = re.compile(r'"exported_at": "[0-9TZ:-]{20}"')


def exports_of(installation: Installation) -> str:
    """The four, one after another and without the time of the export, which is all in which two of them may differ."""
    exports, times = _EXPORTED_AT.subn('"exported_at": "-"', installation.ok("shell", "-v0", "-c", _EXPORT))
    assert times == 4
    return exports
