"""The kinds of operations, the labels of phases, and the percentage of an operation."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tvarr_backup.backups.progress import Phase
from tvarr_backup.operations import copying, handlers, rehearsals
from tvarr_backup.operations.alert_models import AlertEvent
from tvarr_backup.operations.models import Operation, OperationKind

if TYPE_CHECKING:
    from tvarr_backup.operations.track import Tracker

PHASE_LABELS: Mapping[Phase, str] = {
    Phase.COPY: "Copying the database",
    Phase.RECEIVE: "Receiving the file",
    Phase.UNPACK: "Unpacking",
    Phase.PACK: "Packing",
    Phase.CHECK: "Verifying",
    Phase.PUBLISH: "Saving to the backup folder",
    Phase.PRUNE: "Cleaning up",
    Phase.SAFETY: "Copying the current data",
    Phase.REPLACE: "Replacing the data",
    Phase.SEND: "Copying to the location",
    Phase.COMPARE: "Reading the copy",
}


@dataclass(frozen=True)
class Step:
    """A step of an operation, as pages list it. `shares` are the percentages of its phases, which come in any order."""

    label: str
    shares: Mapping[Phase, int]

    @property
    def share(self) -> int:
        """The percentage of this step in the whole operation."""
        return sum(self.shares.values())


@dataclass(frozen=True)
class KindDescription:
    """A kind of operation. Users with `permission` may start and cancel one.

    Only one operation of an exclusive kind is open at a time. A kind is exclusive if it writes to the backup folder or
    to a database; so does a verification, which saves its result in the metadata file. `needs_file` says that tvarr's
    database must be an SQLite file. An operation of a location (`has_location`) runs beside all others, and at most one of
    each location is open. A rehearsal runs beside all others, too: it only reads, and may take as long as a backup and a
    restore together, for which neither should have to wait. So it has no task in the queue, which has one task at a time.

    A failure is reported as `failure_alert` and is over when a later operation of the kind succeeds. With a `success_alert`,
    each success and each failure is reported on its own.
    """

    done: str
    permission: str
    steps: tuple[Step, ...]
    failure_event: str
    handler: Callable[[Operation, Tracker], None]
    is_exclusive: bool = True
    needs_file: bool = False
    has_location: bool = False
    failure_alert: AlertEvent | None = None
    success_alert: AlertEvent | None = None


# The shares were measured with databases of 200 and 300 MB on an SSD. A phase that does not occur (a plain file is
# received, an archive is unpacked) is skipped when the next step starts.
KINDS: Mapping[OperationKind, KindDescription] = {
    OperationKind.BACKUP: KindDescription(
        done="Backed up",
        permission="operations.create_backup",
        steps=(
            Step("Copy the database", {Phase.COPY: 50}),
            Step("Pack and verify the copy", {Phase.PACK: 40, Phase.CHECK: 3}),
            Step("Save to the backup folder", {Phase.PUBLISH: 5}),
            Step("Clean up", {Phase.PRUNE: 2}),
        ),
        failure_event="backup.failed",
        handler=handlers.back_up,
        needs_file=True,
        failure_alert=AlertEvent.BACKUP_FAILED,
    ),
    OperationKind.VERIFY: KindDescription(
        done="Verified",
        permission="operations.verify_backup",
        steps=(
            Step("Unpack", {Phase.UNPACK: 30}),
            Step("Verify", {Phase.CHECK: 70}),
        ),
        failure_event="verification.failed",
        handler=handlers.verify,
        failure_alert=AlertEvent.VERIFICATION_FAILED,
    ),
    OperationKind.PRUNE: KindDescription(
        done="Cleaned up",
        permission="operations.delete_backup",
        steps=(Step("Clean up", {Phase.PRUNE: 100}),),
        failure_event="pruning.failed",
        handler=handlers.clean_up,
    ),
    OperationKind.DELETE: KindDescription(
        done="Deleted",
        permission="operations.delete_backup",
        steps=(),
        failure_event="deletion.failed",
        handler=handlers.delete,
    ),
    OperationKind.ADOPT: KindDescription(
        done="Uploaded",
        permission="operations.create_backup",
        steps=(
            Step("Receive and unpack", {Phase.RECEIVE: 6, Phase.UNPACK: 19}),
            Step("Pack and verify", {Phase.PACK: 35, Phase.CHECK: 38}),
            Step("Save to the backup folder", {Phase.PUBLISH: 2}),
        ),
        failure_event="adoption.failed",
        handler=handlers.adopt,
    ),
    OperationKind.READ: KindDescription(
        done="Configuration read",
        permission="operations.verify_backup",
        steps=(
            Step("Unpack", {Phase.UNPACK: 90}),
            Step("Read the configuration", {Phase.CHECK: 10}),
        ),
        failure_event="reading.failed",
        handler=handlers.read,
    ),
    OperationKind.RESTORE: KindDescription(
        done="Restored",
        permission="operations.restore_backup",
        steps=(
            Step("Verify the backup and copy the current data", {Phase.UNPACK: 10, Phase.SAFETY: 22, Phase.CHECK: 8}),
            Step("Replace the data", {Phase.REPLACE: 30}),
            Step("Verify the result and save the safety backup", {Phase.PACK: 12, Phase.CHECK: 16, Phase.PUBLISH: 2}),
        ),
        failure_event="restore.failed",
        handler=handlers.restore,
        needs_file=True,
        failure_alert=AlertEvent.RESTORE_FAILED,
        success_alert=AlertEvent.RESTORED,
    ),
    OperationKind.COPY: KindDescription(
        done="Copied",
        permission="operations.manage_locations",
        steps=(
            Step("Copy backups to the location", {Phase.SEND: 95}),
            Step("Clean up the location", {Phase.PRUNE: 5}),
        ),
        failure_event="copy.failed",
        handler=copying.copy_backups,
        is_exclusive=False,
        has_location=True,
    ),
    OperationKind.CHECK_COPY: KindDescription(
        done="Copy checked",
        permission="operations.manage_locations",
        steps=(Step("Read the copy and compare it", {Phase.COMPARE: 100}),),
        failure_event="copy_check.failed",
        handler=copying.check_oldest,
        is_exclusive=False,
        has_location=True,
    ),
    OperationKind.TEST_LOCATION: KindDescription(
        done="Location tested",
        permission="operations.manage_locations",
        steps=(),
        failure_event="location_test.failed",
        handler=copying.test_location,
        is_exclusive=False,
        has_location=True,
    ),
    OperationKind.REHEARSE: KindDescription(
        done="Rehearsed",
        permission="operations.verify_backup",
        steps=(
            Step("Copy the backup and the current data", {Phase.RECEIVE: 12, Phase.COPY: 13}),
            Step("Verify the backup", {Phase.UNPACK: 10, Phase.SAFETY: 15, Phase.CHECK: 5}),
            Step("Replace the data of the copy", {Phase.REPLACE: 20}),
            Step("Verify the result", {Phase.PACK: 12, Phase.CHECK: 8, Phase.COMPARE: 5}),
        ),
        failure_event="rehearsal.failed",
        handler=rehearsals.rehearse_backup,
        is_exclusive=False,
        needs_file=True,
    ),
}


def _require_all(table: Mapping[Any, object], wanted: type[OperationKind | Phase]) -> None:
    missing = [str(member) for member in wanted if member not in table]
    if missing:
        raise KeyError(f"The table has no entry for {', '.join(missing)}.")


_require_all(KINDS, OperationKind)
_require_all(PHASE_LABELS, Phase)


# --- Progress --------------------------------------------------------------------------------------------------------

_MOST_BEFORE_THE_END = 99


def start_of_step(kind: OperationKind, number: int) -> int:
    """Return the percentage at which a step starts; 0 is the first step."""
    return sum(step.share for step in KINDS[kind].steps[:number])


def current_step(kind: OperationKind, phase: str, percent: int | None) -> int:
    """Return the number of the step that an operation has reached; 0 if its phase belongs to none."""
    having = [number for number, step in enumerate(KINDS[kind].steps) if phase in step.shares]
    reached = [number for number in having if start_of_step(kind, number) <= (percent or 0)]
    return (reached or having or [0])[-1 if reached else 0]


class Percentage:
    """The finished percentage of an operation, from 0 to 99. It never decreases; only success makes it 100.

    A phase that is repeated after its step does not count. A phase of unknown size counts when the next step starts.
    """

    def __init__(self, kind: OperationKind) -> None:
        self.value = 0
        self._kind = kind
        self._item, self._items = 0, 1
        self._step = 0
        self._fractions: dict[Phase, float] = {}

    def begin_item(self, number: int, count: int) -> None:
        """Start the steps again for the next of `count` items, which have equal shares; 1 is the first."""
        self._item, self._items = number - 1, max(1, count)
        self._step = 0
        self._fractions.clear()

    def report(self, phase: Phase, done: int, total: int) -> int:
        """Return the percentage after a report of progress. Any numbers are accepted."""
        if not self._enter_step_of(phase):
            return self.value
        fraction = min(1.0, max(0, done) / total) if total > 0 else 0.0
        self._fractions[phase] = max(fraction, self._fractions.get(phase, 0.0))
        shares = KINDS[self._kind].steps[self._step].shares
        within = start_of_step(self._kind, self._step)
        item_percent = within + sum(shares[one] * part for one, part in self._fractions.items())
        whole = (100 * self._item + item_percent) / self._items
        self.value = max(self.value, min(_MOST_BEFORE_THE_END, int(whole)))
        return self.value

    def _enter_step_of(self, phase: Phase) -> bool:
        """Move on to a step that has the phase. Return whether there is one."""
        steps = KINDS[self._kind].steps
        for number in range(self._step, len(steps)):
            if phase in steps[number].shares:
                if number > self._step:
                    self._step = number
                    self._fractions.clear()
                return True
        return False
