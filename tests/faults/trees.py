"""A small folder in memory: read, written again with its hard links, and compared."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

_TIME_OF_CHECK = re.compile(rb'"at": "[^"]*"')


@dataclass(frozen=True)
class Entry:
    """A file, a folder (`data` is `None`) or a symbolic link (`target`); files of one `group` are one file."""

    mode: int
    data: bytes | None = None
    target: str = ""
    group: int = 0


Tree = Mapping[str, Entry]
"""Entries by their path, folders before what is in them."""


def take(root: Path) -> dict[str, Entry]:
    """Read the content of a folder."""
    tree: dict[str, Entry] = {}
    groups: dict[int, int] = {}
    pending = [root]
    while pending:
        folder = pending.pop()
        for found in sorted(os.scandir(folder), key=lambda entry: entry.name):
            path = os.path.relpath(found.path, root)
            status = found.stat(follow_symlinks=False)
            if found.is_symlink():
                tree[path] = Entry(0, target=str(Path(found.path).readlink()))
            elif found.is_dir():
                tree[path] = Entry(stat.S_IMODE(status.st_mode))
                pending.append(Path(found.path))
            else:
                group = groups.setdefault(status.st_ino, len(groups) + 1)
                tree[path] = Entry(stat.S_IMODE(status.st_mode), Path(found.path).read_bytes(), group=group)
    return tree


def lay_out(tree: Tree, root: Path) -> Path:
    """Write a tree to a folder, replacing its content."""
    if root.exists():
        shutil.rmtree(root)
    root.mkdir(parents=True)
    first: dict[int, Path] = {}
    for name, entry in tree.items():
        path = root / name
        if entry.target:
            path.symlink_to(entry.target)
        elif entry.data is None:
            path.mkdir(mode=entry.mode)
        elif entry.group in first:
            os.link(first[entry.group], path)
        else:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, entry.mode)
            os.write(descriptor, entry.data)
            os.close(descriptor)
            if entry.group:
                first[entry.group] = path
    return root


def digest(tree: Tree) -> str:
    """The same for trees that differ at most in the time of a check; names, contents, modes and hard links count."""
    groups: dict[int, int] = {}
    sha256 = hashlib.sha256()
    for name in sorted(tree):
        entry = tree[name]
        group = groups.setdefault(entry.group, len(groups)) if entry.group else -1
        data = b"" if entry.data is None else _TIME_OF_CHECK.sub(b"", entry.data)
        kind = entry.target or ("folder" if entry.data is None else hashlib.sha256(data).hexdigest())
        sha256.update(f"{name}\0{entry.mode}\0{kind}\0{group}\n".encode())
    return sha256.hexdigest()
