"""Connections with one time limit for all their steps, and the addresses that requests must not reach."""

from __future__ import annotations

import io
import ipaddress
import socket
import ssl
import time
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from typing import Any, NoReturn, cast

from tvarr_backup.connection_problems import (
    explain_certificate,
    explain_connection_problem,
    find_causes,
    find_ssl_error,
)
from tvarr_backup.errors import ReceiverForbidden, ReceiverUnreachable, ReceiverUntrusted
from tvarr_backup.quoting import quoted

_Network = ipaddress.IPv4Network | ipaddress.IPv6Network
_FORBIDDEN: Sequence[_Network] = tuple(
    map(
        ipaddress.ip_network,
        (
            "169.254.0.0/16",  # link-local, RFC 3927; metadata of AWS, Azure, Google, OpenStack and others
            "fe80::/10",  # link-local, RFC 4291
            "fd00:ec2::/32",  # metadata of AWS over IPv6
            "fd20:ce::254/128",  # metadata of Google over IPv6
            "100.100.100.200/32",  # metadata of Alibaba
            "192.0.0.192/32",  # metadata of Oracle
            "168.63.129.16/32",  # Azure's WireServer
        ),
    )
)
_NAT64 = (ipaddress.IPv6Network("64:ff9b::/96"), ipaddress.IPv6Network("64:ff9b:1::/48"))  # RFC 6052, RFC 8215
_COMPATIBLE = ipaddress.IPv6Network("::/96")  # RFC 4291, deprecated


class Deadline:
    """The end of the time for a message. Every step of a connection has what is left of it."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._end = time.monotonic() + seconds

    def remaining(self) -> float:
        """Return the seconds that are left. Raises `TimeoutError`."""
        left = self._end - time.monotonic()
        if left <= 0:
            raise TimeoutError
        return left


class TimedReader(io.RawIOBase):
    """Reads from a socket until the deadline, however slowly the bytes arrive. The socket is closed by its owner."""

    def __init__(self, sock: socket.socket, deadline: Deadline) -> None:
        self._sock, self._deadline = sock, deadline

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        self._sock.settimeout(self._deadline.remaining())
        return self._sock.recv_into(buffer)


@dataclass(frozen=True)
class SocketAddress:
    """An address that a host name stands for, as `getaddrinfo` returns it."""

    family: int
    address: tuple[Any, ...]

    @property
    def ip(self) -> IPv4Address | IPv6Address:
        return ipaddress.ip_address(str(self.address[0]).partition("%")[0])


def find_addresses(host: str, port: int) -> list[SocketAddress]:
    """Return the addresses of a host. Raises `ReceiverUnreachable`. The system limits how long this takes."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as problem:
        raise ReceiverUnreachable(
            "The host name {host} was not found: {reason:clause}. Check the address, and the network's name server.",
            host=quoted(host),
            reason=getattr(problem, "strerror", None) or "it is not a valid name",
        ) from None
    return [SocketAddress(family, address) for family, _kind, _protocol, _name, address in found]


def leave_out_forbidden(host: str, addresses: Sequence[SocketAddress]) -> list[SocketAddress]:
    """Leave out link-local addresses and those of metadata services. Raises `ReceiverForbidden` if no other is left.

    A name in a home network often stands for a link-local address and another one.
    """
    found = [address for address in addresses if not is_forbidden(address.ip)]
    if not found:
        raise ReceiverForbidden(
            "{host} stands for {address}, a link-local address or the metadata service of a cloud. "
            "Nothing was sent. Enter another address.",
            is_permanent=True,
            host=quoted(host),
            address=str(addresses[0].ip),
        )
    return found


def is_forbidden(ip: IPv4Address | IPv6Address) -> bool:
    """Return whether an address, or the one of IPv4 that it contains, is link-local or a metadata service."""
    return any(one in network for one in (ip, *_embedded(ip)) for network in _FORBIDDEN)


def _embedded(ip: IPv4Address | IPv6Address) -> list[IPv4Address]:
    if isinstance(ip, IPv4Address):
        return []
    found = [ip.ipv4_mapped, ip.sixtofour, *(ip.teredo or ())]
    if ip in _COMPATIBLE or any(ip in network for network in _NAT64):
        found.append(IPv4Address(int(ip) & 0xFFFFFFFF))
    return [one for one in found if one is not None]


def connect(host: str, port: int, addresses: Sequence[SocketAddress], deadline: Deadline) -> socket.socket:
    """Connect to the first address that accepts. Raises `ReceiverUnreachable`."""
    problem: OSError = TimeoutError()
    for number, address in enumerate(addresses):
        sock = socket.socket(address.family, socket.SOCK_STREAM)
        try:
            sock.settimeout(deadline.remaining() / (len(addresses) - number))
            sock.connect(address.address)
        except OSError as refused:
            sock.close()
            problem = refused
        else:
            return sock
    raise ReceiverUnreachable(
        "{host} did not accept a connection on port {port}: {reason:clause}. "
        "Check the address, and that the server is running.",
        host=quoted(host),
        port=port,
        reason=explain_connection_problem(problem, deadline.seconds),
    )


def secure(sock: socket.socket, host: str, port: int, deadline: Deadline) -> ssl.SSLSocket:
    """Begin TLS, trusting what the system trusts. Closes the socket and raises `ReceiverUntrusted` or `ReceiverUnreachable`."""
    context = ssl.create_default_context()
    try:
        sock.settimeout(deadline.remaining())
        return context.wrap_socket(sock, server_hostname=host)
    except OSError as problem:  # also what `ssl` raises
        sock.close()
        raise_connection_lost(host, port, problem, deadline)


def raise_connection_lost(host: str, port: int, problem: BaseException, deadline: Deadline) -> NoReturn:
    """Raise the error for a connection that ended too early."""
    refused = find_ssl_error(problem)
    certificate = explain_certificate(refused, "SSL_CERT_FILE") if refused else None
    if certificate is not None:
        raise ReceiverUntrusted(
            "The certificate of {host} on port {port} is not trusted: {reason}. Nothing was sent.",
            host=quoted(host),
            port=port,
            reason=certificate,
        ) from None
    if refused is not None and not isinstance(refused, ssl.SSLEOFError):
        raise ReceiverUntrusted(
            "There is no secure connection to {host} on port {port}: {reason:clause}. "
            "Check the address, and whether the server uses TLS on this port.",
            host=quoted(host),
            port=port,
            reason=refused.reason or "TLS failed",
        ) from None
    known = [error for error in find_causes(problem) if isinstance(error, OSError)]
    raise ReceiverUnreachable(
        "The connection to {host} on port {port} was lost: {reason:clause}. The message may have arrived. "
        "Check the network and the log of the server.",
        host=quoted(host),
        port=port,
        reason=explain_connection_problem(known[0] if known else ConnectionResetError(), deadline.seconds),
    ) from None


def local_address(sock: socket.socket) -> str:
    return cast("str", sock.getsockname()[0])
