"""Serializers of backups, with tvarr's members and ours."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema_serializer
from rest_framework import serializers

from tvarr_backup.api.operations import StartedSerializer
from tvarr_backup.api.pagination import Pages
from tvarr_backup.api.schedule import ScheduleSerializer
from tvarr_backup.api.schema import RESTART_REQUIRED, ProblemSerializer
from tvarr_backup.api.strict import Choice, Flag, StrictSerializer, Text
from tvarr_backup.backups.backup_warnings import BackupWarningCode
from tvarr_backup.backups.sidecar import MAX_NOTE, BackupKind, CheckLevel, DateSource
from tvarr_backup.operations.models import BackupState

KINDS = [kind.value for kind in BackupKind]
"""`config.settings` refers to it, so that the enum has one name in the OpenAPI document."""


class BackupPages(Pages):
    """Up to 500 backups in one page, because tvarr's clients expect all of them."""

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
    "original_kind": None,
}


class WarningSerializer(serializers.Serializer[Any]):
    """A warning as data. Members that do not belong to its `code` are empty or 0."""

    code = serializers.ChoiceField(choices=[code.value for code in BackupWarningCode])
    table = serializers.CharField(allow_blank=True, help_text="`broken_references`: the table with the rows.")
    referenced_table = serializers.CharField(
        allow_blank=True, help_text="`broken_references`: the table in which rows are missing."
    )
    count = serializers.IntegerField(help_text="`broken_references`: the number of rows.")
    schema = serializers.CharField(
        allow_blank=True, help_text="`newer_schema`, `missing_columns`: the backup's schema."
    )
    newest_known = serializers.CharField(allow_blank=True, help_text="`newer_schema`: the newest known schema.")
    names = serializers.ListField(
        child=serializers.CharField(),
        help_text="`missing_columns`: columns and tables. `code`: views, triggers and virtual tables.",
    )
    text = serializers.CharField(allow_blank=True, help_text="`irregular_schema`, `other`: the message.")


class CheckedSerializer(serializers.Serializer[Any]):
    """The last verification of a backup."""

    level = serializers.ChoiceField(choices=[level.value for level in CheckLevel])
    at = serializers.DateTimeField(allow_null=True, help_text="Null if the metadata file has no valid time.")
    problems = serializers.ListField(
        child=serializers.CharField(), help_text="Messages. If there are any, do not rely on the backup."
    )
    warnings = serializers.ListField(
        child=serializers.CharField(),
        help_text="Messages about a usable backup, such as that newest changes may be missing.",
    )
    warning_details = serializers.ListField(
        child=WarningSerializer(), help_text="The `warnings` as data, in the same order."
    )


class BackupSerializer(serializers.Serializer[Any]):
    """A backup. Sizes are bytes, times UTC, checksums `sha256:` and 64 hexadecimal digits."""

    filename = serializers.CharField()
    file_path = serializers.CharField(allow_null=True, help_text="Null unless you may restore backups.")
    file_size = serializers.IntegerField(help_text="Size of the archive.")
    state = serializers.ChoiceField(choices=[state.value for state in BackupState if state != BackupState.BROKEN])
    tvarr_version = serializers.CharField(allow_blank=True, help_text="The program that made it.")
    database_size = serializers.IntegerField()
    compressed_size = serializers.IntegerField(help_text="Same as `file_size`.")
    checksum = serializers.CharField(
        help_text="Checksum of the stored archive. A download also contains the metadata, so its checksum differs."
    )
    created_at = serializers.DateTimeField(help_text="See `created_at_source`.")
    table_counts = serializers.DictField(child=serializers.IntegerField(), help_text="Number of rows, by table.")
    protected = serializers.BooleanField(help_text="A protected backup cannot be deleted.")
    imported = serializers.BooleanField(help_text="Whether it came from elsewhere.")
    seq = serializers.IntegerField(help_text="A higher number is newer, whatever the clock says.")
    kind = serializers.ChoiceField(choices=KINDS)
    note = serializers.CharField(allow_blank=True)
    protected_until = serializers.DateTimeField(
        allow_null=True, help_text="End of a safety backup's protection. It then counts as an automatic backup."
    )
    database_checksum = serializers.CharField(
        allow_blank=True, help_text="Checksum of the unpacked database, also of a download."
    )
    schema = serializers.CharField(allow_blank=True, help_text="Version of the tables.")
    sqlite_version = serializers.CharField(allow_blank=True)
    app_version = serializers.CharField(allow_blank=True)
    checked = CheckedSerializer(allow_null=True)
    restored_from = serializers.CharField(
        allow_blank=True, help_text="For a safety backup, the backup that was restored."
    )
    created_at_source = serializers.ChoiceField(
        choices=[source.value for source in DateSource],
        help_text="Source of `created_at`: the `metadata`, the `name` of the file, or, if it is unknown when the backup was made, "
        "its `newest_row` or its `arrival` here.",
    )
    newest_row_at = serializers.DateTimeField(
        allow_null=True, help_text="Time of the newest row in a backup from elsewhere."
    )
    wal_missing = serializers.BooleanField(
        help_text="Whether a database came without its `-wal` file, so that its newest changes may be missing."
    )
    accepted_code = serializers.ListField(
        child=serializers.CharField(), help_text="Views, triggers and virtual tables that a user accepted."
    )
    original_kind = serializers.ChoiceField(
        choices=KINDS,
        allow_null=True,
        help_text="The kind of an uploaded backup where it was made, if its metadata says so. For display only.",
    )


class BrokenSerializer(serializers.Serializer[Any]):
    """A broken backup: its archive or metadata file is missing or damaged. Cleanup never deletes it."""

    filename = serializers.CharField()
    reason = serializers.CharField()


@extend_schema_serializer(many=False)
class BackupListSerializer(serializers.Serializer[Any]):
    """A page of backups, newest first."""

    count = serializers.IntegerField(help_text="Number of all backups.")
    next = serializers.URLField(allow_null=True, help_text="Address of the next page.")
    previous = serializers.URLField(allow_null=True)
    backups = BackupSerializer(many=True)
    broken = BrokenSerializer(many=True, help_text=f"At most {BackupPages.max_page_size}.")
    broken_count = serializers.IntegerField(help_text="Number of all broken backups.")
    backup_directory = serializers.CharField(allow_null=True, help_text="Null unless you may restore backups.")
    schedule = ScheduleSerializer()


class CreateSerializer(StrictSerializer):
    """Options of a new backup."""

    note = Text(default="", allow_blank=True, help_text=f"One line, at most {MAX_NOTE} characters.")
    accept_folder = Flag(
        default=False,
        help_text="Use the backup folder although the disk of the last backup is not mounted (`backup_folder_unmounted`).",
    )


class ChangeSerializer(StrictSerializer):
    """Changes. Members that are left out stay as they are."""

    protected = Flag(required=False)
    note = Text(required=False, allow_blank=True, help_text=f"One line, at most {MAX_NOTE} characters.")


class ProtectionSerializer(StrictSerializer):
    """Whether a backup is protected."""

    protected = Flag()


class UploadFieldsSerializer(StrictSerializer):
    """The fields of an upload besides its files."""

    note = Text(default="", allow_blank=True, help_text="One line. The default is the note in the metadata.")
    accept_broken_references = Choice(
        choices=["true", "false"], default="false", help_text="Accept rows that refer to missing rows."
    )
    accept_code = Choice(
        choices=["true", "false"],
        default="false",
        help_text="Accept views, triggers and virtual tables, whose SQL runs when the database is used. This requires the "
        "permission to restore backups (`accept_code_denied`). Without it, a file that contains them is refused with "
        "`code_not_accepted`, and `refused_code` has their SQL.",
    )


class UploadFormSerializer(UploadFieldsSerializer):
    """The form of an upload."""

    file = serializers.FileField(help_text="One of our backups, one of tvarr's, or a plain copy of a database.")
    meta = serializers.FileField(
        required=False,
        help_text="The `.meta.json` file of a `.db.gz` archive. It counts more than the metadata that a download contains.",
    )
    wal = serializers.FileField(
        required=False, help_text="The `-wal` file of a plain copy of a database. Its changes are applied."
    )


class RestoreSerializer(StrictSerializer):
    """Confirmations that a restore may need."""

    accept_newer = Flag(default=False, help_text="Restore a backup with a newer schema than all that are known.")
    accept_code = Flag(
        default=False,
        help_text="Accept views, triggers and virtual tables in a backup from elsewhere. Without it the operation fails with "
        "`code_not_accepted`, and `refused_code` in its result has their SQL.",
    )
    offline = Flag(
        default=False,
        help_text="Replace a damaged, empty or missing database file, which is refused without it "
        "(`offline_restore_required`). This confirms that tvarr is stopped.",
    )


class EmptySerializer(StrictSerializer):
    """An empty object."""


class RestoreStartedSerializer(StartedSerializer):
    """The restore that was queued."""

    restart_required = serializers.BooleanField(help_text=RESTART_REQUIRED)
    facts = serializers.ListField(
        child=serializers.CharField(), help_text="Messages about a backup whose schema differs from the live database."
    )


class MessageSerializer(serializers.Serializer[Any]):
    """A message about what was done."""

    message = serializers.CharField()


class BusySerializer(ProblemSerializer):
    """An error answer (RFC 9457), perhaps about another operation."""

    operation = serializers.CharField(
        required=False, allow_null=True, help_text="For `operation_running`: the id of the other operation."
    )
    backup = serializers.CharField(
        required=False, help_text="For `backup_present`: the name of the backup with the same content."
    )
