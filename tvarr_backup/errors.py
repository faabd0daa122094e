"""Every failure a user can meet: one class per cause, each with a stable code."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from tvarr_backup.sentences import Advice, Sentence
from tvarr_backup.texts import escape_hidden


class FoundCode(Protocol):
    """A trigger, a view or a virtual table in a database."""

    @property
    def kind(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def sql(self) -> str: ...
    @property
    def identity(self) -> str: ...


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
    """One of tvarr's own rows was to be changed or deleted."""

    code = "system_row"


class ItemInUse(TvarrBackupError):
    """A row was to be deleted that another one needs."""

    code = "in_use"


class DatabaseUnusable(TvarrBackupError):
    """The file behind `TVARR_DATABASE_DSN` cannot be used as it stands."""

    code = "database_unusable"


class DatabaseMissing(DatabaseUnusable):
    """There is no file."""

    code = "database_missing"


class DatabaseForeign(DatabaseUnusable):
    """The file is not SQLite, or is the database of another program."""

    code = "database_foreign"


class DatabaseIncomplete(DatabaseUnusable):
    """A table or a column that we need is not there."""

    code = "database_incomplete"


class DatabaseNewer(DatabaseUnusable):
    """A newer version of this program has migrated the file."""

    code = "database_newer"


class DatabaseNotPrepared(DatabaseUnusable):
    """`prepare` has not been run since this version was installed."""

    code = "database_not_prepared"


class DatabaseBusy(TvarrBackupError):
    """Another process held the database for longer than we wait."""

    code = "database_busy"


class DatabaseInUse(DatabaseBusy):
    """Other programs use a database that nobody else may use now; the message names those that can be seen."""

    code = "database_in_use"


class KindUnknown(TvarrBackupError):
    """A word that names none of the kinds."""

    code = "kind_unknown"


class SelectionEmpty(TvarrBackupError):
    """An export of nothing."""

    code = "selection_empty"


class ItemNotFound(TvarrBackupError):
    """An id that no live row of the kind has."""

    code = "item_not_found"


class SystemRowSelected(TvarrBackupError):
    """One of tvarr's own rows was to be exported; every tvarr has it already."""

    code = "system_row_selected"


class RowUnreadable(TvarrBackupError):
    """A stored row cannot be exported without changing its meaning."""

    code = "row_unreadable"


class FileRefused(TvarrBackupError):
    """A file cannot be read as an export."""

    code = "file_refused"


class FileTooLarge(FileRefused):
    """The file, its number of items or its depth is over a limit."""

    code = "file_too_large"


class NotJson(FileRefused):
    """The file breaks off or breaks the rules of JSON; the sentence has line and column."""

    code = "not_json"


class EncodingUnsupported(FileRefused):
    """The file is text in an encoding that is not read."""

    code = "encoding_unsupported"


class NotAnEnvelope(FileRefused):
    """JSON, but not an export."""

    code = "not_an_export"


class BackupNotExport(FileRefused):
    """A backup, or another program's file, where an export is wanted."""

    code = "backup_not_export"


class WrongKind(FileRefused):
    """An export of another kind."""

    code = "wrong_kind"


class VersionUnsupported(FileRefused):
    """An export in a format that this program does not know."""

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
    """An answer that fits no item, or a word that is none of the allowed ones."""

    code = "answer_invalid"


class PageIncomplete(TvarrBackupError):
    """A page did not send back what it held."""

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
    """What a preview showed has changed since."""

    code = "plan_stale"


class SidecarInvalid(TvarrBackupError):
    """The description beside an archive is broken, missing or foreign."""

    code = "sidecar_invalid"


class BackupBusy(TvarrBackupError):
    """Another backup, check, clean-up or restore holds the backup folder."""

    code = "backup_busy"


class CopyFailed(TvarrBackupError):
    """The database could not be copied; nothing was left behind and the database is as it was."""

    code = "copy_failed"


class ArchiveDamaged(TvarrBackupError):
    """An archive is not, byte for byte, one whole gzip file; the sentence says what is wrong and where."""

    code = "archive_damaged"


class ArchiveTooLarge(TvarrBackupError):
    """More comes out of an archive than is allowed; no more than that was written."""

    code = "archive_too_large"


class OperationRunning(BackupBusy):
    """Another operation on the same database is queued or at work; the sentence and `operation`, its id, name it."""

    code = "operation_running"

    def __init__(self, message: str, operation: str = "", **facts: object) -> None:
        super().__init__(message, **facts)
        self.operation = operation


class OperationNotFound(TvarrBackupError):
    """An id that no operation has."""

    code = "operation_not_found"


class OperationEnded(TvarrBackupError):
    """An operation was to be cancelled that has ended already."""

    code = "operation_ended"


class OperationCancelled(TvarrBackupError):
    """Somebody asked for the end of a running operation."""

    code = "operation_cancelled"


class OperationInterrupted(TvarrBackupError):
    """The process was told to stop, or the operation was taken from it, before the work was done."""

    code = "operation_interrupted"


class OperationTimedOut(TvarrBackupError):
    """The work took longer than a task of the worker may."""

    code = "operation_timed_out"


class OperationForeign(TvarrBackupError):
    """An operation was asked for on another database than the one where it was to be done."""

    code = "operation_foreign"


class InternalError(TvarrBackupError):
    """A fault of this program; the log has the details."""

    code = "internal_error"


class BackupFolderUnusable(TvarrBackupError):
    """The backup folder is missing, is no folder, or may not be written."""

    code = "backup_folder_unusable"


class BackupFolderUnmounted(BackupFolderUnusable):
    """The disk on which the last backup was made is not mounted in the place of the backup folder."""

    code = "backup_folder_unmounted"


class BackupFolderMissing(BackupFolderUnusable):
    """The backup folder, in which backups were made, does not exist any more."""

    code = "backup_folder_missing"


class BackupFolderReadOnly(BackupFolderUnusable):
    """Backups can be read but nothing can be written; `reason` says why, with the command that changes it."""

    code = "backup_folder_read_only"


class OwnerUnreachable(TvarrBackupError):
    """Root was to work as the owner of the storage folder, and may not become that user."""

    code = "owner_unreachable"


class NoRoom(TvarrBackupError):
    """The disk is full, or would be; nothing half-made is left."""

    code = "no_room"


class BackupUnsupported(TvarrBackupError):
    """tvarr's database is not SQLite; the sentence names the right tool."""

    code = "backup_unsupported"


class BackupNotFound(TvarrBackupError):
    """A name that no backup of the folder has, or that is no backup's name at all."""

    code = "backup_not_found"


class BackupBroken(TvarrBackupError):
    """An archive without a description that can be read, a description without its archive, or a wrong size."""

    code = "backup_broken"


class BackupProtected(TvarrBackupError):
    """A protected backup was to be deleted."""

    code = "backup_protected"


class UnprotectDenied(TvarrBackupError):
    """A user without the right to delete backups asked to lift the protection of a safety backup."""

    code = "unprotect_denied"


class BackupForeign(TvarrBackupError):
    """One of tvarr's own archives was to be changed, and its form has no place for that."""

    code = "backup_foreign"


class NoteInvalid(TvarrBackupError):
    """A note that is too long, or is more than one line of text."""

    code = "note_invalid"


class CopyDamaged(CopyFailed):
    """The copy of the database did not pass its check, and was not published."""

    code = "copy_damaged"


class PreconditionFailed(TvarrBackupError):
    """What was to be changed is no longer as the caller saw it."""

    code = "precondition_failed"


class ConfirmationRequired(TvarrBackupError):
    """Something that cannot be taken back was asked for without the word that says so."""

    code = "confirmation_required"


class UploadTooLarge(TvarrBackupError):
    """A file is larger than this installation takes in."""

    code = "upload_too_large"


class UploadIncomplete(TvarrBackupError):
    """The sender of a file went away, or fell silent, before all of it was here."""

    code = "upload_incomplete"


class LengthRequired(TvarrBackupError):
    """A file was sent without saying how long the request is."""

    code = "length_required"


class UploadRefused(TvarrBackupError):
    """A file is not a backup that can be taken in; the sentence says what it is instead."""

    code = "upload_refused"


class SourceInUse(UploadRefused):
    """A program has the file open that was to be added."""

    code = "source_in_use"


class SourceChanged(UploadRefused):
    """The file that was to be added changed while it was copied."""

    code = "source_changed"


class JournalUnusable(UploadRefused):
    """A -wal or a -journal came with a file that it does not belong to, or cannot be applied to it."""

    code = "journal_unusable"


class ExaminationTooCostly(TvarrBackupError):
    """The examination of a database from elsewhere met a limit of time or memory; nothing is known of its rows."""

    code = "examination_too_costly"


class CodeNotAccepted(TvarrBackupError):
    """A database from elsewhere contains code that no administrator has accepted; `found` has each piece of it.

    A piece has `kind`, `name`, `sql` and `identity`.
    """

    code = "code_not_accepted"

    def __init__(self, message: str, found: Sequence[FoundCode], **facts: object) -> None:
        super().__init__(message, **facts)
        self.found = tuple(found)


class AcceptCodeDenied(TvarrBackupError):
    """A user who may not restore backups asked to accept the code in one."""

    code = "accept_code_denied"


class QueueUnreachable(TvarrBackupError):
    """The server of the queue does not answer, so nobody could be told of what is asked for."""

    code = "queue_unreachable"


class WorkerRunning(TvarrBackupError):
    """A second worker was to be started on one storage folder."""

    code = "worker_running"


class ProgramNotStarted(TvarrBackupError):
    """A program that `up` looks after ended as soon as it was started."""

    code = "program_not_started"


class NothingToUndo(TvarrBackupError):
    """The last restore has no safety backup; nothing was changed."""

    code = "nothing_to_undo"


class RestoreRefused(TvarrBackupError):
    """A backup cannot be restored into this live database; the sentence says why, and nothing was touched."""

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
    """A restore did not come about; the sentence says at which step, and what the live database holds now."""

    code = "restore_failed"


class RestoreUnsettled(RestoreFailed):
    """A restore broke off, and what is live now is not known, or is damaged; what was there before is kept."""

    code = "restore_unsettled"


class UserNotFound(TvarrBackupError):
    """A name that no user has, or that of one who may not sign in."""

    code = "user_not_found"


class TokenNotFound(TvarrBackupError):
    """A name that no token of the user has."""

    code = "token_not_found"


class TokenInvalid(TvarrBackupError):
    """A token with a name that is taken or no name, or with a life that is no duration."""

    code = "token_invalid"
