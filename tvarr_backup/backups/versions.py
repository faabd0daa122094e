"""Restores across schema versions: what the user should know, and what needs a confirmation."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from tvarr_backup import schema
from tvarr_backup.backups.catalogue import Backup
from tvarr_backup.backups.schema_table import Code, not_accepted, some_code
from tvarr_backup.backups.sidecar import BackupKind, Sidecar
from tvarr_backup.errors import CodeNotAccepted, ConfirmationRequired, RestoreRefused
from tvarr_backup.schema import RequiredSchema
from tvarr_backup.sentences import Sentence, join

_TVARR, _OURS = "tvarr ", "tvarr-backup "


@dataclass(frozen=True)
class VersionVerdict:
    """What a restore across schema versions means, in sentences, and whether a user must confirm it."""

    facts: tuple[Sentence, ...] = ()
    needs_confirmation: bool = False


def is_safety_backup(sidecar: Sidecar) -> bool:
    """Return whether a backup was made here right before a restore."""
    return sidecar.kind is BackupKind.PRE_RESTORE and not sidecar.imported


def judge_versions(found: str, live: str, required: RequiredSchema, *, is_safety: bool) -> VersionVerdict:
    """Compare the schema of a backup with that of the live database, as metadata files record them.

    `live` is empty where the live database cannot be read; then the one last seen there counts. Only a schema newer than
    every known one and than the live one needs a confirmation, except in a safety backup, whose data was live here.
    """
    live = live or required.last_seen
    needs_confirmation = schema.is_newer(found, required) and not _is_reached(found, live) and not is_safety
    if not found or (found == live and not needs_confirmation):
        return VersionVerdict()
    return VersionVerdict(_facts(found, live, required, needs_confirmation=needs_confirmation), needs_confirmation)


def _is_reached(found: str, live: str) -> bool:
    """Return whether the live database has this schema, or a newer one of tvarr's."""
    return found == live or (found.startswith(_TVARR) and live.startswith(_TVARR) and found <= live)


def _facts(found: str, live: str, required: RequiredSchema, *, needs_confirmation: bool) -> tuple[Sentence, ...]:
    facts = []
    now = Sentence("the schema of tvarr's database here is unknown")
    if live.startswith(_TVARR):
        now = Sentence("{live} is running", live=live)
    elif live:
        now = Sentence("the database here was made by {live}", live=live)
    facts.append(Sentence("This backup was made by {found}; {now}.", found=found, now=now))
    if found.startswith(_TVARR) and live.startswith(_TVARR) and found < live:
        facts.append(Sentence("Restart tvarr after the restore: it upgrades the database."))
    elif found.startswith(_TVARR) and live.startswith(_TVARR) and found > live:
        facts.append(
            Sentence(
                "{live} may fail with this database, because tvarr cannot downgrade it. Install the tvarr that made the "
                "backup, or a later one, and restart it after the restore.",
                live=live,
            )
        )
    elif found.startswith(_TVARR) and live.startswith(_OURS):
        facts.append(Sentence("After the restore, this is tvarr's own database, which tvarr-backup does not upgrade."))
    if needs_confirmation:
        facts.append(
            Sentence(
                "It is newer than every schema that was seen here or that this tvarr-backup knows (up to "
                "{newest_known}).",
                newest_known=schema.newest_known(found, required),
            )
        )
    return tuple(facts)


def require_versions(backup: Backup, found: str, live: str, required: RequiredSchema, *, accept_newer: bool) -> None:
    """Raise `RestoreRefused` or `ConfirmationRequired` where this schema must not replace the live one, or not yet."""
    is_safety = is_safety_backup(backup.sidecar)
    require_kinship(backup.filename, found, live, required, is_safety=is_safety)
    verdict = judge_versions(found, live, required, is_safety=is_safety)
    if verdict.needs_confirmation and not accept_newer:
        raise ConfirmationRequired(
            "{filename} was not restored. {facts} Nothing was changed. To restore it anyway, confirm "
            "that a newer schema is accepted: --accept-newer for the command, accept_newer in a request, the "
            "box on the restore page.",
            filename=backup.filename,
            facts=join(verdict.facts),
        )


def require_kinship(filename: str, found: str, live: str, required: RequiredSchema, *, is_safety: bool) -> None:
    """Raise `RestoreRefused` where tables of ours would replace tvarr's own.

    `live` is as in `judge_versions`. A safety backup of ours goes back to where a database of ours was seen before.
    """
    if not found.startswith(_OURS) or not (live or required.last_seen).startswith(_TVARR):
        return
    if is_safety and required.was_ours:
        return
    raise RestoreRefused(
        "{filename} contains a database that tvarr-backup made, and the database here is tvarr's own, which it must not "
        "replace. Nothing was changed. Import the configuration instead: `portable export` where the backup comes from, "
        "and `portable import` here.",
        filename=filename,
    )


def require_accepted_code(
    filename: str, sidecar: Sidecar, code: tuple[Code, ...], *, accepted: bool | Collection[str]
) -> None:
    """Raise `CodeNotAccepted` where a backup from elsewhere contains code that nobody has accepted, then or now."""
    if not sidecar.is_from_elsewhere:
        return
    unknown = not_accepted(tuple(one for one in code if str(one) not in sidecar.accepted_code), accepted)
    if unknown:
        raise CodeNotAccepted(
            "{filename} comes from elsewhere and contains the {unknown}, which tvarr does not create and which "
            "nobody has accepted. Nothing was changed. If you trust the file, an administrator can accept them: "
            "--accept-code for the command, accept_code in a request, the boxes on the restore page.",
            unknown,
            filename=filename,
            unknown=some_code(unknown),
        )
