"""Connections to SFTP servers: host keys, signing in, and what can go wrong.

Only the address decides: no agent, no configuration and no keys of the account that runs this program are used.
"""

from __future__ import annotations

import asyncio
import getpass
import importlib.util
import logging
import os
from pathlib import Path

import asyncssh

from tvarr_backup.errors import (
    LocationDenied,
    LocationError,
    LocationFailed,
    LocationInvalid,
    LocationUnsupported,
    LocationUntrusted,
)
from tvarr_backup.locations.addresses import Address
from tvarr_backup.locations.failures import connection_lost, not_connected, sign_in_refused
from tvarr_backup.quoting import quoted

asyncssh.set_log_level(logging.WARNING)  # it logs each connection, with its steps

_RSA = ("rsa-sha2-512", "rsa-sha2-256")
_HOST_KEYS = (
    "ssh-ed25519",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    *_RSA,
)
"""Algorithms of host keys, without certificates and SHA-1."""

CONNECTION_ERRORS = (
    OSError,
    asyncssh.DisconnectError,
    asyncssh.SFTPConnectionLost,
    asyncssh.SFTPNoConnection,
)
"""What asyncssh raises if there is no connection any more."""


def read_private_key(private_key: str, passphrase: str) -> asyncssh.SSHKey | None:
    """Return the key, or None if there is none. Raises `LocationInvalid`, which never shows the key or the passphrase."""
    if not private_key:
        return None
    text = private_key.replace("\r\n", "\n")
    try:
        return asyncssh.import_private_key(text, passphrase or None)
    except (asyncssh.KeyEncryptionError, asyncssh.KeyImportError) as problem:
        if not _is_encrypted(text):
            raise LocationInvalid("private_key: expected a private key in the format of OpenSSH or PEM.") from None
        if importlib.util.find_spec("bcrypt") is None:
            raise LocationUnsupported(
                'The library for private keys with a passphrase ("bcrypt") is not installed. '
                "Install tvarr-backup[locations]."
            ) from problem
        found = "another one" if passphrase else "nothing"
        raise LocationInvalid(
            "passphrase: expected the passphrase of the private key, got {found}.", found=found
        ) from None


def _is_encrypted(private_key: str) -> bool:
    """PEM says so in the text, and the format of OpenSSH only when it is tried."""
    try:
        asyncssh.import_private_key(private_key, "any")
    except asyncssh.KeyEncryptionError:
        return True
    except asyncssh.KeyImportError:
        return "ENCRYPTED" in private_key
    return False


async def connect(
    address: Address, key: asyncssh.SSHKey | None, seconds: float
) -> tuple[asyncssh.SSHClientConnection, asyncssh.SFTPClient]:
    """Connect, check the host key, sign in and start SFTP, within `seconds`.

    Raises `LocationUntrusted` before it sends credentials, `LocationUnreachable`, `LocationDenied` or `LocationFailed`.
    """
    options = address.options
    host, port = options["host"], int(options["port"])
    client = _Client(options["host_key"])
    _ensure_local_account()
    connection: asyncssh.SSHClientConnection | None = None
    try:
        async with asyncio.timeout(seconds):
            connection = await asyncssh.connect(
                host,
                port,
                username=options["user"],
                password=options["password"] or None,
                client_keys=[key] if key else None,
                client_factory=lambda: client,
                config=None,
                agent_path=None,
                known_hosts=([], [], []),
                server_host_key_algs=_order_algorithms(options["host_key"]),
                x509_trusted_certs=None,
                gss_kex=False,
                gss_auth=False,
                preferred_auth="publickey,password,keyboard-interactive",
                login_timeout=seconds + 1,
            )
            return connection, await connection.start_sftp_client()
    except BaseException as problem:
        if connection is not None:
            connection.abort()
        failure = _explain(problem, address, client.found, seconds, is_connected=connection is not None)
        if failure is None:
            raise
        raise failure from problem


class _Client(asyncssh.SSHClient):
    """Accepts one host key, and remembers which the server has."""

    def __init__(self, expected: str) -> None:
        self._expected = expected
        self.found = ""

    def validate_host_public_key(self, host: str, addr: str, port: int, key: asyncssh.SSHKey) -> bool:  # noqa: ARG002
        self.found = " ".join(key.export_public_key("openssh").decode("ascii").split()[:2])
        return self.found == self._expected


def _order_algorithms(host_key: str) -> list[str]:
    """Ask for the type of the expected key first, because a server has one key of each type."""
    kind = host_key.partition(" ")[0]
    first = _RSA if kind == "ssh-rsa" else (kind,)
    return sorted(_HOST_KEYS, key=lambda algorithm: algorithm not in first)


def _ensure_local_account() -> None:
    """asyncssh asks for the name and home of the local account, although they are not used. In a container it may have none."""
    try:
        getpass.getuser()
    except (KeyError, OSError):
        os.environ["LOGNAME"] = "tvarr-backup"
    try:
        Path.home()
    except RuntimeError:
        os.environ["HOME"] = "/"


def _explain(
    problem: BaseException, address: Address, host_key: str, seconds: float, *, is_connected: bool
) -> LocationError | None:
    """Return None for an error that is not about the connection."""
    host, port = address.options["host"], int(address.options["port"])
    if isinstance(problem, asyncssh.HostKeyNotVerifiable) and host_key:
        return _host_key_refused(address, host_key)
    if isinstance(problem, asyncssh.PermissionDenied):
        return _sign_in_refused(address)
    if isinstance(problem, (asyncssh.ChannelOpenError, asyncssh.SFTPError)) and is_connected:
        return LocationFailed(
            "{host} accepted the user, but does not offer SFTP to it. Turn on SFTP on the server for this user.",
            host=host,
        )
    if isinstance(problem, asyncssh.DisconnectError):
        return _disconnected(problem, host, port, seconds)
    return not_connected(host, port, problem, seconds) if isinstance(problem, OSError) else None


def _disconnected(problem: asyncssh.DisconnectError, host: str, port: int, seconds: float) -> LocationError:
    if isinstance(problem, asyncssh.KeyExchangeFailed):
        return LocationFailed(
            "{host} offers no secure connection that this program accepts: {reason:clause}. Update the SSH server.",
            host=host,
            reason=problem.reason,
        )
    if isinstance(problem, (asyncssh.ProtocolError, asyncssh.ProtocolNotSupported)):
        return LocationFailed(
            "{host} did not answer as an SSH server on port {port}: {reason:clause}. Check the port.",
            host=host,
            port=port,
            reason=quoted(problem.reason),
        )
    return connection_lost(host, port, problem, seconds)


def _sign_in_refused(address: Address) -> LocationDenied:
    has_password, has_key = bool(address.options["password"]), bool(address.options["private_key"])
    what = "the user name, password or private key"
    if not (has_password and has_key):
        what = "the user name or private key" if has_key else "the user name or password"
    return sign_in_refused(address.options["host"], what)


def _host_key_refused(address: Address, host_key: str) -> LocationUntrusted:
    host, expected = address.options["host"], address.options["host_key"]
    if expected:
        return LocationUntrusted(
            "The host key of {host} has changed: expected {expected}, got {host_key}. No password was sent. "
            "If the server was not reinstalled, the connection may be intercepted. "
            "If it was, confirm the new key.",
            host_key=host_key,
            host=host,
            expected=expected,
        )
    return LocationUntrusted(
        "The host key of {host} has not been confirmed yet. It is {host_key}. No password was sent. "
        "Compare it with the key on the server, then confirm it.",
        host_key=host_key,
        host=host,
    )
