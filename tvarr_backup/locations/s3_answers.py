"""Answers of an S3 service: what the library's errors say about them, and a request that asks for more."""

from __future__ import annotations

import re
import ssl
import urllib.error
import urllib.request
from dataclasses import dataclass
from email.message import Message
from http import HTTPStatus
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

from tvarr_backup.locations import failures
from tvarr_backup.locations.addresses import Address


@dataclass(frozen=True)
class Answer:
    """What the service answered, read from the text of an error: status, code and members of its XML, "" if missing."""

    text: str
    method: str
    status: int | None
    code: str
    region: str
    server_time: str
    is_redirect: bool
    is_untrusted: bool
    was_silent: bool
    was_cut: bool

    @classmethod
    def of(cls, problem: Exception) -> Self:
        told = f"{problem}"
        status = _found(r"non-2xx status code: (\d{3})", told)
        code = _found(r"<Code>(\w+)</Code>", told)
        head = told.partition("\n\nDebug source:")[0].rpartition(" - ")[2]
        return cls(
            text=f"{status} ({code})" if code else status or head,
            method=_found(r"Error performing ([A-Z]+) ", told),
            status=int(status) if status else None,
            code=code,
            region=_found(r"<Region>([\w-]+)</Region>", told),
            server_time=_found(r"<ServerTime>([\w:.-]+)</ServerTime>", told),
            is_redirect=status.startswith("3") or "redirect without LOCATION" in told,
            is_untrusted="invalid peer certificate" in told,
            was_silent="TimedOut" in told and "kind: Connect" not in told,
            was_cut="HTTP error:" in told,
        )

    @property
    def is_missing_object(self) -> bool:
        return self.status == HTTPStatus.NOT_FOUND and self.code in {"NoSuchKey", ""}

    @property
    def is_unsupported(self) -> bool:
        """Whether the service cannot check that a name is free."""
        return self.status == HTTPStatus.NOT_IMPLEMENTED or self.code == "NotImplemented"


def _found(pattern: str, text: str) -> str:
    match = re.search(pattern, text, re.ASCII)
    return match[1] if match else ""


@dataclass(frozen=True)
class Endpoint:
    """The address of the service. `url` is that of the bucket, `for_library` that of the service if `is_path_style`."""

    url: str
    for_library: str
    is_path_style: bool
    is_default: bool

    @classmethod
    def of(cls, address: Address) -> Self:
        options = address.options
        domain = "amazonaws.com.cn" if options["region"].startswith("cn-") else "amazonaws.com"
        service = options["endpoint"] or f"https://s3.{options['region']}.{domain}"
        is_path_style = options["path_style"] == "yes"
        scheme, rest = service.split("://", 1)
        url = f"{service}/{options['bucket']}" if is_path_style else f"{scheme}://{options['bucket']}.{rest}"
        return cls(url, service if is_path_style else url, is_path_style, is_default=not options["endpoint"])

    @property
    def scheme(self) -> str:
        return urlsplit(self.url).scheme

    @property
    def name(self) -> str:
        return urlsplit(self.url).hostname or ""

    @property
    def port(self) -> int:
        return urlsplit(self.url).port or {"http": 80, "https": 443}[self.scheme]

    @property
    def host(self) -> str:
        return urlsplit(self.url).netloc

    def ask(self, trust: ssl.SSLContext | None, timeout_seconds: float) -> Message:
        """Request the bucket without credentials and return the headers of any answer. Raises `OSError`, `HTTPException`."""
        request = urllib.request.Request(self.url, method="HEAD")  # noqa: S310  # http or https
        try:
            with build_opener(trust).open(request, timeout=timeout_seconds) as answer:
                headers: Message = answer.headers
        except urllib.error.HTTPError as refusal:
            with refusal:
                headers = refusal.headers
        return headers


def build_opener(trust: ssl.SSLContext | None) -> urllib.request.OpenerDirector:
    """Return what sends requests, and follows no redirects. None trusts public certificates only."""
    handlers: list[urllib.request.BaseHandler] = [_NoRedirects()]
    if trust is not None:
        handlers.append(urllib.request.HTTPSHandler(context=trust))
    return urllib.request.build_opener(*handlers)


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_arguments: Any) -> None:
        """Follow none, so that it is an error."""


def read_certificates(path: str) -> tuple[bytes, ssl.SSLContext | None]:
    """Return the content of a PEM file, and what trusts it as well. Raises `LocationInvalid`."""
    if not path:
        return b"", None
    try:
        trust = ssl.create_default_context()
        trust.load_verify_locations(path)
        return Path(path).read_bytes(), trust
    except OSError as problem:
        raise failures.certificate_file_invalid(path, problem) from problem
