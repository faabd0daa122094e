"""The five domains of expressions, and all names for them that tvarr accepts."""

from enum import StrEnum

from tvarr_backup.errors import TvarrBackupError
from tvarr_backup.quoting import format_choices, format_value


class RowKind(StrEnum):
    """What an expression is evaluated for. Client detection rules see requests of players."""

    CHANNELS = "channels"
    PROGRAMMES = "programmes"
    PLAYERS = "players"


class Domain(StrEnum):
    STREAM_FILTER = "stream_filter"
    EPG_FILTER = "epg_filter"
    STREAM_MAPPING = "stream_mapping"
    EPG_MAPPING = "epg_mapping"
    CLIENT_DETECTION = "client_detection"

    @property
    def is_filter(self) -> bool:
        return self in {Domain.STREAM_FILTER, Domain.EPG_FILTER}

    @property
    def is_mapping(self) -> bool:
        return self in {Domain.STREAM_MAPPING, Domain.EPG_MAPPING}

    @property
    def row_kind(self) -> RowKind:
        if self is Domain.CLIENT_DETECTION:
            return RowKind.PLAYERS
        return RowKind.PROGRAMMES if self in {Domain.EPG_FILTER, Domain.EPG_MAPPING} else RowKind.CHANNELS

    @property
    def is_rewritten(self) -> bool:
        """Whether tvarr rewrites the text before it parses it."""
        return self is not Domain.CLIENT_DETECTION


SPELLINGS: dict[str, Domain] = {
    **{domain.value: domain for domain in Domain},
    "stream": Domain.STREAM_FILTER,
    "epg": Domain.EPG_FILTER,
    "stream_data_mapping": Domain.STREAM_MAPPING,
    "stream_datamapping": Domain.STREAM_MAPPING,
    "epg_data_mapping": Domain.EPG_MAPPING,
    "epg_datamapping": Domain.EPG_MAPPING,
    "client": Domain.CLIENT_DETECTION,
}


class UnknownDomain(TvarrBackupError):
    def __init__(self, value: object) -> None:
        self.value = value
        super().__init__(
            "Expected {expected}, got {domain}.", expected=format_choices(Domain), domain=format_value(value)
        )


def read_domain(value: object) -> Domain:
    """Return the domain with this name. Raise `UnknownDomain`."""
    if isinstance(value, str) and value in SPELLINGS:
        return SPELLINGS[value]
    raise UnknownDomain(value)
