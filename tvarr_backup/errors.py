"""Every failure a user can meet: one class per cause, each with a stable code."""

import re
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
    """A failure with a sentence for the user, and a stable code: the name of the class in snake case, unless it has its own.

    Codes are a contract (`docs/api.md` lists them, and a test compares), so a class that is renamed keeps its code.

    A message of several lines is given line by line. With `facts` the lines are templates, as those of `Sentence`, which may
    also be given itself. Names in it may come from anybody, so hidden characters are escaped.
    """

    code = "error"

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "code" not in vars(cls):
            cls.code = re.sub(r"\B(?=[A-Z])", "_", cls.__name__).lower()

    def __init__(self, *lines: str, **facts: object) -> None:
        made = lines[0] if len(lines) == 1 and not facts else None
        if not isinstance(made, Sentence):
            made = Sentence("\n".join(lines if facts else map(escape_hidden, lines)), **facts)
        self.sentence = made
        super().__init__(str(self.sentence))

    @property
    def facts(self) -> Mapping[str, Any]:
        return self.sentence.facts

    @property
    def advice(self) -> tuple[Advice, ...]:
        return self.sentence.advice

    @property
    def identity(self) -> tuple[str, Mapping[str, Any]]:
        """What distinguishes this failure from others: code and facts."""
        return self.code, self.sentence.as_data()


class SystemRowReadOnly(TvarrBackupError):
    """A built-in row was to be changed or deleted."""

    code = "system_row"


class ItemInUse(TvarrBackupError):
    """Another row needs the one that was to be deleted."""

    code = "in_use"


class DatabaseUnusable(TvarrBackupError):
    """A database cannot be used as it is."""


class DatabaseMissing(DatabaseUnusable):
    """There is no file."""


class DatabaseForeign(DatabaseUnusable):
    """The file is not SQLite, or is the database of another program."""


class DatabaseIncomplete(DatabaseUnusable):
    """A required table or column is missing."""


class DatabaseNewer(DatabaseUnusable):
    """A newer version of this program has migrated the database."""


class DatabaseNotPrepared(DatabaseUnusable):
    """`prepare` has not been run since this version was installed."""


class DatabaseBusy(TvarrBackupError):
    """Another process kept the database locked for too long."""


class DatabaseInUse(DatabaseBusy):
    """Other programs use a database that must not be in use; the message names those that can be seen."""


class KindUnknown(TvarrBackupError):
    """No kind has this name."""


class SelectionEmpty(TvarrBackupError):
    """An export of nothing."""


class ItemNotFound(TvarrBackupError):
    """No live row of the kind has this id."""


class SystemRowSelected(TvarrBackupError):
    """A built-in row was to be exported."""


class RowUnreadable(TvarrBackupError):
    """A stored row cannot be exported without changing its meaning."""


class FileRefused(TvarrBackupError):
    """A file cannot be read as an export."""


class FileTooLarge(FileRefused):
    """The file, its number of items or its depth exceeds a limit."""


class NotJson(FileRefused):
    """The file breaks off or is not valid JSON; the sentence has line and column."""


class EncodingUnsupported(FileRefused):
    """The file is text in another encoding."""


class NotAnExport(FileRefused):
    """JSON, but not an export."""


class BackupNotExport(FileRefused):
    """A backup or another program's file, not an export."""


class WrongKind(FileRefused):
    """An export of another kind."""


class VersionUnsupported(FileRefused):
    """An export in an unknown format."""


class MemberInvalid(FileRefused):
    """Members of the wrong type. `found` has the JSON pointer of each and a sentence."""

    def __init__(self, *found: tuple[str, str], more: int = 0) -> None:
        self.found = [(escape_hidden(pointer), escape_hidden(sentence)) for pointer, sentence in found]
        self.more = more
        lines = [f"{pointer}: {sentence}" for pointer, sentence in found]
        super().__init__(*lines, *([f"And {more} more."] if more else []))


class AnswerInvalid(TvarrBackupError):
    """An answer that fits no item, or is not one of the expected words."""


class PageIncomplete(TvarrBackupError):
    """A form was sent without the file or the text that it is for."""


class ImportRefused(TvarrBackupError):
    """Nothing was imported; `plan` shows each item."""

    code = TvarrBackupError.code

    def __init__(self, *lines: str, plan: object, **facts: object) -> None:
        super().__init__(*lines, **facts)
        self.plan = plan


class ImportBlocked(ImportRefused):
    """Items of the file cannot be stored."""


class PlanStale(ImportRefused):
    """The data has changed since the preview."""


class SidecarInvalid(TvarrBackupError):
    """The metadata file of an archive is broken, missing or foreign."""


class BackupBusy(TvarrBackupError):
    """Another operation is using the backup folder."""


class CopyFailed(TvarrBackupError):
    """The database could not be copied; the database is unchanged and no partial copy is left."""


class ArchiveDamaged(TvarrBackupError):
    """An archive is not exactly one complete gzip file; the sentence says what is wrong and where."""


class ArchiveTooLarge(TvarrBackupError):
    """An archive unpacks to more than is allowed; no more than that was written."""


class OperationRunning(BackupBusy):
    """Another operation on the same database is queued or at work; the sentence and `operation`, its id, name it.

    `is_repeated` says that the same user had asked for just the same.
    """

    def __init__(self, message: str, operation: str = "", *, is_repeated: bool = False, **facts: object) -> None:
        super().__init__(message, **facts)
        self.operation = operation
        self.is_repeated = is_repeated


class OperationNotFound(TvarrBackupError):
    """No operation has this id."""


class OperationEnded(TvarrBackupError):
    """The operation to cancel has ended."""


class OperationCancelled(TvarrBackupError):
    """A user canceled the running operation."""


class OperationInterrupted(TvarrBackupError):
    """The process was stopped, or lost the operation, before it was finished."""


class OperationTimedOut(TvarrBackupError):
    """The operation took longer than a task of the worker may."""


class OperationForeign(TvarrBackupError):
    """An operation was requested for another database than the one it would run on."""


class InternalError(TvarrBackupError):
    """A fault of this program; the log has the details."""


class BackupFolderUnusable(TvarrBackupError):
    """The backup folder is missing, not a folder, or not writable."""


class BackupFolderUnmounted(BackupFolderUnusable):
    """The disk on which the last backup was made is not mounted at the backup folder."""


class BackupFolderMissing(BackupFolderUnusable):
    """The backup folder, in which backups were made, no longer exists."""


class BackupFolderReadOnly(BackupFolderUnusable):
    """Backups can be read but nothing can be written; the sentence says why, with the command that changes it."""


class OwnerUnreachable(TvarrBackupError):
    """Root must work as the owner of the storage folder, and cannot become that user."""


class NoRoom(TvarrBackupError):
    """The disk is full, or would be; no partial file is left."""


class BackupUnsupported(TvarrBackupError):
    """tvarr's database is not SQLite; the sentence names the right tool."""


class BackupNotFound(TvarrBackupError):
    """No backup has this name."""


class BackupBroken(TvarrBackupError):
    """An archive without readable metadata, metadata without an archive, or a wrong size."""


class BackupProtected(TvarrBackupError):
    """A protected backup was to be deleted."""


class UnprotectDenied(TvarrBackupError):
    """A user who may not delete backups wanted to unprotect a safety backup."""


class BackupForeign(TvarrBackupError):
    """One of tvarr's own archives has no place for the requested change."""


class NoteInvalid(TvarrBackupError):
    """A note is too long, or is not one line of text."""


class CopyDamaged(CopyFailed):
    """The copy of the database failed its check, and was not published."""


class PreconditionFailed(TvarrBackupError):
    """The resource has changed since the caller read it."""


class ConfirmationRequired(TvarrBackupError):
    """Something that cannot be undone was requested without its confirmation."""


class DeletionsUnconfirmed(ConfirmationRequired):
    """New retention settings would let cleanup delete backups, and the user has not confirmed that."""

    code = ConfirmationRequired.code


class UploadTooLarge(TvarrBackupError):
    """A file is larger than the limit for uploads."""


class UploadIncomplete(TvarrBackupError):
    """The sender of a file disconnected or fell silent."""


class LengthRequired(TvarrBackupError):
    """A file was sent without the length of the request."""


class UploadRefused(TvarrBackupError):
    """A file is not a backup that can be added; the sentence says what it is instead."""


class SourceInUse(UploadRefused):
    """A program has the file to add open."""


class SourceChanged(UploadRefused):
    """The file to add changed while it was copied."""


class JournalUnusable(UploadRefused):
    """A -wal or -journal file does not belong to the file that it came with, or cannot be applied to it."""


class ExaminationTooCostly(TvarrBackupError):
    """Examining a database from elsewhere exceeded a limit of time or memory; its rows are unknown."""


class CodeNotAccepted(TvarrBackupError):
    """A database from elsewhere contains code that no administrator has accepted; `found` has each piece of it.

    A piece has `kind`, `name`, `sql` and `identity`.
    """

    def __init__(self, message: str, found: Sequence[FoundCode], **facts: object) -> None:
        super().__init__(message, **facts)
        self.found = tuple(found)


class AcceptCodeDenied(TvarrBackupError):
    """A user who may not restore backups wanted to accept the code in one."""


class QueueUnreachable(TvarrBackupError):
    """The server of the queue does not answer."""


class WorkerRunning(TvarrBackupError):
    """A second worker was to be started on one storage folder."""


class ProgramNotStarted(TvarrBackupError):
    """A program that `up` runs ended right after its start."""


class NothingToUndo(TvarrBackupError):
    """The last restore has no safety backup; nothing was changed."""


class RestoreRefused(TvarrBackupError):
    """A backup cannot be restored into this live database; nothing was changed."""


class OfflineRestoreRequired(RestoreRefused):
    """SQLite cannot write the live file, so only an offline restore can replace it. Nothing was changed.

    `damage` completes a sentence that begins with the path, such as "is empty". `is_readable` says that SQLite may still
    be able to read the file.
    """

    def __init__(self, message: str, damage: str, *, is_readable: bool, **facts: object) -> None:
        super().__init__(message, damage=damage, **facts)
        self.damage = damage
        self.is_readable = is_readable


class RestoreFailed(TvarrBackupError):
    """A restore failed; the sentence says at which step, and what the live database contains now."""


class RestoreUnsettled(RestoreFailed):
    """A restore broke off, and the live data is unknown or damaged; the previous data is kept."""


class UserNotFound(TvarrBackupError):
    """There is no such user, or the user may not sign in."""


class TokenNotFound(TvarrBackupError):
    """No token of the user has this name."""


class TokenInvalid(TvarrBackupError):
    """A token's name is empty or taken, or its lifetime is not a duration."""
