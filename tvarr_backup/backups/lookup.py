"""Find the backup that a user names: by its file name, the start of it, `latest`, `latest~1`, or a number of the list."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from tvarr_backup.backups.catalogue import read_folder
from tvarr_backup.backups.names import is_start_of_name, parse_name
from tvarr_backup.errors import BackupAmbiguous, BackupNotFound
from tvarr_backup.formatting import format_count
from tvarr_backup.quoting import name_some, quoted

_LATEST = re.compile(r"latest(?:~([0-9]{1,9}))?", re.ASCII)
_NUMBER = re.compile(r"[0-9]{1,9}", re.ASCII)
_MOST_NAMED = 5


def is_number(wanted: str) -> bool:
    """Return whether a backup is named by its number in the list, which changes with every new backup."""
    return _NUMBER.fullmatch(wanted) is not None


def find_name(folder: Path, wanted: str, *, accept_numbers: bool = False) -> str:
    """Return the file name of a backup. A complete name is returned as it is, whether or not there is such a backup.

    `latest` is the first backup of the list, `latest~1` the one before it, 1 the number of the first. The start of a name may
    also be that of a broken backup. Raises `BackupNotFound`, `BackupAmbiguous` or `BackupFolderUnusable`.
    """
    if parse_name(wanted) is not None:
        return wanted
    if _read_position(wanted, accept_numbers=accept_numbers) is None and not is_start_of_name(wanted):
        raise _not_found(wanted)
    listing = read_folder(folder)
    names = [backup.filename for backup in listing.backups]
    broken = [broken.filename for broken in listing.broken]
    return choose_name(wanted, names, broken, accept_numbers=accept_numbers)


def choose_name(wanted: str, listed: Sequence[str], others: Sequence[str] = (), *, accept_numbers: bool = False) -> str:
    """Return the name that a user means, of those that are `listed` (newest first) and of others without a number.

    Raises `BackupNotFound` or `BackupAmbiguous`.
    """
    if wanted in listed:
        return wanted
    position = _read_position(wanted, accept_numbers=accept_numbers)
    if position is not None:
        return _at(listed, position, wanted)
    # A start that all names share is refused: a script whose variable is empty must not get the only backup.
    if not is_start_of_name(wanted):
        raise _not_found(wanted)
    names = [name for name in (*listed, *others) if name.startswith(wanted)]
    if not names:
        raise _not_found(wanted)
    if len(names) > 1:
        raise BackupAmbiguous(
            "{count} backups have names that start with {wanted}: {names}. Add more of the name.",
            count=len(names),
            wanted=quoted(wanted),
            names=name_some(names, _MOST_NAMED),
        )
    return names[0]


def _read_position(wanted: str, *, accept_numbers: bool) -> int | None:
    """Return the position in the list, from 0, or None if a backup is not named by one."""
    if match := _LATEST.fullmatch(wanted):
        return int(match[1] or 0)
    return int(wanted) - 1 if accept_numbers and is_number(wanted) else None


def _at(listed: Sequence[str], position: int, wanted: str) -> str:
    if not 0 <= position < len(listed):
        sentence = (
            "There is no backup {wanted}. The list has {count}."
            if listed
            else "There is no backup {wanted}. The list is empty."
        )
        raise BackupNotFound(sentence, wanted=quoted(wanted), count=format_count(len(listed), "backup"))
    return listed[position]


def _not_found(wanted: str) -> BackupNotFound:
    return BackupNotFound("There is no backup {filename}.", filename=quoted(wanted))
