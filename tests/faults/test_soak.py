"""Many restores in a row while other programs use the database, each through one connection."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import cycle, islice
from pathlib import Path
from statistics import median
from typing import Any

import pytest

from tests.backups.makers import backup, required
from tests.faults.figures import Figures
from tests.faults.ledger import Ledger, State, state_in, state_of
from tests.faults.load import CLIENT, HOLDER, READER, Load, Restorer, build_client, database, load
from tests.faults.restorer import Measured, journal_size
from tvarr_backup.backups.catalogue import delete_backup, find_backup, protect_backup, read_folder
from tvarr_backup.backups.folder import prepare_folder
from tvarr_backup.backups.sidecar import BackupKind
from tvarr_backup.backups.verify import verify_backup

pytestmark = pytest.mark.long

ROUNDS = 5
RESTORES = 200
HELD = 5
"""Of ten restores, the one during which somebody holds an old transaction."""
KEPT = 3
"""Safety copies that are not deleted yet."""
MEBIBYTE = 2**20
GROWTH = 4 * MEBIBYTE
"""The process that restores must grow by less between its first and its last 50 restores, by the median."""
EMPTIED = 5 * MEBIBYTE
"""What SQLite lets a journal grow to by itself (1000 pages), and some."""
JOURNAL = 12 * MEBIBYTE
"""The same, and the largest content."""


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The compiled program."""
    return build_client(tmp_path_factory.mktemp("client"))


@dataclass
class Series:
    """Restores one after the other, each followed by a look at the copy that it made of what was live."""

    load: Load
    folder: Path
    restorer: Restorer
    ledger: Ledger
    scratch: Path
    states: dict[str, State]
    """What is in the backups that can be restored."""
    copies: list[str] = field(default_factory=list)
    """The safety copies that are there, the oldest first."""
    measures: list[Measured] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)

    def restore(self, filename: str) -> Measured:
        """One more, and then everybody goes on."""
        acknowledged = self.load.writers.acknowledged()
        measured = self.restorer.restore(filename)
        begun = self.load.writers.begun()
        self.load.go_on()
        self.measures.append(measured)
        self.wrong += [f"restore {len(self.measures)}: {found}" for found in self._found(filename, measured)]
        if measured.safety:
            state = state_in(self.folder / measured.safety, self.scratch)
            self.wrong += [f"{measured.safety}: {found}" for found in self.ledger.follow(state, acknowledged, begun)]
            self.states[measured.safety] = state
            self.copies.append(measured.safety)
            self.ledger.base = self.states[filename]
        return measured

    def restore_while_held(self, filename: str) -> None:
        """One more, while somebody who has read the old content goes on reading it."""
        before = self.ledger.base.tag
        held = self.load.processes[HOLDER].ask("begin")
        measured = self.restore(filename)
        released = self.load.processes[HOLDER].ask("end")
        if not measured.attention:
            self.wrong.append(f"restore {len(self.measures)}: it does not say that somebody uses the old content")
        if held != {"tag": before} or released != {"whole": True, "tag": self.ledger.base.tag}:
            self.wrong.append(f"restore {len(self.measures)}: who saw {held} before it said {released} after it")

    def _found(self, filename: str, measured: Measured) -> Iterator[str]:
        if measured.problem or not measured.safety:
            yield measured.problem or "there is no safety copy"
            return
        if measured.left:
            yield f"left in .work: {measured.left}"
        if not measured.attention and measured.journal > EMPTIED:
            yield f"the journal has {measured.journal} bytes, and nothing is said of it"
        yield from (
            words for words in measured.attention if not words.startswith("Another program still reads the old data")
        )
        sidecar = find_backup(self.folder, measured.safety).sidecar
        if (sidecar.kind, sidecar.protected, sidecar.restored_from) != (BackupKind.PRE_RESTORE, True, filename):
            yield f"the safety copy is {sidecar}"

    def end(self) -> dict[str, Any]:
        """Stop all programs, the readers first. Return their reports, and the size of the journal without readers."""
        self.load.processes.pop(HOLDER).close()
        told = {READER: self.load.processes.pop(READER).told()}
        self.load.go_on()
        told["journal"] = journal_size(self.load.live)
        told |= {name: process.told() for name, process in self.load.processes.items()}
        acknowledged, begun = self.load.writers.acknowledged(), self.load.writers.begun()
        found = state_of(self.load.live)
        self.wrong += [f"at the end: {words}" for words in self.ledger.follow(found, acknowledged, begun)]
        listing = read_folder(self.folder)
        listed = {found.filename for found in listing.backups}
        if listed != self.states.keys() or listing.broken or listing.foreign:
            self.wrong.append(f"at the end the folder holds {listing}")
        for filename in listed:
            self.wrong += verify_backup(self.folder, filename, required()).problems
        return told

    def tidy_up(self) -> None:
        """Delete all but the newest safety copies; each has been looked at."""
        while len(self.copies) > KEPT:
            filename = self.copies.pop(0)
            protect_backup(self.folder, filename, protected=False)
            delete_backup(self.folder, filename)
            del self.states[filename]


@contextmanager
def series(folder: Path, client: Path, names: Sequence[str]) -> Iterator[tuple[Series, list[str]]]:
    """Everybody at work, and backups of three contents, the last of them of an older schema."""
    live = database(folder / "live.db", tag="start", mebibytes=3)
    backups = prepare_folder(folder / "backups")
    contents = (
        database(folder / "first.db", tag="first", mebibytes=3),
        database(folder / "second.db", tag="second", mebibytes=5, rows=7),
        database(folder / "older.db", tag="older", mebibytes=2, rows=3, older=True),
    )
    states = {backup(content, backups).filename: state_of(content) for content in contents}
    start = state_of(live)
    with load(live, client, names) as users, Restorer(live, backups) as restorer:
        ledger = Ledger(start, users.writers.records)
        yield Series(users, backups, restorer, ledger, folder / "unpacked.db", states), list(states)


def test_a_program_with_its_own_sqlite_goes_on_with_the_connection_and_statements_of_its_start(
    tmp_path: Path, client: Path, figures: Figures
) -> None:
    with series(tmp_path, client, ["one"]) as (restores, (first, second, older)):
        for _ in range(ROUNDS):
            for filename in (first, older, second):
                done = restores.restore(filename)
            restores.restore(done.safety)  # the older schema again, with what was committed in it
        everybody = restores.end()
    told = everybody[CLIENT]
    figures.count(
        "a program with its own SQLite",
        f"SQLite {told['version']}",
        restores=len(restores.measures),
        commits=told["commits"],
        lost=restores.ledger.lost,
        reads=told["reads"],
        torn_reads=told["torn"],
        errors=told["errors"],
        reopened=told["opened"] - 1,
        statements=told["prepared"],
        prepared_again_by_sqlite=told["prepared_again_by_sqlite"],
    )
    assert not restores.wrong, "\n".join(restores.wrong[:20])
    assert (told["opened"], told["prepared"], told["errors"], told["torn"]) == (1, 6, 0, 0)
    assert everybody[READER]["torn"] == 0
    assert told["contents"] == 1 + len(restores.measures), "it has seen each content"
    assert told["prepared_again_by_sqlite"] >= len(restores.measures)


def test_200_restores_in_a_row_under_load_lose_nothing_and_leave_nothing_behind(
    tmp_path: Path, client: Path, figures: Figures
) -> None:
    with series(tmp_path, client, ["one", "two"]) as (restores, contents):
        for number, filename in enumerate(islice(cycle(contents), RESTORES), 1):
            if number % 10 == HELD:
                restores.restore_while_held(filename)
            else:
                restores.restore(filename)
            restores.tidy_up()
        told = restores.end()
    _count(restores, told, figures)
    assert not restores.wrong, "\n".join(restores.wrong[:20])
    assert (told[READER]["torn"], told[CLIENT]["torn"]) == (0, 0)
    assert not _unheld_with_a_word(restores)
    assert len({measured.descriptors for measured in restores.measures}) == 1
    resident = [measured.resident for measured in restores.measures]
    assert (
        median(resident[-50:]) - median(resident[9:59]) < GROWTH
    )  # a single one may be larger: others write meanwhile
    assert told["journal"] < JOURNAL
    assert journal_size(restores.load.live) == 0, "everybody has ended"


def _unheld(restores: Series) -> list[Measured]:
    """Those that no old reader stood in the way of."""
    return [measured for number, measured in enumerate(restores.measures, 1) if number % 10 != HELD]


def _unheld_with_a_word(restores: Series) -> list[Sequence[str]]:
    return [measured.attention for measured in _unheld(restores) if measured.attention]


def _count(restores: Series, told: dict[str, Any], figures: Figures) -> None:
    unheld = _unheld(restores)
    figures.count(
        "restores in a row under load",
        f"{len(restores.measures)} restores",
        commits=sum(restores.load.writers.acknowledged().values()),
        lost=restores.ledger.lost,
        torn_copies=restores.ledger.torn,
        reads=told[READER]["reads"] + told[CLIENT]["reads"],
        torn_reads=told[READER]["torn"] + told[CLIENT]["torn"],
        reopened=told[CLIENT]["opened"] - 1,
        journal_left_without_an_old_reader=len(_unheld_with_a_word(restores)),
        slowest_in_seconds=max(measured.seconds for measured in unheld),
        slowest_with_an_old_reader_in_seconds=max(measured.seconds for measured in restores.measures),
        longest_commit_in_seconds=restores.load.writers.longest_seconds(),
    )
    shown = [(f"after {number:3}", restores.measures[number - 1]) for number in (HELD, 10, 50, 100, 150, RESTORES)]
    for row, measured in shown:
        figures.count(
            "the process that restores",
            row,
            descriptors=measured.descriptors,
            resident_mebibytes=measured.resident / MEBIBYTE,
            journal_mebibytes=measured.journal / MEBIBYTE,
            left_in_work=len(measured.left),
        )
    figures.count("the process that restores", "readers ended", journal_mebibytes=told["journal"] / MEBIBYTE)
