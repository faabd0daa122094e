"""Decide what the user must know about, or confirm, when a backup has another schema version than the live database."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from tvarr_backup import schema
from tvarr_backup.backups.catalogue import Backup
from tvarr_backup.backups.schema_table import Code, name_code, not_accepted
from tvarr_backup.backups.sidecar import BackupKind, Sidecar
from tvarr_backup.errors import CodeNotAccepted, ConfirmationRequired, RestoreRefused
from tvarr_backup.schema import RequiredSchema
from tvarr_backup.sentences import Sentence, join

_TVARR, _OURS = "tvarr ", "tvarr-backup "


@dataclass(frozen=True)
class VersionVerdict:
    """The consequences of a restore across schema versions, and whether the user must confirm it."""

    facts: tuple[Sentence, ...] = ()
    needs_confirmation: bool = False


def is_safety_backup(sidecar: Sidecar) -> bool:
    """Return whether a backup was made on this server right before a restore."""
    return sidecar.kind is BackupKind.PRE_RESTORE and not sidecar.imported


def judge_versions(found: str, live: str, required: RequiredSchema, *, is_safety: bool) -> VersionVerdict:
    """Compare the schema of a backup with that of the live database, as metadata files record them.

    If `live` is empty because the live database cannot be read, the schema last seen there counts. A confirmation is needed
    only for a schema newer than the live one and every known one, and never for a safety backup, whose data was live here.
    """
    live = live or required.last_seen
    needs_confirmation = schema.is_newer(found, required) and not _is_reached(found, live) and not is_safety
    if not found or (found == live and not needs_confirmation):
        return VersionVerdict()
    return VersionVerdict(_facts(found, live, required, needs_confirmation=needs_confirmation), needs_confirmation)


def _is_reached(found: str, live: str) -> bool:
    """Return whether the live database has this schema or a newer one of tvarr's."""
    return found == live or (found.startswith(_TVARR) and live.startswith(_TVARR) and found <= live)


def _facts(found: str, live: str, required: RequiredSchema, *, needs_confirmation: bool) -> tuple[Sentence, ...]:
    facts = []
    current = Sentence("The schema of tvarr's current database is unknown.")
    if live:
        current = Sentence("The current database has the schema {live}.", live=live)
    facts.append(Sentence("This backup has the schema {found}. {current}", found=found, current=current))
    if found.startswith(_TVARR) and live.startswith(_TVARR) and found < live:
        facts.append(Sentence("Restart tvarr after the restore to upgrade the database."))
    elif found.startswith(_TVARR) and live.startswith(_TVARR) and found > live:
        facts.append(
            Sentence(
                "{live} may fail with this database, because tvarr cannot downgrade it. Install the version of tvarr that made "
                "the backup, or a later one, and restart it after the restore.",
                live=live,
            )
        )
    elif found.startswith(_TVARR) and live.startswith(_OURS):
        facts.append(Sentence("The restored database will be tvarr's own, which tvarr-backup does not upgrade."))
    if needs_confirmation:
        facts.append(
            Sentence(
                "Its schema is newer than any that was used here or that this tvarr-backup knows (up to {newest_known}).",
                newest_known=schema.newest_known(found, required),
            )
        )
    return tuple(facts)


def require_versions(backup: Backup, found: str, live: str, required: RequiredSchema, *, accept_newer: bool) -> None:
    """Raise `RestoreRefused` or `ConfirmationRequired` if this schema must not replace the live one, or needs a confirmation."""
    is_safety = is_safety_backup(backup.sidecar)
    require_kinship(backup.filename, found, live, required, is_safety=is_safety)
    verdict = judge_versions(found, live, required, is_safety=is_safety)
    if verdict.needs_confirmation and not accept_newer:
        raise ConfirmationRequired(
            "{filename} was not restored. {facts} Nothing was changed. To restore it anyway, accept the newer schema: with "
            "--accept-newer in the command, accept_newer in a request, or the box on the restore page.",
            filename=backup.filename,
            facts=join(verdict.facts),
        )


def require_kinship(filename: str, found: str, live: str, required: RequiredSchema, *, is_safety: bool) -> None:
    """Raise `RestoreRefused` if our tables would replace tvarr's own, unless a safety backup brings ours back."""
    if not found.startswith(_OURS) or not (live or required.last_seen).startswith(_TVARR):
        return
    if is_safety and required.was_ours:
        return
    raise RestoreRefused(
        "{filename} contains a database that tvarr-backup made, which must not replace tvarr's own database. Nothing was "
        "changed. Move the configuration instead: run `portable export` on the server that the backup comes from, and "
        "`portable import` here.",
        filename=filename,
    )


def require_accepted_code(
    filename: str, sidecar: Sidecar, code: tuple[Code, ...], *, accepted: bool | Collection[str]
) -> None:
    """Raise `CodeNotAccepted` if a backup from elsewhere contains code that was accepted neither when it was added nor now."""
    if not sidecar.is_from_elsewhere:
        return
    unknown = not_accepted(tuple(one for one in code if str(one) not in sidecar.accepted_code), accepted)
    if unknown:
        raise CodeNotAccepted(
            "{filename} comes from elsewhere and contains the {unknown}. tvarr does not create these, and no administrator has "
            "accepted them. Nothing was changed. If you trust the file, an administrator can accept them: with --accept-code "
            "in the command, accept_code in a request, or the boxes on the restore page.",
            unknown,
            filename=filename,
            unknown=name_code(unknown),
        )
