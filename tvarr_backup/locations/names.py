"""Names of objects in a location: which are plain, and how unfinished objects are named."""

from __future__ import annotations

import hashlib
import re

from tvarr_backup.errors import LocationInvalid
from tvarr_backup.locations.stores import PART_ENDING
from tvarr_backup.quoting import quoted
from tvarr_backup.texts import find_hidden

_MOST_BYTES = 230
"""File systems allow 255; the rest is for the end of an unfinished object's name."""
_PART = re.compile(r".+\.[0-9a-f]{16}" + re.escape(PART_ENDING), re.DOTALL)


def is_plain(name: str) -> bool:
    """Return whether all kinds of locations keep this name as it is, so that it can be one of ours.

    Windows and FAT drop blanks and periods at the end, and take a backslash for a slash.
    """
    return (
        0 < len(name.encode(errors="replace")) <= _MOST_BYTES
        and name not in {".", ".."}
        and name == name.strip().rstrip(".")
        and not any(character in name for character in "/\\")
        and not any(find_hidden(name))
    )


def is_object(name: str) -> bool:
    """Return whether the last name of an entry can be that of a complete object."""
    return is_plain(name) and not name.endswith(PART_ENDING)


def split_name(name: str) -> tuple[str, str]:
    """Return the folder and the last name of an object. Raises `LocationInvalid` if this is not the name of one."""
    folder, _, last = name.partition("/")
    if not is_plain(folder) or not is_object(last):
        raise LocationInvalid('Expected a name such as "folder/name", got {name}.', name=quoted(name))
    return folder, last


def require_plain(name: str) -> None:
    """Raise `LocationInvalid` if a name, with or without folders, leads elsewhere or is not kept as it is."""
    *folders, last = name.split("/")
    if not all(map(is_plain, folders)) or not is_object(last):
        raise LocationInvalid('Expected a name such as "folder/name", got {name}.', name=quoted(name))


def require_folder(folder: str) -> str:
    """Return the name of a folder. Raises `LocationInvalid` if it is not plain."""
    if not is_plain(folder):
        raise LocationInvalid('Expected a folder such as "backups", got {folder}.', folder=quoted(folder))
    return folder


def name_part(last: str, tag: str) -> str:
    """Return the name under which an object with this tag is written until it is complete."""
    return f"{last}.{hashlib.sha256(tag.encode()).hexdigest()[:16]}{PART_ENDING}"


def is_part(name: str) -> bool:
    """Return whether `name_part` made this name."""
    return _PART.fullmatch(name) is not None
