"""Operations, imports, backup settings and the index of backups, in the database `default`."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any, Literal, TypeVar

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models

from tvarr_backup import conf
from tvarr_backup.backups.retention import Policy
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
from tvarr_backup.sentences import Sentence

_Value = TypeVar("_Value")

NO_AGE_LIMIT = "none"
MOST_KEPT = 100_000
_MOST_QUOTED = 100


class OperationKind(models.TextChoices):
    """What is to be done."""

    BACKUP = "backup", "Backup"
    VERIFY = "verify", "Check"
    PRUNE = "prune", "Clean-up"
    DELETE = "delete", "Deletion"
    ADOPT = "adopt", "Upload"
    RESTORE = "restore", "Restore"


class OperationState(models.TextChoices):
    """Where an operation stands; see `Operation`."""

    QUEUED = "queued", "Queued"
    RUNNING = "running", "Running"
    SUCCEEDED = "succeeded", "Succeeded"
    ATTENTION = "attention", "Needs attention"
    FAILED = "failed", "Failed"
    CANCELLED = "cancelled", "Cancelled"
    INTERRUPTED = "interrupted", "Interrupted"


OPEN_STATES = (OperationState.QUEUED, OperationState.RUNNING)
COMPLETED_STATES = (OperationState.SUCCEEDED, OperationState.ATTENTION)


class Origin(models.TextChoices):
    """By which door an operation was asked for."""

    WEB = "web", "Web"
    API = "api", "API"
    COMMAND = "command", "Command"
    SCHEDULE = "schedule", "Schedule"


class Operation(models.Model):
    """Something that takes time, from its request to its end. This row is the truth about it, not the queue.

        (web, API, schedule) -> queued -> running -> succeeded
                                  |         |  |---> attention     done, but a person should read `message`
                                  |         |  |---> failed        `error_code` and `error` say why
                                  |         |  |---> cancelled     asked for with `cancel_requested`
                                  |         |  '---> interrupted   the process was told to stop, or is gone
        (command) ----------------|---------'
                                  '---> cancelled      before it began

    Every arrow is one UPDATE that names the state it leaves, so of two that try only one succeeds. The last five states
    are final. `database` is the resolved path of the protected file: at most one exclusive operation on it is open (which
    are, `kinds.KINDS` says). `host`, `boot`, `pid` and `process_started` (clock ticks since the boot) say which process
    works on it. `message` is for the user, one sentence a line; `sentences` keeps what it and `error` were made of.
    `done_bytes` and `total_bytes` are those of the present phase; `total_bytes` is null while it is unknown. `percent` is
    the share of the whole operation that is done: null until it begins, never less than it was, and 100 only when it has
    succeeded. `due_at` is the time of the schedule that it is for, null for what a user asked for.
    """

    id = ULIDField(primary_key=True, default=new_ulid, editable=False)
    kind = models.CharField(max_length=20, choices=OperationKind)
    state = models.CharField(max_length=20, choices=OperationState)
    database = models.TextField()
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

    unrecorded = ""
    """Why a command's operation is not in the history, or not with its end; empty if it is."""

    class Meta:
        ordering = ["-id"]  # ULIDs sort by the moment of their making
        indexes = [models.Index(fields=["state"], name="operation_state")]
        constraints = [
            models.UniqueConstraint(
                fields=["database"],
                condition=models.Q(state__in=OPEN_STATES, is_exclusive=True),
                name="one_open_exclusive_operation_per_database",
            ),
            models.CheckConstraint(
                condition=models.Q(state__in=OperationState.values), name="operation_state_is_known"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.get_kind_display()} {self.id}: {self.get_state_display()}"

    def as_context(self) -> dict[str, Any]:
        """Return what identifies the operation and its user in the log."""
        user = self.requested_by.get_username() if self.requested_by else None
        return {"operation": str(self.pk), "kind": str(self.kind), "origin": str(self.origin), "user": user}

    @classmethod
    def open_ones(cls) -> list[Operation]:
        """Return queued and running operations, newest first, with their users."""
        return list(cls.objects.filter(state__in=OPEN_STATES).select_related("requested_by"))

    @property
    def outcome(self) -> Sentence:
        """Why it failed, or else what a user should read, with facts and advice."""
        return self.sentence("error") if self.error else self.sentence("message")

    def sentence(self, column: Literal["error", "message"]) -> Sentence:
        """Return a text as what it was made of, where that is kept."""
        kept = (self.sentences or {}).get(column)
        return Sentence.from_data(kept) if kept else Sentence(getattr(self, column))

    @property
    def is_open(self) -> bool:
        """Whether it is queued or running."""
        return self.state in OPEN_STATES


def sentence_columns(**columns: Sentence) -> dict[str, Any]:
    """Return the values of `error`, `message` and `sentences` that keep sentences and what they were made of."""
    made_of = {name: sentence.as_data() for name, sentence in columns.items() if sentence}
    return {name: str(sentence) for name, sentence in columns.items()} | {"sentences": made_of or None}


class ImportState(models.TextChoices):
    """Where an import stands; see `ImportRecord`."""

    PENDING = "pending", "Pending"
    APPLIED = "applied", "Applied"
    DISCARDED = "discarded", "Discarded"


class ImportRecord(models.Model):
    """An import: from the file that was uploaded, over the choices in its preview, to what became of the items.

        (web) -> pending -> applied
                        '-> discarded
        (API, command) --> applied

    `requested_by` is the user who uploaded the file and, once it is applied, the user who applied it. As long as it is
    pending, `file` holds the file (zlib), `choices` the choices (`portable.choices`), and `fingerprint` and `marks` the plan
    that was shown last. `result` says item by item what was done through the pages, as JSON; empty when that is no longer
    kept. JSON is kept as text because a file's names may hold characters that a JSON column refuses.
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
    result = models.TextField(blank=True)
    created_at = models.DateTimeField()
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-id"]
        verbose_name = "import"
        constraints = [
            models.CheckConstraint(condition=models.Q(state__in=ImportState.values), name="import_state_is_known"),
        ]

    def __str__(self) -> str:
        return f"import of {self.kind} {self.id}"


class WorkerSign(models.Model):
    """A worker's sign of life where `default` is on a server; on one machine a file says it.

    It exists from the worker's start to its end, and grows old if the worker was killed. `sees_database` is whether the
    protected file and the backup folder are on the worker's machine.
    """

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
    """The schema of tvarr's database at a moment when it was different from the sighting before.

    `database` is the resolved path, or the address on a server. `schema` is as metadata files record it (`tvarr 029`).
    `columns` are the columns of every table, sorted, by its name.
    """

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


_FORGOTTEN = 500  # SQLite's limit of parameters is 999 where it is lowest


def forget_oldest(rows: models.QuerySet[Any], kept: int) -> None:
    """Remove what is beyond the first `kept` of the rows, which are ordered newest first; a few hundred at once."""
    oldest = rows.values_list("pk", flat=True)[kept : kept + _FORGOTTEN]
    rows.filter(pk__in=list(oldest)).delete()


def _validate(parse: Callable[[str], object], text: str, sentence: str, code: str, **params: str) -> None:
    """Refuse a text that cannot be parsed."""
    try:
        parse(text)
    except ValueError:
        raise ValidationError(sentence, code=code, params={"value": text[:_MOST_QUOTED], **params}) from None


def validate_max_age(text: str) -> None:
    """Refuse a text that is not a duration or the word for no limit."""
    sentence = (
        "max_age “%(value)s” is not allowed; allowed are %(allowed)s (1h to 9999w), “%(none)s” for no limit, or "
        "nothing for the environment's default."
    )
    if text != NO_AGE_LIMIT:
        _validate(parse_duration, text, sentence, "invalid_duration", allowed=ALLOWED_DURATIONS, none=NO_AGE_LIMIT)


def validate_cron(text: str) -> None:
    """Refuse what is not a time of a schedule."""
    sentence = "cron “%(value)s” is not allowed; allowed are %(allowed)s; or nothing for the environment's default."
    _validate(parse_cron, text, sentence, "invalid_cron", allowed=ALLOWED_CRONS)


def validate_time_zone(name: str) -> None:
    """Refuse what is not a time zone."""
    sentence = (
        "time zone “%(value)s” is not allowed; allowed are %(allowed)s; or nothing for the environment's default."
    )
    _validate(parse_zone, name, sentence, "invalid_time_zone", allowed=ALLOWED_ZONES)


class BackupSettings(models.Model):
    """What was set on the settings page: one row at most. What is empty, or `None`, is as the environment says.

    `keep_all` keeps every automatic backup, whatever `keep` says.
    """

    _KEEP_REFUSED = f"keep %(show_value)s is not allowed; allowed are whole numbers from 1 to {MOST_KEPT}, or nothing."

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
    max_age = models.CharField(max_length=20, blank=True, validators=[validate_max_age])

    class Meta:
        verbose_name = "backup settings"
        verbose_name_plural = "backup settings"
        constraints = [
            models.CheckConstraint(condition=models.Q(id=1), name="one_row_of_backup_settings"),
            models.CheckConstraint(
                condition=models.Q(keep__isnull=True) | models.Q(keep__range=(1, MOST_KEPT)),
                name="backup_settings_keep_in_range",
            ),
        ]

    def __str__(self) -> str:
        return "Backup settings"

    @classmethod
    def load(cls, **changes: Any) -> BackupSettings:
        """Return the row, or one with nothing set that is not stored yet, with these columns changed."""
        stored = cls.objects.first() or cls(pk=1)
        for name, value in changes.items():
            setattr(stored, name, value)
        return stored

    def clean(self) -> None:
        """Six fields are stored as five."""
        with suppress(ValueError):  # the field's own check reports it
            self.cron = self.cron and parse_cron(self.cron)

    def problems(self) -> list[str]:
        """Return sentences about stored values that cannot be read. They count as not set."""
        try:
            self.clean_fields()
        except ValidationError as refusal:
            return [sentence for sentences in refusal.message_dict.values() for sentence in sentences]
        return []

    def is_scheduled(self) -> bool:
        """Return whether there are automatic backups, by these settings or else the environment."""
        return bool(settings.BACKUP_SCHEDULE_ENABLED if self.enabled is None else self.enabled)

    def timetable(self) -> Timetable:
        """Return when they are made, in the same way."""
        default = conf.default_timetable()
        return Timetable(_read(parse_cron, self.cron, default.cron), _read(parse_zone, self.time_zone, default.zone))

    def policy(self) -> Policy:
        """Return the retention, by these settings and else the environment.

        A maximum age that cannot be read is none, so that nothing is removed because of it.
        """
        default = conf.default_policy()
        keep = default.keep if self.keep is None else self.keep
        max_age = default.max_age
        if self.max_age:
            max_age = None if self.max_age == NO_AGE_LIMIT else _read(parse_duration, self.max_age, None)
        return Policy(keep=None if self.keep_all else keep, max_age=max_age)


def _read(parse: Callable[[str], _Value], text: str, default: _Value) -> _Value:
    """What a stored text says; `default` where it is empty, or says nothing."""
    try:
        return parse(text) if text else default
    except ValueError:
        return default


class BackupState(models.TextChoices):
    """What is known of a backup; the last is for files that are not a usable backup."""

    CHECKED = "checked", "Checked"
    NOT_CHECKED = "not_checked", "Not checked"
    DAMAGED = "damaged", "Damaged"
    NEWER = "newer", "Made by a newer version"
    BROKEN = "broken", "Broken"


KIND_LABELS = {
    BackupKind.SCHEDULED: "Automatic",
    BackupKind.MANUAL: "Manual",
    BackupKind.PRE_RESTORE: "Before restore",
    BackupKind.UPLOADED: "Uploaded",
    BackupKind.TVARR: "Made by tvarr",
}


class Backup(models.Model):
    """An index of the backup folder for the admin's lists, made equal to the folder before each look.

    Never consulted for a decision: the files are the truth.
    """

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
