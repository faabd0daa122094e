"""Listings of buckets with keys that the library cannot list, because they are not paths.

Such keys have two slashes in a row, "." or ".." between slashes, or control characters. They are never ours, but the library
then lists nothing. So the bucket is listed again without it, with a request that is signed here (Signature Version 4,
https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html).
"""

from __future__ import annotations

import hashlib
import hmac
import urllib.request
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial, reduce
from urllib.parse import quote, unquote_plus, urlsplit

from tvarr_backup.locations.addresses import Address
from tvarr_backup.locations.listings import MOST_ENTRIES, DocumentReader, ListingInvalid, read_size
from tvarr_backup.locations.s3_answers import Endpoint
from tvarr_backup.locations.stores import CHUNK

_NAMESPACE = "http://s3.amazonaws.com/doc/2006-03-01/"
_NO_CONTENT = hashlib.sha256(b"").hexdigest()


@dataclass(frozen=True)
class Keys:
    """Keys below a prefix: those of folders, which end with a slash, and objects with their sizes in bytes."""

    folders: tuple[str, ...]
    objects: tuple[tuple[str, int], ...]


def list_keys(address: Address, opener: urllib.request.OpenerDirector, place: str, timeout_seconds: float) -> Keys:
    """Return everything directly below a prefix, which ends with a slash or is empty. Raises `OSError`, `ListingInvalid`."""
    query = {"list-type": "2", "encoding-type": "url", "delimiter": "/", "prefix": place}
    folders: list[str] = []
    objects: list[tuple[str, int]] = []
    while True:
        page = _Page()
        with opener.open(_sign(address, query, datetime.now(UTC)), timeout=timeout_seconds) as answer:
            page.read(iter(partial(answer.read, CHUNK), b""))
        folders += map(page.decode, page.folders)
        objects += [(page.decode(key), size) for key, size in page.objects]
        if not page.is_truncated:
            return Keys(tuple(folders), tuple(objects))
        if not page.token or len(folders) + len(objects) > MOST_ENTRIES:
            raise ListingInvalid("it does not end")
        query["continuation-token"] = page.token


class _Page(DocumentReader):
    """A page of a listing."""

    def __init__(self) -> None:
        super().__init__("ListBucketResult", _NAMESPACE)
        self.folders: list[str] = []
        self.objects: list[tuple[str, int]] = []
        self.is_truncated = self._is_encoded = False
        self.token = self._key = ""

    def decode(self, key: str) -> str:
        return unquote_plus(key) if self._is_encoded else key

    def ended(self, path: list[str], text: str) -> None:
        match path[1:]:
            case ["CommonPrefixes", "Prefix"]:
                self.folders.append(text)
            case ["Contents", "Key"]:
                self._key = text
            case ["Contents", "Size"]:
                self.objects.append((self._key, read_size(text)))
            case ["IsTruncated"]:
                self.is_truncated = text == "true"
            case ["NextContinuationToken"]:
                self.token = text
            case ["EncodingType"]:
                self._is_encoded = text == "url"


def _sign(address: Address, query: dict[str, str], now: datetime) -> urllib.request.Request:
    """Return a request for the bucket with this query."""
    url, options = urlsplit(Endpoint.of(address).url), address.options
    moment, path = f"{now:%Y%m%dT%H%M%SZ}", quote(url.path) or "/"
    encoded = "&".join(f"{quote(name, safe='')}={quote(text, safe='')}" for name, text in sorted(query.items()))
    headers = {"host": url.netloc, "x-amz-content-sha256": _NO_CONTENT, "x-amz-date": moment}
    signed = ";".join(headers)
    lines = "".join(f"{name}:{text}\n" for name, text in headers.items())
    canonical = f"GET\n{path}\n{encoded}\n{lines}\n{signed}\n{_NO_CONTENT}"
    scope = [f"{now:%Y%m%d}", options["region"], "s3", "aws4_request"]
    key = reduce(_hmac, scope, f"AWS4{options['secret_key']}".encode())
    to_sign = ["AWS4-HMAC-SHA256", moment, "/".join(scope), hashlib.sha256(canonical.encode()).hexdigest()]
    signature = _hmac(key, "\n".join(to_sign)).hex()
    credential = f"{options['access_key']}/{'/'.join(scope)}"
    headers["authorization"] = (
        f"AWS4-HMAC-SHA256 Credential={credential}, SignedHeaders={signed}, Signature={signature}"
    )
    return urllib.request.Request(f"{url.scheme}://{url.netloc}{path}?{encoded}", headers=headers)  # noqa: S310  # http or https


def _hmac(key: bytes, text: str) -> bytes:
    return hmac.digest(key, text.encode(), "sha256")
