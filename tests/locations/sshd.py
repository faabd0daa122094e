"""OpenSSH's server in tests, for one private key. It runs as the current user and serves a temporary folder."""

import contextlib
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path

import asyncssh
import psutil
import pytest

from tvarr_backup.locations.addresses import Address, LocationKind, read_address


class Disk(StrEnum):
    """What holds the folder. A small disk is an empty one of 2 MiB for each connection."""

    NORMAL = "normal"
    READ_ONLY = "read-only"
    SMALL = "small"


_MOUNTS = {
    Disk.READ_ONLY: 'mount --bind "$1" "$1" && mount -o remount,bind,ro "$1"',
    Disk.SMALL: 'mount -t tmpfs -o size=2m none "$1"',
}


class SSHD:
    """`folder` is the root of the address. `sftp_options` are those of `sftp-server`, such as "-R"."""

    def __init__(self, base: Path, disk: Disk = Disk.NORMAL, sftp_options: str = "") -> None:
        self.folder = base / "backups"
        self.folder.mkdir()
        self.port = find_free_port()
        self.private_key = asyncssh.generate_private_key("ssh-ed25519")
        self._base, self._disk, self._sftp_options = base, disk, sftp_options
        self._process: subprocess.Popen[bytes] | None = None
        self.host_key = ""
        self.change_host_key()
        (base / "authorized").write_bytes(self.private_key.export_public_key())

    @property
    def address(self) -> Address:
        return read_address(
            LocationKind.SFTP,
            {
                "host": "127.0.0.1",
                "port": str(self.port),
                "user": psutil.Process().username(),
                "path": str(self.folder),
                "host_key": self.host_key,
                "private_key": self.private_key.export_private_key().decode(),
            },
        )

    def change_host_key(self) -> None:
        """Make another host key; it counts from the next connection."""
        key = asyncssh.generate_private_key("ssh-ed25519")
        path = self._base / "host_key"
        path.touch(0o600)
        path.write_bytes(key.export_private_key())
        self.host_key = " ".join(key.export_public_key().decode().split()[:2])
        if self._process is not None:
            self.stop()
            self.start()

    def start(self) -> None:
        if os.geteuid() == 0:
            Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)  # sshd of Debian insists on it
        (self._base / "config").write_text(self._config())
        with (self._base / "log").open("ab") as log:
            self._process = subprocess.Popen(
                ["setpriv", "--pdeathsig=KILL", "--", _program(), "-D", "-e", "-f", str(self._base / "config")],
                stdout=log,
                stderr=log,
            )
        wait_for_port(self.port, self._process, self._base / "log")

    def stop(self) -> None:
        """End the server and all its connections."""
        if self._process is None:
            return
        for process in psutil.Process(self._process.pid).children(recursive=True):
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        self._process.kill()
        self._process.wait()
        self._process = None

    def _config(self) -> str:
        sftp = f"/usr/lib/openssh/sftp-server {self._sftp_options}"
        if self._disk is not Disk.NORMAL:
            script = self._base / "subsystem"
            script.write_text(f"#!/bin/sh\n{_MOUNTS[self._disk]} && exec {sftp}\n".replace("$1", str(self.folder)))
            script.chmod(0o700)
            sftp = f"unshare --map-root-user --mount {script}"
        return f"""
            Port {self.port}
            ListenAddress 127.0.0.1
            HostKey {self._base}/host_key
            AuthorizedKeysFile {self._base}/authorized
            PidFile none
            StrictModes no
            UsePAM no
            PermitRootLogin yes
            MaxStartups 100
            Subsystem sftp {sftp}
        """


@contextmanager
def running_sshd(disk: Disk = Disk.NORMAL, sftp_options: str = "") -> Iterator[SSHD]:
    if (
        disk is not Disk.NORMAL
        and subprocess.run(["unshare", "--map-root-user", "--mount", "true"], check=False).returncode
    ):
        pytest.skip("this system does not permit mounts in a namespace of its own")
    with tempfile.TemporaryDirectory(prefix="tvarr-backup-sshd-") as base:
        server = SSHD(Path(base), disk, sftp_options)
        server.start()
        try:
            yield server
        finally:
            server.stop()


def _program() -> str:
    found = shutil.which("sshd", path=f"{os.environ['PATH']}:/usr/sbin")
    if found is None:
        pytest.exit("sshd is not installed. `make servers` installs it if it can (Debian: openssh-server).")
    return found


def find_free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


def wait_for_port(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 30
    while True:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=5):
            return
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.02)
