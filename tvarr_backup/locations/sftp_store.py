"""Locations on SFTP servers."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import secrets
import stat
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Coroutine, Iterator
from typing import Any, TypeVar

import asyncssh

from tvarr_backup.errors import LocationError, LocationFailed, LocationFull, LocationUnreachable, ObjectMissing
from tvarr_backup.locations import stores
from tvarr_backup.locations.addresses import Address, require_credentials
from tvarr_backup.locations.failures import (
    connection_lost,
    no_space,
    not_permitted,
    object_exists,
    object_missing,
    path_missing,
    read_only,
    source_changed,
    unexpected_answer,
    wrong_size,
)
from tvarr_backup.locations.listings import MOST_ENTRIES, is_safe_name
from tvarr_backup.locations.names import is_part, require_folder, split_name
from tvarr_backup.locations.sftp_connection import CONNECTION_ERRORS, connect, read_private_key
from tvarr_backup.locations.stores import PART_ENDING, Entry, Report, Source, Store, no_report
from tvarr_backup.quoting import quoted

_Result = TypeVar("_Result")

WINDOW = 4 * 2**20
"""How many bytes may be on their way. A write is resumed this far before the end of the unfinished object, because a
server that handles requests in parallel may have left holes there."""
_MOST_OF_BLOCK = 255 * 2**10
"""The most that OpenSSH accepts in one request."""
_MISSING = (asyncssh.SFTPNoSuchFile, asyncssh.SFTPNoSuchPath)


class SFTPStore(Store):
    """A folder on an SFTP server.

    It connects when it is first used, and again after a connection was lost. The protocol is asynchronous, so an event loop
    runs while a method does.

    An object is written to an unfinished object in the same folder, synced (if the server can), and renamed. A rename does
    not overwrite; on servers where it does, a check right before it is all that protects another program's object. To
    replace an object on a server without `posix-rename@openssh.com`, the old one is removed right before the rename. If the
    connection is lost in between, the next write with the same tag finishes it.
    """

    def __init__(self, address: Address) -> None:
        require_credentials(address)
        options = address.options
        self._address = address
        self._host, self._port, self._root = options["host"], int(options["port"]), options["path"]
        self._key = read_private_key(options["private_key"], options["passphrase"])
        self._runner = asyncio.Runner()
        self._connection: asyncssh.SSHClientConnection | None = None
        self._client: asyncssh.SFTPClient | None = None
        self._is_closed = False

    # --- The blocking interface --------------------------------------------------------------------------------------

    def list_folders(self) -> list[str]:
        return self._run(self._list_folders())

    def list_objects(self, folder: str) -> list[Entry]:
        return self._run(self._list_objects(require_folder(folder)))

    def read(self, name: str, start: int = 0) -> Iterator[bytes]:
        split_name(name)
        pieces = self._read(name, start)
        found: list[bytes] = []  # not a result, because `Runner.run` makes a text of each result, which is slow

        async def read_next() -> None:
            if piece := await anext(pieces, b""):
                found.append(piece)

        async def close() -> None:
            await pieces.aclose()

        try:
            self._run(read_next())
            while found:
                yield found.pop()
                self._run(read_next())
        finally:
            if not self._is_closed:
                self._run(close())

    def write(self, name: str, source: Source, *, replace: bool = False, report: Report = no_report) -> None:
        """Write in steps, because `report` may not be called while the event loop runs: Django refuses queries there."""
        split_name(name)
        steps = self._write(name, source, replace=replace)
        reached: list[int] = []

        async def go_on() -> None:
            if (end := await anext(steps, None)) is not None:
                reached.append(end)

        async def close() -> None:
            await steps.aclose()

        try:
            self._run(go_on())
            while reached:
                report(reached.pop())
                self._run(go_on())
        finally:
            if not self._is_closed:
                self._run(close())

    def delete(self, name: str) -> None:
        split_name(name)
        self._run(self._delete(name))

    def delete_unfinished(self, folder: str) -> None:
        self._run(self._delete_unfinished(require_folder(folder)))

    def close(self) -> None:
        if self._is_closed:
            return
        self._is_closed = True
        try:
            self._runner.run(self._disconnect())
        finally:
            self._runner.close()

    def _run(self, work: Coroutine[Any, Any, _Result]) -> _Result:
        return self._runner.run(work)

    # --- Objects -----------------------------------------------------------------------------------------------------

    async def _list_folders(self) -> list[str]:
        entries = await self._scan("")
        return [name for name, attributes in entries if stat.S_ISDIR(attributes.permissions or 0)]

    async def _list_objects(self, folder: str) -> list[Entry]:
        try:
            entries = await self._scan(folder)
        except ObjectMissing:
            await self._require_root()
            return []
        return [
            Entry(name, self._require_size(name, attributes))
            for name, attributes in entries
            if stat.S_ISREG(attributes.permissions or 0) and not name.endswith(PART_ENDING)
        ]

    async def _read(self, name: str, start: int) -> AsyncGenerator[bytes, None]:
        client = await self._connect()
        file = await self._ask(client.open(self._path(name), "rb", encoding=None, block_size=0), name)
        try:
            size = self._require_size(name, await self._ask(file.stat(), name))
            block = min(client.limits.max_read_len, _MOST_OF_BLOCK)
            async for piece in self._read_blocks(file, name, range(start, size, block)):
                yield piece
        finally:
            with contextlib.suppress(LocationError):
                await self._ask(file.close(), name)

    async def _read_blocks(self, file: asyncssh.SFTPClientFile, name: str, blocks: range) -> AsyncIterator[bytes]:
        """Read ahead, with up to `WINDOW` bytes requested at a time. `blocks` are the starts of the blocks to read."""
        offsets = iter(blocks)
        pending: deque[tuple[range, asyncio.Task[bytes]]] = deque()
        ready: list[bytes] = []
        try:
            while True:
                while len(pending) * blocks.step < WINDOW and (offset := next(offsets, None)) is not None:
                    wanted = range(offset, min(offset + blocks.step, blocks.stop))
                    pending.append((wanted, asyncio.create_task(_read_block(file, wanted))))
                if not pending:
                    break
                wanted, task = pending.popleft()
                ready.append(await self._ask(task, name))
                if len(ready[-1]) != len(wanted):
                    raise wrong_size(self._host, name, blocks.stop, wanted.start + len(ready[-1]))
                if len(ready) * blocks.step >= stores.CHUNK:
                    yield b"".join(ready)
                    ready.clear()
            if ready:
                yield b"".join(ready)
        finally:
            await _cancel(task for _wanted, task in pending)

    async def _write(self, name: str, source: Source, *, replace: bool) -> AsyncGenerator[int, None]:
        """Write an object, and yield the number of bytes that the server has confirmed, about once for each chunk."""
        await self._connect()
        await self._make_folder(name.rpartition("/")[0])
        if not replace and await self._find_size(name) is not None:
            raise object_exists(self._host, name)
        part = f"{name}.{_part_key(source)}{PART_ENDING}"
        try:
            async with contextlib.aclosing(
                self._send(part, source, await self._find_start(part, source), name)
            ) as sent:
                async for end in sent:
                    yield end
            await self._publish(part, name, replace=replace)
        except LocationUnreachable:
            raise
        except BaseException as problem:
            if not source.tag or isinstance(problem, LocationFull):
                await self._discard(part)
            raise

    async def _find_start(self, part: str, source: Source) -> int:
        """Return from where a write can be resumed."""
        size = await self._find_size(part)
        if size is None:
            return 0
        if size > source.size:
            await self._ask((await self._connect()).remove(self._path(part)), part, needed=0)
            return 0
        return max(0, size - WINDOW)

    async def _send(self, part: str, source: Source, start: int, name: str) -> AsyncGenerator[int, None]:
        client = await self._connect()
        flags = asyncssh.FXF_WRITE | asyncssh.FXF_CREAT
        file = await self._ask(
            client.open(self._path(part), flags, encoding=None, block_size=0), part, needed=source.size - start
        )
        try:
            block = min(client.limits.max_write_len, _MOST_OF_BLOCK)
            async with contextlib.aclosing(
                self._send_blocks(file, source, range(start, source.size, block), name)
            ) as sent:
                async for end in sent:
                    yield end
            with contextlib.suppress(asyncssh.SFTPOpUnsupported):
                await self._ask(file.fsync(), name, needed=0)
        except BaseException:
            with contextlib.suppress(LocationError):
                await self._ask(file.close(), name)
            raise
        await self._ask(file.close(), name, needed=0)
        size = await self._find_size(part)
        if size != source.size:
            await self._discard(part)
            raise wrong_size(self._host, name, source.size, size or 0)

    async def _send_blocks(
        self, file: asyncssh.SFTPClientFile, source: Source, blocks: range, name: str
    ) -> AsyncGenerator[int, None]:
        """Write with up to `WINDOW` bytes on their way, and yield what the server has confirmed."""
        pending: deque[tuple[int, asyncio.Task[int]]] = deque()
        position = done = yielded = blocks.start

        async def confirm() -> int:
            end, task = pending.popleft()
            await self._ask(task, name, needed=source.size - done)
            return end

        try:
            with source.open(blocks.start) as stream:
                while data := stream.read(blocks.step):
                    pending.append((position + len(data), asyncio.create_task(file.write(data, position))))
                    position += len(data)
                    if position > source.size:
                        raise source_changed(name, source.size, position)
                    await asyncio.sleep(0)  # starts the task
                    if len(pending) * blocks.step >= WINDOW:
                        done = await confirm()
                    if done - yielded >= stores.CHUNK:
                        yielded = done
                        yield done
            while pending:
                done = await confirm()
            if done > yielded:
                yield done
        finally:
            await _cancel(task for _end, task in pending)
        if position != source.size:
            raise source_changed(name, source.size, position)

    async def _publish(self, part: str, name: str, *, replace: bool) -> None:
        client = await self._connect()
        old, new = self._path(part), self._path(name)
        if replace:
            try:
                await self._ask(client.posix_rename(old, new), name, needed=0)
            except asyncssh.SFTPOpUnsupported:
                with contextlib.suppress(ObjectMissing):
                    await self._ask(client.remove(new), name, needed=0)
                await self._ask(client.rename(old, new), name, needed=0)
        else:
            await self._rename_without_overwriting(part, name)
        await self._sync_folder(name.rpartition("/")[0])

    async def _rename_without_overwriting(self, part: str, name: str) -> None:
        client = await self._connect()
        exists = await self._find_size(name) is not None
        if not exists:
            try:
                await self._ask(client.rename(self._path(part), self._path(name)), name, needed=0)
            except LocationUnreachable:
                raise
            except LocationError:
                exists = await self._find_size(name) is not None
                if not exists:
                    raise
        if exists:
            await self._discard(part)
            raise object_exists(self._host, name)

    async def _delete(self, name: str) -> None:
        client = await self._connect()
        try:
            await self._ask(client.remove(self._path(name)), name, needed=0)
        except ObjectMissing:
            await self._require_root()
            return
        await self._sync_folder(name.rpartition("/")[0])

    async def _delete_unfinished(self, folder: str) -> None:
        try:
            entries = await self._scan(folder)
        except ObjectMissing:
            await self._require_root()
            return
        for name, attributes in entries:
            if is_part(name) and stat.S_ISREG(attributes.permissions or 0):
                await self._delete(f"{folder}/{name}")

    # --- Requests ----------------------------------------------------------------------------------------------------

    async def _scan(self, folder: str) -> list[tuple[str, asyncssh.SFTPAttrs]]:
        """Return the names in a folder that can be ours, with the attributes of each. Raises `ObjectMissing`."""
        client = await self._connect()
        found: list[tuple[str, asyncssh.SFTPAttrs]] = []
        entries = client.scandir(self._path(folder).encode())
        try:
            for _number in range(MOST_ENTRIES):
                entry = await self._ask(anext(entries, None), folder or self._root)
                if entry is None:
                    return found
                with contextlib.suppress(UnicodeDecodeError):
                    name = _as_bytes(entry.filename).decode()
                    if is_safe_name(name):
                        found.append((name, entry.attrs))
        except ObjectMissing:
            if not folder:
                raise path_missing(self._host, self._root) from None
            raise
        raise LocationFailed(
            "{host} lists more than {most} files in {folder}. Check the folder there.",
            host=self._host,
            most=MOST_ENTRIES,
            folder=quoted(folder or self._root),
        )

    async def _find_size(self, name: str) -> int | None:
        """Return the size of an object, or None if it does not exist."""
        client = await self._connect()
        try:
            return self._require_size(name, await self._ask(client.stat(self._path(name)), name))
        except ObjectMissing:
            return None

    async def _require_root(self) -> None:
        if await self._find_size("") is None:
            raise path_missing(self._host, self._root)

    async def _make_folder(self, folder: str) -> None:
        if await self._find_size(folder) is not None:
            return
        await self._require_root()
        client = await self._connect()
        try:
            await self._ask(client.mkdir(self._path(folder)), folder, needed=1)
        except LocationUnreachable:
            raise
        except LocationError:
            if await self._find_size(folder) is None:  # otherwise, another program has made it in the meantime
                raise
        await self._sync_folder("")

    async def _sync_folder(self, folder: str) -> None:
        """Make new names durable. OpenSSH on Linux can sync a folder that is opened as a file; others refuse, which is ignored."""
        client = await self._connect()
        with contextlib.suppress(LocationError, asyncssh.SFTPOpUnsupported):
            file = await self._ask(
                client.open(self._path(folder), asyncssh.FXF_READ, encoding=None, block_size=0), folder
            )
            try:
                await self._ask(file.fsync(), folder)
            finally:
                await self._ask(file.close(), folder)

    async def _discard(self, part: str) -> None:
        """Remove an unfinished object. If that fails, `delete_unfinished` removes it later."""
        if self._client is not None:
            with contextlib.suppress(LocationError):
                await self._ask(self._client.remove(self._path(part)), part)

    async def _ask(self, request: Awaitable[_Result], name: str, needed: int | None = None) -> _Result:
        """Wait for an answer. `needed` is how many bytes a request still has to write, or None for one that only reads.

        `SFTPOpUnsupported` is for the caller.
        """
        seconds = stores.TIMEOUT_SECONDS
        try:
            async with asyncio.timeout(seconds):
                return await request
        except CONNECTION_ERRORS as problem:
            self._abort()
            raise connection_lost(self._host, self._port, problem, seconds) from problem
        except _MISSING as problem:
            raise object_missing(self._host, name) from problem
        except asyncssh.SFTPOpUnsupported:
            raise
        except asyncssh.SFTPError as problem:
            raise await self._explain(problem, name, needed) from problem

    async def _explain(self, problem: asyncssh.SFTPError, name: str, needed: int | None) -> LocationError:
        """Return the cause of a refusal. The protocol only has "failure", so this looks at the disk."""
        disk = None if needed is None else await self._find_disk()
        free = disk.bavail * disk.frsize if disk is not None else None
        is_read_only = disk is not None and disk.flags & os.ST_RDONLY
        has_no_names = disk is not None and disk.files and not disk.favail
        if is_read_only or isinstance(problem, asyncssh.SFTPWriteProtect):
            return read_only(self._host)
        if isinstance(problem, asyncssh.SFTPPermissionDenied):
            return not_permitted(self._host, name)
        is_full = isinstance(problem, (asyncssh.SFTPNoSpaceOnFilesystem, asyncssh.SFTPQuotaExceeded))
        if is_full or (needed is not None and free is not None and (free < needed or has_no_names)):
            return no_space(self._host, needed or 0, free)
        if not needed:
            return unexpected_answer(self._host, name, problem.reason)
        return LocationFailed(
            "{host} answered {answer} when {name} was written, without a reason. "
            "Check that the disk there is not full, and that the quota is not used up.",
            host=self._host,
            name=quoted(name),
            answer=quoted(problem.reason),
        )

    async def _find_disk(self) -> asyncssh.SFTPVFSAttrs | None:
        if self._client is None:
            return None
        try:
            async with asyncio.timeout(stores.TIMEOUT_SECONDS):
                return await self._client.statvfs(self._root)
        except (asyncssh.SFTPError, *CONNECTION_ERRORS):
            return None

    def _require_size(self, name: str, attributes: asyncssh.SFTPAttrs) -> int:
        if attributes.size is None:
            raise LocationFailed(
                "{host} does not report the size of {name}. Use another server.", host=self._host, name=quoted(name)
            )
        return attributes.size

    def _path(self, name: str) -> str:
        return f"{self._root.rstrip('/')}/{name}" if name else self._root

    # --- The connection ----------------------------------------------------------------------------------------------

    async def _connect(self) -> asyncssh.SFTPClient:
        for _turn in range(3):  # the loop stands still between calls, and must see first what happened in the meantime
            await asyncio.sleep(0)
        if self._connection is not None and self._connection.is_closed():
            self._abort()
        if self._client is None:
            self._connection, self._client = await connect(self._address, self._key, stores.TIMEOUT_SECONDS)
        return self._client

    def _abort(self) -> None:
        if self._connection is not None:
            self._connection.abort()
        self._connection = self._client = None

    async def _disconnect(self) -> None:
        connection, self._connection, self._client = self._connection, None, None
        if connection is None:
            return
        connection.close()
        try:
            async with asyncio.timeout(1):
                await connection.wait_closed()
        except (asyncssh.Error, OSError):
            connection.abort()


async def _read_block(file: asyncssh.SFTPClientFile, wanted: range) -> bytes:
    """Return these bytes of a file, or fewer at its end. A server may return less than the request wants."""
    found = bytearray()
    while len(found) < len(wanted):
        data: bytes = await file.read(len(wanted) - len(found), wanted.start + len(found))
        if not data:
            break
        found += data
    return bytes(found)


async def _cancel(tasks: Iterator[asyncio.Task[Any]]) -> None:
    unfinished = list(tasks)
    for task in unfinished:
        task.cancel()
    await asyncio.gather(*unfinished, return_exceptions=True)


def _part_key(source: Source) -> str:
    """Return the part of the name of an unfinished object that is equal for equal bytes, and random without a tag."""
    return hashlib.sha256(source.tag.encode()).hexdigest()[:16] if source.tag else secrets.token_hex(8)


def _as_bytes(name: str | bytes) -> bytes:
    return name if isinstance(name, bytes) else name.encode()
