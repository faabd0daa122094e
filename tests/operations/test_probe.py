"""The test of the backup folder, which writes a file the way a backup is published."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.backups.makers import refusing_links, state
from tvarr_backup.backups.folder import PROBE_NAME, work_in
from tvarr_backup.operations.disk import last_probe, probe_now
from tvarr_backup.operations.health import Subject, check_health

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("attached")]


def folder_check() -> tuple[str, str]:
    check = check_health().checks[Subject.FOLDER]
    return str(check.state), check.message


def test_it_leaves_nothing_behind_and_waits_for_no_lock(folder: Path) -> None:
    with work_in(folder):
        before = state(folder)
        (folder / PROBE_NAME).touch()  # of a worker that was killed
        probe = probe_now()
        assert probe is not None
        assert (probe.problem, probe.has_hard_links) == (None, True)
        assert state(folder) == before
    assert folder_check() == ("ok", "It can be read and written, and has room for the next backup.")


def test_missing_hard_links_are_a_fact_and_not_a_failure(folder: Path) -> None:
    with refusing_links():
        probe_now()
    state_, sentence = folder_check()
    assert state_ == "ok"
    assert sentence.endswith("It does not support hard links, so backups are published by renaming.")


def test_a_folder_where_nothing_can_be_published_is_a_failure(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with refusing_links(5):
        probe_now()
    state_, sentence = folder_check()
    assert state_ == "sick"
    assert "Input/output error" in sentence


def test_a_result_of_another_folder_does_not_count(folder: Path, tmp_path: Path) -> None:
    probe_now()
    assert last_probe(folder) is not None
    assert last_probe(tmp_path) is None


def test_a_folder_that_does_not_exist_yet_is_not_tested(folder: Path) -> None:
    folder.rmdir()
    assert probe_now() is None
    assert not folder.exists()
