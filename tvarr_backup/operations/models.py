"""Operations, imports, backup settings and the index of backups, in the database `default`."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any, Literal, TypeVar

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator, RegexValidator
from django.db import models

import tvarr_backup.operations.alert_models  # noqa: F401  # more models of this app
from tvarr_backup import conf
from tvarr_backup.backups.retention import Period, Policy
from tvarr_backup.backups.sidecar import BackupKind
from tvarr_backup.cron import (
    ALLOWED_CRONS,
    ALLOWED_ZONES,
    LONGEST_CRON,
    LONGEST_ZONE,
    Timetable,
    parse_cron,
    parse_zone,
)
from tvarr_backup.durations import ALLOWED_DURATIONS, parse_duration
from tvarr_backup.fields import ULIDField, new_ulid
from tvarr_backup.locations.addresses import LocationKind, read_address
from tvarr_backup.sentences import Sentence

_Value = TypeVar("_Value")

NO_AGE_LIMIT = "none"
NO_REHEARSALS = "none"
SHORTEST_REHEARSAL_INTERVAL = timedelta(days=1)
MOST_KEPT = 100_000
_MOST_QUOTED = 100
LOCATION_NAME_REFUSED = 'Expected a name of lower-case letters, digits and hyphens such as "nas-2".'


class OperationKind(models.TextChoices):
    """The kind of an operation."""

    BACKUP = "backup", "Backup"
    VERIFY = "verify", "Verification"
    PRUNE = "prune", "Cleanup"
    DELETE = "delete", "Deletion"
    ADOPT = "adopt", "Upload"
    RESTORE = "restore", "Restore"
    READ = "read", "Reading"
    COPY = "copy", "Copy to a location"
    CHECK_COPY = "check_copy", "Check of a copy"
    TEST_LOCATION = "test_location", "Location test"
    REHEARSE = "rehearse", "Rehearsal"


KINDS_OF_LOCATIONS = (OperationKind.COPY, OperationKind.CHECK_COPY, OperationKind.TEST_LOCATION)
KINDS_BESIDE = (*KINDS_OF_LOCATIONS, OperationKind.REHEARSE)
"""Operations of these kinds have no task in the queue: the worker finds them, and runs them beside its task."""


class OperationState(models.TextChoices):
    """The state of an operation; see `Operation`."""

    QUEUED = "queued", "Queued"
    RUNNING = "running", "Running"
    SUCCEEDED = "succeeded", "Succeeded"
    ATTENTION = "attention", "Succeeded with warnings"
    FAILED = "failed", "Failed"
    CANCELLED = "cancelled", "Canceled"
    INTERRUPTED = "interrupted", "Interrupted"


OPEN_STATES = (OperationState.QUEUED, OperationState.RUNNING)
COMPLETED_STATES = (OperationState.SUCCEEDED, OperationState.ATTENTION)


class Origin(models.TextChoices):
    """The entrance through which an operation was started."""

    WEB = "web", "Web"
    API = "api", "API"
    COMMAND = "command", "Command"
    SCHEDULE = "schedule", "Schedule"


class Operation(models.Model):
    """One run of a backup, restore, verification and so on. This row is authoritative, not the queue.

        (web, API, schedule) -> queued -> running -> succeeded
                                  |         |  |---> attention     succeeded; `message` has warnings
                                  |         |  |---> failed        `error_code` and `error` say why
                                  |         |  |---> cancelled     after `cancel_requested`
                                  |         |  '---> interrupted   its process was stopped or has died
        (command) ----------------|---------'
                                  '---> cancelled      before it started

    Every arrow is one UPDATE that names the state it leaves, so if two processes try, only one succeeds. The last five
    states are final. `database` is the resolved path of tvarr's database: at most one exclusive operation on it is
    open, at most one operation of a `location` (the id of its row), and at most one rehearsal. `host`, `boot`, `pid` and `process_started` (clock ticks since the boot) identify the process that runs it.
    `message` has one sentence a line; `sentences` keeps the templates and facts of it and of `error`. `done_bytes` and
    `total_bytes` are those of the present phase; `total_bytes` is null while unknown. `percent` is the finished part of
    the whole operation: null until it starts, never decreasing, and 100 only on success. `due_at` is the scheduled time
    that it is for, and null if a user started it. `is_noticed` is false from its end until the alerts have taken note of it.
    """

    id = ULIDField(primary_key=True, default=new_ulid, editable=False)
    kind = models.CharField(max_length=20, choices=OperationKind)
    state = models.CharField(max_length=20, choices=OperationState)
    database = models.TextField()
    location = models.CharField(max_length=26, blank=True)
    is_exclusive = models.BooleanField(default=True)
    arguments = models.JSONField(default=dict)
    requested_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True, related_name="+"
    )
    origin = models.CharField(max_length=20, choices=Origin)
    phase = models.CharField(max_length=20, blank=True)
    done_bytes = models.BigIntegerField(default=0)
    total_bytes = models.BigIntegerField(null=True, blank=True)
    percent = models.PositiveSmallIntegerField(null=True, blank=True)
    message = models.TextField(blank=True)
    result = models.JSONField(null=True, blank=True)
    error_code = models.CharField(max_length=50, blank=True)
    error = models.TextField(blank=True)
    sentences = models.JSONField(null=True, blank=True, editable=False)
    cancel_requested = models.BooleanField(default=False)
    host = models.CharField(max_length=255, blank=True)
    boot = models.CharField(max_length=36, blank=True)
    pid = models.PositiveIntegerField(null=True, blank=True)
    process_started = models.BigIntegerField(null=True, blank=True)
    due_at = models.DateTimeField(null=True, blank=True, db_index=True)
    created_at = models.DateTimeField()
    started_at = models.DateTimeField(null=True, blank=True)
    heartbeat_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)
    is_noticed = models.BooleanField(default=True, editable=False)

    unrecorded = ""
    """Why a command's operation, or its end, could not be recorded; empty if it was."""

    class Meta:
        ordering = ["-id"]  # ULIDs sort by time
        indexes = [
            models.Index(fields=["state"], name="operation_state"),
            models.Index(fields=["is_noticed"], condition=models.Q(is_noticed=False), name="operation_not_noticed"),
        ]
        constraints = [
            models.UniqueConstraint(
                fields=["database"],
                condition=models.Q(state__in=OPEN_STATES, is_exclusive=True),
                name="one_open_exclusive_operation_per_database",
            ),
            models.UniqueConstraint(
                fields=["location"],
                condition=models.Q(state__in=OPEN_STATES) & ~models.Q(location=""),
                name="one_open_operation_per_location",
            ),
            models.UniqueConstraint(
                fields=["kind"],
                condition=models.Q(state__in=OPEN_STATES, kind=OperationKind.REHEARSE),
                name="one_open_rehearsal",
            ),
            models.CheckConstraint(
                condition=models.Q(state__in=OperationState.values), name="operation_state_is_known"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.get_kind_display()} {self.id}: {self.get_state_display()}"

    def as_context(self) -> dict[str, Any]:
        """Return the members that identify the operation and its user in the log."""
        user = self.requested_by.get_username() if self.requested_by else None
        return {"operation": str(self.pk), "kind": str(self.kind), "origin": str(self.origin), "user": user}

    @classmethod
    def open_ones(cls) -> list[Operation]:
        """Return queued and running operations, newest first, with their users; not those beside them, which block nothing."""
        rows = cls.objects.filter(state__in=OPEN_STATES).exclude(kind__in=KINDS_BESIDE)
        return list(rows.select_related("requested_by"))

    @property
    def outcome(self) -> Sentence:
        """The error if it failed, or else the message, with facts and advice."""
        return self.sentence("error") if self.error else self.sentence("message")

    def sentence(self, column: Literal["error", "message"]) -> Sentence:
        """Return a text with its facts, if they were stored."""
        stored = (self.sentences or {}).get(column)
        return Sentence.from_data(stored) if stored else Sentence(getattr(self, column))

    @property
    def location_key(self) -> str:
        """The key of the location that it uses, or ""."""
        return self.location or str(self.arguments.get("location") or "")

    @property
    def is_beside(self) -> bool:
        """Whether it runs beside others and blocks none."""
        return self.kind in KINDS_BESIDE

    @property
    def is_open(self) -> bool:
        """Whether it is queued or running."""
        return self.state in OPEN_STATES

    @property
    def kind_with_article(self) -> str:
        """The kind in a sentence, such as "an upload"."""
        kind = self.get_kind_display().lower()
        return f"an {kind}" if kind[0] in "aeiou" else f"a {kind}"


def sentence_columns(**columns: Sentence) -> dict[str, Any]:
    """Return the values of `error`, `message` and `sentences` that store these sentences with their facts."""
    data = {name: sentence.as_data() for name, sentence in columns.items() if sentence}
    return {name: str(sentence) for name, sentence in columns.items()} | {"sentences": data or None}


class ImportState(models.TextChoices):
    """The state of an import; see `ImportRecord`."""

    PENDING = "pending", "Pending"
    APPLIED = "applied", "Applied"
    DISCARDED = "discarded", "Discarded"


class ImportRecord(models.Model):
    """An import: the uploaded file, the choices in its preview, and its result.

        (web) -> pending -> applied
                        '-> discarded
        (API, command) --> applied

    `requested_by` is the user who uploaded the file and, once it is applied, the user who applied it. While it is
    pending, `file` holds the file (zlib), `choices` the choices (`portable.choices`), and `fingerprint` and `marks`
    those of the plan and its items that were shown last. `result` lists what an import through the pages did to each
    item, as JSON; it is empty once that has been deleted. JSON is stored as text because names in a file may contain
    characters that a JSON column refuses. `log` is what its undo needs (`portable.undo`), until that has been deleted.

    An undo is an import as well: with `is_undo`, the import that it undoes in `undoes`, and `removed` rows. `is_noticed` is false
    until the alerts have taken note of the undo.
    """

    id = ULIDField(primary_key=True, default=new_ulid, editable=False)
    state = models.CharField(max_length=20, choices=ImportState)
    kind = models.CharField(max_length=30)
    file_name = models.CharField(max_length=255, blank=True)
    requested_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True, related_name="+"
    )
    origin = models.CharField(max_length=20, choices=Origin)
    file = models.BinaryField(default=b"")
    choices = models.TextField(blank=True)
    fingerprint = models.CharField(max_length=80, blank=True)
    marks = models.TextField(blank=True)
    added = models.PositiveIntegerField(default=0)
    overwritten = models.PositiveIntegerField(default=0)
    copied = models.PositiveIntegerField(default=0)
    skipped = models.PositiveIntegerField(default=0)
    unchanged = models.PositiveIntegerField(default=0)
    removed = models.PositiveIntegerField(default=0)
    result = models.TextField(blank=True)
    log = models.BinaryField(default=b"")
    log_bytes = models.PositiveBigIntegerField(default=0)
    is_undo = models.BooleanField(default=False)
    undoes = models.ForeignKey("self", on_delete=models.SET_NULL, null=True, blank=True, related_name="undos")
    is_noticed = models.BooleanField(default=True, editable=False)
    created_at = models.DateTimeField()
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-id"]
        verbose_name = "import"
        constraints = [
            models.CheckConstraint(condition=models.Q(state__in=ImportState.values), name="import_state_is_known"),
        ]

    def __str__(self) -> str:
        return f"import {self.id}"


class HistoryEventKind(models.TextChoices):
    """What an event of the history was."""

    BASELINE = "baseline", "Start of the history"
    EDIT = "edit", "Edited"
    IMPORT = "import", "Imported"
    UNDO = "undo", "Import undone"
    RESTORE = "restore", "Backup restored"


class HistoryEvent(models.Model):
    """Changes of the configuration that were made or noticed together.

    `origin` is empty for changes that were made outside, by tvarr or with SQL. `subject` is the import (its id) or the file name of
    the backup. Each event is later than the one before it, even if the clock went back.
    """

    at = models.DateTimeField(unique=True)
    kind = models.CharField(max_length=20, choices=HistoryEventKind)
    origin = models.CharField(max_length=20, choices=Origin, blank=True)
    requested_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True, related_name="+"
    )
    subject = models.CharField(max_length=255, blank=True, db_index=True)

    class Meta:
        ordering = ["-at"]
        verbose_name = "history event"

    def __str__(self) -> str:
        return f"{self.get_kind_display()} at {self.at}"


class ItemContent(models.Model):
    """The values of an item as canonical JSON, stored once for all versions that have them."""

    digest = models.CharField(primary_key=True, max_length=64)
    text = models.TextField()

    def __str__(self) -> str:
        return self.digest


class ItemVersion(models.Model):
    """A version of an item from its event until `ended_at`, or until now if that is null. Without `content`, it was deleted.

    `change` is what the event did to the item (`portable.states.ChangeType`).
    """

    event = models.ForeignKey(HistoryEvent, on_delete=models.CASCADE, related_name="versions")
    kind = models.CharField(max_length=30)
    row_id = models.CharField(max_length=64)
    name = models.TextField()
    source_type = models.TextField(blank=True)
    change = models.CharField(max_length=10)
    content = models.ForeignKey(ItemContent, on_delete=models.PROTECT, null=True, related_name="versions")
    ended_at = models.DateTimeField(null=True, db_index=True)

    class Meta:
        ordering = ["pk"]
        indexes = [models.Index(fields=["kind", "row_id"], name="versions_of_an_item")]
        constraints = [
            models.UniqueConstraint(
                fields=["kind", "row_id"], condition=models.Q(ended_at__isnull=True), name="one_version_now"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.name}"


class HistoryProgress(models.Model):
    """One row: how far the history is.

    `revision` grows with each event, `digest` is that of the rows that were compared last, `compared_at` when. States before
    `complete_since` are not complete; there is no baseline yet if it is null.
    """

    id = models.PositiveSmallIntegerField(primary_key=True, editable=False)
    revision = models.PositiveBigIntegerField(default=0)
    digest = models.CharField(max_length=64, blank=True)
    compared_at = models.DateTimeField(null=True)
    complete_since = models.DateTimeField(null=True)

    class Meta:
        constraints = [models.CheckConstraint(condition=models.Q(id=1), name="one_row_of_history_progress")]

    def __str__(self) -> str:
        return f"History up to revision {self.revision}"


class ReadConfiguration(models.Model):
    """The configuration of a backup that cannot keep it in its metadata file, by the checksum of its archive."""

    checksum = models.CharField(primary_key=True, max_length=80)
    packed = models.TextField()
    read_at = models.DateTimeField()

    class Meta:
        ordering = ["-read_at"]

    def __str__(self) -> str:
        return self.checksum


class WorkerSign(models.Model):
    """A running worker, if `default` is on a server. `sees_database` means the backup folder, too."""

    host = models.CharField(max_length=255)
    boot = models.CharField(max_length=36)
    pid = models.PositiveIntegerField()
    process_started = models.BigIntegerField()
    sees_database = models.BooleanField(default=False)
    seen_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["host", "boot", "pid", "process_started"], name="one_sign_of_each_worker"),
        ]

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host}"


class SchemaSighting(models.Model):
    """A schema of tvarr's database (by path or address), stored when it differs from the previous one."""

    id = ULIDField(primary_key=True, default=new_ulid, editable=False)
    database = models.TextField()
    schema = models.CharField(max_length=255)
    columns = models.JSONField(default=dict)
    seen_at = models.DateTimeField()

    class Meta:
        ordering = ["id"]
        verbose_name = "schema sighting"

    def __str__(self) -> str:
        return f"{self.schema} in {self.database}"


_DELETED_TOGETHER = 500  # SQLite allows 999 parameters or more


def delete_oldest(rows: models.QuerySet[Any], kept: int) -> None:
    """Delete rows, ordered newest first, beyond the first `kept`; a few hundred in one call."""
    oldest = rows.values_list("pk", flat=True)[kept : kept + _DELETED_TOGETHER]
    rows.filter(pk__in=list(oldest)).delete()


def _validate(parse: Callable[[str], object], text: str, expected: str, code: str) -> None:
    """Raise `ValidationError` if a text cannot be parsed."""
    try:
        parse(text)
    except ValueError:
        raise ValidationError(
            'Expected %(expected)s, got "%(value)s".',
            code=code,
            params={"value": text[:_MOST_QUOTED], "expected": expected},
        ) from None


def validate_max_age(text: str) -> None:
    """Require a duration, or "none" for no limit."""
    if text != NO_AGE_LIMIT:
        expected = f'"{NO_AGE_LIMIT}", or {ALLOWED_DURATIONS} (1h to 9999w)'
        _validate(parse_duration, text, expected, "invalid_duration")


def validate_rehearsal_interval(text: str) -> None:
    """Require a duration of at least a day, or "none" for no rehearsals."""

    def parse(text: str) -> None:
        if parse_duration(text) < SHORTEST_REHEARSAL_INTERVAL:
            raise ValueError

    if text != NO_REHEARSALS:
        expected = f'"{NO_REHEARSALS}", or a duration such as "1w" or "30d" (1d to 9999w)'
        _validate(parse, text, expected, "invalid_duration")


def validate_cron(text: str) -> None:
    """Require a cron."""
    _validate(parse_cron, text, ALLOWED_CRONS, "invalid_cron")


def validate_time_zone(name: str) -> None:
    """Require the name of a time zone."""
    _validate(parse_zone, name, ALLOWED_ZONES, "invalid_time_zone")


class BackupSettings(models.Model):
    """The stored settings, one row at most. Empty or None: the environment's value. `keep_all` overrides `keep`."""

    _KEEP_REFUSED = f"Expected a whole number from 1 to {MOST_KEPT}, got %(show_value)s."
    _NUMBER_REFUSED = f"Expected a whole number from 0 to {MOST_KEPT}, got %(show_value)s."
    _NUMBER_VALIDATORS = (MinValueValidator(0, _NUMBER_REFUSED), MaxValueValidator(MOST_KEPT, _NUMBER_REFUSED))

    id = models.PositiveSmallIntegerField(primary_key=True, editable=False)
    enabled = models.BooleanField(null=True, blank=True)
    cron = models.CharField(max_length=LONGEST_CRON, blank=True, validators=[validate_cron])
    time_zone = models.CharField(max_length=LONGEST_ZONE, blank=True, validators=[validate_time_zone])
    keep = models.PositiveIntegerField(
        null=True,
        blank=True,
        validators=[MinValueValidator(1, _KEEP_REFUSED), MaxValueValidator(MOST_KEPT, _KEEP_REFUSED)],
    )
    keep_all = models.BooleanField(default=False)
    daily = models.PositiveIntegerField(null=True, blank=True, validators=_NUMBER_VALIDATORS)
    weekly = models.PositiveIntegerField(null=True, blank=True, validators=_NUMBER_VALIDATORS)
    monthly = models.PositiveIntegerField(null=True, blank=True, validators=_NUMBER_VALIDATORS)
    yearly = models.PositiveIntegerField(null=True, blank=True, validators=_NUMBER_VALIDATORS)
    max_age = models.CharField(max_length=20, blank=True, validators=[validate_max_age])
    rehearsal_interval = models.CharField(max_length=20, blank=True, validators=[validate_rehearsal_interval])

    class Meta:
        verbose_name = "backup settings"
        verbose_name_plural = "backup settings"
        constraints = [
            models.CheckConstraint(condition=models.Q(id=1), name="one_row_of_backup_settings"),
            models.CheckConstraint(
                condition=models.Q(keep__isnull=True) | models.Q(keep__range=(1, MOST_KEPT)),
                name="backup_settings_keep_in_range",
            ),
            *(
                models.CheckConstraint(
                    condition=models.Q((f"{period}__isnull", True)) | models.Q((f"{period}__range", (0, MOST_KEPT))),
                    name=f"backup_settings_{period}_in_range",
                )
                for period in Period
            ),
        ]

    def __str__(self) -> str:
        return "Backup settings"

    @classmethod
    def load(cls, **changes: Any) -> BackupSettings:
        """Return the row, or an empty unsaved one, with these columns changed."""
        stored = cls.objects.first() or cls(pk=1)
        for name, value in changes.items():
            setattr(stored, name, value)
        return stored

    def clean(self) -> None:
        """Store a cron of six fields as five."""
        with suppress(ValueError):  # the field's validator reports it
            self.cron = self.cron and parse_cron(self.cron)

    def problems(self) -> list[str]:
        """Return a sentence for each stored value that is invalid and therefore ignored."""
        try:
            self.clean_fields()
        except ValidationError as refusal:
            return [f"{name}: {sentence}" for name, found in refusal.message_dict.items() for sentence in found]
        return []

    def is_scheduled(self) -> bool:
        """Return whether automatic backups are on."""
        return bool(settings.BACKUP_SCHEDULE_ENABLED if self.enabled is None else self.enabled)

    def timetable(self) -> Timetable:
        """Return when automatic backups are made."""
        default = conf.default_timetable()
        return Timetable(_read(parse_cron, self.cron, default.cron), _read(parse_zone, self.time_zone, default.zone))

    def rehearses_every(self) -> timedelta | None:
        """Return the time between rehearsals; `None` for no rehearsals."""
        if self.rehearsal_interval == NO_REHEARSALS:
            return None
        default: timedelta | None = settings.BACKUP_REHEARSAL_INTERVAL
        return _read(parse_duration, self.rehearsal_interval, default)

    def policy(self) -> Policy:
        """Return the retention. An invalid maximum age means no limit, so that nothing is deleted because of it."""
        default = conf.default_policy()
        keep = default.keep if self.keep is None else self.keep
        max_age = default.max_age
        if self.max_age:
            max_age = None if self.max_age == NO_AGE_LIMIT else _read(parse_duration, self.max_age, None)
        stored = {period: getattr(self, period) for period in Period}
        periods = {period: default.periods[period] if number is None else number for period, number in stored.items()}
        return Policy(None if self.keep_all else keep, max_age, periods, self.timetable().zone)


def _read(parse: Callable[[str], _Value], text: str, default: _Value) -> _Value:
    """Return the parsed text, or `default` if it is empty or invalid."""
    try:
        return parse(text) if text else default
    except ValueError:
        return default


class BackupState(models.TextChoices):
    """The state of a backup; `BROKEN` is for files that are not a usable backup."""

    CHECKED = "checked", "Verified"
    NOT_CHECKED = "not_checked", "Not verified"
    DAMAGED = "damaged", "Damaged"
    NEWER = "newer", "Made by a newer version"
    BROKEN = "broken", "Broken"


KIND_LABELS = {
    BackupKind.SCHEDULED: "Automatic",
    BackupKind.MANUAL: "Manual",
    BackupKind.PRE_RESTORE: "Safety",
    BackupKind.UPLOADED: "Uploaded",
    BackupKind.TVARR: "Made by tvarr",
}


class Backup(models.Model):
    """An index of the folder for the admin's lists, updated before each use. Only the files are authoritative."""

    filename = models.CharField(primary_key=True, max_length=255, editable=False)
    kind = models.CharField(max_length=20, choices=[(kind.value, label) for kind, label in KIND_LABELS.items()])
    note = models.TextField(blank=True)
    created_at = models.DateTimeField(null=True)
    seq = models.BigIntegerField(default=0)
    database_size = models.BigIntegerField(null=True)
    compressed_size = models.BigIntegerField(null=True)
    protected = models.BooleanField(default=False)
    protected_until = models.DateTimeField(null=True)
    imported = models.BooleanField(default=False)
    state = models.CharField(max_length=20, choices=BackupState)
    checked_at = models.DateTimeField(null=True)
    problem = models.TextField(blank=True)

    class Meta:
        ordering = ["-seq", models.F("created_at").desc(nulls_last=True), "-filename"]
        permissions = [
            ("create_backup", "Can create a backup"),
            ("download_backup", "Can download a backup"),
            ("restore_backup", "Can restore a backup"),
            ("verify_backup", "Can verify a backup"),
            ("protect_backup", "Can protect a backup"),
        ]

    def __str__(self) -> str:
        return self.filename


class Installation(models.Model):
    """One row: the identifier of this installation, which names its folder in each location."""

    id = models.PositiveSmallIntegerField(primary_key=True, editable=False)
    identifier = ULIDField(default=new_ulid, editable=False)

    class Meta:
        constraints = [models.CheckConstraint(condition=models.Q(id=1), name="one_row_of_installation")]

    def __str__(self) -> str:
        return str(self.identifier)

    @classmethod
    def load(cls) -> str:
        """Return the identifier, which is made when it is needed first."""
        row, _made = cls.objects.get_or_create(pk=1)
        return str(row.identifier)


class LocationState(models.TextChoices):
    """The state of a location, as it is known."""

    IN_SYNC = "in_sync", "In sync"
    BEHIND = "behind", "Behind"
    FAILING = "failing", "Failing"
    UNTESTED = "untested", "Not tested yet"
    KEY_UNSAVED = "key_unsaved", "Waits for the recovery key"
    PAUSED = "paused", "Paused"


class Location(models.Model):
    """A place outside the backup folder to which backups are copied.

    `options` are those of its address that are not secret; `sealed_options` the others, encrypted with a key of
    `SECRET_KEY`. With a `recipient`, copies are encrypted, and none is made before the user has shown that the recovery key is
    saved (`is_key_saved`). Without a number or a maximum age, there is no limit.

    `in_sync_at` is when everything was there the last time. `error_code`, `error` and `sentences` say why the last attempt failed,
    `failures` how many failed in a row. `offered_host_key` is the key of a server that is to be confirmed.
    `settings_copies` are the names of the settings archives that were copied there, without `.age`. `sealed_identity` is the
    identity that decrypts the copies, encrypted like `sealed_options`, if a user has stored it for rehearsals.
    """

    id = ULIDField(primary_key=True, default=new_ulid, editable=False)
    name = models.CharField(
        max_length=50,
        unique=True,
        validators=[RegexValidator(r"\A[a-z0-9](?:[a-z0-9-]*[a-z0-9])?\Z", LOCATION_NAME_REFUSED)],
    )
    kind = models.CharField(max_length=20, choices=[(kind.value, kind.label) for kind in LocationKind])
    options = models.JSONField(default=dict)
    sealed_options = models.TextField(blank=True)
    recipient = models.TextField(blank=True)
    is_key_saved = models.BooleanField(default=False)
    is_enabled = models.BooleanField(default=True)
    keep = models.PositiveIntegerField(
        null=True, blank=True, default=30, validators=[MinValueValidator(1), MaxValueValidator(MOST_KEPT)]
    )
    daily = models.PositiveIntegerField(default=0, validators=[MaxValueValidator(MOST_KEPT)])
    weekly = models.PositiveIntegerField(default=0, validators=[MaxValueValidator(MOST_KEPT)])
    monthly = models.PositiveIntegerField(default=0, validators=[MaxValueValidator(MOST_KEPT)])
    yearly = models.PositiveIntegerField(default=0, validators=[MaxValueValidator(MOST_KEPT)])
    max_age = models.CharField(max_length=20, blank=True, validators=[validate_max_age])
    created_at = models.DateTimeField()
    tested_at = models.DateTimeField(null=True, blank=True)
    in_sync_at = models.DateTimeField(null=True, blank=True)
    behind_since = models.DateTimeField(null=True, blank=True)
    failing_since = models.DateTimeField(null=True, blank=True)
    next_attempt_at = models.DateTimeField(null=True, blank=True)
    failures = models.PositiveIntegerField(default=0)
    error_code = models.CharField(max_length=50, blank=True)
    error = models.TextField(blank=True)
    sentences = models.JSONField(null=True, blank=True, editable=False)
    offered_host_key = models.TextField(blank=True)
    settings_copies = models.JSONField(default=list, editable=False)
    sealed_identity = models.TextField(blank=True, editable=False)

    class Meta:
        ordering = ["name"]
        default_permissions = ()
        permissions = [("manage_locations", "Can manage locations")]

    def __str__(self) -> str:
        return self.name

    @property
    def state(self) -> LocationState:
        if not self.is_enabled:
            return LocationState.PAUSED
        if self.failing_since is not None:
            return LocationState.FAILING
        if self.tested_at is None:
            return LocationState.UNTESTED
        if self.recipient and not self.is_key_saved:
            return LocationState.KEY_UNSAVED
        return LocationState.BEHIND if self.behind_since or self.in_sync_at is None else LocationState.IN_SYNC

    @property
    def since(self) -> datetime | None:
        """When the state began. In sync: when that was found the last time. Paused: unknown."""
        match self.state:
            case LocationState.FAILING:
                return self.failing_since
            case LocationState.BEHIND:
                return self.behind_since or self.tested_at
            case LocationState.IN_SYNC:
                return self.in_sync_at
            case LocationState.UNTESTED | LocationState.KEY_UNSAVED:
                return self.created_at
            case _:
                return None

    @property
    def is_ready(self) -> bool:
        """Whether copies may be made."""
        return self.is_enabled and self.tested_at is not None and (not self.recipient or self.is_key_saved)

    @property
    def url(self) -> str:
        """Its address without secrets."""
        return read_address(LocationKind(self.kind), self.options).url

    @property
    def place(self) -> str:
        """Its human-readable address: the path of a folder of this machine, otherwise its URL."""
        return str(self.options["path"]) if self.kind == LocationKind.FOLDER else self.url

    @property
    def problem(self) -> Sentence:
        """Why the last attempt failed, with its facts."""
        stored = (self.sentences or {}).get("error")
        return Sentence.from_data(stored) if stored else Sentence(self.error)

    def policy(self) -> Policy:
        """Return its retention. Days are those of the schedule's time zone."""
        max_age = _read(parse_duration, self.max_age, None) if self.max_age != NO_AGE_LIMIT else None
        periods = {period: getattr(self, period) for period in Period}
        return Policy(self.keep, max_age, periods, BackupSettings.load().timetable().zone)


class LocationCopy(models.Model):
    """A copy that this installation has made, or found in its folder. Only the listing says whether it still exists.

    `size` and `checksum` are those of the archive there. `sidecar` is the metadata of the backup without its
    configuration, and `described` the digest of the metadata that was written there last. `problem` is what the last check found.
    """

    location = models.ForeignKey(Location, on_delete=models.CASCADE, related_name="copies")
    filename = models.CharField(max_length=255)
    size = models.BigIntegerField()
    checksum = models.CharField(max_length=80)
    is_encrypted = models.BooleanField()
    sidecar = models.TextField()
    described = models.CharField(max_length=64)
    copied_at = models.DateTimeField()
    checked_at = models.DateTimeField(null=True)
    problem = models.TextField(blank=True)

    class Meta:
        ordering = ["-filename"]
        default_permissions = ()
        constraints = [
            models.UniqueConstraint(fields=["location", "filename"], name="one_copy_of_a_backup_in_a_location")
        ]

    def __str__(self) -> str:
        return self.filename


class Rehearsal(models.Model):
    """The last rehearsal of a place: the backup folder (`LOCAL`), or a location (its key).

    Only rehearsals of the newest good backup there are recorded. `error_code` is empty if it succeeded; else `error` and
    `sentences` say what was found. `operation` is the id of its operation, which may have been deleted. `seconds` is how long
    it took.
    """

    LOCAL = "local"

    place = models.CharField(primary_key=True, max_length=26)
    location = models.ForeignKey(Location, on_delete=models.CASCADE, null=True, related_name="rehearsals")
    filename = models.CharField(max_length=255)
    ended_at = models.DateTimeField()
    seconds = models.FloatField()
    error_code = models.CharField(max_length=50, blank=True)
    error = models.TextField(blank=True)
    sentences = models.JSONField(null=True, blank=True, editable=False)
    operation = models.CharField(max_length=26)

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return f"{self.filename} in {self.place}"

    @property
    def is_ok(self) -> bool:
        return not self.error_code

    @property
    def problem(self) -> Sentence:
        """Why it failed, with its facts."""
        stored = (self.sentences or {}).get("error")
        return Sentence.from_data(stored) if stored else Sentence(self.error)
