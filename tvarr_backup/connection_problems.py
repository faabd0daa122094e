"""Explains why a connection to another machine failed, in plain words."""

from __future__ import annotations

import errno
import ssl

from tvarr_backup.sentences import Sentence

_REASONS = {
    errno.ECONNREFUSED: "no server is listening there",
    errno.ECONNRESET: "the server closed it",
    errno.EPIPE: "the server closed it",
    errno.EHOSTUNREACH: "there is no route to the host",
    errno.ENETUNREACH: "there is no route to the network",
    errno.EHOSTDOWN: "the host is down",
}


def explain_connection_problem(problem: BaseException, seconds: float) -> Sentence:
    """Return the reason in plain words. `seconds` is how long an answer was waited for.

    asyncio, httpx and smtplib pack the error of the system into others, which are searched.
    """
    for error in find_causes(problem):
        if isinstance(error, TimeoutError):
            return Sentence("no answer within {seconds:g} s", seconds=seconds)
        if isinstance(error, OSError) and error.errno in _REASONS:
            return Sentence(_REASONS[error.errno])
    return Sentence("{reason}", reason=str(problem) or "the server closed it")


def find_ssl_error(problem: BaseException) -> ssl.SSLError | None:
    return next((error for error in find_causes(problem) if isinstance(error, ssl.SSLError)), None)


def find_causes(problem: BaseException) -> list[BaseException]:
    """Return an error and all errors that led to it."""
    found: list[BaseException] = []
    todo: list[BaseException | None] = [problem]
    while todo:
        error = todo.pop()
        if error is not None and error not in found:
            found.append(error)
            todo += [error.__context__, error.__cause__, *getattr(error, "exceptions", ())]
    return found


_HOST_NAME_MISMATCH, _IP_ADDRESS_MISMATCH, _EXPIRED, _NOT_YET_VALID = 62, 64, 10, 9
"""Verification errors of OpenSSL (`x509_vfy.h`)."""


def explain_certificate(problem: ssl.SSLError, setting: str) -> Sentence | None:
    """Return why a certificate is not trusted, or None if another step of the handshake failed.

    `setting` is what names the file of a private certificate.
    """
    code = getattr(problem, "verify_code", None)
    if code is None:
        return None
    if code == _EXPIRED:
        return Sentence("it has expired. Renew it on the server, and check the clock of this machine")
    if code == _NOT_YET_VALID:
        return Sentence("it is not valid yet. Check the clocks of the server and of this machine")
    if code in {_HOST_NAME_MISMATCH, _IP_ADDRESS_MISMATCH}:
        return Sentence("it was issued for another host name. Check the address")
    return Sentence(
        "this machine does not know who signed it ({text:clause}). If the server has a private certificate, "
        "set {setting} to the certificate that signed it",
        text=str(getattr(problem, "verify_message", "")),
        setting=setting,
    )
