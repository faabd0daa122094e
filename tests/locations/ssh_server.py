"""An SSH server of the tests' own, for what OpenSSH cannot do here: passwords, missing extensions and odd listings."""

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

import asyncssh

from tvarr_backup.locations.addresses import Address, LocationKind, read_address

USER, PASSWORD = "operator", "s3cret-word"


class PlainServer(asyncssh.SFTPServer):
    """Without OpenSSH's extensions. Its rename overwrites, as that of some servers."""

    def posix_rename(self, oldpath: bytes, newpath: bytes) -> None:
        raise asyncssh.SFTPOpUnsupported("no posix-rename")

    def fsync(self, file_obj: object) -> None:
        raise asyncssh.SFTPOpUnsupported("no fsync")

    def statvfs(self, path: bytes) -> asyncssh.SFTPVFSAttrs:
        raise asyncssh.SFTPOpUnsupported("no statvfs")


class HostileServer(asyncssh.SFTPServer):
    """Lists names that lead elsewhere."""

    async def scandir(self, path: bytes) -> AsyncIterator[asyncssh.SFTPName]:
        names = [
            b"good",
            b"..",
            b"../up",
            b"a/b",
            b"\xff",
            b"bell\x07",
            b"line\nbreak",
            b"\xe2\x80\xaeeman",
            b"",
            b"x.part",
        ]
        for name in names:
            yield asyncssh.SFTPName(name, attrs=asyncssh.SFTPAttrs(size=1, permissions=0o100644))
        yield asyncssh.SFTPName(b"folder", attrs=asyncssh.SFTPAttrs(size=1, permissions=0o040755))


class BrokenListingServer(asyncssh.SFTPServer):
    """Fails in the middle of a listing."""

    async def scandir(self, path: bytes) -> AsyncIterator[asyncssh.SFTPName]:
        for number in range(200):
            yield asyncssh.SFTPName(b"%d" % number, attrs=asyncssh.SFTPAttrs(size=1, permissions=0o100644))
        raise asyncssh.SFTPFailure("the disk is broken")


class UnwritableServer(PlainServer):
    """Refuses all bytes without a reason, and cannot be asked about its disk."""

    def write(self, file_obj: object, offset: int, data: bytes) -> int:
        raise asyncssh.SFTPFailure("Failure")


class _Guard(asyncssh.SSHServer):
    def __init__(self, attempts: list[str]) -> None:
        self._attempts = attempts

    def password_auth_supported(self) -> bool:
        return True

    def validate_password(self, username: str, password: str) -> bool:
        self._attempts.append(password)
        return (username, password) == (USER, PASSWORD)


class SSHServer:
    def __init__(self, folder: Path, port: int, host_key: str) -> None:
        self.folder, self.port, self.host_key = folder, port, host_key
        self.attempts: list[str] = []
        """The passwords that the server got."""

    @property
    def address(self) -> Address:
        options = {"host": "127.0.0.1", "port": str(self.port), "user": USER, "path": "/", "host_key": self.host_key}
        return read_address(LocationKind.SFTP, options | {"password": PASSWORD})


@contextmanager
def running_ssh_server(
    folder: Path, kind: type[asyncssh.SFTPServer] | None = asyncssh.SFTPServer, key_type: str = "ssh-ed25519"
) -> Iterator[SSHServer]:
    """A server whose root is the folder. `kind` is None for one that does not offer SFTP."""
    key = asyncssh.generate_private_key(key_type)
    server = SSHServer(folder, 0, " ".join(key.export_public_key().decode().split()[:2]))
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()

    async def start() -> asyncssh.SSHAcceptor:
        return await asyncssh.listen(
            "127.0.0.1",
            0,
            server_factory=lambda: _Guard(server.attempts),
            server_host_keys=[key],
            sftp_factory=(lambda channel: kind(channel, chroot=bytes(folder))) if kind else None,
        )

    async def stop() -> None:
        acceptor.close()
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()
        await asyncio.sleep(0.01)

    acceptor = asyncio.run_coroutine_threadsafe(start(), loop).result(30)
    server.port = acceptor.get_port()
    try:
        yield server
    finally:
        asyncio.run_coroutine_threadsafe(stop(), loop).result(30)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(30)
        loop.close()
