"""Let commands that root runs continue as the owner of the storage folder, so that new files belong to that user."""

from __future__ import annotations

import os
import pwd
from pathlib import Path

from tvarr_backup.errors import OwnerUnreachable


def become_owner_of(storage: Path) -> str:
    """As root, become the owner of the storage folder. Return a sentence about it, or "". Raises `OwnerUnreachable`."""
    try:
        status = storage.stat()
    except OSError:  # it does not exist yet, or a later check reports the problem
        return ""
    if os.geteuid() != 0 or status.st_uid == 0:
        return ""
    name, groups = _account(status.st_uid, status.st_gid)
    try:
        os.setgroups(groups)
        os.setgid(status.st_gid)
        os.setuid(status.st_uid)
    except OSError as problem:
        raise OwnerUnreachable(
            "{storage} belongs to {name} (uid {user}), and root may not become that user here ({reason}). Nothing was changed. "
            "Run the command as that user, because the service could not change files that root creates there.",
            storage=storage,
            name=name,
            user=status.st_uid,
            reason=problem.strerror,
        ) from problem
    if not os.access(os.__file__, os.R_OK):
        raise OwnerUnreachable(
            "{storage} belongs to {name} (uid {user}), who may not read Python's own files ({library}), so root cannot continue "
            "as that user. Nothing was changed. Run the command with a Python that this user may read, as the service does.",
            storage=storage,
            name=name,
            user=status.st_uid,
            library=Path(os.__file__).parent,
        )
    return f"Continuing as {name} (uid {status.st_uid}), the owner of {storage}, instead of root."


def _account(user: int, group: int) -> tuple[str, list[int]]:
    """Return the name of a user and the user's groups."""
    try:
        name = pwd.getpwuid(user).pw_name
    except KeyError:
        return f"user {user}", [group]
    return name, os.getgrouplist(name, group)
