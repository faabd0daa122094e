"""Errors of locations that several kinds share, with their messages.

`where` is what the user knows the location by, such as a host name, a bucket or a folder.
"""

from __future__ import annotations

import socket
import ssl

from tvarr_backup.connection_problems import explain_certificate, explain_connection_problem, find_causes
from tvarr_backup.errors import (
    LocationDenied,
    LocationFailed,
    LocationFull,
    LocationInvalid,
    LocationReadOnly,
    LocationUnreachable,
    LocationUntrusted,
    ObjectExists,
    ObjectMissing,
)
from tvarr_backup.quoting import quoted

# --- Connections -----------------------------------------------------------------------------------------------------


def not_connected(host: str, port: int, problem: BaseException, seconds: float) -> LocationUnreachable:
    """No connection could be made. `seconds` is how long it was tried."""
    for error in find_causes(problem):
        if isinstance(error, socket.gaierror):
            return LocationUnreachable(
                "The host name {host} was not found: {reason:clause}. Check the address, and the network's name server.",
                host=quoted(host),
                reason=error.strerror or str(error),
            )
    return LocationUnreachable(
        "{host} did not accept a connection on port {port}: {reason:clause}. "
        "Check the address, and that the server is running.",
        host=host,
        port=port,
        reason=explain_connection_problem(problem, seconds),
    )


def connection_lost(host: str, port: int, problem: BaseException, seconds: float) -> LocationUnreachable:
    """A connection was cut, or the other side was silent for `seconds`."""
    return LocationUnreachable(
        "The connection to {host} on port {port} was lost: {reason:clause}. Try again. "
        "If this happens often, check the network and the log of the server.",
        host=host,
        port=port,
        reason=explain_connection_problem(problem, seconds),
    )


# --- Certificates ----------------------------------------------------------------------------------------------------


def certificate_refused(host: str, port: int, problem: ssl.SSLError) -> LocationUntrusted:
    """The certificate of a server did not prove that it is this host."""
    reason = explain_certificate(problem, '"ca_file"')
    if reason is None:
        return LocationUntrusted(
            "There is no secure connection to {host} on port {port}: {reason:clause}. "
            'Check the address, and whether it should begin with "http:".',
            host=host,
            port=port,
            reason=problem.reason or str(problem),
        )
    return LocationUntrusted(
        "The certificate of {host} on port {port} is not trusted: {reason}. Nothing was sent.",
        host=host,
        port=port,
        reason=reason,
    )


def certificate_file_invalid(path: str, problem: Exception) -> LocationInvalid:
    reason = "it has no certificate in PEM format"
    if isinstance(problem, OSError) and not isinstance(problem, ssl.SSLError):
        reason = problem.strerror or str(problem)
    return LocationInvalid(
        "ca_file: expected a readable PEM file with a certificate, got {path}: {reason:clause}.",
        path=quoted(path),
        reason=reason,
    )


# --- Permissions and space -------------------------------------------------------------------------------------------


def sign_in_refused(where: str, options: str) -> LocationDenied:
    """`options` names what was refused, such as "the user name or password"."""
    return LocationDenied("{where} refused {options}. Check them.", where=where, options=options)


def not_permitted(where: str, name: str, reason: str = "") -> LocationDenied:
    """`name` is a path in the location."""
    return LocationDenied(
        "{where} does not permit access to {name}{reason}. Check the permissions of the user there.",
        where=where,
        name=quoted(name),
        reason=f" ({reason})" if reason else "",
    )


def no_space(where: str, needed: int, free: int | None = None) -> LocationFull:
    """`needed` and `free` are bytes; `free` is None if it is unknown."""
    if free is None:
        return LocationFull(
            "{where} has no space left, or the quota is used up (about {needed:MB} needed). "
            "The copies there are unchanged. Free some space there, then try again.",
            where=where,
            needed=needed,
        )
    return LocationFull(
        "{where} is full ({free:MB} free, about {needed:MB} needed). "
        "The copies there are unchanged. Free some space there, then try again.",
        where=where,
        free=free,
        needed=needed,
    )


def read_only(where: str) -> LocationReadOnly:
    return LocationReadOnly(
        "{where} is read-only. Nothing was written. Mount it for writing, or choose another location.", where=where
    )


# --- Objects ---------------------------------------------------------------------------------------------------------


def path_missing(where: str, path: str) -> ObjectMissing:
    """The path of the address itself does not exist."""
    return ObjectMissing(
        "{where} has no folder {path}. Create it there, mount its disk, or correct the address.",
        where=where,
        path=quoted(path),
    )


def object_missing(where: str, name: str) -> ObjectMissing:
    return ObjectMissing("{where} has no file {name}.", where=where, name=quoted(name))


def object_exists(where: str, name: str) -> ObjectExists:
    return ObjectExists(
        "{where} already has a file {name}. It was not overwritten. Delete it there if it is not needed.",
        where=where,
        name=quoted(name),
    )


def wrong_size(where: str, name: str, expected: int, found: int) -> LocationFailed:
    """What was written or read has another size than it should have."""
    return LocationFailed(
        "{where} has {found} bytes of {name}, expected {expected}. Try again.",
        where=where,
        name=quoted(name),
        expected=expected,
        found=found,
    )


def source_changed(name: str, expected: int, found: int) -> LocationFailed:
    """The bytes to write are not as many as their source said."""
    return LocationFailed(
        "The file for {name} changed while it was copied: expected {expected} bytes, got {found}. "
        "Nothing was saved. Try again.",
        name=quoted(name),
        expected=expected,
        found=found,
    )


def unexpected_answer(where: str, action: str, answer: str) -> LocationFailed:
    """`action` is a request such as "PUT backups/a.age", `answer` is what the server said."""
    return LocationFailed(
        "{where} answered {answer} to {action}. Check the log of the server.",
        where=where,
        action=quoted(action),
        answer=quoted(answer),
    )
