"""Shapes of backups in requests and answers: tvarr's members, and ours."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema_serializer
from rest_framework import serializers

from tvarr_backup.api.operations import StartedSerializer
from tvarr_backup.api.pagination import Pages
from tvarr_backup.api.schedule import ScheduleSerializer
from tvarr_backup.api.schema import RESTART_REQUIRED, ProblemSerializer
from tvarr_backup.api.strict import Flag, StrictSerializer, Text, Word
from tvarr_backup.backups.backup_warnings import BackupWarningCode
from tvarr_backup.backups.sidecar import MAX_NOTE, BackupKind, CheckLevel, DateSource
from tvarr_backup.operations.models import BackupState


class BackupPages(Pages):
    """All backups in one page, as tvarr's clients expect it, unless there are hundreds."""

    page_size = Pages.max_page_size


BACKUP_EXAMPLE: dict[str, Any] = {
    "filename": "tvarr-backup-2026-03-01T18-00-00.db.gz",
    "file_path": None,
    "file_size": 10_485_760,
    "state": "checked",
    "tvarr_version": "tvarr-backup 0.1.0",
    "database_size": 104_857_600,
    "compressed_size": 10_485_760,
    "checksum": "sha256:" + "9f" * 32,
    "created_at": "2026-03-01T18:00:00Z",
    "table_counts": {"filters": 12, "channels": 4711},
    "protected": False,
    "imported": False,
    "seq": 42,
    "kind": "manual",
    "note": "before the new provider",
    "protected_until": None,
    "database_checksum": "sha256:" + "5c" * 32,
    "schema": "tvarr 029",
    "sqlite_version": "3.45.1",
    "app_version": "0.1.0",
    "checked": {"level": "quick", "at": "2026-03-01T18:00:02Z", "problems": [], "warnings": [], "warning_details": []},
    "restored_from": "",
    "created_at_source": "metadata",
    "newest_row_at": None,
    "wal_missing": False,
    "accepted_code": [],
}


class WarningSerializer(serializers.Serializer[Any]):
    """A warning as data; members that its code does not need are empty, and `count` is 0."""

    code = serializers.ChoiceField(choices=[code.value for code in BackupWarningCode])
    table = serializers.CharField(allow_blank=True, help_text="`broken_references`: rows of this table.")
    referenced_table = serializers.CharField(allow_blank=True, help_text="`broken_references`: lack their row here.")
    count = serializers.IntegerField(help_text="`broken_references`: so many rows.")
    schema = serializers.CharField(allow_blank=True, help_text="`newer_schema`, `missing_columns`: of this schema.")
    newest_known = serializers.CharField(allow_blank=True, help_text="`newer_schema`: the newest that was known then.")
    names = serializers.ListField(
        child=serializers.CharField(), help_text="`missing_columns`: columns and tables; `code`: what it contains."
    )
    text = serializers.CharField(allow_blank=True, help_text="`irregular_schema`, `other`: the sentence itself.")


class CheckedSerializer(serializers.Serializer[Any]):
    """The last check of a backup, in sentences."""

    level = serializers.ChoiceField(choices=[level.value for level in CheckLevel])
    at = serializers.DateTimeField(allow_null=True, help_text="Null where the metadata name no possible time.")
    problems = serializers.ListField(child=serializers.CharField(), help_text="With any, it cannot be relied on.")
    warnings = serializers.ListField(
        child=serializers.CharField(),
        help_text="The backup is usable. What was so in the live database, or what may be missing in a file from elsewhere.",
    )
    warning_details = serializers.ListField(
        child=WarningSerializer(), help_text="What `warnings` say, as data, in the same order."
    )


class BackupSerializer(serializers.Serializer[Any]):
    """A complete backup. Sizes are bytes, times UTC, checksums `sha256:` and 64 hexadecimal digits."""

    filename = serializers.CharField()
    file_path = serializers.CharField(allow_null=True, help_text="Told to administrators only.")
    file_size = serializers.IntegerField(help_text="Of the archive.")
    state = serializers.ChoiceField(choices=[state.value for state in BackupState if state != BackupState.BROKEN])
    tvarr_version = serializers.CharField(allow_blank=True, help_text="What made it.")
    database_size = serializers.IntegerField()
    compressed_size = serializers.IntegerField(help_text="As `file_size`.")
    checksum = serializers.CharField(help_text="Of the archive; its ETag.")
    created_at = serializers.DateTimeField(help_text="As `created_at_source` says, perhaps not when it was made.")
    table_counts = serializers.DictField(child=serializers.IntegerField(), help_text="Live rows by table.")
    protected = serializers.BooleanField(help_text="Neither clean-ups nor a deletion touch it.")
    imported = serializers.BooleanField(help_text="Taken in from elsewhere.")
    seq = serializers.IntegerField(help_text="Higher is newer, whatever the clock says.")
    kind = serializers.ChoiceField(choices=[kind.value for kind in BackupKind])
    note = serializers.CharField(allow_blank=True)
    protected_until = serializers.DateTimeField(
        allow_null=True, help_text="Of a copy made before a restore: then it counts as an automatic backup."
    )
    database_checksum = serializers.CharField(allow_blank=True)
    schema = serializers.CharField(allow_blank=True, help_text="The state of the tables.")
    sqlite_version = serializers.CharField(allow_blank=True)
    app_version = serializers.CharField(allow_blank=True)
    checked = CheckedSerializer(allow_null=True)
    restored_from = serializers.CharField(allow_blank=True, help_text="Of a copy made before a restore: that backup.")
    created_at_source = serializers.ChoiceField(
        choices=[source.value for source in DateSource],
        help_text="Where `created_at` comes from: the backup's `metadata` or, where these name no possible time, the `name` of "
        "the file say when it was made. With "
        "`newest_row` and `arrival` that is unknown, and it is the time of the newest row, or of the upload.",
    )
    newest_row_at = serializers.DateTimeField(
        allow_null=True, help_text="The newest change in a file from elsewhere, where its rows tell."
    )
    wal_missing = serializers.BooleanField(
        help_text="A copy of a database in WAL mode that came without its -wal: the newest changes may be missing."
    )
    accepted_code = serializers.ListField(
        child=serializers.CharField(),
        help_text="Views, triggers and virtual tables that a user accepted in a file from elsewhere.",
    )


class BrokenSerializer(serializers.Serializer[Any]):
    """A file with a backup's name that is none. Only a deletion removes it."""

    filename = serializers.CharField()
    reason = serializers.CharField()


@extend_schema_serializer(many=False)
class BackupListSerializer(serializers.Serializer[Any]):
    """A page of the backup folder, the newest backup first."""

    count = serializers.IntegerField(help_text="Of all backups.")
    next = serializers.URLField(allow_null=True, help_text="Of the next page.")
    previous = serializers.URLField(allow_null=True)
    backups = BackupSerializer(many=True)
    broken = BrokenSerializer(many=True, help_text=f"At most {BackupPages.max_page_size}.")
    broken_count = serializers.IntegerField(help_text="Of all broken ones.")
    backup_directory = serializers.CharField(allow_null=True, help_text="Told to administrators only.")
    schedule = ScheduleSerializer()


class CreateSerializer(StrictSerializer):
    """What may be said of a new backup."""

    note = Text(default="", allow_blank=True, help_text=f"One line, at most {MAX_NOTE} characters.")
    accept_folder = Flag(
        default=False,
        help_text="Use the backup folder as it is, although the disk of the last backup is not mounted there "
        "(`backup_folder_unmounted`).",
    )


class ChangeSerializer(StrictSerializer):
    """What is to be changed; what is left out stays as it is."""

    protected = Flag(required=False)
    note = Text(required=False, allow_blank=True, help_text=f"One line, at most {MAX_NOTE} characters.")


class ProtectionSerializer(StrictSerializer):
    """Whether a backup is kept from clean-ups and from deletion."""

    protected = Flag()


class UploadFieldsSerializer(StrictSerializer):
    """What a form with a file may have beside it."""

    note = Text(default="", allow_blank=True, help_text="One line; without it, that of `meta` counts.")
    accept_broken_references = Word(
        choices=["true", "false"],
        default="false",
        help_text="Take it in also with rows that refer to rows which are not there.",
    )
    accept_code = Word(
        choices=["true", "false"],
        default="false",
        help_text="Accept views, triggers and virtual tables, which SQLite runs when the database is used after a restore. "
        "It requires the right to restore backups (`accept_code_denied`). A file that contains some is refused without it, "
        "with the code `code_not_accepted` and their SQL in `refused_code`.",
    )


class UploadFormSerializer(UploadFieldsSerializer):
    """The form of an upload, for the schema."""

    file = serializers.FileField(help_text="A backup of ours or of tvarr's, or a plain copy of a database.")
    meta = serializers.FileField(required=False, help_text="The `.meta.json` that lies beside a `.db.gz`.")
    wal = serializers.FileField(
        required=False, help_text="The `-wal` file next to a plain copy of a database; its changes are applied."
    )


class RestoreSerializer(StrictSerializer):
    """What a restore may need to be confirmed."""

    accept_newer = Flag(default=False, help_text="Restore also a schema that is newer than every one known here.")
    accept_code = Flag(
        default=False,
        help_text="Accept views, triggers and virtual tables in a backup from elsewhere. Without it such a restore fails with "
        "the code `code_not_accepted`, and the result of the operation has their SQL in `refused_code`.",
    )
    offline = Flag(
        default=False,
        help_text="Replace a damaged, empty or missing database file. It confirms that tvarr is stopped. Such a file is "
        "refused without it, with the code `offline_restore_required`.",
    )


class NothingSerializer(StrictSerializer):
    """No member is known."""


class RestoreStartedSerializer(StartedSerializer):
    """A restore is under way."""

    restart_required = serializers.BooleanField(help_text=RESTART_REQUIRED)
    facts = serializers.ListField(
        child=serializers.CharField(),
        help_text="What to know where the backup has another schema than tvarr's database now; often empty.",
    )


class MessageSerializer(serializers.Serializer[Any]):
    """It is done."""

    message = serializers.CharField()


class BusySerializer(ProblemSerializer):
    """A refusal (RFC 9457), perhaps because of another operation."""

    operation = serializers.CharField(
        required=False, allow_null=True, help_text="With `operation_running`: the one that is in the way."
    )
