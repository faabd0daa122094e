"""The kinds that travel: one row each, from which export, plan and apply are driven.

Members, their order and what is left out when empty are tvarr's own (its export types); so are the defaults.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, NamedTuple

from tvarr_backup import models
from tvarr_backup.errors import KindUnknown
from tvarr_backup.models import PortableRow
from tvarr_backup.quoting import quoted


class Slug(StrEnum):
    """The kinds as `export_type` writes them; URLs use hyphens."""

    FILTERS = "filters"
    DATA_MAPPING_RULES = "data_mapping_rules"
    CLIENT_DETECTION_RULES = "client_detection_rules"
    ENCODING_PROFILES = "encoding_profiles"


class JsonType(StrEnum):
    """The JSON types of members."""

    TEXT = "a text"
    FLAG = "true or false"
    INTEGER = "a whole number"
    TEXTS = "a list of texts"


@dataclass(frozen=True)
class Member:
    """One member of an item, and the column of the same name.

    `default` stands for a missing member, and for an empty text where tvarr's column has a default. A member that may
    be left out is left out of exports when empty.
    """

    name: str
    type: JsonType = JsonType.TEXT
    default: Any = ""
    may_be_left_out: bool = False


class Identity(NamedTuple):
    """What makes an item and a row the same: the name and, for filters and mapping rules, the source type."""

    name: str
    source_type: str = ""

    def __str__(self) -> str:
        return f"{self.source_type}:{self.name}" if self.source_type else self.name


def identity_of(row: PortableRow) -> Identity:
    """Return the identity of a row; kinds without a source type have an empty one."""
    return Identity(row.name, getattr(row, "source_type", ""))


class ReferenceTarget(StrEnum):
    """What a reference names."""

    PROFILE_NAME = "encoding profile"
    SOURCE_ID = "source"


@dataclass(frozen=True)
class Reference:
    """A member that names another row: the model field it is kept in, its column, and what it is looked up among."""

    member: str
    field: str
    column: str
    target: ReferenceTarget


@dataclass(frozen=True)
class Kind:
    """A kind that travels."""

    slug: Slug
    model: type[PortableRow]
    members: Sequence[Member]
    name_limit: int
    order: Sequence[str]
    """Columns that sort an export before the time of creation and the id."""
    reference: Reference | None = None
    ignored_members: frozenset[str] = frozenset()
    """Members of other versions of tvarr that are known to mean nothing here."""
    not_imported: frozenset[str] = frozenset()
    """Members that are exported but never taken over: an import does not change which profile is the default."""
    unique_names: bool = False
    """Whether the table's index lets no two rows have one name, rows marked as deleted included."""
    by_name: dict[str, Member] = field(init=False, repr=False, compare=False)
    required: frozenset[str] = field(init=False, repr=False, compare=False)
    """Members without a default that every file of tvarr's has, if only as an empty text."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "by_name", {member.name: member for member in self.members})
        required = (each.name for each in self.members if each.default == "" and not each.may_be_left_out)
        object.__setattr__(self, "required", frozenset(required))

    @property
    def has_source_types(self) -> bool:
        """Whether rows of one name may differ in what they look at."""
        return "source_type" in self.by_name

    @property
    def url_slug(self) -> str:
        """The slug as it stands in addresses."""
        return self.slug.replace("_", "-")

    @property
    def label(self) -> str:
        """The kind in words, plural."""
        return str(self.model._meta.verbose_name_plural)


_NAME = Member("name")
_DESCRIPTION = Member("description", may_be_left_out=True)
_EXPRESSION = Member("expression")
_SOURCE_TYPE = Member("source_type")
_SOURCE_ID = Member("source_id", may_be_left_out=True)
_PRIORITY = Member("priority", JsonType.INTEGER, 0)
_IS_ENABLED = Member("is_enabled", JsonType.FLAG, default=True)
_SOURCE = Reference("source_id", "source_id", "source_id", ReferenceTarget.SOURCE_ID)

KINDS: dict[Slug, Kind] = {
    kind.slug: kind
    for kind in (
        Kind(
            slug=Slug.FILTERS,
            model=models.Filter,
            members=(_NAME, _DESCRIPTION, _EXPRESSION, _SOURCE_TYPE, Member("action", default="include"), _SOURCE_ID),
            name_limit=255,
            order=(),
            reference=_SOURCE,
            ignored_members=frozenset({"is_enabled"}),
        ),
        Kind(
            slug=Slug.DATA_MAPPING_RULES,
            model=models.DataMappingRule,
            members=(
                _NAME,
                _DESCRIPTION,
                _EXPRESSION,
                _SOURCE_TYPE,
                _PRIORITY,
                Member("stop_on_match", JsonType.FLAG, default=False),
                _IS_ENABLED,
                _SOURCE_ID,
            ),
            name_limit=255,
            order=("priority",),
            reference=_SOURCE,
        ),
        Kind(
            slug=Slug.CLIENT_DETECTION_RULES,
            model=models.ClientDetectionRule,
            members=(
                _NAME,
                _DESCRIPTION,
                _EXPRESSION,
                _PRIORITY,
                _IS_ENABLED,
                Member("accepted_video_codecs", JsonType.TEXTS, (), may_be_left_out=True),
                Member("accepted_audio_codecs", JsonType.TEXTS, (), may_be_left_out=True),
                Member("preferred_video_codec", may_be_left_out=True),
                Member("preferred_audio_codec", may_be_left_out=True),
                Member("supports_fmp4", JsonType.FLAG, default=True),
                Member("supports_mpegts", JsonType.FLAG, default=True),
                Member("preferred_format", may_be_left_out=True),
                Member("encoding_profile_name", may_be_left_out=True),
            ),
            name_limit=255,
            order=("priority",),
            reference=Reference(
                "encoding_profile_name", "encoding_profile", "encoding_profile_id", ReferenceTarget.PROFILE_NAME
            ),
        ),
        Kind(
            slug=Slug.ENCODING_PROFILES,
            model=models.EncodingProfile,
            members=(
                _NAME,
                _DESCRIPTION,
                Member("target_video_codec", default="h264"),
                Member("target_audio_codec", default="aac"),
                Member("quality_preset", default="medium"),
                Member("hw_accel", default="auto"),
                Member("global_flags", may_be_left_out=True),
                Member("input_flags", may_be_left_out=True),
                Member("output_flags", may_be_left_out=True),
                Member("is_default", JsonType.FLAG, default=False),
                Member("enabled", JsonType.FLAG, default=True),
            ),
            name_limit=100,
            order=("-is_default", "name"),
            not_imported=frozenset({"is_default"}),
            unique_names=True,
        ),
    )
}


def kind_named(text: str) -> Kind:
    """The kind of a slug with underscores or hyphens; raises `KindUnknown`."""
    try:
        return KINDS[Slug(text.replace("-", "_"))]
    except ValueError:
        raise KindUnknown(f"{quoted(text)} is not a kind; allowed are {', '.join(KINDS)}.") from None


def kind_of_model(model: type[PortableRow]) -> Kind:
    """The kind of a model's rows."""
    return next(kind for kind in KINDS.values() if kind.model is model)
