"""Every failure a user can meet: one class per cause, each with a stable code."""

from collections.abc import Mapping, Sequence
from typing import Any

from tvarr_backup.sentences import Advice, Sentence
from tvarr_backup.texts import escape_hidden


class TvarrBackupError(Exception):
    """A failure with a sentence for the person; each subclass fixes one stable `code`.

    A message of several lines is given line by line. With `facts` the lines are templates, as those of `Sentence`, which may
    also be given itself. Names in it may be anybody's, so hidden characters are escaped.
    """

    code = "error"

    def __init__(self, *lines: str, **facts: object) -> None:
        made = lines[0] if len(lines) == 1 and not facts else None
        if not isinstance(made, Sentence):
            made = Sentence("\n".join(lines if facts else map(escape_hidden, lines)), **facts)
        self.sentence = made
        super().__init__(str(self.sentence))

    @property
    def facts(self) -> Mapping[str, Any]:
        """What the sentence was made of."""
        return self.sentence.facts

    @property
    def advice(self) -> tuple[Advice, ...]:
        """What the sentence advises; code asks for this, and never for words in the sentence."""
        return self.sentence.advice

    @property
    def identity(self) -> tuple[str, Mapping[str, Any]]:
        """What tells it from other failures: another one has another code or other facts."""
        return self.code, self.sentence.as_data()


class SystemRowReadOnly(TvarrBackupError):
    code = "system_row"


class ItemInUse(TvarrBackupError):
    code = "in_use"


class DatabaseUnusable(TvarrBackupError):
    """A database cannot be used as it is."""

    code = "database_unusable"


class DatabaseMissing(DatabaseUnusable):
    code = "database_missing"


class DatabaseForeign(DatabaseUnusable):
    """The file is not SQLite, or is the database of another program."""

    code = "database_foreign"


class DatabaseIncomplete(DatabaseUnusable):
    """A required table or column is missing."""

    code = "database_incomplete"


class DatabaseNewer(DatabaseUnusable):
    """A newer version of this program has migrated the database."""

    code = "database_newer"


class DatabaseNotPrepared(DatabaseUnusable):
    """`prepare` has not been run since this version was installed."""

    code = "database_not_prepared"


class DatabaseBusy(TvarrBackupError):
    code = "database_busy"


class DatabaseInUse(DatabaseBusy):
    """Other programs use a database that must not be in use; the message names those that can be seen."""

    code = "database_in_use"


class KindUnknown(TvarrBackupError):
    code = "kind_unknown"


class SelectionEmpty(TvarrBackupError):
    code = "selection_empty"


class ItemNotFound(TvarrBackupError):
    code = "item_not_found"


class SystemRowSelected(TvarrBackupError):
    code = "system_row_selected"


class RowUnreadable(TvarrBackupError):
    """A stored row cannot be exported without changing its meaning."""

    code = "row_unreadable"


class FileRefused(TvarrBackupError):
    """A file cannot be read as an export."""

    code = "file_refused"


class FileTooLarge(FileRefused):
    code = "file_too_large"


class NotJson(FileRefused):
    """The file breaks off or is not valid JSON; the sentence has line and column."""

    code = "not_json"


class EncodingUnsupported(FileRefused):
    code = "encoding_unsupported"


class NotAnEnvelope(FileRefused):
    """JSON, but not an export."""

    code = "not_an_export"


class BackupNotExport(FileRefused):
    """A backup or another program's file, not an export."""

    code = "backup_not_export"


class WrongKind(FileRefused):
    code = "wrong_kind"


class VersionUnsupported(FileRefused):
    code = "version_unsupported"


class MemberInvalid(FileRefused):
    """Members of the wrong type: `found` has, of each, its JSON pointer and the rest of its sentence."""

    code = "member_invalid"

    def __init__(self, *found: tuple[str, str], more: int = 0) -> None:
        self.found = [(escape_hidden(pointer), escape_hidden(words)) for pointer, words in found]
        self.more = more
        lines = [f"{pointer} {words}" for pointer, words in found]
        super().__init__(*lines, *([f"And {more} more."] if more else []))


class AnswerInvalid(TvarrBackupError):
    """An answer that fits no item, or is not one of the expected words."""

    code = "answer_invalid"


class PageIncomplete(TvarrBackupError):
    """A form was sent without the file or the text that it is for."""

    code = "page_incomplete"


class ImportRefused(TvarrBackupError):
    """An import was not done and nothing was written; `plan` says what stands item by item."""

    def __init__(self, *lines: str, plan: object, **facts: object) -> None:
        super().__init__(*lines, **facts)
        self.plan = plan


class ImportBlocked(ImportRefused):
    """Items of the file cannot be stored."""

    code = "import_blocked"


class PlanStale(ImportRefused):
    """The data has changed since the preview."""

    code = "plan_stale"


class SidecarInvalid(TvarrBackupError):
    """The metadata file of an archive is broken, missing or foreign."""

    code = "sidecar_invalid"


class BackupBusy(TvarrBackupError):
    """Another operation is using the backup folder."""

    code = "backup_busy"


class CopyFailed(TvarrBackupError):
    """The database could not be copied; the database is unchanged and no partial copy is left."""

    code = "copy_failed"


class ArchiveDamaged(TvarrBackupError):
    """An archive is not exactly one complete gzip file; the sentence says what is wrong and where."""

    code = "archive_damaged"


class ArchiveTooLarge(TvarrBackupError):
    code = "archive_too_large"


class OperationRunning(BackupBusy):
    """Another operation on the same database is queued or at work; the sentence and `operation`, its id, name it.

    `is_repeated` says that the same user had asked for just the same.
    """

    code = "operation_running"

    def __init__(self, message: str, operation: str = "", *, is_repeated: bool = False, **facts: object) -> None:
        super().__init__(message, **facts)
        self.operation = operation
        self.is_repeated = is_repeated


class OperationNotFound(TvarrBackupError):
    code = "operation_not_found"


class OperationEnded(TvarrBackupError):
    code = "operation_ended"


class OperationCancelled(TvarrBackupError):
    code = "operation_cancelled"


class OperationInterrupted(TvarrBackupError):
    """The process was stopped, or lost the operation, before it was finished."""

    code = "operation_interrupted"


class OperationTimedOut(TvarrBackupError):
    code = "operation_timed_out"


class OperationForeign(TvarrBackupError):
    """An operation was requested for another database than the one it would run on."""

    code = "operation_foreign"


class InternalError(TvarrBackupError):
    code = "internal_error"


class BackupFolderUnusable(TvarrBackupError):
    code = "backup_folder_unusable"


class BackupFolderUnmounted(BackupFolderUnusable):
    """The disk on which the last backup was made is not mounted at the backup folder."""

    code = "backup_folder_unmounted"


class BackupFolderMissing(BackupFolderUnusable):
    code = "backup_folder_missing"


class BackupFolderReadOnly(BackupFolderUnusable):
    """Backups can be read but nothing can be written; the sentence says why, with the command that changes it."""

    code = "backup_folder_read_only"


class OwnerUnreachable(TvarrBackupError):
    """Root must work as the owner of the storage folder, and cannot become that user."""

    code = "owner_unreachable"


class NoRoom(TvarrBackupError):
    code = "no_room"


class BackupUnsupported(TvarrBackupError):
    """tvarr's database is not SQLite; the sentence names the right tool."""

    code = "backup_unsupported"


class BackupNotFound(TvarrBackupError):
    code = "backup_not_found"


class BackupBroken(TvarrBackupError):
    """An archive without readable metadata, metadata without an archive, or a wrong size."""

    code = "backup_broken"


class BackupProtected(TvarrBackupError):
    code = "backup_protected"


class UnprotectDenied(TvarrBackupError):
    code = "unprotect_denied"


class BackupForeign(TvarrBackupError):
    """One of tvarr's own archives has no place for the requested change."""

    code = "backup_foreign"


class NoteInvalid(TvarrBackupError):
    code = "note_invalid"


class CopyDamaged(CopyFailed):
    """The copy of the database failed its check, and was not published."""

    code = "copy_damaged"


class PreconditionFailed(TvarrBackupError):
    code = "precondition_failed"


class ConfirmationRequired(TvarrBackupError):
    """Something that cannot be undone was requested without its confirmation."""

    code = "confirmation_required"


class DeletionsUnconfirmed(ConfirmationRequired):
    """New retention settings would let cleanup delete backups, and the user has not confirmed that."""


class UploadTooLarge(TvarrBackupError):
    code = "upload_too_large"


class UploadIncomplete(TvarrBackupError):
    code = "upload_incomplete"


class LengthRequired(TvarrBackupError):
    code = "length_required"


class UploadRefused(TvarrBackupError):
    """A file is not a backup that can be added; the sentence says what it is instead."""

    code = "upload_refused"


class SourceInUse(UploadRefused):
    code = "source_in_use"


class SourceChanged(UploadRefused):
    """The file to add changed while it was copied."""

    code = "source_changed"


class JournalUnusable(UploadRefused):
    """A -wal or -journal file does not belong to the file that it came with, or cannot be applied to it."""

    code = "journal_unusable"


class ExaminationTooCostly(TvarrBackupError):
    """Examining a database from elsewhere exceeded a limit of time or memory; its rows are unknown."""

    code = "examination_too_costly"


class CodeNotAccepted(TvarrBackupError):
    """A database from elsewhere contains code that no administrator has accepted; `found` has each piece of it.

    A piece has `kind`, `name`, `sql` and `identity`.
    """

    code = "code_not_accepted"

    def __init__(self, message: str, found: Sequence[Any], **facts: object) -> None:
        super().__init__(message, **facts)
        self.found = tuple(found)


class AcceptCodeDenied(TvarrBackupError):
    code = "accept_code_denied"


class QueueUnreachable(TvarrBackupError):
    code = "queue_unreachable"


class WorkerRunning(TvarrBackupError):
    code = "worker_running"


class ProgramNotStarted(TvarrBackupError):
    """A program that `up` runs ended right after its start."""

    code = "program_not_started"


class NothingToUndo(TvarrBackupError):
    code = "nothing_to_undo"


class RestoreRefused(TvarrBackupError):
    """A backup cannot be restored into this live database; nothing was changed."""

    code = "restore_refused"


class OfflineRestoreRequired(RestoreRefused):
    """SQLite cannot write the live file, so only an offline restore can replace it. Nothing was changed.

    `damage` completes a sentence that begins with the path, such as "is empty". `is_readable` says that SQLite may still
    be able to read the file.
    """

    code = "offline_restore_required"

    def __init__(self, message: str, damage: str, *, is_readable: bool, **facts: object) -> None:
        super().__init__(message, damage=damage, **facts)
        self.damage = damage
        self.is_readable = is_readable


class RestoreFailed(TvarrBackupError):
    """A restore failed; the sentence says at which step, and what the live database contains now."""

    code = "restore_failed"


class RestoreUnsettled(RestoreFailed):
    """A restore broke off, and the live data is unknown or damaged; the previous data is kept."""

    code = "restore_unsettled"


class UserNotFound(TvarrBackupError):
    """There is no such user, or the user may not sign in."""

    code = "user_not_found"


class TokenNotFound(TvarrBackupError):
    code = "token_not_found"


class TokenInvalid(TvarrBackupError):
    """A token's name is empty or taken, or its lifetime is not a duration."""

    code = "token_invalid"
