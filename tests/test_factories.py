"""Every factory makes a row that the model itself accepts."""

from typing import Any

import pytest
from django.apps import apps
from factory.django import DjangoModelFactory

from tests.factories import ALL_FACTORIES

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("factory", ALL_FACTORIES)
def test_a_row_is_valid(factory: type[DjangoModelFactory[Any]]) -> None:
    factory.create().full_clean()


@pytest.mark.parametrize("factory", ALL_FACTORIES)
def test_many_rows_are_valid(factory: type[DjangoModelFactory[Any]]) -> None:
    for row in factory.create_batch(3):
        row.full_clean()


@pytest.mark.parametrize("factory", ALL_FACTORIES)
def test_a_row_reads_back_as_it_was_made(factory: type[DjangoModelFactory[Any]]) -> None:
    made = factory.create()

    read = type(made)._default_manager.get(pk=made.pk)

    fields = [field.attname for field in made._meta.concrete_fields]
    assert [getattr(read, name) for name in fields] == [getattr(made, name) for name in fields]


def test_every_model_of_tvarr_has_a_factory() -> None:
    made = {factory._meta.model for factory in ALL_FACTORIES}

    assert set(apps.get_app_config("tvarr_backup").get_models()) <= made
