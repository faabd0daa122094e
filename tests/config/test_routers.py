"""The database router."""

import pytest
from django.apps import apps
from django.contrib.auth.models import User
from django.contrib.sessions.models import Session
from django.db import router, transaction
from django.db.models import Model

from config.routers import DatabaseRouter
from tests.factories import EncodingProfileFactory, FilterFactory, UserFactory
from tvarr_backup.models import Filter
from tvarr_backup.portable.models import HeldReference


@pytest.mark.parametrize("model", list(apps.get_app_config("tvarr_backup").get_models()))
def test_tvarrs_tables_are_in_tvarr(model: type[Model]) -> None:
    assert (router.db_for_read(model), router.db_for_write(model)) == ("tvarr", "tvarr")


@pytest.mark.parametrize("model", [HeldReference, User, Session])
def test_all_other_tables_are_in_default(model: type[Model]) -> None:
    assert (router.db_for_read(model), router.db_for_write(model)) == ("default", "default")


@pytest.mark.parametrize("app_label", sorted(apps.app_configs))
def test_an_application_migrates_in_one_database_only(app_label: str) -> None:
    home, other = ("tvarr", "default") if app_label == "tvarr_backup" else ("default", "tvarr")
    assert DatabaseRouter().allow_migrate(home, app_label)
    assert not DatabaseRouter().allow_migrate(other, app_label)


@pytest.mark.django_db
def test_relations_stay_inside_one_database() -> None:
    tvarrs, ours = FilterFactory.build(), UserFactory.build()
    assert DatabaseRouter().allow_relation(tvarrs, EncodingProfileFactory.build())
    assert DatabaseRouter().allow_relation(ours, HeldReference())
    assert not DatabaseRouter().allow_relation(tvarrs, ours)


@pytest.mark.django_db
def test_only_a_transaction_on_the_right_database_rolls_back_a_row() -> None:
    for using, left in (("tvarr", 0), ("default", 1)):
        with transaction.atomic(using=using):
            FilterFactory.create(name=f"Harbour {using}")
            transaction.set_rollback(True, using=using)
        assert Filter.objects.filter(name=f"Harbour {using}").count() == left, using


@pytest.mark.django_db
def test_rows_are_stored_in_the_database_of_their_app() -> None:
    FilterFactory.create()
    HeldReference.objects.create(
        kind="filters", row_id=FilterFactory.create().pk, row_updated_at="2026-03-01 10:00:00Z"
    )
    UserFactory.create()
    assert (FilterFactory.create()._state.db, UserFactory.create()._state.db) == ("tvarr", "default")
    assert HeldReference.objects.using("default").count() == 1
    assert User.objects.using("default").exists()
