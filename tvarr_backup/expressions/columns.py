"""The names of expressions in each domain that have a value, and the columns that they read and write.

Every other name reads as empty text. Source: tvarr's filter, mapping and client detection code, see docs/reference/evaluation.md.
"""

import re
from collections.abc import Mapping

from tvarr_backup.expressions.domains import Domain

CHANNEL_COLUMNS = ("channel_name", "tvg_id", "tvg_name", "tvg_logo", "group_title", "stream_url")
PROGRAMME_COLUMNS = (
    "programme_title",
    "programme_description",
    "programme_category",
    "programme_icon",
    "programme_start",
    "programme_stop",
    "channel_group_title",
)
REQUEST_COLUMNS = ("client_ip", "request_path", "request_url", "query_params", "method", "host")
TIME_COLUMNS = frozenset({"programme_start", "programme_stop"})
REPETITIVE_COLUMNS = frozenset({"group_title", "channel_group_title", "programme_category"})
"""Columns with few different values. A regular expression is slower than remembering what it gave for them."""
HEADERS, QUERY = "request.headers", "request.query"


def _columns(*groups: tuple[str, ...]) -> Mapping[str, str]:
    return {name: names[0] for names in groups for name in names}


_PROGRAMME_NAMES = (
    ("programme_title", "title"),
    ("programme_description", "description", "desc"),
    ("programme_category", "genre"),
)
READ: Mapping[Domain, Mapping[str, str]] = {
    Domain.STREAM_FILTER: _columns(
        ("channel_name", "name"),
        ("tvg_id", "epg_id"),
        ("tvg_name",),
        ("tvg_logo", "logo"),
        ("group_title", "group", "category"),
        ("stream_url",),
    ),
    Domain.STREAM_MAPPING: _columns(
        ("channel_name", "name"),
        ("tvg_id",),
        ("tvg_name",),
        ("tvg_logo", "logo"),
        ("group_title", "group"),
        ("stream_url", "url"),
    ),
    Domain.EPG_FILTER: _columns(
        ("programme_title", "title", "program_title"),
        ("programme_description", "description", "desc", "program_description"),
        ("programme_category", "genre", "program_category"),
        ("programme_start", "start", "start_time", "program_start"),
        ("programme_stop", "stop", "end_time", "program_stop"),
    ),
    Domain.EPG_MAPPING: _columns(
        *_PROGRAMME_NAMES,
        ("programme_icon", "icon"),
        ("programme_start",),
        ("programme_stop",),
        ("channel_group_title", "channel_group", "group_title"),
    ),
    Domain.CLIENT_DETECTION: _columns(
        ("client_ip", "ip", "remote_addr"),
        ("request_path", "path"),
        ("request_url", "url"),
        ("query_params", "query"),
        ("method",),
        ("host",),
    ),
}
WRITTEN: Mapping[Domain, Mapping[str, str]] = {
    Domain.STREAM_FILTER: {},
    Domain.EPG_FILTER: {},
    Domain.STREAM_MAPPING: _columns(
        ("channel_name", "name"), ("tvg_id",), ("tvg_name",), ("tvg_logo", "logo"), ("group_title", "group")
    ),
    Domain.EPG_MAPPING: _columns(*_PROGRAMME_NAMES, ("programme_icon", "icon")),
    Domain.CLIENT_DETECTION: _columns(("preferred_video_codec",), ("preferred_audio_codec",), ("preferred_format",)),
}

_DYNAMIC = re.compile(r"@dynamic\((.*)\):([^()]*)", re.DOTALL)


def find_column(name: str, domain: Domain) -> str | None:
    """Return the column that a name reads, or None if it always reads as empty text.

    Parts of a request, such as `@dynamic(request.headers):User-Agent`, are columns such as `request.headers:user-agent`.
    """
    if domain is not Domain.CLIENT_DETECTION:
        return READ[domain].get(name)
    dynamic = _DYNAMIC.fullmatch(name)
    if dynamic:
        return dynamic_column(dynamic[1], dynamic[2])
    return READ[domain].get(name.lower())


def dynamic_column(path: str, key: str) -> str | None:
    """Return the column of a part of a request, or None if there is never a value at this path."""
    return f"{path}:{key.lower()}" if path in {HEADERS, QUERY} and key else None
