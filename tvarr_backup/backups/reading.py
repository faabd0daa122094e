"""Read the configuration of a backup that does not have it in its metadata file: an older one, or one that tvarr made."""

from __future__ import annotations

from pathlib import Path

from tvarr_backup.backups.apart import reading_configuration_apart, saying_too_costly
from tvarr_backup.backups.catalogue import find_backup, rewrite_sidecar
from tvarr_backup.backups.configuration import read_packed_file
from tvarr_backup.backups.durable import open_regular
from tvarr_backup.backups.folder import work_in
from tvarr_backup.backups.names import ArchiveFormat
from tvarr_backup.backups.progress import Phase, Progress, no_progress
from tvarr_backup.backups.room import require_room
from tvarr_backup.backups.sidecar import BackupKind
from tvarr_backup.backups.stage import stage
from tvarr_backup.backups.verify import bytes_to_verify
from tvarr_backup.errors import ArchiveDamaged, ArchiveTooLarge, BackupFolderReadOnly, NoRoom
from tvarr_backup.schema import RequiredSchema
from tvarr_backup.sentences import Sentence


def read_configuration_of(
    folder: Path,
    filename: str,
    required: RequiredSchema,
    *,
    scratch: Path,
    progress: Progress = no_progress,
) -> str:
    """Unpack a backup, and return its packed configuration, or "" if it has none that can be read.

    It is kept in the metadata file if there is one that can be written. If the backup folder is read-only or full, the backup is
    unpacked in the folder `scratch`. Raises `ArchiveDamaged`, and what `verify_backup` raises.
    """
    with saying_too_costly(Sentence("{filename} was not read.", filename=filename)):
        try:
            with work_in(folder) as work:
                packed = _unpack_and_read(folder, filename, work, required, progress)
                backup = find_backup(folder, filename)
                if packed and backup.name.format is not ArchiveFormat.TAR:
                    rewrite_sidecar(folder, work, backup, configuration=packed)
                return packed
        except (BackupFolderReadOnly, NoRoom):
            scratch.mkdir(mode=0o700, parents=True, exist_ok=True)
            with work_in(scratch) as work:
                return _unpack_and_read(folder, filename, work, required, progress)


def _unpack_and_read(folder: Path, filename: str, work: Path, required: RequiredSchema, progress: Progress) -> str:
    backup = find_backup(folder, filename)
    require_room(work.parent, bytes_to_verify(backup), "Reading a backup")
    limit = None if backup.sidecar.kind is BackupKind.TVARR else backup.sidecar.database_size
    try:
        with open_regular(folder / filename) as archive:
            staged = stage(archive, backup.name.format, work, progress, limit_bytes=limit)
    except ArchiveTooLarge as problem:
        raise ArchiveDamaged(
            "{filename} is damaged: it unpacks to more than the {size:MB} in its metadata.",
            filename=filename,
            size=limit,
        ) from problem
    progress(Phase.CHECK, 0, 1)
    if not backup.sidecar.is_from_elsewhere:
        return read_packed_file(staged.path, required.configuration_columns)
    with reading_configuration_apart(staged.path, required) as reading:
        return reading.result(lambda: progress(Phase.CHECK, 0, 1))
