"""Creating, starting, tracking, canceling and ending operations."""

from __future__ import annotations

import errno
import json
import signal
import sqlite3
import sys
import threading
import time
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction
from django.test.utils import CaptureQueriesContext
from django_q.exceptions import TimeoutException

from tests.factories import UserFactory
from tests.operations.elsewhere import queued, running
from tvarr_backup import conf
from tvarr_backup.backups.progress import Phase
from tvarr_backup.errors import (
    BackupBusy,
    InternalError,
    NoRoom,
    OperationCancelled,
    OperationEnded,
    OperationInterrupted,
    OperationNotFound,
    OperationRunning,
    TvarrBackupError,
)
from tvarr_backup.formatting import format_time
from tvarr_backup.operations.heartbeat import Heartbeat
from tvarr_backup.operations.models import Operation, OperationKind, OperationState, Origin
from tvarr_backup.operations.process import this_process
from tvarr_backup.operations.track import (
    SECONDS_BETWEEN_WRITES,
    Tracker,
    begin,
    cancel,
    create_operation,
    find_operation,
    stop_flag,
    stop_on_sigterm,
    track,
)
from tvarr_backup.sentences import Sentence

pytestmark = pytest.mark.django_db


def work(operation: Operation, *steps: Callable[[Tracker], object]) -> None:
    """Take some steps of work on an operation, under its tracker."""
    with track(operation) as tracker:
        for step in steps:
            step(tracker)


FINAL = [state for state in OperationState if state not in (OperationState.QUEUED, OperationState.RUNNING)]


def ended(state: OperationState) -> Operation:
    operation = queued()
    Operation.objects.filter(pk=operation.pk).update(state=state)
    return operation


def stored(operation: Operation) -> Operation:
    return Operation.objects.get(pk=operation.pk)


# --- Creating --------------------------------------------------------------------------------------------------------


def test_a_new_operation_says_what_is_wanted_by_whom_and_for_which_database() -> None:
    user = UserFactory.create()
    operation = create_operation(
        OperationKind.BACKUP,
        origin=Origin.WEB,
        state=OperationState.QUEUED,
        requested_by=user,
        arguments={"note": "before the harbour fair"},
    )
    row = stored(operation)
    assert (row.kind, row.state, row.origin, row.requested_by) == ("backup", "queued", "web", user)
    assert (row.database, row.arguments) == (str(conf.live_database()), {"note": "before the harbour fair"})
    assert (row.pid, row.started_at, row.finished_at, row.percent) == (None, None, None, None)
    assert abs((datetime.now(UTC) - row.created_at).total_seconds()) < 5


def test_an_operation_that_a_command_does_itself_names_its_process_from_the_start() -> None:
    row, here = stored(running()), this_process()
    assert (row.state, row.host, row.boot, row.pid, row.process_started) == (
        "running",
        here.host,
        here.boot,
        here.pid,
        here.process_started,
    )
    assert row.started_at == row.heartbeat_at == row.created_at


@pytest.mark.parametrize("first", [queued, running])
@pytest.mark.parametrize("second", [queued, running])
def test_only_one_operation_is_open(first: Callable[[], Operation], second: Callable[[], Operation]) -> None:
    first()
    with pytest.raises(OperationRunning):
        second()
    assert Operation.objects.count() == 1


@pytest.mark.parametrize("state", FINAL)
def test_after_an_end_the_next_one_may_come(state: OperationState) -> None:
    ended(state)
    queued()
    assert Operation.objects.count() == 2


def test_the_database_itself_refuses_a_second_open_one() -> None:
    queued()
    row = Operation(kind="prune", state="running", database=str(conf.live_database()), created_at=datetime.now(UTC))
    with pytest.raises(IntegrityError), transaction.atomic():
        row.save(force_insert=True)
    row.database = "/elsewhere/tvarr.db"
    row.save(force_insert=True)


def test_the_database_itself_refuses_an_unknown_state() -> None:
    with pytest.raises(IntegrityError), transaction.atomic():
        ended("paused")  # type: ignore[arg-type]  # that is the point


def test_a_refusal_names_the_operation_that_runs() -> None:
    user = UserFactory.create(username="Ada")
    create_operation(OperationKind.VERIFY, origin=Origin.WEB, state=OperationState.RUNNING, requested_by=user)
    with pytest.raises(BackupBusy) as refusal:
        queued()
    assert refusal.value.code == "operation_running"
    begun = stored(Operation.objects.get()).started_at
    assert begun is not None
    assert str(refusal.value) == (
        f"A verification has been running since {format_time(begun)} (Ada, Web). Try again when it has finished."
    )


def test_a_refusal_says_that_the_queued_one_waits_for_a_worker() -> None:
    queued()
    with pytest.raises(
        OperationRunning, match=r"A backup has been queued since .* \(Web\). No worker is running. Start"
    ):
        queued()


def test_a_refusal_says_that_a_worker_will_start_the_queued_one() -> None:
    queued()
    conf.storage_folder().mkdir(exist_ok=True)
    with (
        Heartbeat(),
        pytest.raises(OperationRunning, match=r"A backup has been queued since .* A worker will start it\."),
    ):
        queued()


# --- Beginning -------------------------------------------------------------------------------------------------------


def test_beginning_makes_it_this_processs_own() -> None:
    begun = begin(queued().pk)
    assert begun is not None
    assert (begun.state, begun.pid, begun.process_started, begun.percent) == (
        "running",
        this_process().pid,
        this_process().process_started,
        0,
    )
    assert begun.started_at == begun.heartbeat_at != None  # noqa: E711  # compared in one go


@pytest.mark.parametrize("state", [OperationState.RUNNING, *FINAL])
def test_there_is_no_work_in_what_is_not_queued(state: OperationState) -> None:
    operation = ended(state)
    assert begin(operation.pk) is None
    assert (stored(operation).state, stored(operation).pid) == (state, None)


def test_a_second_delivery_leaves_the_percentage_alone() -> None:
    operation = begin(queued().pk)
    assert operation is not None
    with track(operation) as tracker:
        tracker.progress(Phase.COPY, 100, 100)
        assert begin(operation.pk) is None
        assert stored(operation).percent == 50


def test_there_is_no_work_in_what_does_not_exist() -> None:
    assert begin("01ARZ3NDEKTSV4RRFFQ69G5FAV") is None


# --- Canceling -------------------------------------------------------------------------------------------------------


def test_a_queued_operation_is_canceled_immediately() -> None:
    operation = cancel(queued())
    assert (operation.state, operation.message) == ("cancelled", "Canceled before it started.")
    assert operation.finished_at is not None
    assert begin(operation.pk) is None


def test_what_runs_is_asked_to_end() -> None:
    operation = cancel(running())
    assert (operation.state, operation.cancel_requested, operation.finished_at) == ("running", True, None)
    assert cancel(operation).cancel_requested  # a second request is fine


@pytest.mark.parametrize("state", FINAL)
def test_what_has_ended_cannot_be_cancelled(state: OperationState) -> None:
    operation = ended(state)
    with pytest.raises(OperationEnded) as refusal:
        cancel(operation)
    assert refusal.value.facts == {"kind": "backup", "state": state.label.lower()}
    assert not stored(operation).cancel_requested


@pytest.mark.parametrize("name", ["01ARZ3NDEKTSV4RRFFQ69G5FAV"])
def test_what_does_not_exist_is_not_found(name: str) -> None:
    with pytest.raises(OperationNotFound, match=f'There is no operation "{name}"'):
        find_operation(name)


def test_a_cancelled_operation_ends_at_its_next_report() -> None:
    operation = running()
    with pytest.raises(OperationCancelled):
        work(operation, lambda _: cancel(operation), lambda tracker: tracker.progress(Phase.COPY, 10, 100))
    assert (operation.state, operation.message) == ("cancelled", "Canceled on request.")
    assert stored(operation).finished_at is not None


# --- Progress --------------------------------------------------------------------------------------------------------


def test_progress_and_a_heartbeat_are_written_at_most_twice_a_second() -> None:
    operation = running()
    began = stored(operation).heartbeat_at
    assert began is not None
    with track(operation) as tracker:
        with CaptureQueriesContext(connection) as queries:
            calls, start = 0, time.monotonic()
            while time.monotonic() < start + 2.2:
                calls += 1
                tracker.progress(Phase.COPY, calls, 10_000_000)
                time.sleep(0.001)
            seconds = time.monotonic() - start
        seen = stored(operation)
    writes = [query for query in queries.captured_queries if query["sql"].startswith("UPDATE")]
    assert calls > len(writes)
    assert 2 <= len(writes) <= 1 + seconds / SECONDS_BETWEEN_WRITES  # one immediately
    assert seen.heartbeat_at is not None
    assert (seen.heartbeat_at - began).total_seconds() >= 1


def unhurried(tracker: Any) -> None:
    """Let the next report be written, as if a second had gone by."""
    tracker._written_at = float("-inf")


@pytest.mark.parametrize(
    ("reports", "shown"),
    [
        ([(50, 100)], (50, 100, 25)),
        ([(50, 100), (40, 100)], (50, 100, 25)),
        ([(150, 100)], (100, 100, 50)),
        ([(-5, 100)], (0, 100, 0)),
        ([(5, 0)], (0, None, 0)),
        ([(5, -1)], (0, None, 0)),
        ([(80, 100), (80, 60)], (60, 60, 50)),
        ([(999, 1000)], (999, 1000, 49)),
    ],
)
def test_progress_stays_within_its_bounds_and_never_goes_back(
    reports: list[tuple[int, int]], shown: tuple[int, int | None, int | None]
) -> None:
    operation = running()
    with track(operation) as tracker:
        for done, total in reports:
            unhurried(tracker)
            tracker.progress(Phase.COPY, done, total)
        row = stored(operation)
    assert (row.done_bytes, row.total_bytes, row.percent) == shown


def test_a_new_phase_begins_at_its_own_start() -> None:
    operation = running()
    with track(operation) as tracker:
        tracker.progress(Phase.COPY, 100, 100)
        unhurried(tracker)
        tracker.progress(Phase.PACK, 5, 100)
        row = stored(operation)
    assert (row.phase, row.done_bytes, row.percent) == ("pack", 5, 52)


def test_a_new_step_begins_its_phases_again_and_says_which_one_it_is() -> None:
    operation = running()
    with track(operation) as tracker:
        tracker.progress(Phase.CHECK, 100, 100)
        tracker.step("2 of 3")
        unhurried(tracker)
        tracker.progress(Phase.CHECK, 5, 100)
        row = stored(operation)
    assert (row.message, row.done_bytes) == ("2 of 3", 5)
    assert operation.message == ""


def test_the_percentage_of_several_things_goes_on_where_the_last_one_ended() -> None:
    operation = create_operation(OperationKind.VERIFY, origin=Origin.COMMAND, state=OperationState.RUNNING)
    with track(operation) as tracker:
        tracker.step("a (1 of 2)", 1, 2)
        tracker.progress(Phase.CHECK, 100, 100)
        tracker.step("b (2 of 2)", 2, 2)
        unhurried(tracker)
        tracker.progress(Phase.UNPACK, 0, 100)
        assert stored(operation).percent == 50
    assert stored(operation).percent == 100


def test_the_watch_of_an_operation_gets_the_percentage_of_the_whole() -> None:
    reports: list[tuple[Phase, int, int]] = []
    with track(running(), lambda *report: reports.append(report)) as tracker:
        tracker.progress(Phase.COPY, 100, 100)
        tracker.progress(Phase.PACK, 50, 100)
    assert reports == [(Phase.COPY, 50, 100), (Phase.PACK, 70, 100)]


def test_one_that_fails_keeps_the_percentage_that_it_reached() -> None:
    operation = running()
    with pytest.raises(BackupBusy):
        work(operation, lambda tracker: tracker.progress(Phase.COPY, 100, 100), lambda _: fail(BackupBusy("Busy.")))
    assert stored(operation).percent == 50


def test_one_that_needs_attention_is_at_a_hundred() -> None:
    operation = running()
    with track(operation) as tracker:
        tracker.add_warning(Sentence("One."))
    assert stored(operation).percent == 100


def test_who_lost_the_operation_stops_and_leaves_its_row_alone() -> None:
    operation = running()
    rows = Operation.objects.filter(pk=operation.pk)
    with pytest.raises(OperationInterrupted, match="ended this operation"):
        work(
            operation,
            lambda _: rows.update(state=OperationState.INTERRUPTED, message="It looked dead."),
            lambda tracker: tracker.progress(Phase.COPY, 10, 100),
        )
    assert (operation.state, operation.message, operation.phase) == ("interrupted", "It looked dead.", "")


def test_who_lost_the_operation_to_another_process_leaves_its_row_alone_too() -> None:
    operation = running()
    with track(operation):
        Operation.objects.filter(pk=operation.pk).update(process_started=1)
    assert stored(operation).state == "running"


# --- Ends ------------------------------------------------------------------------------------------------------------


def test_an_end_without_a_word_is_success() -> None:
    operation = running()
    with track(operation) as tracker:
        tracker.progress(Phase.COPY, 100, 100)
        tracker.progress(Phase.PACK, 100, 100)
        tracker.set_result({"backup": {"filename": "a"}})
    row = stored(operation)
    assert (row.state, row.result, row.phase, row.percent) == (
        "succeeded",
        {"backup": {"filename": "a"}},
        "pack",
        100,
    )
    assert (row.message, row.error, row.error_code) == ("", "", "")
    assert row.finished_at is not None
    assert vars(operation)["state"] == row.state


def test_sentences_ask_for_attention() -> None:
    operation = running()
    with track(operation) as tracker:
        tracker.add_warning(Sentence("One."))
        tracker.add_warning(Sentence("Two."))
    assert (operation.state, operation.message) == ("attention", "One.\nTwo.")


def fail(failure: BaseException) -> None:
    raise failure


def full() -> sqlite3.Error:
    with closing(sqlite3.connect(":memory:")) as small:
        small.execute("PRAGMA max_page_count = 1")
        with pytest.raises(sqlite3.OperationalError) as caught:
            small.execute("CREATE TABLE harbour (a)")
        return caught.value


FAULT = "The operation failed because of an error in tvarr-backup "
STOPPED = "The operation was interrupted because its process was stopped."


@pytest.mark.parametrize(
    ("failure", "state", "code", "sentence"),
    [
        (BackupBusy("Busy."), "failed", "backup_busy", "Busy."),
        (OSError(errno.ENOSPC, "No space left on device"), "failed", "no_room", "The disk is full. Unfinished files"),
        (OSError(errno.EDQUOT, "Disk quota exceeded"), "failed", "no_room", "The disk is full. Unfinished files"),
        (full(), "failed", "no_room", "The disk is full. Unfinished files"),
        (OSError(errno.EIO, "Input/output error"), "failed", "internal_error", f"{FAULT}(OSError)"),
        (sqlite3.DatabaseError("odd"), "failed", "internal_error", f"{FAULT}(DatabaseError)"),
        (KeyError("harbour"), "failed", "internal_error", f"{FAULT}(KeyError)"),
        (TimeoutException("late"), "failed", "operation_timed_out", "The operation took longer than the worker allows"),
        (OperationCancelled("Enough."), "cancelled", "", "Enough."),
        (OperationInterrupted("Gone."), "interrupted", "", "Gone."),
        (KeyboardInterrupt(), "interrupted", "", STOPPED),
        (SystemExit(1), "interrupted", "", STOPPED),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else "",
)
def test_every_failure_ends_it_with_a_sentence(failure: BaseException, state: str, code: str, sentence: str) -> None:
    operation = running()
    with pytest.raises(BaseException) as passed_on, track(operation):  # its class is looked at below
        raise failure
    row = stored(operation)
    assert (row.state, row.error_code, row.finished_at is not None) == (state, code, True)
    assert (row.error or row.message).startswith(sentence)
    if state == "failed":
        assert isinstance(passed_on.value, TvarrBackupError)
        assert str(passed_on.value) == row.error
        assert row.message == ""
    else:
        assert passed_on.value is failure


def test_what_nobody_foresaw_is_logged_with_its_details(caplog: pytest.LogCaptureFixture) -> None:
    operation = running()
    with pytest.raises(InternalError), track(operation):
        raise KeyError("harbour")
    (record,) = caplog.records
    assert operation.pk in record.getMessage()
    assert "Traceback" in caplog.text
    assert "harbour" not in stored(operation).error


def test_what_is_foreseen_is_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(NoRoom), track(running()):
        raise NoRoom("The disk is full.")
    assert caplog.records == []


def test_a_result_that_cannot_be_stored_is_a_failure_and_not_an_open_end() -> None:
    operation = running()
    with pytest.raises(InternalError):
        work(operation, lambda tracker: tracker.set_result({"backup": object()}))
    assert operation.state == "failed"


def test_what_came_of_it_before_a_failure_is_kept() -> None:
    operation = running()
    with pytest.raises(NoRoom):
        work(operation, lambda tracker: tracker.set_result({"removed": []}), lambda _: fail(NoRoom("Full.")))
    assert stored(operation).result == {"removed": []}


# --- Stopping --------------------------------------------------------------------------------------------------------


def test_a_process_that_must_stop_ends_its_work_at_the_next_report() -> None:
    operation = running()
    with pytest.raises(OperationInterrupted):
        work(
            operation,
            lambda tracker: tracker.progress(Phase.COPY, 10, 100),
            lambda _: stop_flag.request(),
            lambda tracker: tracker.progress(Phase.COPY, 11, 100),
        )
    assert operation.state == "interrupted"
    assert operation.message == STOPPED


def test_a_signal_is_handled_in_the_middle_of_handling_another() -> None:
    previous = signal.getsignal(signal.SIGTERM)
    stop_on_sigterm()
    handle: Any = signal.getsignal(signal.SIGTERM)
    signal.signal(signal.SIGTERM, previous)

    def trace(_frame: Any, event: str, _argument: Any) -> Any:
        if event == "line":
            handle(signal.SIGTERM, None)
        return trace

    def handle_with_another_at_each_line() -> None:
        sys.settrace(trace)
        handle(signal.SIGTERM, None)

    thread = threading.Thread(target=handle_with_another_at_each_line, daemon=True)
    thread.start()
    thread.join(5)
    assert (thread.is_alive(), stop_flag.is_set) == (False, True)


def test_arguments_and_results_survive_as_json() -> None:
    operation = create_operation(
        OperationKind.ADOPT, origin=Origin.WEB, state=OperationState.RUNNING, arguments={"note": "Hafen ⚓"}
    )
    with track(operation) as tracker:
        tracker.set_result({"note": "⚓", "numbers": (1, 2)})
    assert json.dumps([operation.arguments, operation.result], ensure_ascii=False) == (
        '[{"note": "Hafen ⚓"}, {"note": "⚓", "numbers": [1, 2]}]'
    )
