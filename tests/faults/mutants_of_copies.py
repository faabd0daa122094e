"""Mutants of copies in locations, each with one rule removed, and the test that must notice."""

from __future__ import annotations

from tests.faults.copies import CopyPowerCut, CopySweep
from tests.faults.mutants import Mutant, Quick

_MODULE = "../locations/folder_store"

MUTANTS_OF_COPIES = (
    Mutant(
        "a copy gets its name before it is synced",
        _MODULE,
        "raise failures.source_changed(name, source.size, done)\n            os.fsync(descriptor)\n",
        "raise failures.source_changed(name, source.size, done)\n",
        CopyPowerCut(),
    ),
    Mutant(
        "a copy is written under its own name",
        _MODULE,
        "self._write_part(place, part, name, source, report)\n",
        "self._write_part(place, last, name, source, report)\n",
        CopySweep("any", "kill"),
        also=(("                    self._give_name(place, part, name, last, replace=replace)\n", ""),),
    ),
    Mutant(
        "the name of a copy is not synced",
        _MODULE,
        "        try:\n            _sync_folder(place)\n        except OSError:\n            if is_new:",
        "        try:\n            pass\n        except OSError:\n            if is_new:",
        CopyPowerCut(),
    ),
    Mutant(
        "a copy is resumed from bytes that were not synced",
        _MODULE,
        "return max(0, size - CHUNK - 1) // SYNC_EVERY * SYNC_EVERY",
        "return size",
        CopyPowerCut(),
    ),
    Mutant(
        "the checksum of a copy is not compared",
        "../locations/copies",
        '    if f"sha256:{found}" != expected:\n',
        "    if not expected:\n",
        Quick("../locations/test_copies.py", "damaged_copy_is_noticed"),
    ),
    Mutant(
        "the archive here is copied as it is",
        "../locations/copies",
        "        if is_short or is_wrong:\n",
        "        if is_short:\n",
        Quick("../locations/test_copies.py", "damaged_here"),
    ),
    Mutant(
        "a location without its marker is used",
        "../operations/copying",
        "        folder.require_marker()\n        listing = folder.read_listing()\n",
        "        listing = folder.read_listing()\n",
        Quick("../operations/test_copying.py", "emptied_location"),
    ),
    Mutant(
        "a missing disk is an empty location",
        _MODULE,
        '            raise failures.path_missing("This machine", str(self._path)) from None\n',
        '            descriptor = os.open("/var/empty" if os.path.isdir("/var/empty") else "/proc/self/task", _OPEN_FOLDER)\n',
        Quick("../locations/test_copies.py", "not_mounted"),
    ),
    Mutant(
        "the record of another archive is accepted",
        "../locations/copies",
        'if (record["size"], record["checksum"]) != (metadata.size, metadata.checksum):',
        "if not record:",
        Quick("../operations/test_copying.py", "record_is_not_theirs"),
    ),
    Mutant(
        "cleanup deletes what is being copied",
        "../operations/handlers",
        "        in_use=names_being_copied() if conf.has_our_tables() else (),\n",
        "",
        Quick("../operations/test_copying.py", "cleanup_leaves_alone"),
    ),
    Mutant(
        "a copy that retention would delete is made",
        "../locations/plan",
        "backup.filename not in copies and backup.filename not in doomed)",
        "backup.filename not in copies)",
        Quick("../locations/test_plan.py", "retention_would_delete"),
    ),
)
