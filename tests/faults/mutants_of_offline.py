"""Mutants of the offline restore, each with one rule removed, and the test that must notice."""

from __future__ import annotations

from tests.faults.mutants import Mutant, OfflinePowerCut, OfflineRecoveryPowerCut, OfflineSweep, Quick

_FILE = "test_offline.py"
_READY = "            rewrite_journal(self.work, self.ready)\n"
_SET_ASIDE = (
    "    for ending in ENDINGS:\n"
    '        old = Path(f"{live}{ending}")\n'
    "        if os.path.lexists(old):\n"
    '            old.rename(_free_name(f"{set_aside}{ending}"))\n'
)
_NAMED = "        _give_free_name(incoming, live)\n    sync_folder(live.parent)\n"

MUTANTS_OF_OFFLINE = (
    # --- the order of steps, and what has to be on disk before something else happens
    Mutant(
        "old -wal left in its place",
        "offline",
        '            old.rename(_free_name(f"{set_aside}{ending}"))\n',
        "            pass\n",
        OfflineSweep("missing"),
    ),
    Mutant(
        "old -wal set aside after the new database has its name",
        "offline",
        _SET_ASIDE,
        "",
        OfflineSweep("missing"),
        also=((_NAMED, _NAMED + _SET_ASIDE + "    sync_folder(live.parent)\n"),),
    ),
    Mutant(
        "what was set aside is not on disk when the new database gets its name",
        "offline",
        "        _link_or_rename(live, set_aside)  # so that there is a file at every moment\n    sync_folder(live.parent)\n",
        "        _link_or_rename(live, set_aside)  # so that there is a file at every moment\n",
        OfflinePowerCut("empty"),
    ),
    Mutant(
        "what a killed restore remembered is taken to be on disk",
        "restore",
        "        sync_journal(work)\n",
        "",
        OfflineRecoveryPowerCut("empty"),
    ),
    Mutant(
        "old file not set aside",
        "offline",
        "        _link_or_rename(live, set_aside)  # so that there is a file at every moment\n",
        "        pass\n",
        OfflineSweep("garbage"),
    ),
    Mutant(
        "new name not on disk at the end",
        "offline",
        _NAMED,
        "        _give_free_name(incoming, live)\n",
        OfflinePowerCut("garbage"),
    ),
    Mutant(
        "first name goes before the new one is on disk",
        "offline",
        "        sync_folder(live.parent)  # first the new name: after a power cut there could be neither\n",
        "",
        OfflinePowerCut("missing"),
    ),
    Mutant(
        "what is remembered when it is ready is not on disk",
        "restore_journal",
        "    write_whole(work / RESTORE_NAME / _JOURNAL_NAME, _encode(unfinished))\n",
        "    write_whole(work / RESTORE_NAME / _JOURNAL_NAME, _encode(unfinished), give_name=Path.replace)\n",
        OfflinePowerCut("garbage"),
    ),
    # --- ready or not
    Mutant("no ready state", "restore", _READY, "", OfflineSweep("garbage")),
    Mutant(
        "ready before the new database is complete",
        "restore",
        "            is_wal = complete_incoming(staged, planned, unfinished.restore_id, owner, self.progress)\n",
        "            rewrite_journal(self.work, replace(unfinished, offline=replace(planned, is_ready=True)))\n"
        "            is_wal = complete_incoming(staged, planned, unfinished.restore_id, owner, self.progress)\n",
        OfflineSweep("missing"),
    ),
    Mutant(
        "recovery goes forward before it is ready",
        "offline",
        "    if not replacement.is_ready:\n",
        "    if not replacement.incoming:\n",
        OfflineSweep("missing"),
    ),
    Mutant(
        "recovery goes back although it is ready",
        "offline",
        "    if not replacement.is_ready:\n",
        "    if replacement.incoming:\n",
        OfflineSweep("garbage"),
    ),
    Mutant(
        "a new database that was not completed is left",
        "offline",
        "        remove_database(incoming)\n",
        "",
        OfflineSweep("garbage"),
    ),
    Mutant(
        "a failure when it is ready gives the restore up",
        "restore",
        "        if unfinished.offline.is_ready:\n",
        "        if not unfinished.offline.incoming:\n",
        OfflineSweep("garbage", "EIO"),
    ),
    Mutant(
        "a file with two names stops recovery",
        "offline",
        "    if found and live.samefile(incoming):",
        "    if not found and live.samefile(incoming):",
        OfflineSweep("missing"),
    ),
    Mutant(
        "recovery does not look whose file is there",
        "offline",
        '    elif found in ("", replacement.old):\n',
        "    elif found is not None:\n",
        Quick(_FILE, "another_program_has_created_since"),
    ),
    Mutant(
        "a -wal that comes back replaces the one set aside",
        "offline",
        '_free_name(f"{set_aside}{ending}")',
        'Path(f"{set_aside}{ending}")',
        Quick(_FILE, "comes_back_meanwhile"),
    ),
    # --- who uses the file
    Mutant(
        "programs that have it open are not looked for",
        "in_use",
        "            users = list(find_users(_paths(database), but=(pid,)))\n",
        "            users: list[Program] = []\n",
        Quick(_FILE, "has_the_file_open_is_named or deleted_file"),
    ),
    Mutant(
        "locks are not looked at",
        "in_use",
        '            if "locked_by" in found and',
        '            if "locked by" in found and',
        Quick(_FILE, "a_lock_is_noticed"),
    ),
    Mutant(
        "no lock is held",
        "in_use",
        "    descriptor = lock(database, 0x40000000, 512)\n",
        "    descriptor = os.open(database, os.O_RDONLY)\n",
        Quick(_FILE, "a_lock_is_noticed or keeps_everybody_else_out"),
    ),
    # --- files that are kept
    Mutant(
        "a look destroys the -wal of an unreadable file",
        "sqlite",
        '    if path.with_name(f"{path.name}-wal").exists():\n',
        '    if path.with_name(f"{path.name}-wal").is_dir():\n',
        OfflineSweep("garbage"),
    ),
    Mutant(
        "a safety backup is claimed in any case",
        "restore",
        "            has_safety = is_readable and salvage_safety(self.live, safety_path(self.work))\n",
        "            has_safety = True\n",
        OfflineSweep("garbage"),
    ),
    Mutant(
        "no safety backup where one is possible",
        "restore",
        "            has_safety = is_readable and salvage_safety(self.live, safety_path(self.work))\n",
        "            has_safety = not self\n",
        Quick(_FILE, "can_still_read"),
    ),
    Mutant(
        "mode not kept",
        "offline",
        "        os.fchmod(target.fileno(), owner.mode)\n",
        "",
        Quick(_FILE, "old_ones_mode"),
    ),
    Mutant(
        "a file that can be written is replaced",
        "restore",
        '    raise RestoreRefused(\n        "{live} can be written',
        '    return Live(0, 0, "", 0, "")\n    raise RestoreRefused(\n        "{live} can be written',
        Quick(_FILE, "can_be_restored_while_tvarr_runs"),
    ),
)

EQUIVALENT_IN_OFFLINE = (
    Mutant(
        "new database not synced when it is copied",
        "offline",
        "        sync_file(target.fileno())\n",
        "",
        OfflinePowerCut("missing"),
        equivalent="The file is synced again when it is complete.",
    ),
)
