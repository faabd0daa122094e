"""The forms of the pages: what is rendered once is what Django renders."""

from __future__ import annotations

from typing import Any

import pytest
from django import forms
from django.forms.renderers import DjangoTemplates

from tvarr_backup.web import forms as ours
from tvarr_backup.web.forms import Remembering

_CHOICES = [("a", "Apples"), ("b", "<Pears>")]


class Basket(forms.Form):
    """A field of each sort."""

    name = forms.CharField()
    is_full = forms.BooleanField()
    fruit = forms.ChoiceField(choices=_CHOICES, widget=forms.RadioSelect)
    more = forms.ChoiceField(choices=_CHOICES)
    number = forms.CharField(widget=forms.NumberInput(attrs={"min": 1}))


def shown(renderer: DjangoTemplates, data: dict[str, Any] | None) -> str:
    form = Basket(data, renderer=renderer, label_suffix="")
    return (
        "".join(map(str, form)) + "".join(str(choice.tag()) for choice in form["fruit"].subwidgets) + str(form.errors)
    )


@pytest.mark.parametrize(
    "data",
    [
        None,
        {},
        {"name": "x", "is_full": "on", "fruit": "a", "more": "b", "number": "3"},
        {"name": '"><script>', "fruit": "b", "more": "a", "number": "three"},
        {"name": "'", "fruit": "<Pears>"},
    ],
)
def test_it_is_the_same_at_first_and_again(data: dict[str, Any] | None) -> None:
    expected = shown(DjangoTemplates(), data)
    assert [shown(Remembering(), data) for _ in range(2)] == [expected] * 2


def test_no_more_is_remembered_than_there_is_room_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ours, "_REMEMBERED", 10)
    for number in range(30):
        shown(Remembering(), {"name": str(number)})
        assert len(ours._known) <= 10
