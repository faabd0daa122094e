"""tvarr's tables in the database `tvarr`: the four kinds that can be exported, and the tables they belong with.

Names, nullability and defaults are those of tvarr's schema after its 29th migration. Columns are always addressed by
name, because their order differs between tvarr's releases.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, ClassVar, Self

from django.core.exceptions import ValidationError
from django.db import models
from django.utils import timezone

from tvarr_backup import codecs, validation
from tvarr_backup.errors import ItemInUse, SystemRowReadOnly
from tvarr_backup.expressions import Domain, ExpressionWarning
from tvarr_backup.fields import (
    CodecListColumn,
    FlagColumn,
    IntegerColumn,
    TextChoiceColumn,
    TextColumn,
    TimestampColumn,
    ULIDField,
    Unreadable,
    invalid_choice,
    new_ulid,
)
from tvarr_backup.quoting import quoted
from tvarr_backup.texts import escape_hidden


class LiveRows(models.Manager[Any]):
    def get_queryset(self) -> models.QuerySet[Any]:
        return super().get_queryset().filter(deleted_at__isnull=True)


class TvarrRow(models.Model):
    """Base class of tvarr's tables. `objects` has live rows, `all_rows` also those marked as deleted."""

    id = ULIDField(primary_key=True, default=new_ulid, editable=False)
    created_at = TimestampColumn(null=True, auto_now_add=True)
    updated_at = TimestampColumn(null=True, auto_now=True)
    deleted_at = TimestampColumn(null=True, blank=True, editable=False, db_index=True)

    objects = LiveRows()
    all_rows: ClassVar[models.Manager[Self]] = models.Manager()

    unreadable: Mapping[str, str] = MappingProxyType({})
    """Stored values that do not have their column's type, for display, by attribute name."""

    class Meta:
        abstract = True
        base_manager_name = "all_rows"

    def __str__(self) -> str:
        return escape_hidden(str(getattr(self, "name", self.pk)))

    @classmethod
    def from_db(cls, db: str | None, field_names: Collection[str], values: Collection[Any]) -> Self:
        """Replace each value that does not have its column's type, and keep it in `unreadable`."""
        found = {name: value for name, value in zip(field_names, values, strict=True) if type(value) is Unreadable}
        if not found:
            return super().from_db(db, field_names, values)
        row = super().from_db(db, field_names, [getattr(value, "stands_for", value) for value in values])
        row.unreadable = found
        return row

    @property
    def unreadable_sentences(self) -> dict[str, str]:
        sentences = {}
        for name, stored in self.unreadable.items():
            expected = getattr(self._meta.get_field(name), "expected", "a value of another type")
            sentences[name] = escape_hidden(f"{name} is stored as {quoted(stored)}. Expected {expected}.")
        return sentences

    def mark_deleted(self) -> None:
        """Mark the row as deleted, as tvarr does. Only `deleted_at` is written."""
        self.deleted_at = timezone.now()
        self.save(update_fields=["deleted_at"])


class SourceType(models.TextChoices):
    STREAM = "stream", "Streams"
    EPG = "epg", "Programme guide"


class PortableRow(TvarrRow):
    """Base class of the kinds that can be exported. Their rows have a name and may be built-in."""

    name = TextColumn(max_length=255, validators=[validation.validate_name])
    description = TextColumn(max_length=1024, blank=True, null=True, default="")
    is_system = FlagColumn(editable=False)

    changeable_if_system: ClassVar[frozenset[str]] = frozenset()
    """Columns of a built-in row that users can change in tvarr."""
    stored_by_tvarr: ClassVar[frozenset[str]] = frozenset(
        {
            *("required", "blanks_around", "hidden_characters", "max_length", "invalid_choice", "invalid_expression"),
            *("unknown_codec", "unknown_format", "no_container"),
        }
    )
    """Codes of problems that tvarr stores anyway.

    tvarr's import lacks the limits of its forms and does not validate rules (see its import service and model hooks).
    """

    class Meta(TvarrRow.Meta):
        abstract = True

    @property
    def domain(self) -> Domain | None:
        """The domain of the expression; None for a kind without expressions."""
        return None

    def expression_warnings(self) -> Sequence[ExpressionWarning]:
        row: Any = self
        return validation.expression_findings(row.expression, row.domain).warnings if row.domain else ()

    def clean(self) -> None:
        """Raise `ValidationError` with everything that `find_problems` finds."""
        if found := {field: problems for field, problems in self.find_problems().items() if problems}:
            raise ValidationError(found)

    def find_problems(self) -> dict[str, list[ValidationError]]:
        """Return the problems that the validation of single columns cannot find, by column."""
        row: Any = self
        if not self.domain or not row.expression:  # the column's validation refuses an empty expression
            return {}
        return {"expression": validation.find_expression_problems(row.expression, self.domain)}

    def full_clean(self, exclude: Iterable[str] | None = None, *args: Any, **kwargs: Any) -> None:
        """Validate a new row, or the changes to a stored one."""
        stored = None if self._state.adding else type(self).all_rows.filter(pk=self.pk).first()
        if stored is None:
            super().full_clean(exclude, *args, **kwargs)
        else:
            self.clean_change(stored, exclude, *args, **kwargs)

    def clean_change(
        self, stored: PortableRow, exclude: Iterable[str] | None = None, *args: Any, **kwargs: Any
    ) -> None:
        """Validate the changes to the stored row. Unchanged invalid values, which tvarr has stored, are accepted."""
        unchanged = {
            field.name
            for field in self._meta.concrete_fields
            if getattr(self, field.attname) == getattr(stored, field.attname)
        }
        try:
            super().full_clean({*(exclude or ()), *unchanged}, *args, **kwargs)
        except ValidationError as problem:
            before = stored.find_problems()
            new = {
                field: [each for each in problems if field not in unchanged or each not in before.get(field, ())]
                for field, problems in problem.error_dict.items()
            }
            if any(new.values()):
                raise ValidationError({field: problems for field, problems in new.items() if problems}) from None

    def users(self) -> Iterable[models.QuerySet[Any]]:
        """Return the rows that use this one and prevent its deletion."""
        return ()

    def delete(self, *_args: Any, **_kwargs: Any) -> tuple[int, dict[str, int]]:
        """Mark the row as deleted, as tvarr does. Raise `SystemRowReadOnly` or `ItemInUse`."""
        self.refuse_to_delete()
        self.mark_deleted()
        return 1, {self._meta.label: 1}

    def refuse_to_change(self, columns: Collection[str]) -> None:
        """Raise `SystemRowReadOnly` if the row is built-in and tvarr does not let users change these columns."""
        if self.is_system and not self.changeable_if_system.issuperset(columns):
            changeable = " and ".join(sorted(self.changeable_if_system))
            limit = f"Only {changeable}" if changeable else "Nothing in it"
            sentence = "{name} is one of tvarr's built-in {kind}. {limit} can be changed."
            raise SystemRowReadOnly(sentence, name=quoted(self.name), kind=self._meta.verbose_name_plural, limit=limit)

    def refuse_to_delete(self) -> None:
        """Raise `SystemRowReadOnly` for a built-in row, and `ItemInUse` for a row that another one uses."""
        if self.is_system:
            sentence = "{name} is one of tvarr's built-in {kind} and cannot be deleted."
            raise SystemRowReadOnly(sentence, name=quoted(self.name), kind=self._meta.verbose_name_plural)
        for queryset in self.users():
            if user := queryset.first():
                facts = {"name": quoted(self.name), "kind": user._meta.verbose_name, "user": quoted(user)}
                raise ItemInUse("{name} cannot be deleted, because the {kind} {user} uses it.", **facts)


class Filter(PortableRow):
    """Includes or excludes channels or programs of a proxy."""

    class Action(models.TextChoices):
        INCLUDE = "include", "Include"
        EXCLUDE = "exclude", "Exclude"

    source_type = TextChoiceColumn(choices=SourceType.choices, default=SourceType.STREAM, db_index=True)
    action = TextChoiceColumn(choices=Action.choices, default=Action.INCLUDE)
    expression = TextColumn()
    source_id = ULIDField(
        null=True, blank=True, db_index=True, help_text="Id of a stream or guide source; any if empty"
    )

    class Meta(PortableRow.Meta):
        db_table = "filters"

    @property
    def domain(self) -> Domain:
        return Domain.EPG_FILTER if self.source_type == SourceType.EPG else Domain.STREAM_FILTER

    def users(self) -> Iterable[models.QuerySet[Any]]:
        proxies = StreamProxy.objects.filter(proxyfilter__filter=self, proxyfilter__deleted_at__isnull=True)
        return (proxies.only("id", "name"),)


class DataMappingRule(PortableRow):
    """Changes fields of channels or programs."""

    source_type = TextChoiceColumn(choices=SourceType.choices, default=SourceType.STREAM, db_index=True)
    expression = TextColumn()
    priority = IntegerColumn(null=True, default=0, db_index=True, validators=validation.INT64)
    stop_on_match = FlagColumn()
    is_enabled = FlagColumn(default=True)
    source_id = ULIDField(
        null=True, blank=True, db_index=True, help_text="Id of a stream or guide source; any if empty"
    )

    changeable_if_system = frozenset({"is_enabled", "priority"})

    class Meta(PortableRow.Meta):
        db_table = "data_mapping_rules"

    @property
    def domain(self) -> Domain:
        return Domain.EPG_MAPPING if self.source_type == SourceType.EPG else Domain.STREAM_MAPPING


class EncodingProfile(PortableRow):
    """Settings with which tvarr encodes streams for a proxy or a client."""

    name = TextColumn(max_length=100, unique=True, validators=[validation.validate_name])
    description = TextColumn(max_length=500, blank=True, null=True, default="")
    target_video_codec = TextColumn(
        blank=True, null=True, default=codecs.TargetVideoCodec.H264, words=codecs.TargetVideoCodec
    )
    target_audio_codec = TextColumn(
        blank=True, null=True, default=codecs.TargetAudioCodec.AAC, words=codecs.TargetAudioCodec
    )
    quality_preset = TextColumn(blank=True, null=True, default=codecs.QualityPreset.MEDIUM, words=codecs.QualityPreset)
    hw_accel = TextColumn(
        "hardware acceleration",
        null=True,
        blank=True,
        default=codecs.HardwareAcceleration.AUTO,
        words=codecs.HardwareAcceleration,
    )
    global_flags = TextColumn(max_length=500, blank=True, null=True, default="")
    input_flags = TextColumn(max_length=500, blank=True, null=True, default="")
    output_flags = TextColumn(max_length=1000, blank=True, null=True, default="")
    is_default = FlagColumn(editable=False)
    enabled = FlagColumn(default=True)

    changeable_if_system = frozenset({"enabled"})
    stored_by_tvarr = frozenset({"blanks_around", "hidden_characters", "max_length"})
    """tvarr validates the rest in a model hook."""

    class Meta(PortableRow.Meta):
        db_table = "encoding_profiles"

    def find_problems(self) -> dict[str, list[ValidationError]]:
        """Return the values that tvarr would not pass to ffmpeg.

        As in tvarr, output flags replace the codecs and the preset, and input flags the hardware acceleration.
        """
        known: dict[str, type[models.TextChoices]] = {}
        if not self.output_flags:
            known["target_video_codec"] = codecs.TargetVideoCodec
            known["target_audio_codec"] = codecs.TargetAudioCodec
            known["quality_preset"] = codecs.QualityPreset
        if not self.input_flags and self.hw_accel:
            known["hw_accel"] = codecs.HardwareAcceleration
        values = {field: getattr(self, field) or "" for field in known}
        return {
            field: [] if values[field] in choices.values else [invalid_choice(values[field], choices.values)]
            for field, choices in known.items()
        }

    def validate_unique(self, exclude: Collection[str] | None = None) -> None:
        """Refuse a name that another row has, even one marked as deleted, because the index includes those."""
        super().validate_unique(exclude)
        deleted = EncodingProfile.all_rows.filter(deleted_at__isnull=False, name=self.name).exclude(pk=self.pk)
        if "name" not in (exclude or ()) and deleted.exists():
            message = 'A deleted profile in tvarr\'s database still has the name "%(value)s". Choose another name.'
            raise ValidationError({"name": ValidationError(message, code="unique", params={"value": self.name})})

    def delete(self, *args: Any, **kwargs: Any) -> tuple[int, dict[str, int]]:
        """Remove the row, as tvarr does. Raise `SystemRowReadOnly` or `ItemInUse`."""
        self.refuse_to_delete()
        return models.Model.delete(self, *args, **kwargs)

    def users(self) -> Iterable[models.QuerySet[Any]]:
        """Include rules that are marked as deleted, because tvarr's foreign key includes them."""
        return (
            StreamProxy.all_rows.filter(encoding_profile=self).only("id", "name"),
            ClientDetectionRule.all_rows.filter(encoding_profile=self).only("id", "name"),
        )


class ClientDetectionRule(PortableRow):
    """Recognizes a client and says what it can play."""

    expression = TextColumn()
    priority = IntegerColumn(null=True, default=0, validators=validation.INT64)
    is_enabled = FlagColumn(default=True)
    accepted_video_codecs = CodecListColumn(
        null=True, blank=True, default=list, validators=[validation.validate_video_codecs]
    )
    accepted_audio_codecs = CodecListColumn(
        null=True, blank=True, default=list, validators=[validation.validate_audio_codecs]
    )
    preferred_video_codec = TextColumn(blank=True, null=True, default="", validators=[validation.validate_video_codec])
    preferred_audio_codec = TextColumn(blank=True, null=True, default="", validators=[validation.validate_audio_codec])
    supports_fmp4 = FlagColumn("supports fMP4", default=True)
    supports_mpegts = FlagColumn("supports MPEG-TS", default=True)
    preferred_format = TextColumn(blank=True, null=True, default="", validators=[validation.validate_preferred_format])
    encoding_profile = models.ForeignKey(EncodingProfile, on_delete=models.PROTECT, null=True, blank=True)

    changeable_if_system = frozenset({"is_enabled", "priority"})

    class Meta(PortableRow.Meta):
        db_table = "client_detection_rules"

    @property
    def domain(self) -> Domain:
        return Domain.CLIENT_DETECTION

    def find_problems(self) -> dict[str, list[ValidationError]]:
        found = super().find_problems()
        if not self.supports_fmp4 and not self.supports_mpegts:
            message = "Expected support for fMP4, MPEG-TS or both, got neither."
            found["supports_mpegts"] = [ValidationError(message, code="no_container")]
        return found

    @property
    def encoding_profile_name(self) -> str | None:
        """The name of the profile; None if there is none or it is marked as deleted."""
        profile = self.encoding_profile
        return None if profile is None or profile.deleted_at is not None else profile.name


class Source(TvarrRow):
    """Base class of stream and EPG sources."""

    name = TextColumn(max_length=255, unique=True)
    url = TextColumn()
    username = TextColumn(blank=True, null=True, default="")
    password = TextColumn(blank=True, null=True, default="")
    user_agent = TextColumn(blank=True, null=True, default="")
    enabled = FlagColumn(default=True)
    priority = IntegerColumn(null=True, default=0)
    status = TextColumn(default="pending")
    last_ingestion_at = TimestampColumn(null=True, blank=True)
    last_error = TextColumn(blank=True, null=True, default="")
    cron_schedule = TextColumn(blank=True, null=True, default="")

    class Meta(TvarrRow.Meta):
        abstract = True


class StreamSource(Source):
    """A source of channels (table `stream_sources`)."""

    type = TextColumn()
    max_concurrent_streams = IntegerColumn(null=True, default=1)
    channel_count = IntegerColumn(null=True, default=0)

    class Meta(Source.Meta):
        db_table = "stream_sources"


class EpgSource(Source):
    """A source of programs (table `epg_sources`)."""

    type = TextColumn()
    api_method = TextColumn(blank=True, null=True, default="stream_id")
    detected_timezone = TextColumn(blank=True, null=True, default="")
    epg_shift = IntegerColumn(null=True, default=0)
    auto_shift_timezone = TextColumn(blank=True, null=True, default="")
    program_count = IntegerColumn(null=True, default=0)
    retention_days = IntegerColumn(null=True, default=1)

    class Meta(Source.Meta):
        db_table = "epg_sources"
        verbose_name = "EPG source"


class Channel(TvarrRow):
    """A channel of a stream source (table `channels`)."""

    source = models.ForeignKey(StreamSource, on_delete=models.CASCADE)
    ext_id = TextColumn(blank=True, null=True, default="")
    tvg_id = TextColumn(blank=True, null=True, default="", db_index=True)
    tvg_name = TextColumn(blank=True, null=True, default="")
    tvg_logo = TextColumn(blank=True, null=True, default="")
    group_title = TextColumn(blank=True, null=True, default="", db_index=True)
    channel_name = TextColumn()
    channel_number = IntegerColumn(null=True, default=0)
    stream_url = TextColumn()
    stream_type = TextColumn(blank=True, null=True, default="")
    language = TextColumn(blank=True, null=True, default="")
    country = TextColumn(blank=True, null=True, default="")
    is_adult = FlagColumn()
    extra = TextColumn(blank=True, null=True, default="")

    class Meta(TvarrRow.Meta):
        db_table = "channels"
        constraints = [models.UniqueConstraint(fields=["source", "ext_id"], name="idx_source_ext_id")]


class EpgProgram(TvarrRow):
    """A program of an EPG source (table `epg_programs`). `channel_id` is the source's own id of the channel."""

    source = models.ForeignKey(EpgSource, on_delete=models.DO_NOTHING, db_index=False)
    channel_id = TextColumn()
    start = TimestampColumn()
    stop = TimestampColumn(db_index=True)
    title = TextColumn()
    sub_title = TextColumn(blank=True, null=True, default="")
    description = TextColumn(blank=True, null=True, default="")
    category = TextColumn(blank=True, null=True, default="", db_index=True)
    icon = TextColumn(blank=True, null=True, default="")
    episode_num = TextColumn(blank=True, null=True, default="")
    rating = TextColumn(blank=True, null=True, default="")
    language = TextColumn(blank=True, null=True, default="")
    is_new = FlagColumn()
    is_premiere = FlagColumn()
    is_live = FlagColumn()
    previously_shown = FlagColumn()
    date = TextColumn(blank=True, null=True, default="")
    star_rating = TextColumn(blank=True, null=True, default="")
    season_number = IntegerColumn(null=True, default=0)
    episode_number = IntegerColumn(null=True, default=0)
    program_id = TextColumn(blank=True, null=True, default="")
    credits = TextColumn(blank=True, null=True, default="")

    class Meta(TvarrRow.Meta):
        db_table = "epg_programs"
        constraints = [models.UniqueConstraint(fields=["source", "channel_id", "start"], name="idx_program_unique")]
        indexes = [models.Index(fields=["channel_id", "start"], name="idx_channel_time")]
        verbose_name = "EPG programme"


class StreamProxy(TvarrRow):
    """A channel list that tvarr serves: sources combined, filtered, mapped and numbered (table `stream_proxies`)."""

    name = TextColumn(max_length=255, unique=True)
    description = TextColumn(blank=True, null=True, default="")
    proxy_mode = TextColumn(default="direct")
    is_active = FlagColumn(default=True)
    auto_regenerate = FlagColumn()
    starting_channel_number = IntegerColumn(null=True, default=1)
    numbering_mode = TextColumn(default="preserve")
    group_numbering_size = IntegerColumn(null=True, default=100)
    upstream_timeout = IntegerColumn(null=True, default=30)
    buffer_size = IntegerColumn(null=True, default=8192)
    max_concurrent_streams = IntegerColumn(null=True, default=0)
    hls_collapse = FlagColumn()
    cache_channel_logos = FlagColumn()
    cache_program_logos = FlagColumn()
    encoding_profile = models.ForeignKey(
        EncodingProfile, on_delete=models.PROTECT, null=True, blank=True, db_constraint=False, db_index=False
    )
    output_path = TextColumn(blank=True, null=True, default="")
    status = TextColumn(default="pending")
    last_generated_at = TimestampColumn(null=True, blank=True)
    last_error = TextColumn(blank=True, null=True, default="")
    channel_count = IntegerColumn(null=True, default=0)
    program_count = IntegerColumn(null=True, default=0)
    cron_schedule = TextColumn(blank=True, null=True, default="")

    class Meta(TvarrRow.Meta):
        db_table = "stream_proxies"
        verbose_name_plural = "stream proxies"


class ProxyFilter(TvarrRow):
    """A filter that a proxy uses (table `proxy_filters`)."""

    proxy = models.ForeignKey(StreamProxy, on_delete=models.CASCADE, db_index=False)
    filter = models.ForeignKey(Filter, on_delete=models.PROTECT, db_index=False)
    priority = IntegerColumn(null=True, default=0)
    is_active = FlagColumn(default=True)

    class Meta(TvarrRow.Meta):
        db_table = "proxy_filters"
        constraints = [models.UniqueConstraint(fields=["proxy", "filter"], name="idx_proxy_filter")]
