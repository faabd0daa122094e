"""Mutants of the restore, each with one rule removed, and the test that must notice."""

from __future__ import annotations

from tests.faults.driver import LIVE
from tests.faults.mutants import (
    Disturbed,
    Mutant,
    NameTakenPowerCut,
    NameTakenSweep,
    Quick,
    RecoveryPowerCut,
    RestorePowerCut,
    RestoreSweep,
    SpoiltTwice,
)

_FILE = "test_restore.py"
_OFFLINE = "test_offline.py"
_STATE_WRITTEN = "    write_private(place / _JOURNAL_NAME, _encode(unfinished))\n"
_UNPUBLISHED = (
    "    published = publish_backup(folder, work, *pack_safety(folder, work, unfinished, required, progress))\n"
    "    record_restore_with_safety(folder)\n"
)
_PUBLISHED = (
    "            safety = publish_backup(self.folder, self.work, *packed)\n"
    "            record_restore_with_safety(self.folder)\n"
    "            remove_journal(self.work)\n"
)
_STATE_FORGOTTEN = "        (place / _JOURNAL_NAME).unlink(missing_ok=True)\n        sync_folder(place)\n"
_LOOKED = "unfinished.is_put_back or holds(Path(unfinished.live), unfinished.restore_id)"
_LOCKED = "    finish_restore(folder, required)\n    with work_in(folder) as work:\n"

MUTANTS_OF_RESTORE = (
    # --- the journal of a restore, and what has to be on disk before the next step
    Mutant("state of a restore not written", "restore_journal", _STATE_WRITTEN, "", RestoreSweep("any", "kill")),
    Mutant(
        "state not synced",
        "restore_journal",
        _STATE_WRITTEN,
        "    (place / _JOURNAL_NAME).write_bytes(_encode(unfinished))\n",
        RestorePowerCut(),
    ),
    Mutant(
        ".work not synced after the state is written",
        "restore_journal",
        "    sync_folder(place)\n    sync_folder(work)\n",
        "    sync_folder(place)\n",
        RestorePowerCut(),
    ),
    Mutant(
        "state written after the replacement",
        "restore",
        "        write_journal(self.work, unfinished)\n",
        "        safety_path(self.work).parent.mkdir()\n",
        RestoreSweep("any", "kill"),
        also=(
            (
                "                copy_into(staged, self.live, on_lock, self.progress)\n",
                (
                    "                copy_into(staged, self.live, on_lock, self.progress)\n"
                    "                safety_path(self.work).rename(self.work / 'kept')\n"
                    "                safety_path(self.work).parent.rmdir()\n"
                    "                write_journal(self.work, unfinished)\n"
                    "                (self.work / 'kept').rename(safety_path(self.work))\n"
                ),
            ),
        ),
    ),
    Mutant(
        "a state that was cut short stops recovery",
        "restore_journal",
        "    except (ValueError, TypeError, AttributeError, KeyError):",
        "    except LookupError:",
        RestorePowerCut(),
    ),
    Mutant(
        "any operation's clean-up removes an unfinished restore",
        "folder",
        " if path.name != RESTORE_NAME):\n",
        "):\n",
        RestoreSweep("any", "kill"),
    ),
    Mutant(
        "safety copy not synced",
        "sqlite",
        '"PRAGMA synchronous=FULL"',
        '"PRAGMA synchronous=OFF"',
        RestorePowerCut(),
    ),
    Mutant(
        "its folder not synced after the safety copy",
        "safety",
        "        sync_folder(self.path.parent)\n",
        "",
        RestorePowerCut(),
    ),
    Mutant(
        "commit of the restore not synced",
        "live",
        '        target.execute("PRAGMA synchronous=FULL")\n',
        '        target.execute("PRAGMA synchronous=OFF")\n',
        RestorePowerCut("reads"),
    ),
    Mutant(
        "commit of the restore synced with the next checkpoint",
        "live",
        '        target.execute("PRAGMA synchronous=FULL")\n',
        '        target.execute("PRAGMA synchronous=NORMAL")\n',
        RestorePowerCut("reads"),
    ),
    Mutant(
        "what recovery has found need not be on disk",
        "live",
        '            connection.execute("PRAGMA synchronous=FULL")\n            connection.execute("BEGIN IMMEDIATE")\n',
        '            connection.execute("PRAGMA synchronous=NORMAL")\n            connection.execute("BEGIN IMMEDIATE")\n',
        RecoveryPowerCut("reads the journal"),
    ),
    # --- the same, noticed within seconds by tests of `make test`
    Mutant(
        "commit of the restore left to SQLite's default",
        "live",
        '        target.execute("PRAGMA synchronous=FULL")\n',
        "",
        Quick("test_synced.py", "commit_of_a_restore"),
    ),
    Mutant(
        "settling commit left to SQLite's default",
        "live",
        '            connection.execute("PRAGMA synchronous=FULL")\n            connection.execute("BEGIN IMMEDIATE")\n',
        '            connection.execute("BEGIN IMMEDIATE")\n',
        Quick("test_synced.py", "settles_a_restore"),
    ),
    Mutant(
        "nothing settled by a commit",
        "live",
        '            connection.execute("COMMIT")\n            return int(found) == restore_id\n',
        "            return int(found) == restore_id\n",
        Quick("test_synced.py", "settled_by_a_commit"),
    ),
    Mutant(
        "name of the state not on disk",
        "restore_journal",
        "    sync_folder(place)\n    sync_folder(work)\n",
        "    sync_folder(work)\n",
        Quick("test_synced.py", "with_its_name"),
    ),
    # --- the order of steps
    Mutant(
        "restore forgotten before the safety copy is published",
        "restore",
        _PUBLISHED,
        "            remove_journal(self.work)\n"
        "            safety = publish_backup(self.folder, self.work, *packed)\n"
        "            record_restore_with_safety(self.folder)\n",
        RestoreSweep("any", "kill"),
    ),
    Mutant(
        "recovery forgets before it publishes",
        "restore_journal",
        _UNPUBLISHED + "    remove_journal(work)\n",
        "    packed = pack_safety(folder, work, unfinished, required, progress)\n    remove_journal(work)\n"
        "    published = publish_backup(folder, work, *packed)\n    record_restore_with_safety(folder)\n",
        RecoveryPowerCut(),
    ),
    Mutant(
        "safety copy removed before the state",
        "restore_journal",
        _STATE_FORGOTTEN,
        "        (place / _SAFETY_NAME).unlink(missing_ok=True)\n" + _STATE_FORGOTTEN,
        NameTakenSweep(),
    ),
    Mutant(
        "state forgotten, but not on disk, when the safety copy goes",
        "restore_journal",
        _STATE_FORGOTTEN,
        _STATE_FORGOTTEN.partition("\n")[0] + "\n",
        NameTakenPowerCut(),
    ),
    # --- whether it has happened
    Mutant(
        "no restore id",
        "restore",
        '        connection.execute(f"PRAGMA user_version={restore_id:d}")\n',
        "",
        RestoreSweep("any", "kill"),
    ),
    Mutant(
        "an exception means that nothing has happened",
        "restore",
        "            happened = begun and holds(self.live, unfinished.restore_id)\n",
        "            happened = False\n",
        RestoreSweep("any", "EIO", "has it open"),
    ),
    Mutant(
        "the restore id is only read",
        "live",
        '            connection.execute("BEGIN IMMEDIATE")\n            (found,)',
        '            connection.execute("BEGIN")\n            (found,)',
        RestoreSweep("any", "kill", "has it open"),
        also=(('            connection.execute(f"PRAGMA user_version={found:d}")\n', ""),),
    ),
    Mutant(
        "recovery removes without looking at the restore id",
        "restore",
        _LOOKED,
        "False",
        RestoreSweep("any", "kill"),
    ),
    Mutant(
        "recovery publishes without looking at the restore id",
        "restore",
        _LOOKED,
        "True",
        RestoreSweep("any", "kill"),
    ),
    Mutant(
        "recovery removes where the restore id cannot be read",
        "restore",
        "        if happened is False:\n",
        "        if not happened:\n",
        Quick(_FILE, "as_long_as_live_cannot_be_read"),
    ),
    Mutant(
        "nothing is kept where the restore id cannot be read",
        "restore",
        "            if happened is None:\n                raise _unknown(self.work, unfinished) from problem\n",
        "",
        RestoreSweep("any", "dead", below=LIVE.parent),
    ),
    Mutant(
        "nothing is removed where it has not happened",
        "restore",
        "            if not happened:\n                remove_journal(self.work)\n",
        "            if not happened:\n",
        Quick(_FILE, "what_progress_raises_undoes_it"),
    ),
    Mutant(
        "a restore that has not begun waits for the lock twice",
        "restore",
        "            happened = begun and holds(self.live, unfinished.restore_id)\n",
        "            happened = holds(self.live, unfinished.restore_id)\n",
        Quick(_FILE, "a_lock_that_somebody_holds"),
    ),
    Mutant(
        "begun, but not known to be",
        "restore",
        "            begun = True\n",
        "",
        RestoreSweep("any", "EIO", "has it open"),
    ),
    # --- the safety copy
    Mutant(
        "safety copy not looked at again under the lock",
        "restore",
        "            safety.complete()\n",
        "            pass\n",
        Quick(_FILE, "between_the_copy_and_the_lock"),
    ),
    Mutant(
        "a commit since the safety copy not noticed",
        "safety",
        "        if version == self._seen:\n",
        "        if self._seen != -1:\n",
        Quick(_FILE, "between_the_copy_and_the_lock"),
    ),
    Mutant(
        "all pages in one step, and the lock never seen",
        "live",
        "            pages=max(1, min(_PAGES_A_STEP, pages - 1)),\n",
        "            pages=_PAGES_A_STEP,\n",
        Quick(_FILE, "between_the_copy_and_the_lock"),
    ),
    Mutant(
        "no safety copy published",
        "restore",
        _PUBLISHED,
        "            safety = Backup(packed[0].filename, packed[1])\n"
        "            record_restore_with_safety(self.folder)\n"
        "            remove_journal(self.work)\n",
        RestoreSweep("any", "kill"),
    ),
    Mutant(
        "safety copy not protected",
        "restore_journal",
        "protected=True, restored_from",
        "protected=False, restored_from",
        RestoreSweep("any", "kill"),
    ),
    Mutant(
        "safety copy not known by its kind",
        "restore_journal",
        "        kind=BackupKind.PRE_RESTORE,\n",
        "        kind=BackupKind.MANUAL,\n",
        RestoreSweep("any", "kill"),
    ),
    Mutant(
        "safety copy published twice",
        "restore_journal",
        "        if backup.filename == unfinished.safety and backup.sidecar.kind is BackupKind.PRE_RESTORE:\n",
        "        if backup.filename == unfinished.safety and backup.sidecar.kind is None:\n",
        RestoreSweep("any", "kill"),
    ),
    Mutant(
        "a damaged live database not copied byte for byte",
        "safety",
        "        if self.refusal:\n            self._copy_bytes()\n",
        "",
        Quick(_FILE, "a_damaged_database_is_replaced"),
    ),
    # --- waiting, locks and room
    Mutant(
        "no deadline for the lock",
        "live",
        "                if time.monotonic() > deadline:\n",
        "                if time.monotonic() < 0:\n",
        Quick(_FILE, "a_lock_that_somebody_holds and BEGIN"),
    ),
    Mutant(
        "no lock on the folder",
        "restore",
        _LOCKED,
        _LOCKED + "        pass\n    with contextlib.nullcontext(folder / '.work') as work:\n",
        Disturbed(),
    ),
    Mutant(
        "no recovery before a restore",
        "restore",
        _LOCKED,
        "    with work_in(folder) as work:\n",
        Quick(_FILE, "as_long_as_live_cannot_be_read"),
    ),
    Mutant(
        "room not looked at",
        "restore",
        "        _require_room(self.live, self.folder, found, backup.sidecar.database_size)\n        unfinished =",
        "        unfinished =",
        Quick(_FILE, "without_room"),
    ),
    # --- what may be restored into what
    Mutant(
        "rollback-journal mode not switched",
        "restore",
        "            if not found.is_wal:\n                switch_to_wal(self.live, filename)\n",
        "",
        Quick(_OFFLINE, "rollback_journal_mode_is_switched"),
    ),
    Mutant(
        "in rollback-journal mode other programs not looked for",
        "live",
        "    if not found.is_wal:\n        require_unused(",
        "    if found.is_wal is None:\n        require_unused(",
        Quick(_OFFLINE, "in_that_mode_a_program"),
    ),
    Mutant(
        "an empty file accepted as live",
        "live",
        "            if not size.pages:\n",
        "            if size.pages < 0:\n",
        Quick(_FILE, "what_is_live_must_be_fit"),
        also=(("    if not live.stat().st_size:\n", "    if live.stat().st_size < 0:\n"),),
    ),
    Mutant(
        "live that may not be written is found out late",
        "live",
        "    unwritable = why_unwritable(live)\n    if unwritable:  # not",
        '    unwritable = ""\n    if unwritable:  # not',
        Quick(_FILE, "must_be_writable"),
        also=(
            (
                "    unwritable = why_unwritable(live)\n    if unwritable:\n        return DatabaseUnusable",
                '    unwritable = ""\n    if unwritable:\n        return DatabaseUnusable',
            ),
        ),
    ),
    Mutant(
        "problems of the backup ignored",
        "restore",
        "    if problems or staged is None",
        "    if staged is None",
        Quick(_FILE, "what_cannot_be_relied_on"),
    ),
    Mutant(
        "a newer backup accepted",
        "versions",
        "    if verdict.needs_confirmation and not accept_newer:\n",
        "    if verdict.needs_confirmation and not verdict:\n",
        Quick(_FILE, "newer"),
    ),
    Mutant(
        "another encoding accepted",
        "restore",
        "    if live.encoding and encoding != live.encoding:\n",
        "    if not encoding:\n",
        Quick(_FILE, "another_encoding"),
    ),
    Mutant(
        "one of ours accepted for tvarr's database",
        "versions",
        "    if is_safety and required.was_ours:\n",
        "    if live:\n",
        Quick(_FILE, "one_of_ours_is_refused"),
    ),
    Mutant(
        "new warnings ignored",
        "restore",
        "    if new:\n",
        "    if new and not new:\n",
        Quick(_FILE, "what_cannot_be_relied_on"),
    ),
    Mutant(
        "known warnings refused",
        "restore",
        " if warning not in known]",
        "]",
        Quick(_FILE, "broken_references_that_were_known"),
    ),
    Mutant(
        "a trigger from elsewhere accepted",
        "versions",
        "    if unknown:\n",
        "    if unknown and not unknown:\n",
        Quick(_FILE, "a_trigger_is_refused"),
    ),
    Mutant(
        "page size not made equal",
        "restore",
        "        if page_size not in (0, own):\n            return copied\n",
        "        if page_size < 0:\n            return copied\n",
        Quick(_FILE, "another_page_size"),
    ),
    Mutant(
        "no proof that what comes can be copied",
        "restore",
        "                staged = self._prove_copyable(staged, backup, live.page_size)\n",
        "",
        Quick(_FILE, "could_not_be_backed_up"),
    ),
    Mutant(
        "a copy of bytes always called damaged",
        "restore",
        "        is_intact = not refusal or (isinstance(packed, tuple) and not packed[1].problems)\n",
        "        is_intact = not refusal\n",
        Quick(_FILE, "byte_for_byte"),
    ),
    Mutant(
        "a full disk that has room is believed",
        "sqlite",
        "        if size is None or free < size.used + size.used // 8 + _SPARE_BYTES:\n",
        "        if size is None or free:\n",
        Quick(_FILE, "full_disk_that_has_room"),
    ),
    # --- after it
    Mutant(
        "journal not emptied",
        "restore",
        "        sentences = [*self.attention, *checkpoint(self.live)]\n",
        "        sentences = [*self.attention]\n",
        Quick(_FILE, "whoever_has_it_open or journal_is_emptied"),
    ),
    Mutant(
        "live not checked afterwards",
        "restore",
        "        if problems:\n            self._put_back",
        "        if not self:\n            self._put_back",
        Quick(_FILE, "fails_its_check"),
    ),
    Mutant(
        "nothing put back",
        "restore",
        "            copy_into(safety, live, lambda: None, progress)\n",
        "",
        Quick(_FILE, "fails_its_check"),
    ),
    Mutant(
        "that something is put back not remembered",
        "restore",
        "            rewrite_journal(self.work, replace(unfinished, is_put_back=True))\n",
        "",
        SpoiltTwice(),
    ),
    Mutant(
        "recovery does not heed that something was put back",
        "restore",
        _LOOKED,
        "holds(Path(unfinished.live), unfinished.restore_id)",
        SpoiltTwice(),
    ),
    Mutant(
        "the journal written over the old one",
        "restore_journal",
        "    write_whole(work / RESTORE_NAME / _JOURNAL_NAME, _encode(unfinished))\n",
        "    (work / RESTORE_NAME / _JOURNAL_NAME).write_bytes(_encode(unfinished))\n",
        RestorePowerCut(put_back=True),
    ),
    Mutant(
        "what was put back not checked",
        "restore",
        "            still = problems_of(live, read_restore_id(safety), progress) if whole else []\n",
        "            still = []\n",
        SpoiltTwice(),
    ),
    Mutant(
        "a safety copy that cannot be packed forgotten",
        "restore",
        '            if not isinstance(packed, tuple):\n                raise packed or RestoreFailed("")\n',
        "            if not isinstance(packed, tuple):\n                remove_journal(self.work)\n"
        '                raise packed or RestoreFailed("")\n',
        Quick(_FILE, "full_when_the_copy_of_before_is_packed"),
    ),
    Mutant(
        "it can be stopped when it is in place",
        "restore",
        "        progress = _never_raising(self.progress)\n",
        "        progress = self.progress\n",
        Quick(_FILE, "too_late_to_stop"),
    ),
)

EQUIVALENT_IN_RESTORE = (
    Mutant(
        "a name that a killed restore has given is taken to be on disk",
        "restore_journal",
        "            sync_folder(folder)  # a process",
        "            # a process",
        RecoveryPowerCut(),
        equivalent="Who begins to work in the folder syncs it first if anything is left in `.work`, as it is here.",
    ),
    Mutant(
        "folder of the state not synced",
        "restore_journal",
        "    sync_folder(place)\n    sync_folder(work)\n",
        "    sync_folder(work)\n",
        RestorePowerCut(),
        equivalent="SQLite syncs that folder before it writes into the safety copy, and `complete` before the replacement.",
    ),
    Mutant(
        "staged copy left in another journal mode",
        "restore",
        '        connection.execute("PRAGMA journal_mode=DELETE")\n',
        "",
        Quick(_FILE, "another_page_size or columns_in_another_order"),
        equivalent="live is in WAL mode and stays so, whatever the copy says.",
    ),
)
