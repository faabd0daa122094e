"""What Homepage's `customapi` widget makes of an answer: `src/widgets/customapi/utils.js` of gethomepage/homepage."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from tvarr_backup.formatting import format_size


def show(mapping: Mapping[str, Any], answer: Any) -> str:
    """Return the text of a block. A value that its format does not fit raises an error."""
    value = answer
    for part in mapping["field"].split("."):
        value = value[part]
    for remap in mapping.get("remap", ()):
        if remap.get("any") or remap.get("value") == value:
            value = remap["to"]
            break
    match mapping.get("format", "text"):
        case "text":
            return str(value)
        case "number":
            return str(int(value))
        case "bytes":
            return format_size(value)
        case "relativeDate":
            return datetime.fromisoformat(value).isoformat()
        case other:
            raise ValueError(other)
