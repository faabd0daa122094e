"""Group and mode of published backups, for users who copy them elsewhere. Only the owner can read unfinished files."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from pathlib import Path

_READ_BITS = 0o444


@dataclass(frozen=True)
class Sharing:
    """Mode of archives and metadata files, and their group; `None` for the user's own group."""

    mode: int = 0o600
    group: int | None = None

    @property
    def folder_mode(self) -> int:
        """Mode of the folder: users who may read the files may also list and enter it."""
        readable = self.mode & _READ_BITS & 0o077
        return 0o700 | readable | readable >> 2


_current = Sharing()


def set_sharing(sharing: Sharing) -> None:
    """Set the group and mode of all backups that this process publishes, like a umask."""
    global _current  # noqa: PLW0603  # one for the process, set at its start
    _current = sharing


def share_file(path: Path) -> None:
    """Set the group and mode of a file before it is published. Raises `OSError`."""
    if _current.group is not None:
        os.chown(path, -1, _current.group, follow_symlinks=False)
    if _current.mode != stat.S_IMODE(path.lstat().st_mode):
        path.chmod(_current.mode)


def share_folder(folder: Path) -> None:
    """Give the backup folder the group and mode that the files need. Without settings, change nothing."""
    if _current == Sharing():
        return
    status = folder.stat()
    if _current.group is not None and _current.group != status.st_gid:
        os.chown(folder, -1, _current.group)
    missing = _current.folder_mode & ~stat.S_IMODE(status.st_mode)
    if missing:
        folder.chmod(stat.S_IMODE(status.st_mode) | missing)
