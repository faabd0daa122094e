"""Narrows lists in the side bar."""

from collections.abc import Iterator
from itertools import islice
from typing import Any

from django.contrib.admin import AllValuesFieldListFilter, BooleanFieldListFilter
from django.contrib.admin.views.main import ChangeList

from tvarr_backup.texts import escape_hidden


class FlagListFilter(BooleanFieldListFilter):
    """All, yes or no; an unset flag is not a third answer, it means the default of its column."""

    def choices(self, changelist: ChangeList) -> Iterator[Any]:
        return islice(super().choices(changelist), 3)


class OriginListFilter(FlagListFilter):
    """tvarr's own rows, or those added here."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.title = "origin"

    def choices(self, changelist: ChangeList) -> Iterator[Any]:
        for choice in super().choices(changelist):
            shown = choice["display"].replace("Yes", "tvarr's own").replace("No", "Added here")
            yield choice | {"display": shown}


class ValuesListFilter(AllValuesFieldListFilter):
    """The values that there are."""

    def choices(self, changelist: ChangeList) -> Iterator[Any]:
        for choice in super().choices(changelist):
            yield choice | {"display": escape_hidden(str(choice["display"]))}
