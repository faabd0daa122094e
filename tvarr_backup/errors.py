"""Errors that users see: one class per cause, each with a stable code."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Protocol, Self

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
    """An error with a message and a stable code, by default the class name in snake case.

    Codes are a contract: `docs/reference/errors.md` lists them, and a renamed class keeps its code. A message is a `Sentence`, or
    one or more lines, which are templates of `Sentence` if there are facts. Hidden characters are escaped.
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
        """Code and facts, which distinguish this error from others."""
        return self.code, self.sentence.as_data()


class SystemRowReadOnly(TvarrBackupError):
    """A built-in row cannot be changed or deleted."""

    code = "system_row"


class ItemInUse(TvarrBackupError):
    """A row cannot be deleted, because another row needs it."""

    code = "in_use"


class DatabaseUnusable(TvarrBackupError):
    """A database cannot be used as it is."""


class DatabaseMissing(DatabaseUnusable):
    """The database file does not exist."""


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
    """Other programs use a database that must not be in use. The message names those that are visible."""


class KindUnknown(TvarrBackupError):
    """No kind has this name."""


class SelectionEmpty(TvarrBackupError):
    """No item was selected for an export."""


class ItemNotFound(TvarrBackupError):
    """No row of this kind has this id."""


class SystemRowSelected(TvarrBackupError):
    """A built-in row cannot be exported."""


class RowUnreadable(TvarrBackupError):
    """A stored row cannot be exported without changing its meaning."""


class FileRefused(TvarrBackupError):
    """A file cannot be read as an export."""


class FileTooLarge(FileRefused):
    """The file, its number of items or its depth exceeds a limit."""


class NotJson(FileRefused):
    """The file is incomplete or not valid JSON. The message has line and column."""


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

    def describe(self) -> Iterator[str]:
        """Yield the problems for users, such as "Item 1, name: Expected text, got 5."."""
        for pointer, sentence in self.found:
            match = re.fullmatch(r"/(?:items|sections/([a-z_]+))/(\d+)(?:/(.+))?", pointer)
            kind = f" of {match[1]}" if match and match[1] else ""
            place = f"Item {int(match[2]) + 1}{kind}" + (f", {match[3]}" if match[3] else "") if match else pointer
            yield f"{place}: {sentence}"
        if self.more:
            yield f"And {self.more} more."


class AnswerInvalid(TvarrBackupError):
    """An answer matches no item, or is not one of the expected words."""


class PageIncomplete(TvarrBackupError):
    """A form was sent without its file or text."""


class ImportRefused(TvarrBackupError):
    """Nothing was imported. `plan` shows each item."""

    code = TvarrBackupError.code

    def __init__(self, *lines: str, plan: object, **facts: object) -> None:
        super().__init__(*lines, **facts)
        self.plan = plan


class ImportBlocked(ImportRefused):
    """Items of the file cannot be stored."""


class PlanStale(ImportRefused):
    """The data has changed since the preview."""


class ImportNotFound(TvarrBackupError):
    """There is no import with this id that the user may see."""


class UndoRefused(TvarrBackupError):
    """An import cannot be undone, or not any more."""


class SidecarInvalid(TvarrBackupError):
    """The metadata file of an archive is broken, missing or foreign."""


class BackupBusy(TvarrBackupError):
    """Another operation is using the backup folder."""


class CopyFailed(TvarrBackupError):
    """The database could not be copied. It is unchanged, and no partial copy is left."""


class ArchiveDamaged(TvarrBackupError):
    """An archive is not exactly one complete gzip file. The message says what is wrong and where."""


class ArchiveTooLarge(TvarrBackupError):
    """The unpacked archive exceeds the limit. Nothing beyond the limit was written."""


class OperationRunning(BackupBusy):
    """Another operation on the same database is queued or running. `operation` is its id.

    `is_repeated` means that the same user has started the same operation before.
    """

    def __init__(self, message: str, operation: str = "", *, is_repeated: bool = False, **facts: object) -> None:
        super().__init__(message, **facts)
        self.operation = operation
        self.is_repeated = is_repeated


class OperationNotFound(TvarrBackupError):
    """No operation has this id."""


class OperationEnded(TvarrBackupError):
    """An operation cannot be canceled, because it has ended."""


class OperationCancelled(TvarrBackupError):
    """A user canceled the running operation."""


class OperationInterrupted(TvarrBackupError):
    """The process was stopped, or lost the operation, before it was finished."""


class OperationTimedOut(TvarrBackupError):
    """The operation exceeded the time limit of the worker's tasks."""


class OperationForeign(TvarrBackupError):
    """An operation was requested for a database other than the current one."""


class InternalError(TvarrBackupError):
    """An error in this program. The log has the details."""


class BackupFolderUnusable(TvarrBackupError):
    """The backup folder is missing, not a folder, or not writable."""


class BackupFolderUnmounted(BackupFolderUnusable):
    """The disk of the last backup is not mounted at the backup folder."""


class BackupFolderMissing(BackupFolderUnusable):
    """The backup folder, which contained backups, no longer exists."""


class BackupFolderReadOnly(BackupFolderUnusable):
    """Backups can be read but not written. The message says why, and which command changes it."""


class OwnerUnreachable(TvarrBackupError):
    """Root cannot become the owner of the storage folder."""


class NoRoom(TvarrBackupError):
    """The disk does not have enough space. No partial file is left."""


class BackupUnsupported(TvarrBackupError):
    """tvarr's database is not SQLite. The message names the right tool."""


class BackupNotFound(TvarrBackupError):
    """No backup has this name."""


class BackupAmbiguous(TvarrBackupError):
    """Several backups have names that start as the given one."""


class BackupNumberRefused(TvarrBackupError):
    """A number of the list cannot name the backup of an action that nobody confirms."""


class BackupPresent(TvarrBackupError):
    """A file was not added, because a backup has the same content. The fact `existing` is its name."""


class BackupBroken(TvarrBackupError):
    """An archive without readable metadata, metadata without an archive, or a wrong size."""


class BackupProtected(TvarrBackupError):
    """A protected backup cannot be deleted."""


class UnprotectDenied(TvarrBackupError):
    """Only users who may delete backups may unprotect a safety backup."""


class BackupForeign(TvarrBackupError):
    """tvarr's own archives cannot store the requested change."""


class NoteInvalid(TvarrBackupError):
    """A note is too long, or is not one line of text."""


class CopyDamaged(CopyFailed):
    """The copy of the database failed verification and was not saved as a backup."""


class PreconditionFailed(TvarrBackupError):
    """The resource has changed since the caller read it."""


class ConfirmationRequired(TvarrBackupError):
    """A request that cannot be undone needs a confirmation."""


class DeletionsUnconfirmed(ConfirmationRequired):
    """With a new retention, cleanup would delete `filenames` (oldest first), and the user has not confirmed this."""

    code = ConfirmationRequired.code
    filenames: tuple[str, ...] = ()

    @classmethod
    def of(cls, template: str, filenames: Iterable[str], /, **facts: object) -> Self:
        """Return the error for these deletions, with the fact `count`."""
        names = tuple(filenames)
        error = cls(template, count=len(names), **facts)
        error.filenames = names
        return error


class ExpressionTooLarge(TvarrBackupError):
    """The regular expressions of an expression need more time or memory than is available for them. tvarr may run it."""

    def __init__(self) -> None:
        super().__init__("The regular expressions are too large to evaluate here. tvarr may still be able to run them.")


class EvaluationTooSlow(TvarrBackupError):
    """The evaluation of expressions took too long."""

    def __init__(self, seconds: float) -> None:
        super().__init__("Evaluation stopped after {seconds} seconds.", seconds=round(seconds))


class UploadTooLarge(TvarrBackupError):
    """A file is larger than the limit for uploads."""


class UploadIncomplete(TvarrBackupError):
    """The sender of a file disconnected or stopped sending."""


class LengthRequired(TvarrBackupError):
    """An upload has no Content-Length."""


class UploadRefused(TvarrBackupError):
    """A file is not a backup that can be added. The message says what it is instead."""


class SourceInUse(UploadRefused):
    """A program has the file to add open."""


class SourceChanged(UploadRefused):
    """The file to add changed during the copy."""


class JournalUnusable(UploadRefused):
    """A -wal or -journal file does not belong to the file that it came with, or cannot be applied to it."""


class ExaminationTooCostly(TvarrBackupError):
    """The examination of a database from elsewhere exceeded a limit of time or memory. Its rows are unknown."""


class CodeNotAccepted(TvarrBackupError):
    """A database from elsewhere contains code that no administrator has accepted. `found` lists it."""

    def __init__(self, message: str, found: Sequence[FoundCode], **facts: object) -> None:
        super().__init__(message, **facts)
        self.found = tuple(found)


class AcceptCodeDenied(TvarrBackupError):
    """Only users who may restore backups may accept code in one."""


class QueueUnreachable(TvarrBackupError):
    """The server of the queue does not answer."""


class WorkerRunning(TvarrBackupError):
    """Another worker uses the same storage folder."""


class SenderRunning(TvarrBackupError):
    """A process that sends alerts is already running with this storage folder."""


class ProgramNotStarted(TvarrBackupError):
    """A program that `up` runs ended right after its start."""


class NothingToUndo(TvarrBackupError):
    """There is no safety backup to restore. Nothing was changed."""


class RestoreRefused(TvarrBackupError):
    """A backup cannot be restored into this live database. Nothing was changed."""


class OfflineRestoreRequired(RestoreRefused):
    """SQLite cannot write to the live file, so only an offline restore can replace it. Nothing was changed.

    `damage` completes a sentence that begins with the path, such as "is empty". If `is_readable`, SQLite may be able to
    read the file.
    """

    def __init__(self, message: str, damage: str, *, is_readable: bool, **facts: object) -> None:
        super().__init__(message, damage=damage, **facts)
        self.damage = damage
        self.is_readable = is_readable


class RestoreFailed(TvarrBackupError):
    """A restore failed. The message says at which step, and what the live database contains now."""


class RestoreUnsettled(RestoreFailed):
    """A restore was interrupted, and the live data is unknown or damaged. The previous data is kept."""


class RehearsalFailed(TvarrBackupError):
    """A backup was restored into a scratch database, and the result is wrong. The fact `check` says what. Nothing was changed."""


class ScratchUnusable(TvarrBackupError):
    """The folder where rehearsals work cannot be used. Nothing was changed."""


class StateNotFound(TvarrBackupError):
    """A text names no state of the configuration, or one that does not exist."""


class StateUnavailable(TvarrBackupError):
    """A state is not stored: the history does not reach back, or the backup has to be read first."""


class StateUnread(StateUnavailable):
    """The configuration of a backup has not been read yet. `filename` is its name."""

    def __init__(self, message: str, filename: str, **facts: object) -> None:
        super().__init__(message, filename=filename, **facts)
        self.filename = filename


class EventNotFound(TvarrBackupError):
    """There is no such event in the history, or no such item."""


class UserNotFound(TvarrBackupError):
    """The user does not exist, or may not sign in."""


class UserInvalid(TvarrBackupError):
    """A user cannot be created: the name is taken or invalid, the password is too weak, or the role has no group."""


class ProxyUserRefused(TvarrBackupError):
    """A proxy names a user who cannot be signed in this way: an invalid name, a user with a password, no role."""


class TokenNotFound(TvarrBackupError):
    """No token of the user has this name."""


class ScopeExceeded(TvarrBackupError):
    """The scope of the token does not include the call."""


class ScopeTooWide(TvarrBackupError):
    """A token in an address can do more than show the status badge."""


class TokenInvalid(TvarrBackupError):
    """A token's name is empty or taken, or its lifetime is not a duration."""


class LocationError(TvarrBackupError):
    """A location cannot be used."""

    code = TvarrBackupError.code


class LocationInvalid(LocationError):
    """The address of a location is invalid. The message names the option and what was expected."""


class LocationUnsupported(LocationError):
    """The library for this kind of location is not installed."""


class LocationUnreachable(LocationError):
    """There is no connection to the location, it was cut, or the location did not answer in time."""


class LocationDenied(LocationError):
    """The location refused the credentials, or does not permit the action."""


class LocationFull(LocationError):
    """The location has no space left, or the quota is used up."""


class LocationReadOnly(LocationError):
    """The location can be read, but not written."""


class LocationUntrusted(LocationError):
    """The location did not prove its identity: its host key or its certificate is not the expected one.

    `host_key` is the host key of an SFTP server, for the user to confirm, or "".
    """

    def __init__(self, message: str, host_key: str = "", **facts: object) -> None:
        super().__init__(message, host_key=host_key, **facts)
        self.host_key = host_key


class LocationRedirected(LocationError):
    """The location redirects to another host, which would get the credentials."""


class LocationFailed(LocationError):
    """The location answered in an unexpected way."""


class LocationUnmarked(LocationError):
    """The location does not have the marker of this installation: it was emptied, or its disk is not mounted."""


class LocationNotFound(LocationError):
    """There is no location with this name."""


class LocationNotReady(LocationError):
    """The location is paused, not tested yet, or waits until its recovery key is saved."""


class LocationBusy(LocationError):
    """Another operation of the location is open."""


class SecretsLost(LocationError):
    """The stored credentials of a location cannot be decrypted with the present secret key."""


class ObjectMissing(LocationError):
    """The location has no such object."""


class ObjectExists(LocationError):
    """The location already has an object with this name and another content."""


class ObjectDamaged(LocationError):
    """What a location returned is not what was copied to it."""


class InstallationNotFound(LocationError):
    """The location has no backups, or none of the installation that was named."""


class InstallationAmbiguous(LocationError):
    """The location has backups of several installations, and none was named."""


class SettingsUnavailable(LocationError):
    """The location has no settings archive of the installation, or it cannot be brought back here."""


class RowNotFound(TvarrBackupError):
    """There is no channel, programme or player with this id or name."""


class TargetExists(TvarrBackupError):
    """A file that would be created exists already. Nothing was changed."""


class TargetUnusable(TvarrBackupError):
    """A file cannot be created there: a folder is missing or not writable, or this user cannot set its owner."""


class RecipientInvalid(TvarrBackupError):
    """A text is not an age recipient."""


class IdentityInvalid(TvarrBackupError):
    """A text is not an age identity."""


class IdentityWrong(TvarrBackupError):
    """The identity cannot decrypt this."""


class IdentityRequired(TvarrBackupError):
    """The copies are encrypted, and no identity was given."""


class ReceiverError(TvarrBackupError):
    """A receiver of alerts cannot be used."""

    code = TvarrBackupError.code


class ReceiverInvalid(ReceiverError):
    """The address of a receiver or of a monitor is invalid. The message says what was expected, without the address."""


class ReceiverFailed(ReceiverError):
    """A receiver did not accept a message.

    `status` is its status code, or 0. `answer` is its answer in one line. `is_permanent` says that sending the same message again
    cannot help.
    """

    def __init__(
        self, message: str, *, is_permanent: bool = False, status: int = 0, answer: str = "", **facts: object
    ) -> None:
        super().__init__(message, status=status, answer=answer, **facts)
        self.is_permanent = is_permanent
        self.status = status
        self.answer = answer


class ReceiverUnreachable(ReceiverFailed):
    """There is no connection to the receiver, it was cut, or the receiver did not answer in time."""


class ReceiverUntrusted(ReceiverFailed):
    """The receiver did not prove its identity, or offers no encryption for a password."""


class ReceiverDenied(ReceiverFailed):
    """The receiver refused the credentials."""


class ReceiverRedirected(ReceiverFailed):
    """The receiver redirects to another address, which would get the message."""


class ReceiverForbidden(ReceiverFailed):
    """The address belongs to this machine's own network card or to the metadata service of a cloud. Nothing was sent."""


class ReceiverUnsupported(ReceiverFailed):
    """The library for this kind of receiver is not installed, or it does not know the address."""


class ReceiverNotFound(ReceiverError):
    """There is no receiver with this name."""


class ReceiverReadOnly(ReceiverError):
    """The receiver is set in the environment, so it cannot be removed and its address cannot be changed here."""


class ReceiverSecretsLost(ReceiverError):
    """The stored address of a receiver cannot be decrypted with the present secret key."""


class MessageNotFound(ReceiverError):
    """There is no message with this id."""
