"""Addresses and contents of admin pages."""

import html
import re
from typing import Any

from django.contrib.messages import get_messages
from django.db.models import Model
from django.test import Client
from django.urls import reverse


def list_url(model: type[Model]) -> str:
    return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")


def add_url(model: type[Model]) -> str:
    return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_add")


def change_url(row: Model) -> str:
    return reverse(f"admin:{row._meta.app_label}_{row._meta.model_name}_change", args=[row.pk])


def delete_url(row: Model) -> str:
    return reverse(f"admin:{row._meta.app_label}_{row._meta.model_name}_delete", args=[row.pk])


def run_action(client: Client, action: str, *rows: Model, **more: str) -> Any:
    """Select rows in a list and run an action on them."""
    data = {"action": action, "_selected_action": [row.pk for row in rows], **more}
    return client.post(list_url(type(rows[0])), data)


def messages_of(response: Any) -> list[str]:
    """Return the messages that the next page will show."""
    return [str(message) for message in get_messages(response.wsgi_request)]


def text_of(response: Any) -> str:
    """Return the text of a page, with single spaces."""
    plain = re.sub(r"<[^>]*>", " ", re.sub(r"</?bdi>", "", response.content.decode()))
    return re.sub(r"\s+", " ", html.unescape(plain))


def form_data(response: Any) -> dict[str, Any]:
    """Return the unchanged fields of a form."""
    form = response.context["adminform"].form
    values = {name: form[name].value() for name in form.fields}
    return {name: value for name, value in values.items() if value is not None and value is not False}


def problems_of(response: Any) -> dict[str, list[str]]:
    """Return the errors by field."""
    return {name: list(errors) for name, errors in response.context["adminform"].form.errors.items()}
