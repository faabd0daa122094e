"""Mutants of `tvarr_backup.backups`, each with one rule removed, and the test that must notice."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.faults.copies import CopyPowerCut, CopySweep
from tests.faults.harness import Bench
from tests.faults.offline_restores import OfflineRestores
from tests.faults.restores import Restores, with_name_taken
from tests.faults.world import CASES, Case


@dataclass(frozen=True)
class PowerCut:
    """The power-loss model of an operation."""

    case: str

    def reds(self, bench: Bench) -> Iterator[str]:
        """Sentences of what it finds."""
        case = _case(self.case)
        bench = bench.on_disk_of(case)
        answer, cuts = bench.record(case.operation, case.start(bench.world))
        if answer.ended != "done":
            yield f"{self.case}: {answer.said}"
            return
        for when, done, tree in cuts:
            for sentence in bench.look(case, tree, answer if done else None):
                yield f"{self.case}, power cut {when}: {sentence}"


@dataclass(frozen=True)
class Sweep:
    """A fault at every call of a kind in an operation."""

    case: str
    call: str
    fault: str

    def reds(self, bench: Bench) -> Iterator[str]:
        """Sentences of what it finds."""
        case = _case(self.case)
        for _, found in bench.on_disk_of(case).sweep(case, self.call, self.fault):
            for sentence in found:
                yield f"{self.case}, {sentence}"


@dataclass(frozen=True)
class PowerCutAfterKill:
    """The power-loss model of the recovery of an operation that was killed at one of its calls that rename or sync."""

    case: str

    def reds(self, bench: Bench) -> Iterator[str]:
        """Sentences of what it finds."""
        for killed, _, found in bench.on_disk_of(_case(self.case)).cuts_after_kill(_case(self.case)):
            for sentence in found:
                yield f"{self.case}, {killed}: {sentence}"


@dataclass(frozen=True)
class RestorePowerCut:
    """The power-loss model of a restore, with another process at the live database or none."""

    other: str = ""
    put_back: bool = False

    def reds(self, bench: Bench) -> Iterator[str]:
        """Sentences of what it finds."""
        for _, _, found in Restores(bench).cuts(self.other, put_back=self.put_back):
            for sentence in found:
                yield f"restore, {sentence}"


@dataclass(frozen=True)
class RecoveryPowerCut:
    """The power-loss model of the recovery of a restore that was killed at one of its calls that sync."""

    other: str = ""

    def reds(self, bench: Bench) -> Iterator[str]:
        """Sentences of what it finds."""
        restores = Restores(bench)
        for killed, _ in restores.kills("fsync", "fdatasync", other=self.other):
            for _, _, found in restores.cuts(self.other, killed=killed):
                for sentence in found:
                    yield f"recovery, {killed}, {sentence}"


@dataclass(frozen=True)
class NameTakenPowerCut:
    """The power-loss model of the recovery of a restore whose safety backup finds its name taken."""

    def reds(self, bench: Bench) -> Iterator[str]:
        """Sentences of what it finds."""
        restores = Restores(bench)
        (_, tree), *_ = restores.kills("fdatasync")
        for _, _, found in restores.cuts(unfinished=with_name_taken(tree), copies=2):
            for sentence in found:
                yield f"recovery, {sentence}"


@dataclass(frozen=True)
class RestoreSweep:
    """A fault at every call of a kind in a restore, within a folder."""

    call: str
    fault: str
    other: str = ""
    below: Path = Path()

    def reds(self, bench: Bench) -> Iterator[str]:
        """Sentences of what it finds."""
        for _, _, found in Restores(bench).sweep(self.call, self.fault, self.other, self.below):
            for sentence in found:
                yield f"restore, {sentence}"


@dataclass(frozen=True)
class NameTakenSweep:
    """A kill at every call of the recovery of a restore whose safety backup finds its name taken."""

    def reds(self, bench: Bench) -> Iterator[str]:
        """Sentences of what it finds."""
        restores = Restores(bench)
        (_, tree), *_ = restores.kills("fdatasync")
        for found in restores.sweep_recovery(with_name_taken(tree), copies=2):
            for sentence in found:
                yield f"recovery, {sentence}"


@dataclass(frozen=True)
class Quick:
    """Tests of `make test`, by the words that select them."""

    file: str
    only: str = ""


@dataclass(frozen=True)
class Disturbed:
    """A restore during which others ask for the folder."""

    def reds(self, bench: Bench) -> Iterator[str]:
        """Sentences of what it finds."""
        answer, _ = bench.run("restore, disturbed", bench.world.clean)
        if answer.ended != "done" or answer.result["let in"]:
            yield f"restore, disturbed: it {answer.ended} {answer.said}, let in: {answer.result}"


@dataclass(frozen=True)
class SpoiltTwice:
    """A restore whose new content is spoilt in the live database, and what is put back likewise."""

    def reds(self, bench: Bench) -> Iterator[str]:
        """Sentences of what it finds."""
        for sentence in Restores(bench).spoilt_twice():
            yield f"restore, spoilt twice: {sentence}"


@dataclass(frozen=True)
class OfflineSweep:
    """A fault at every call that may change something in an offline restore."""

    damage: str
    fault: str = "kill"

    def reds(self, bench: Bench) -> Iterator[str]:
        """Sentences of what it finds."""
        for _, _, found in OfflineRestores(bench, self.damage).sweep("any", self.fault):
            for sentence in found:
                yield f"offline restore, {self.damage}, {sentence}"


@dataclass(frozen=True)
class OfflineRecoveryPowerCut:
    """The power-loss model of the recovery of an offline restore that was killed once its new database was ready."""

    damage: str

    def reds(self, bench: Bench) -> Iterator[str]:
        """Sentences of what it finds."""
        restores = OfflineRestores(bench, self.damage)
        for killed in restores.kills_when_ready():
            for _, found in restores.cuts(killed=killed):
                for sentence in found:
                    yield f"recovery of an offline restore, {self.damage}, killed at {killed}, {sentence}"


@dataclass(frozen=True)
class OfflinePowerCut:
    """The power-loss model of an offline restore."""

    damage: str

    def reds(self, bench: Bench) -> Iterator[str]:
        """Sentences of what it finds."""
        for _, found in OfflineRestores(bench, self.damage).cuts():
            for sentence in found:
                yield f"offline restore, {self.damage}, {sentence}"


Detector = (
    CopySweep
    | CopyPowerCut
    | OfflineSweep
    | OfflinePowerCut
    | OfflineRecoveryPowerCut
    | PowerCut
    | PowerCutAfterKill
    | Sweep
    | RestorePowerCut
    | RecoveryPowerCut
    | NameTakenPowerCut
    | RestoreSweep
    | NameTakenSweep
    | Disturbed
    | SpoiltTwice
    | Quick
)


@dataclass(frozen=True)
class Mutant:
    """Pieces of text of a module that are replaced, and who notices; or, where nobody can, why that is right."""

    name: str
    module: str
    old: str
    new: str
    noticed_by: Detector
    equivalent: str = ""
    also: tuple[tuple[str, str], ...] = ()
    """More pieces, and what they are replaced by."""

    def change(self, text: str) -> str:
        """Return the module's text with the mutant in it; each piece must be there once."""
        for old, new in ((self.old, self.new), *self.also):
            assert text.count(old) == 1, f"{self.name}: its place in {self.module}.py is gone; renew the mutant"
            text = text.replace(old, new)
        return text


def _case(name: str) -> Case:
    (found,) = [case for case in CASES if case.name == name]
    return found


_RECORD = "    described = _record(work, name, sidecar)\n"
_PUBLISH_ARCHIVE = "    publish(work / name.filename, folder / name.filename)\n"
_PUBLISH_SIDECAR = "        publish(described, folder / name.sidecar)\n"
_MOVE_SIDECAR = "        (folder / name.sidecar).rename(work / (name.filename + DELETED_ENDING))\n"
_UNLINK_ARCHIVE = "    (folder / name.filename).unlink(missing_ok=True)\n"

MUTANTS = (
    # --- what has to be on disk before something else happens
    Mutant(
        "archive not synced",
        "create",
        "            sync_file(target.fileno())\n",
        "",
        PowerCut("create"),
    ),
    Mutant("sidecar not synced", "durable", "        sync_file(file.fileno())\n", "", PowerCut("create")),
    Mutant("sidecar synced before it leaves the buffer", "durable", "        file.flush()\n", "", PowerCut("protect")),
    Mutant(
        "folder not synced after either name is published",
        "durable",
        "        sync_folder(final.parent)\n    except OSError:\n",
        "        pass\n    except OSError:\n",
        PowerCut("create"),
    ),
    Mutant(
        "folder not synced between archive and sidecar",
        "catalogue",
        _PUBLISH_ARCHIVE,
        "    os.link(work / name.filename, folder / name.filename)\n",
        PowerCut("create"),
    ),
    Mutant(
        "folder not synced after the sidecar",
        "catalogue",
        _PUBLISH_SIDECAR,
        "        os.link(described, folder / name.sidecar)\n",
        PowerCut("adopt an archive"),
    ),
    Mutant(
        ".work not synced before publishing",
        "catalogue",
        "    sync_folder(work)\n    return described\n",
        "    return described\n",
        PowerCut("create"),
    ),
    # --- where the disk has no hard links
    Mutant(
        "no renaming where links are refused",
        "durable",
        "        if problem.errno not in _NO_HARD_LINKS:\n",
        "        if problem.errno:\n",
        PowerCut("create, no hard links"),
    ),
    Mutant(
        "an archive renamed over another file",
        "durable",
        "    if os.path.lexists(final):\n",
        "    if not final:\n",
        Quick("test_durable.py"),
    ),
    Mutant(
        "no record of what is renamed",
        "catalogue",
        "    write_private(work / name.sidecar, data)\n",
        "",
        Sweep("create, no hard links", "rename", "torn"),
        also=(("        (work / name.sidecar).unlink()\n", ""),),
    ),
    Mutant(
        "record on disk only after the archive is renamed",
        "catalogue",
        "    sync_folder(work)\n    return described\n",
        "    return described\n",
        PowerCut("create, no hard links"),
    ),
    Mutant(
        "record written after the archive is renamed",
        "catalogue",
        _RECORD + _PUBLISH_ARCHIVE,
        _PUBLISH_ARCHIVE + _RECORD,
        Sweep("create, no hard links", "open", "kill"),
    ),
    Mutant(
        "no record of a sidecar that is replaced",
        "catalogue",
        "        replace(_record(work, name, sidecar), folder / name.sidecar)\n        (work / name.sidecar).unlink()\n",
        "        _record(work, name, sidecar)\n        replace(work / name.sidecar, folder / name.sidecar)\n",
        PowerCut("protect, no hard links"),
    ),
    Mutant(
        "archive not undone where its sidecar cannot be published",
        "catalogue",
        "    except OSError:  # such as",
        "    except FileExistsError:  # such as",
        Sweep("create, no hard links", "rename", "EIO"),
    ),
    Mutant(
        "recovery does not complete",
        "folder",
        "        if _complete(folder, path):\n            continue\n",
        "",
        Sweep("create, no hard links", "rename", "torn"),
    ),
    Mutant(
        "recovery completes an archive with another checksum",
        "folder",
        " == recorded.checksum\n",
        " != 0\n",
        Quick("test_folder.py", "record"),
    ),
    Mutant(
        "recovery forgets a record that it cannot read",
        "folder",
        "    with open_regular(record) as file:  # if this raises, the record stays\n        data = file.read()\n    try:\n",
        "    try:\n        data = record.read_bytes()\n",
        Sweep("recover, no hard links", "read", "EIO"),
        also=(("    except SidecarInvalid:  # cut", "    except (SidecarInvalid, OSError):  # cut"),),
    ),
    Mutant(
        "folder not synced before recovery removes what proves a half deletion",
        "folder",
        "        sync_folder(folder)\n    return clean_up(folder)\n",
        "        pass\n    return clean_up(folder)\n",
        PowerCutAfterKill("create after a crash, no hard links"),
    ),
    # --- more of what has to be on disk
    Mutant(
        "folder not synced after a sidecar is replaced",
        "durable",
        "    temporary.replace(final)\n    sync_folder(final.parent)\n",
        "    temporary.replace(final)\n",
        PowerCut("protect"),
    ),
    Mutant(
        ".work not synced after a sidecar is moved there",
        "catalogue",
        _MOVE_SIDECAR + "        sync_folder(work)\n",
        _MOVE_SIDECAR,
        PowerCut("delete"),
    ),
    Mutant(
        "folder not synced before an archive is deleted",
        "catalogue",
        "        sync_folder(folder)\n" + _UNLINK_ARCHIVE,
        _UNLINK_ARCHIVE,
        PowerCut("delete"),
    ),
    Mutant(
        "folder not synced after an archive is deleted",
        "catalogue",
        _UNLINK_ARCHIVE + "    sync_folder(folder)\n",
        _UNLINK_ARCHIVE,
        PowerCut("prune"),
    ),
    Mutant(
        "folder not synced after recovery has deleted an archive",
        "folder",
        "            leftover.unlink()\n            sync_folder(folder)\n",
        "            leftover.unlink()\n",
        PowerCut("recover"),
    ),
    Mutant(
        "folder not synced after .work is made",
        "folder",
        "        work.mkdir(mode=0o700)\n        sync_folder(folder)\n",
        "        work.mkdir(mode=0o700)\n",
        PowerCut("first create"),
    ),
    Mutant(
        "parent not synced after the folder is made",
        "folder",
        "            sync_folder(path.parent)\n",
        "            pass\n",
        PowerCut("first create"),
    ),
    # --- the order of steps, and what a killed process leaves
    Mutant(
        "sidecar before archive",
        "catalogue",
        _PUBLISH_ARCHIVE + "    try:\n" + _PUBLISH_SIDECAR,
        _PUBLISH_SIDECAR.removeprefix("    ") + "    try:\n    " + _PUBLISH_ARCHIVE,
        Sweep("create", "link", "kill"),
    ),
    Mutant(
        "archive deleted before its sidecar",
        "catalogue",
        "    if name.format is ArchiveFormat.GZIP and os.path.lexists(folder / name.sidecar):\n" + _MOVE_SIDECAR,
        _UNLINK_ARCHIVE
        + "    if name.format is ArchiveFormat.GZIP and os.path.lexists(folder / name.sidecar):\n"
        + _MOVE_SIDECAR,
        Sweep("delete", "unlink", "torn"),
    ),
    Mutant(
        "sidecar deleted, not moved out of the way",
        "catalogue",
        _MOVE_SIDECAR,
        "        (folder / name.sidecar).unlink()\n",
        Sweep("delete", "unlink", "kill"),
    ),
    Mutant(
        "sidecar rewritten in place",
        "catalogue",
        "        replace(_record(work, name, sidecar), folder / name.sidecar)\n",
        "        (folder / name.sidecar).write_bytes(_record(work, name, sidecar).read_bytes())\n",
        Sweep("protect", "write", "torn"),
    ),
    Mutant(
        "no recovery first",
        "folder",
        "        _clean_up_after_crash(folder)\n        try:\n            yield",
        "        try:\n            yield",
        PowerCut("create after a crash"),
    ),
    Mutant(
        "recovery does not see that there is a sidecar",
        "folder",
        " or not _is_regular(archive) or _has_sidecar(folder, name):",
        " or not _is_regular(archive):",
        PowerCut("recover"),
    ),
    Mutant(
        "recovery replaces a sidecar by its record",
        "folder",
        " or not _is_regular(folder / name.filename) or _has_sidecar(folder, name):",
        " or not _is_regular(folder / name.filename):",
        Quick("test_folder.py", "record_does_not_replace"),
    ),
    Mutant(
        "recovery does not look whether it is the same file",
        "folder",
        "    return archive if deleted or archive.samefile(path) else None\n",
        "    return archive\n",
        Quick("test_folder.py", "another_file_than_the_one_left_over"),
    ),
    Mutant(
        "nothing cleaned up at the end",
        "folder",
        "            with contextlib.suppress(OSError):\n                clean_up(folder)\n",
        "            pass\n",
        Quick("test_folder.py", "it_is_made_and_emptied"),
    ),
    # --- reports after an error
    Mutant(
        "failed publishing not taken back",
        "durable",
        "        final.unlink()\n        raise\n",
        "        raise\n",
        Sweep("create", "fsync", "EIO"),
    ),
    Mutant(
        "a clean-up that fails makes a finished backup look failed",
        "folder",
        "            with contextlib.suppress(OSError):\n                clean_up(folder)\n",
        "            clean_up(folder)\n",
        Sweep("create", "unlink", "EIO"),
    ),
    Mutant(
        "what the disk refuses goes on as SQLite's error",
        "examine",
        "        with raising_disk_errors():\n            connection = stack",
        "        if stack:\n            connection = stack",
        Sweep("verify", "open", "dead"),
    ),
    Mutant(
        "what the disk refuses is found to be damage",
        "sqlite",
        "        if code not in _DISK_ERRORS:\n",
        "        if code:\n",
        Sweep("verify", "pread", "EIO"),
    ),
    # --- locks, checks and rules
    Mutant("no lock", "lock", "fcntl.LOCK_EX", "fcntl.LOCK_SH", Quick("test_lock.py")),
    Mutant(
        "lock file deleted at the end",
        "lock",
        "        os.close(descriptor)  # which gives the lock back\n",
        "        os.close(descriptor)\n        os.unlink(folder / LOCK_NAME)\n",
        Quick("test_lock.py"),
    ),
    Mutant(
        "no O_EXCL", "durable", "os.O_CREAT | os.O_EXCL", "os.O_CREAT", Quick("test_sqlite.py", "target_that_is_there")
    ),
    Mutant("files readable by all", "durable", "_NEW, 0o600)", "_NEW, 0o644)", Quick("test_create.py", "owner_alone")),
    Mutant(
        "check of the copy skipped",
        "create",
        "        if examined.problems:\n",
        "        if not examined:\n",
        Quick("test_create.py"),
    ),
    Mutant(
        "number of a backup by the clock",
        "catalogue",
        "    return min(max((backup.sidecar.seq for backup in listing.backups), default=0) + 1, MOST)\n",
        "    return max((int(backup.sidecar.created_at.timestamp()) for backup in listing.backups), default=0) + 1\n",
        Quick("test_create.py"),
    ),
    Mutant(
        "newest by the clock",
        "retention",
        "key=lambda backup: (backup.sidecar.seq, backup.filename), reverse=True)",
        "key=lambda backup: (backup.sidecar.created_at, backup.filename), reverse=True)",
        Quick("test_retention.py"),
    ),
    Mutant(
        "newest good one not spared",
        "retention",
        "for backup in (newest_good,) if backup is not None} | set(in_use)",
        "for backup in () if backup is not None} | set(in_use)",
        Quick("test_retention.py"),
    ),
    Mutant(
        "one in use not spared",
        "retention",
        "if backup is not None} | set(in_use)",
        "if backup is not None}",
        Quick("test_retention.py"),
    ),
    Mutant(
        "one too few kept",
        "retention",
        "automatic[: policy.keep]",
        "automatic[: policy.keep and policy.keep - 1]",
        Sweep("prune", "mkdir", "torn"),
    ),
    Mutant(
        "checksums not compared",
        "verify",
        "    if recorded == found:\n",
        "    if recorded or found:\n",
        Quick("test_verify.py"),
    ),
    Mutant(
        "rows not compared",
        "verify",
        "        elif now != number:\n",
        "        elif now == -1:\n",
        Quick("test_verify.py"),
    ),
    Mutant(
        "verified at the lower level",
        "verify",
        "    with examine(staged.path, required, CheckLevel.FULL) as examination:\n",
        "    with examine(staged.path, required, CheckLevel.QUICK) as examination:\n",
        Quick("test_verify.py", "wrong_index"),
    ),
    Mutant(
        "bytes after the archive accepted",
        "archive",
        "            if members is Members.ONE:\n",
        "            if members is None:\n",
        Quick("test_archive.py", "follow"),
    ),
    Mutant(
        "an archive that breaks off accepted",
        "archive",
        "    if not inflate.eof:\n",
        "    if inflate.eof is None:\n",
        Quick("test_archive.py", "too_early"),
    ),
    Mutant(
        "no limit for what is unpacked",
        "archive",
        "        if size > limit_bytes:\n",
        "        if limit_bytes < 0:\n",
        Quick("test_archive.py", "no_more_is_written_than_the_limit"),
    ),
    Mutant(
        "size of an archive not looked at",
        "catalogue",
        "    if status.st_size != sidecar.compressed_size:\n",
        "    if status.st_size < 0:\n",
        Quick("test_catalogue.py"),
    ),
    Mutant(
        "protection not heeded",
        "catalogue",
        "        if backup.sidecar.is_protected(datetime.now(UTC)):\n",
        "        if not backup:\n",
        Quick("test_catalogue.py", "protected_one_is_refused"),
    ),
    Mutant(
        "a file with a trigger added",
        "adopt",
        "    if refused:\n",
        "    if not examined:\n",
        Quick("test_adopt.py"),
    ),
    Mutant(
        "a file with a schema table that SQLite did not write added",
        "adopt",
        "    if examined.irregular:\n",
        "    if not examined:\n",
        Quick("test_hostile.py", "sqlite_has_not_written"),
    ),
    Mutant(
        "a type that is not plain text not seen",
        "schema_table",
        '            is_text = isinstance(value, str) and "\\0" not in value\n',
        "            is_text = True\n",
        Quick("test_hostile.py", "sqlite_has_not_written"),
    ),
    Mutant(
        "a type not compared with the SQL",
        "schema_table",
        "        if not self.kind or types[self.kind] != self.type:\n",
        "        if not self.kind:\n",
        Quick("test_hostile.py", "sqlite_has_not_written"),
    ),
    Mutant(
        "a false root page not seen",
        "schema_table",
        "        elif self.kind in _CODE and self.rootpage:\n",
        "        elif self.kind in _CODE and not self.kind:\n",
        Quick("test_hostile.py", "sqlite_has_not_written"),
    ),
    Mutant(
        "what comes from elsewhere examined here",
        "verify",
        "    examine = examining_apart if recorded.is_from_elsewhere else examining_here\n",
        "    examine = examining_here\n",
        Quick("test_hostile.py", "neither_verified_nor_restored"),
    ),
    Mutant(
        "no limit of computing time",
        "limits",
        "        resource.RLIMIT_CPU: limits.cpu_seconds,\n",
        "",
        Quick("test_hostile.py", "has_limits"),
    ),
    Mutant(
        "no limit of memory",
        "limits",
        "        resource.RLIMIT_AS: limits.memory_bytes,\n",
        "",
        Quick("test_hostile.py", "has_limits"),
    ),
    Mutant(
        "a dead machine's -wal left behind",
        "source",
        '{"": source.file, **source.journals}.items()',
        '{"": source.file}.items()',
        Quick("test_adopt.py", "newest_changes"),
    ),
    Mutant(
        "a database of this process opened",
        "source",
        "            if user is not None and user.pid == os.getpid():\n",
        "            if user is not None and user.pid < 0:\n",
        Quick("test_source.py", "keeps_its_locks"),
    ),
    Mutant(
        "a change during the copying not seen",
        "source",
        "    if _fingerprint(source.path) != source.fingerprint:\n",
        "    if not source.fingerprint:\n",
        Quick("test_source.py", "changes_while_it_is_copied"),
    ),
    Mutant(
        "limit of each member instead of all",
        "archive",
        "        block = _inflated(inflate, data, max(1, min(_BLOCK_BYTES, limit_bytes - size)), archive.size)\n        size += len(block)\n",
        "        block = _inflated(inflate, data, max(1, min(_BLOCK_BYTES, limit_bytes - size)), archive.size)\n        size = len(block)\n",
        Quick("test_archive.py", "limit_holds_across_members"),
    ),
    Mutant(
        "a file dated by its arrival",
        "dates",
        "    if newest is not None:\n",
        "    if filename is None:\n",
        Quick("test_dates.py"),
    ),
)

EQUIVALENT = (
    Mutant(
        "folder not synced after recovery has given an archive its sidecar",
        "folder",
        "    replace(path, folder / name.sidecar)\n",
        "    path.replace(folder / name.sidecar)\n",
        PowerCut("recover, no hard links"),
        equivalent="the record stays until the new name is on disk, and the next recovery completes again.",
    ),
    Mutant(
        "the copy not written back early",
        "durable",
        "            os.fdatasync(descriptor)\n",
        "            pass\n",
        PowerCut("create"),
        equivalent="it only spreads the writing over time.",
    ),
    Mutant(
        "no O_NOFOLLOW for new files",
        "durable",
        "os.O_EXCL | os.O_NOFOLLOW",
        "os.O_EXCL",
        Quick("test_sqlite.py", "target_that_is_there"),
        equivalent="O_CREAT with O_EXCL follows no link (POSIX); it is written for the reader.",
    ),
)
