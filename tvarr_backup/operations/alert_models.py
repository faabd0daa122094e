"""Receivers of alerts, the problems that were reported to them, and the messages, in the database `default`."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.core.validators import RegexValidator
from django.db import models

from tvarr_backup.fields import ULIDField, new_ulid
from tvarr_backup.sentences import Sentence

RECEIVER_NAME_REFUSED = 'Expected a name of lower-case letters, digits and hyphens such as "phone-2".'
PING = "ping"
"""The kind of the receiver of pings (TVARR_BACKUP_PING_URL), which gets no alerts. The others are those of `ReceiverKind`."""


class AlertEvent(models.TextChoices):
    """What a message is about. Codes are a contract; `is_over` says that the problem has ended."""

    BACKUP_FAILED = "backup_failed", "Backup failed"
    BACKUP_OVERDUE = "backup_overdue", "Backup overdue"
    NO_RECENT_BACKUP = "no_recent_backup", "No recent backup"
    BACKUP_DAMAGED = "backup_damaged", "Backup damaged"
    VERIFICATION_FAILED = "verification_failed", "Verification failed"
    COPY_FAILED = "copy_failed", "Copying failed"
    COPY_DAMAGED = "copy_damaged", "Copy damaged"
    LOCATION_BEHIND = "location_behind", "Location behind"
    RESTORED = "restored", "Backup restored"
    RESTORE_FAILED = "restore_failed", "Restore failed"
    RESTORE_IMPOSSIBLE = "restore_impossible", "Restore not possible"
    REHEARSAL_FAILED = "rehearsal_failed", "Rehearsal failed"
    IMPORT_UNDONE = "import_undone", "Import undone"
    DISK_FILLING = "disk_filling", "Disk filling up"
    WORKER_STOPPED = "worker_stopped", "Worker stopped"
    QUEUE_STUCK = "queue_stuck", "Queue stuck"
    BACKUP_FOLDER = "backup_folder", "Backup folder unusable"
    TVARR_DATABASE = "tvarr_database", "Problem with tvarr's database"
    OWN_DATABASE = "own_database", "Problem with the own database"
    RECEIVER_FAILING = "receiver_failing", "Receiver failing"
    HEALTH = "health", "Health problem"
    REMINDER = "reminder", "Reminder"
    TEST = "receiver_test", "Test message"
    BACKUP_STARTED = "backup_started", "Backup started"
    BACKUP_SUCCEEDED = "backup_succeeded", "Backup succeeded"


def label_event(event: str) -> str:
    """Return what an event is called; the code itself if a newer version has stored it."""
    return AlertEvent(event).label if event in AlertEvent else event


class ReceiverState(models.TextChoices):
    """The state of a receiver, by the last message that was sent to it."""

    WORKING = "working", "Working"
    FAILING = "failing", "Failing"
    UNTRIED = "untried", "Not tried yet"
    PAUSED = "paused", "Paused"


class Receiver(models.Model):
    """A receiver of alerts, or of pings.

    `url` is its address without secrets; `sealed` the secret part, encrypted with a key of `SECRET_KEY`. A receiver of the
    environment has no secret here but a digest of its address, and only `is_enabled` and `reminds_daily` can be changed.

    `sent_at` and `answer` are those of the last message that it accepted. `error_code`, `error` and `sentences` say why the last
    attempt failed, `failures` how many failed in a row, and `next_attempt_at` when the next one is due.
    """

    id = ULIDField(primary_key=True, default=new_ulid, editable=False)
    name = models.CharField(
        max_length=50,
        unique=True,
        validators=[RegexValidator(r"\A[a-z0-9](?:[a-z0-9-]*[a-z0-9])?\Z", RECEIVER_NAME_REFUSED)],
    )
    kind = models.CharField(max_length=20)
    url = models.TextField()
    sealed = models.TextField(blank=True)
    environment_digest = models.CharField(max_length=64, blank=True, editable=False)
    is_enabled = models.BooleanField(default=True)
    reminds_daily = models.BooleanField(default=False)
    created_at = models.DateTimeField()
    sent_at = models.DateTimeField(null=True, blank=True)
    answer = models.TextField(blank=True)
    failing_since = models.DateTimeField(null=True, blank=True)
    failures = models.PositiveIntegerField(default=0)
    next_attempt_at = models.DateTimeField(null=True, blank=True)
    error_code = models.CharField(max_length=50, blank=True)
    error = models.TextField(blank=True)
    sentences = models.JSONField(null=True, blank=True, editable=False)

    class Meta:
        ordering = ["name"]
        default_permissions = ()
        permissions = [("manage_receivers", "Can manage receivers of alerts")]

    def __str__(self) -> str:
        return self.name

    @property
    def state(self) -> ReceiverState:
        if not self.is_enabled:
            return ReceiverState.PAUSED
        if self.failing_since is not None:
            return ReceiverState.FAILING
        return ReceiverState.WORKING if self.sent_at else ReceiverState.UNTRIED

    @property
    def is_from_environment(self) -> bool:
        return bool(self.environment_digest)

    @property
    def problem(self) -> Sentence:
        """Why the last attempt failed, with its facts; empty if it did not."""
        return _stored_error(self)


class Alert(models.Model):
    """A problem that holds now and was reported. The row is deleted when the problem is over.

    `key` names the problem, such as `location_behind:nas`. `members` are the parts that were reported, such as the names of damaged
    backups; another one is reported again. `reminded_at` is when the problem was reported or reminded of the last time.
    """

    id = ULIDField(primary_key=True, default=new_ulid, editable=False)
    key = models.CharField(max_length=200, unique=True)
    event = models.CharField(max_length=40)
    members = models.JSONField(default=list)
    sentence = models.JSONField()
    since = models.DateTimeField()
    reminded_at = models.DateTimeField()

    class Meta:
        ordering = ["since", "key"]
        default_permissions = ()

    def __str__(self) -> str:
        return self.key

    @property
    def event_label(self) -> str:
        return label_event(self.event)

    @property
    def message(self) -> Sentence:
        """What was reported, with its facts."""
        return Sentence.from_data(self.sentence)


class MessageState(models.TextChoices):
    """The state of a message."""

    WAITING = "waiting", "Waiting"
    SENT = "sent", "Sent"
    DROPPED = "dropped", "Dropped"


class OutboxMessage(models.Model):
    """A message to one receiver.

    It waits until it is sent, or is dropped after many attempts. An attempt begins with an UPDATE that sets `claimed_until`, so that
    two processes do not send it at the same time. While a message waits, a later one about the same `key` replaces its
    content. `cause` identifies what was reported, and no receiver gets two messages with the same cause; "" has no limit.
    """

    id = ULIDField(primary_key=True, default=new_ulid, editable=False)
    receiver = models.ForeignKey(Receiver, on_delete=models.CASCADE, related_name="messages")
    event = models.CharField(max_length=40)
    key = models.CharField(max_length=200)
    cause = models.CharField(max_length=200, blank=True)
    is_over = models.BooleanField(default=False)
    subject = models.TextField()
    text = models.TextField()
    data = models.JSONField(default=dict)
    state = models.CharField(max_length=20, choices=MessageState, default=MessageState.WAITING)
    attempts = models.PositiveIntegerField(default=0)
    claimed_until = models.DateTimeField(null=True, blank=True)
    answer = models.TextField(blank=True)
    error_code = models.CharField(max_length=50, blank=True)
    error = models.TextField(blank=True)
    sentences = models.JSONField(null=True, blank=True, editable=False)
    created_at = models.DateTimeField()
    sent_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-id"]
        verbose_name = "message"
        default_permissions = ()
        indexes = [models.Index(fields=["state", "created_at"], name="messages_by_state")]
        constraints = [
            models.UniqueConstraint(
                fields=["receiver", "cause"], condition=~models.Q(cause=""), name="one_message_of_a_cause"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.event} {self.id}: {self.get_state_display()}"

    @property
    def event_label(self) -> str:
        return label_event(self.event)

    @property
    def is_waiting(self) -> bool:
        return self.state == MessageState.WAITING

    @property
    def problem(self) -> Sentence:
        """Why the last attempt failed, with its facts; empty if it did not."""
        return _stored_error(self)

    @property
    def next_attempt_at(self) -> datetime | None:
        """When the next attempt is due, or `None` for now, or if there is none."""
        return self.receiver.next_attempt_at if self.is_waiting else None


class SenderSign(models.Model):
    """The process that watches and sends, one row at most, if `default` is on a server. Another one takes over when it is silent."""

    id = models.PositiveSmallIntegerField(primary_key=True, editable=False)
    host = models.CharField(max_length=255)
    boot = models.CharField(max_length=36)
    pid = models.PositiveIntegerField()
    process_started = models.BigIntegerField()
    seen_at = models.DateTimeField()

    class Meta:
        default_permissions = ()
        constraints = [models.CheckConstraint(condition=models.Q(id=1), name="one_sender")]

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host}"


class AlertSettings(models.Model):
    """Choices about alerts, one row at most: whether the advice to add a receiver was dismissed."""

    id = models.PositiveSmallIntegerField(primary_key=True, editable=False)
    is_advice_dismissed = models.BooleanField(default=False)

    class Meta:
        default_permissions = ()
        constraints = [models.CheckConstraint(condition=models.Q(id=1), name="one_row_of_alert_settings")]

    def __str__(self) -> str:
        return "Alert settings"


def _stored_error(row: Any) -> Sentence:
    stored = (row.sentences or {}).get("error")
    return Sentence.from_data(stored) if stored else Sentence(row.error)
