"""The stored sentences of operations: facts and advice, which each entrance shows in its own way."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from types import SimpleNamespace

import pytest
from django.apps import apps
from django.conf import settings
from django.db import connections

from tests.operations.elsewhere import running
from tvarr_backup.errors import NoRoom
from tvarr_backup.operations.models import Operation
from tvarr_backup.operations.track import track
from tvarr_backup.sentences import Advice, Sentence

pytestmark = pytest.mark.django_db


def test_a_failure_is_kept_with_its_facts_and_advice() -> None:
    operation = running()
    with pytest.raises(NoRoom), track(operation):
        raise NoRoom("The disk of {folder} is full. {advice}", folder=Path("/data/backups"), advice=Advice.FREE_SPACE)
    failed = Operation.objects.get(pk=operation.pk)
    assert (failed.error_code, failed.outcome.advice) == ("no_room", (Advice.FREE_SPACE,))
    assert (failed.outcome.facts["folder"], failed.outcome) == (Path("/data/backups"), failed.error)


def test_what_needs_attention_is_kept_in_the_same_way() -> None:
    operation = running()
    with track(operation) as tracker:
        tracker.add_warning(Sentence("It is kept as {path}.", path=Path("/data/backups/x")))
    assert Operation.objects.get(pk=operation.pk).sentence("message").without_paths() == "It is kept as x."


def test_sentences_of_earlier_versions_keep_their_text_and_lose_known_paths_in_the_api() -> None:
    operation = running()
    text = f"{settings.BACKUP_DIRECTORY}/x {{is}} full."
    Operation.objects.filter(pk=operation.pk).update(error=text, sentences=None)
    migration = import_module("tvarr_backup.operations.migrations.0012_sentences_of_operations")
    migration.find_paths(apps, SimpleNamespace(connection=connections["default"]))
    old = Operation.objects.get(pk=operation.pk)
    assert (old.error, old.outcome) == (text, text)
    assert old.outcome.without_paths() == f"{Path(settings.BACKUP_DIRECTORY).name}/x {{is}} full."
