"""Mutants of `tvarr_backup.locations.folder_store`, each with one rule removed, and the test that must notice."""

from __future__ import annotations

from tests.faults.copies import CopyPowerCut, CopySweep
from tests.faults.mutants import Mutant

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
)
