"""Compute what a disk may contain after a power cut, from the journal of an operation's file calls.

The worst case that POSIX allows: what was not synced may be gone. A file's content is what its last sync made durable,
or what was written since, or that size in zeros; the names in a folder are those of the folder's last sync, and of
the changes since then any may have reached the disk without the others. Only one thing is granted that every journaling
file system gives: a rename within a folder is one step, and a rename between two folders never takes the old name away
without having written the new one, unless the old folder alone was synced.

The files of a database that is in use (below `database`) are harder on a program: of the writes since their last sync
any one may be lost or torn in half while the others are kept, and what `-shm` held is gone, as SQLite expects.

A disk without hard links, such as exFAT, keeps no journal either: what a rename replaces, and the new file's old name, may
be gone before the new file has the name.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import product

from tests.faults.trees import Entry, Tree, digest

_CONTENTS = ("lost", "zeros", "written")


@dataclass(frozen=True)
class _Write:
    """Bytes that are put at a place, or, without any, the size that the file is given."""

    place: int
    data: bytes | None

    def on(self, content: bytearray) -> None:
        """Do it."""
        if self.data is None:
            del content[self.place :]
        content.extend(bytes(max(0, self.place - len(content))))
        if self.data is not None:
            content[self.place : self.place + len(self.data)] = self.data

    def torn(self) -> _Write:
        """The first half of it."""
        return self if self.data is None else _Write(self.place, self.data[: len(self.data) // 2])


@dataclass
class _File:
    mode: int
    written: bytearray
    durable: bytes
    unsynced: list[_Write] = field(default_factory=list)

    def do(self, write: _Write) -> None:
        write.on(self.written)
        self.unsynced.append(write)

    def sync(self) -> None:
        self.durable = bytes(self.written)
        self.unsynced.clear()

    def content(self, kept: str) -> bytes:
        if kept == "written":
            return bytes(self.written)
        if kept == "lost" or len(self.written) <= len(self.durable):
            return self.durable
        return self.durable + bytes(len(self.written) - len(self.durable))

    def contents(self) -> dict[bytes, str]:
        """All that it may hold where each write may be lost without the others, with a word about it."""
        found = {self.content(kept): kept for kept in reversed(_CONTENTS)}
        for index, write in enumerate(self.unsynced):
            before, after = self.unsynced[:index], self.unsynced[index + 1 :]
            for word, writes in (
                (f"the first {index} writes", before),
                (f"the first {index} writes and half of the next", [*before, write.torn()]),
                (f"all writes but number {index + 1}", [*before, *after]),
                (f"all writes, but half of number {index + 1}", [*before, write.torn(), *after]),
                (f"only write number {index + 1}", [write]),
            ):
                content = bytearray(self.durable)
                for each in writes:
                    each.on(content)
                found.setdefault(bytes(content), word)
        return found


@dataclass
class _Folder:
    mode: int
    names: dict[str, _Node] = field(default_factory=dict)
    """As a program sees them."""
    durable: dict[str, _Node] = field(default_factory=dict)


_Node = _File | _Folder | Entry
"""A link is its entry."""


@dataclass(frozen=True, eq=False)
class _Change:
    """Names of one folder that are given (a node) or taken away (`None`) in one step.

    `after` is the change that reaches the disk before this one does.
    """

    folder: _Folder
    names: tuple[tuple[str, _Node | None], ...]
    after: _Change | None = None

    def __str__(self) -> str:
        return ", ".join(f"{name} {'goes' if node is None else 'comes'}" for name, node in self.names)


class Disk:
    """A folder on a disk that loses what was not synced."""

    def __init__(self, tree: Tree, database: str = "", *, hard_links: bool = True) -> None:
        """All of `tree` is durable; below `database` lies one that is in use."""
        self._database = database
        self._hard_links = hard_links
        self._root = _Folder(0o700)
        self._pending: list[_Change] = []
        self._inodes: dict[str, _Node] = {}
        self._tearable: list[_File] = []
        groups: dict[int, _File] = {}
        for path, entry in tree.items():
            node: _Node = entry
            if entry.data is not None:
                node = groups.setdefault(entry.group, _File(entry.mode, bytearray(entry.data), entry.data))
            elif not entry.target:
                node = _Folder(entry.mode)
            folder, name = self._place(path)
            folder.names[name] = node
            if not self._is_shared_memory(path):
                folder.durable[name] = node
                if self._in_database(path) and isinstance(node, _File):
                    self._tearable.append(node)

    def know(self, path: str, inode: int) -> None:
        """Record the number of an entry of the tree in the journal."""
        self._inodes[str(inode)] = self._at(path) if path else self._root

    def do(self, kind: str, words: list[str], data: bytes) -> None:
        """One record of the journal."""
        if kind == "create":
            self._inodes[words[0]] = node = _File(0o600, bytearray(), b"")
            self._change({words[1]: node})
            if self._in_database(words[1]) and not self._is_shared_memory(words[1]):
                self._tearable.append(node)
        elif kind == "folder":
            self._inodes[words[0]] = made = _Folder(0o700)
            self._change({words[1]: made})
        elif kind == "link":
            self._change({words[1]: self._at(words[0])})
        elif kind == "unlink":
            self._change({words[0]: None})
        elif kind == "rename":
            if not self._hard_links and self._is_there(words[1]):
                renamed = self._at(words[0])
                steps: list[dict[str, _Node | None]] = [{words[1]: None}, {words[1]: renamed}, {words[0]: None}]
                for step in steps:
                    self._change(step)
                return
            self._change({words[1]: self._at(words[0]), words[0]: None})
        else:
            self._write(self._inodes[words[0]], kind, words, data)

    def after_power_cut(self) -> Iterator[tuple[str, dict[str, Entry]]]:
        """Every tree that may be found, with a word about it."""
        for which, changes in self._subsets():
            for kept in _CONTENTS:
                for word, contents in self._databases():
                    yield f"{which}, content {kept}{word}", self._tree(changes, kept, contents)

    def _databases(self) -> Iterator[tuple[str, dict[int, bytes]]]:
        files = [file for file in self._tearable if file.unsynced]
        for chosen in product(*(file.contents().items() for file in files)):
            contents = {id(file): content for file, (content, _) in zip(files, chosen, strict=True)}
            yield "".join(f", database {word}" for _, word in chosen), contents

    def _is_shared_memory(self, path: str) -> bool:
        return self._in_database(path) and path.endswith("-shm")

    def _in_database(self, path: str) -> bool:
        return bool(self._database) and path.startswith(f"{self._database}/")

    def _write(self, node: _Node, kind: str, words: list[str], data: bytes) -> None:
        if isinstance(node, _Folder):
            assert kind == "sync"
            for change in [change for change in self._pending if change.folder is node]:
                _apply(node.durable, change)
                self._pending.remove(change)
            return
        assert isinstance(node, _File)
        if kind == "sync":
            node.sync()
        else:
            node.do(_Write(int(words[1]), None if kind == "truncate" else data))

    def _change(self, names: dict[str, _Node | None]) -> None:
        """What is in one folder is one step; a name that is given comes before another that goes."""
        steps: dict[int, list[tuple[str, _Node | None]]] = {}
        folders: dict[int, _Folder] = {}
        for path, node in names.items():
            folder, name = self._place(path)
            folders[id(folder)] = folder
            steps.setdefault(id(folder), []).append((name, node))
        change = None
        for key, changed in steps.items():
            change = _Change(folders[key], tuple(changed), after=change)
            _apply(folders[key].names, change)
            if not any(self._is_shared_memory(path) for path in names):
                self._pending.append(change)

    def _subsets(self) -> Iterator[tuple[str, list[_Change]]]:
        for which, subset in self._all_subsets():
            if all(change.after in subset for change in subset if change.after in self._pending):
                yield which, subset

    def _all_subsets(self) -> Iterator[tuple[str, list[_Change]]]:
        pending = self._pending
        yield "no unsynced name", []
        yield "all names", pending
        for folder in {id(change.folder): change.folder for change in pending}.values():
            yield "the names of one folder", [change for change in pending if change.folder is folder]
        for index, change in enumerate(pending):
            yield f"only that {change}", [change]
            yield f"all but that {change}", [other for other in pending if other is not change]
            yield f"all until {change}", pending[: index + 1]

    def _tree(self, changes: Iterable[_Change], kept: str, databases: dict[int, bytes]) -> dict[str, Entry]:
        extra: dict[int, list[_Change]] = {}
        for change in changes:
            extra.setdefault(id(change.folder), []).append(change)
        tree: dict[str, Entry] = {}
        groups: dict[int, int] = {}  # negative ones, so that trees of `take` can be put beside this one
        pending = [("", self._root)]
        while pending:
            path, folder = pending.pop()
            names = dict(folder.durable)
            for change in extra.get(id(folder), []):
                _apply(names, change)
            for name, node in sorted(names.items()):
                full = f"{path}/{name}".lstrip("/")
                if isinstance(node, _Folder):
                    tree[full] = Entry(node.mode)
                    pending.append((full, node))
                elif isinstance(node, _File):
                    group = groups.setdefault(id(node), -len(groups) - 1)
                    tree[full] = Entry(node.mode, databases.get(id(node), node.content(kept)), group=group)
                else:
                    tree[full] = node
        return tree

    def _place(self, path: str) -> tuple[_Folder, str]:
        parent, _, name = path.rpartition("/")
        folder = self._at(parent) if parent else self._root
        assert isinstance(folder, _Folder), path
        return folder, name

    def _is_there(self, path: str) -> bool:
        folder, name = self._place(path)
        return name in folder.names

    def _at(self, path: str) -> _Node:
        node: _Node = self._root
        for name in path.split("/"):
            assert isinstance(node, _Folder), path
            node = node.names[name]
        return node


def _apply(names: dict[str, _Node], change: _Change) -> None:
    for name, node in change.names:
        if node is None:
            names.pop(name, None)
        else:
            names[name] = node


def power_cuts(disk: Disk, journal: bytes, earlier: bytes = b"") -> Iterator[tuple[str, bool, dict[str, Entry]]]:
    """Every different tree that a power cut can leave, with a word about it, and whether all had been done by then.

    `earlier` is the journal of what ran before, in the course of which there was none.
    """
    for kind, words, data in _records(earlier):
        disk.do(kind, words, data)
    records = list(_records(journal))
    seen: set[str] = set()
    for number, (kind, words, data) in enumerate(records):
        yield from _different(disk, f"after {number} of {len(records)} calls", seen)
        disk.do(kind, words, data)
    seen.clear()  # from here on more is asked for
    yield from _different(disk, f"after all {len(records)} calls", seen, done=True)


def _different(
    disk: Disk, when: str, seen: set[str], *, done: bool = False
) -> Iterator[tuple[str, bool, dict[str, Entry]]]:
    for which, tree in disk.after_power_cut():
        key = digest(tree)
        if key not in seen:
            seen.add(key)
            yield f"{when}, {which}", done, tree


def _records(journal: bytes) -> Iterator[tuple[str, list[str], bytes]]:
    place = 0
    while place < len(journal):
        end = journal.index(b"\n", place)
        kind, *words = journal[place:end].decode().split("\t")
        place = end + 1
        length = int(words[2]) if kind == "write" else 0
        yield kind, words, journal[place : place + length]
        place += length
