"""The kinds that can be exported and imported. Export, plan, apply, command and API work from this table.

A new kind needs a model with its migration, a row here, a `ModelAdmin`, an example in `api/examples.py`, and a migration
that adds its permissions to existing groups. Members and their order are those of tvarr's export types.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from typing import Any, NamedTuple

from tvarr_backup import fields, models
from tvarr_backup.errors import KindUnknown
from tvarr_backup.models import PortableRow
from tvarr_backup.quoting import format_choices, quoted


class Slug(StrEnum):
    """The kinds as in `export_type`; URLs use hyphens."""

    FILTERS = "filters"
    DATA_MAPPING_RULES = "data_mapping_rules"
    CLIENT_DETECTION_RULES = "client_detection_rules"
    ENCODING_PROFILES = "encoding_profiles"


class JsonType(StrEnum):
    """The types of members, as messages name them."""

    TEXT = "text"
    FLAG = "true or false"
    INTEGER = "a whole number"
    TEXTS = "a list of text values"


@dataclass(frozen=True)
class Member:
    """One member of an item, stored in the column of the same name. `default` also replaces empty text."""

    name: str
    type: JsonType = JsonType.TEXT
    default: Any = ""
    may_be_left_out: bool = False


class Identity(NamedTuple):
    """What identifies items and rows: the name and, for filters and mapping rules, the source type."""

    name: str
    source_type: str = ""

    def __str__(self) -> str:
        return f"{self.source_type}:{self.name}" if self.source_type else self.name


def identity_of(row: PortableRow) -> Identity:
    return Identity(row.name, getattr(row, "source_type", ""))


class ReferenceTarget(StrEnum):
    PROFILE_NAME = "encoding profile"
    SOURCE_ID = "source"


@dataclass(frozen=True)
class Reference:
    """A member that refers to another row: its model field, its column, and the type of its target."""

    member: str
    field: str
    column: str
    target: ReferenceTarget


@dataclass(frozen=True)
class Kind:
    slug: Slug
    model: type[PortableRow]
    members: Sequence[Member]
    order: Sequence[str] = ()
    """Columns that sort an export before the creation time and the id."""
    reference: Reference | None = None
    ignored_members: frozenset[str] = frozenset()
    """Members of other versions of tvarr that have no meaning here."""
    not_imported: frozenset[str] = frozenset()
    """Members that are exported but not imported: an import does not change which profile is the default."""

    @cached_property
    def by_name(self) -> dict[str, Member]:
        return {member.name: member for member in self.members}

    @cached_property
    def correctable(self) -> frozenset[str]:
        """Members that users can correct in the preview of an import."""
        return frozenset({"name", "expression"} & self.by_name.keys())

    @cached_property
    def required(self) -> frozenset[str]:
        """Members without a default. Every file of tvarr has them, even if they are empty."""
        return frozenset(each.name for each in self.members if each.default == "" and not each.may_be_left_out)

    @cached_property
    def name_limit(self) -> int:
        return int(self.model._meta.get_field("name").max_length or 0)

    @cached_property
    def unique_names(self) -> bool:
        """Whether names are unique in the table, including rows marked as deleted."""
        return bool(self.model._meta.get_field("name").unique)

    @property
    def has_source_types(self) -> bool:
        return "source_type" in self.by_name

    @property
    def url_slug(self) -> str:
        return self.slug.replace("_", "-")

    @property
    def label(self) -> str:
        return str(self.model._meta.verbose_name_plural)


_TYPES = {
    fields.FlagColumn: JsonType.FLAG,
    fields.IntegerColumn: JsonType.INTEGER,
    fields.CodecListColumn: JsonType.TEXTS,
}


def _members(model: type[PortableRow], *members: str | Member) -> tuple[Member, ...]:
    """Return members with the types and defaults of their columns. As in tvarr, those that are empty by default may be left out."""
    return tuple(each if isinstance(each, Member) else _member(model, each) for each in members)


def _member(model: type[PortableRow], name: str) -> Member:
    column: Any = model._meta.get_field(name)
    member_type, default = _TYPES.get(type(column), JsonType.TEXT), column.get_default()
    if member_type is JsonType.TEXT:
        default = str(default or "")
    elif member_type is JsonType.TEXTS:
        default = tuple(default)
    return Member(name, member_type, default, may_be_left_out=column.null and default in ("", ()))


_SOURCE_TYPE = Member("source_type")
"""Not made from its column, because every file of tvarr has it and its default does not count."""
_SOURCE = Reference("source_id", "source_id", "source_id", ReferenceTarget.SOURCE_ID)

KINDS: dict[Slug, Kind] = {
    kind.slug: kind
    for kind in (
        Kind(
            slug=Slug.FILTERS,
            model=models.Filter,
            members=_members(models.Filter, "name", "description", "expression", _SOURCE_TYPE, "action", "source_id"),
            reference=_SOURCE,
            ignored_members=frozenset({"is_enabled"}),
        ),
        Kind(
            slug=Slug.DATA_MAPPING_RULES,
            model=models.DataMappingRule,
            members=_members(
                models.DataMappingRule,
                *("name", "description", "expression", _SOURCE_TYPE, "priority", "stop_on_match", "is_enabled"),
                "source_id",
            ),
            order=("priority",),
            reference=_SOURCE,
        ),
        Kind(
            slug=Slug.CLIENT_DETECTION_RULES,
            model=models.ClientDetectionRule,
            members=_members(
                models.ClientDetectionRule,
                *("name", "description", "expression", "priority", "is_enabled"),
                *("accepted_video_codecs", "accepted_audio_codecs", "preferred_video_codec", "preferred_audio_codec"),
                *("supports_fmp4", "supports_mpegts", "preferred_format"),
                Member("encoding_profile_name", may_be_left_out=True),
            ),
            order=("priority",),
            reference=Reference(
                "encoding_profile_name", "encoding_profile", "encoding_profile_id", ReferenceTarget.PROFILE_NAME
            ),
        ),
        Kind(
            slug=Slug.ENCODING_PROFILES,
            model=models.EncodingProfile,
            members=_members(
                models.EncodingProfile,
                *("name", "description", "target_video_codec", "target_audio_codec", "quality_preset", "hw_accel"),
                *("global_flags", "input_flags", "output_flags", "is_default", "enabled"),
            ),
            order=("-is_default", "name"),
            not_imported=frozenset({"is_default"}),
        ),
    )
}


IN_ORDER_OF_IMPORT = (
    Slug.ENCODING_PROFILES,
    Slug.FILTERS,
    Slug.DATA_MAPPING_RULES,
    Slug.CLIENT_DETECTION_RULES,
)
"""The kinds in an order in which a row comes after those that it refers to."""


def kind_named(text: str) -> Kind:
    """Return the kind of a slug with underscores or hyphens. Raise `KindUnknown`."""
    try:
        return KINDS[Slug(text.replace("-", "_"))]
    except ValueError:
        raise KindUnknown(
            "Expected {expected}, got {kind}.", expected=format_choices(KINDS), kind=quoted(text)
        ) from None


def kind_of_model(model: type[PortableRow]) -> Kind:
    return next(kind for kind in KINDS.values() if kind.model is model)
