"""Each mutant finds the lines that it changes. A change that moves them must renew the mutant."""

from __future__ import annotations

import pytest

from tests.faults.mutants import EQUIVALENT, MUTANTS, Mutant
from tests.faults.mutants_of_copies import MUTANTS_OF_COPIES
from tests.faults.mutants_of_offline import EQUIVALENT_IN_OFFLINE, MUTANTS_OF_OFFLINE
from tests.faults.mutants_of_restore import EQUIVALENT_IN_RESTORE, MUTANTS_OF_RESTORE
from tests.installation import ROOT

ALL = (
    *(*MUTANTS, *MUTANTS_OF_RESTORE, *MUTANTS_OF_OFFLINE, *MUTANTS_OF_COPIES),
    *(*EQUIVALENT, *EQUIVALENT_IN_RESTORE, *EQUIVALENT_IN_OFFLINE),
)


@pytest.mark.parametrize("mutant", ALL, ids=lambda mutant: mutant.name)
def test_a_mutant_finds_its_place(mutant: Mutant) -> None:
    text = (ROOT / "tvarr_backup" / "backups" / f"{mutant.module}.py").read_text()
    assert mutant.change(text) != text
