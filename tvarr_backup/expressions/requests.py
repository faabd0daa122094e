"""Client requests, as the columns that client detection rules read."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import unquote_to_bytes

from tvarr_backup.expressions.columns import HEADERS, QUERY
from tvarr_backup.expressions.values import read_value


def read_request(row: Mapping[str, Any]) -> dict[str, str]:
    """Return the columns of a request: the six of `REQUEST_COLUMNS`, and one for each header and query parameter.

    The members of a row are `method` (GET), `url` (the request target), `host`, `remote_addr` (with a port), and `headers` (a
    list of pairs in their order). All may be missing.
    """
    target = read_value(row.get("url"))
    host, path, raw_query = _split_target(target, read_value(row.get("host")))
    headers = _header_values(row.get("headers") or ())
    decoded = _decode(path)
    columns = {
        "client_ip": _client_ip(read_value(row.get("remote_addr")), headers),
        "request_path": path if decoded is None else decoded,
        "request_url": path + (f"?{raw_query}" if "?" in target else ""),
        "query_params": raw_query,
        "method": read_value(row.get("method", "GET")),
        "host": host,
    }
    return {**_first_values(_query_pairs(raw_query), QUERY), **headers, **columns}


def _split_target(target: str, host: str) -> tuple[str, str, str]:
    """Return host, path and query. A target with scheme and host names the host that counts."""
    scheme, separator, rest = target.partition("://")
    if separator and scheme.isalpha():
        authority, slash, path = rest.partition("/")
        host, target = authority, slash + path
    path, _, raw_query = target.partition("?")
    return host, path, raw_query


def _first_values(pairs: Iterable[Sequence[Any]], prefix: str) -> dict[str, str]:
    """Return the first value of each key in any letter case."""
    found: dict[str, str] = {}
    for key, value in pairs:
        found.setdefault(f"{prefix}:{read_value(key).lower()}", read_value(value))
    return found


def _header_values(pairs: Iterable[Sequence[Any]]) -> dict[str, str]:
    """Return headers without spaces around them, and without Host, which Go does not keep among them."""
    found = _first_values(pairs, HEADERS)
    return {name: value.strip(" \t") for name, value in found.items() if name != f"{HEADERS}:host"}


def _query_pairs(raw_query: str) -> Iterator[tuple[str, str]]:
    """Yield decoded pairs. tvarr drops pairs with a semicolon or a bad percent sign."""
    for pair in raw_query.split("&"):
        key, _, value = pair.partition("=")
        decoded_key, decoded_value = _decode(key.replace("+", " ")), _decode(value.replace("+", " "))
        if pair and ";" not in pair and decoded_key is not None and decoded_value is not None:
            yield decoded_key, decoded_value


def _decode(text: str) -> str | None:
    """Return percent-decoded text, or None if a percent sign is not followed by two hexadecimal digits."""
    _before, *others = text.split("%")
    if not all(len(part) >= 2 and all(digit in "0123456789abcdefABCDEF" for digit in part[:2]) for part in others):
        return None
    return read_value(unquote_to_bytes(text.encode("utf-8", "surrogateescape")))


def _client_ip(peer: str, headers: Mapping[str, str]) -> str:
    """Return the client's address: of X-Forwarded-For, of X-Real-IP, or the peer's, which True-Client-IP replaces."""
    forwarded = headers.get(f"{HEADERS}:x-forwarded-for", "").split(",")[0].strip()
    real = headers.get(f"{HEADERS}:x-real-ip", "").strip()
    return forwarded or real or headers.get(f"{HEADERS}:true-client-ip", "").strip() or _without_port(peer)


def _without_port(peer: str) -> str:
    address, colon, _port = peer.rpartition(":")
    if not colon or (":" in address and not address.startswith("[")):
        return peer
    return address.strip("[]")
