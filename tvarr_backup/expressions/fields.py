"""The fields of expressions, and the domains in which tvarr reads and saves them."""

from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from enum import StrEnum

from tvarr_backup.expressions.domains import Domain


class FieldType(StrEnum):
    TEXT = "text"
    INTEGER = "integer"
    FLOAT = "float"
    BOOLEAN = "boolean"
    DATETIME = "datetime"


@dataclass(frozen=True, slots=True)
class Field:
    name: str
    aliases: tuple[str, ...] = ()
    type: FieldType = FieldType.TEXT
    is_read_only: bool = False

    @property
    def names(self) -> tuple[str, ...]:
        return (self.name, *self.aliases)


# tvarr has one list for filters and mapping rules, of streams and of EPG.
CATALOGUE_FIELDS: tuple[Field, ...] = (
    Field("channel_name", ("name",)),
    Field("tvg_id", ("epg_id",)),
    Field("tvg_name"),
    Field("tvg_logo", ("logo",)),
    Field("group_title", ("group", "category")),
    Field("stream_url", ("url",), is_read_only=True),
    Field("channel_number", ("number", "chno"), FieldType.INTEGER),
    Field("tvg_shift", (), FieldType.FLOAT),
    Field("tvg_language", ("language", "lang")),
    Field("tvg_country", ("country",)),
    Field("radio", (), FieldType.BOOLEAN),
    Field("is_adult", ("adult",), FieldType.BOOLEAN),
    Field("programme_title", ("program_title", "title")),
    Field("programme_description", ("program_description", "description", "desc")),
    Field("programme_start", ("program_start", "start", "start_time"), FieldType.DATETIME, is_read_only=True),
    Field("programme_stop", ("program_stop", "stop", "end_time"), FieldType.DATETIME, is_read_only=True),
    Field("programme_category", ("program_category", "genre")),
    Field("programme_episode", ("program_episode", "episode")),
    Field("programme_season", ("program_season", "season")),
    Field("programme_icon", ("program_icon", "poster")),
    Field("channel_group_title", ("channel_group",), is_read_only=True),
    Field("source_name", is_read_only=True),
    Field("source_type", is_read_only=True),
    Field("source_url", is_read_only=True),
)

CLIENT_FIELDS: tuple[Field, ...] = (
    Field("user_agent", ("ua",), is_read_only=True),
    Field("client_ip", ("ip", "remote_addr"), is_read_only=True),
    Field("request_path", ("path",), is_read_only=True),
    Field("request_url", ("url",), is_read_only=True),
    Field("query_params", ("query",), is_read_only=True),
    Field("x_forwarded_for", is_read_only=True),
    Field("x_real_ip", is_read_only=True),
    Field("accept", is_read_only=True),
    Field("accept_language", is_read_only=True),
    Field("host", is_read_only=True),
    Field("referer", ("referrer",), is_read_only=True),
    Field("x_video_codec", is_read_only=True),
    Field("x_audio_codec", is_read_only=True),
    Field("x_container", is_read_only=True),
    Field("accepted_video_codecs"),
    Field("accepted_audio_codecs"),
    Field("preferred_video_codec"),
    Field("preferred_audio_codec"),
    Field("preferred_format"),
    Field("supports_fmp4"),
    Field("supports_mpegts"),
)


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """The field names of one domain.

    `saved` are targets whose value tvarr saves, `empty` are names without a value in conditions, and `unlisted` names work in
    conditions but are not in tvarr's list.
    """

    fields: Mapping[str, Field]
    saved: frozenset[str]
    empty: frozenset[str] = frozenset()
    unlisted: frozenset[str] = frozenset()
    unlisted_ignore_case: bool = False

    def reads(self, name: str) -> bool:
        return name in self.fields or (name.lower() if self.unlisted_ignore_case else name) in self.unlisted

    def accepts(self, target: str) -> bool:
        return target in self.fields or target in self.saved


def _by_name(fields: tuple[Field, ...]) -> dict[str, Field]:
    return {name: field for field in fields for name in field.names}


def _names_of(*fields: str) -> set[str]:
    return {name for field in fields for name in _CATALOGUE[field].names}


_CATALOGUE = _by_name(CATALOGUE_FIELDS)
_CLIENT = _by_name(CLIENT_FIELDS)
_REQUEST_NAMES = frozenset(
    {
        *("client_ip", "ip", "remote_addr", "request_path", "path", "request_url", "url"),
        *("query_params", "query", "method", "host"),
    }
)

# Mapping has no `empty` fields, because an earlier rule may have assigned them.
VOCABULARIES: Mapping[Domain, Vocabulary] = {
    Domain.STREAM_FILTER: Vocabulary(
        _CATALOGUE,
        saved=frozenset(),
        # The name `url` is empty, because tvarr reads it as the URL of a request.
        empty=frozenset(
            _CATALOGUE.keys()
            - _names_of("channel_name", "tvg_id", "tvg_name", "tvg_logo", "group_title")
            - {"stream_url"}
        ),
    ),
    Domain.EPG_FILTER: Vocabulary(
        _CATALOGUE,
        saved=frozenset(),
        empty=frozenset(
            _CATALOGUE.keys()
            - _names_of("programme_title", "programme_description", "programme_category")
            - _names_of("programme_start", "programme_stop")
        ),
    ),
    Domain.STREAM_MAPPING: Vocabulary(
        _CATALOGUE,
        saved=frozenset({"channel_name", "name", "tvg_id", "tvg_name", "tvg_logo", "logo", "group_title", "group"}),
    ),
    Domain.EPG_MAPPING: Vocabulary(
        _CATALOGUE,
        saved=frozenset(
            {
                *("programme_title", "title", "programme_description", "description", "desc"),
                *("programme_category", "genre", "programme_icon", "icon"),
            }
        ),
        unlisted=frozenset({"icon"}),
    ),
    Domain.CLIENT_DETECTION: Vocabulary(
        _CLIENT,
        saved=frozenset({"preferred_video_codec", "preferred_audio_codec", "preferred_format"}),
        empty=frozenset(name for name, field in _CLIENT.items() if field.is_read_only) - _REQUEST_NAMES,
        unlisted=_REQUEST_NAMES,
        unlisted_ignore_case=True,
    ),
}


def suggest_name(name: str, domain: Domain) -> str:
    """Return ` (did you mean group_title?)`, or "" if no name is similar."""
    nearest = get_close_matches(name.lower(), VOCABULARIES[domain].fields, n=1)
    return f" (did you mean {nearest[0]}?)" if nearest else ""
