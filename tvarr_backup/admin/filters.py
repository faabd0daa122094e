"""Filters in the sidebar of the admin's lists."""

from collections.abc import Iterator
from itertools import islice
from typing import Any

from django.contrib.admin import AllValuesFieldListFilter, BooleanFieldListFilter
from django.contrib.admin.views.main import ChangeList

from tvarr_backup.portable.envelope import BUNDLE
from tvarr_backup.portable.kinds import kind_named
from tvarr_backup.texts import escape_hidden


class FlagListFilter(BooleanFieldListFilter):
    """All, yes or no. An unset flag counts as the default of its column."""

    def choices(self, changelist: ChangeList) -> Iterator[Any]:
        return islice(super().choices(changelist), 3)


class OriginListFilter(FlagListFilter):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.title = "origin"

    def choices(self, changelist: ChangeList) -> Iterator[Any]:
        for choice in super().choices(changelist):
            yield choice | {"display": choice["display"].replace("Yes", "Built-in").replace("No", "Added")}


class ValuesListFilter(AllValuesFieldListFilter):
    def choices(self, changelist: ChangeList) -> Iterator[Any]:
        for choice in super().choices(changelist):
            yield choice | {"display": escape_hidden(str(choice["display"]))}


def label_of_kind(kind: str) -> str:
    """Return the kind of an import as a label."""
    return "several kinds" if kind == BUNDLE else kind_named(kind).label


class KindListFilter(AllValuesFieldListFilter):
    def choices(self, changelist: ChangeList) -> Iterator[Any]:
        everything, *kinds = super().choices(changelist)
        yield everything
        for choice in kinds:
            yield choice | {"display": label_of_kind(str(choice["display"]))}
