"""A browser without scripts: signed-in users, the fields of forms, and the text of pages."""

from __future__ import annotations

import html
import re
from collections.abc import Collection
from html.parser import HTMLParser
from typing import Any
from urllib.parse import urlencode

from django.contrib.auth.models import Permission
from django.test import Client

from tests.factories import UserFactory

FORM = "application/x-www-form-urlencoded"


def person(permissions: Collection[str], *, is_staff: bool = False, enforce_csrf_checks: bool = False) -> Client:
    """Return a client of a user with only these permissions (`app.codename`)."""
    user = UserFactory.create(is_superuser=False, is_staff=is_staff)
    user.user_permissions.set(
        permission
        for permission in Permission.objects.select_related("content_type")
        if f"{permission.content_type.app_label}.{permission.codename}" in permissions
    )
    client = Client(enforce_csrf_checks=enforce_csrf_checks)
    client.force_login(user)
    return client


def send(client: Client, address: str, fields: dict[str, Any], **headers: str) -> Any:
    """Send a form without files."""
    return client.post(address, urlencode(fields, doseq=True), content_type=FORM, headers=headers)


def text_of(response: Any) -> str:
    """Return the text of a page, with single spaces."""
    plain = re.sub(r"<[^>]*>", " ", re.sub(r"</?bdi>", "", response.content.decode()))
    return re.sub(r"\s+", " ", html.unescape(plain))


def fields_of(response: Any, form_id: str) -> dict[str, list[str]]:
    """Return the unchanged fields of a form, without buttons."""
    reader = _Form(form_id)
    reader.feed(response.content.decode())
    assert reader.was_found, f"there is no form {form_id}"
    return reader.fields


class _Form(HTMLParser):
    def __init__(self, form_id: str) -> None:
        super().__init__()
        self._id = form_id
        self._inside = False
        self._select = self._textarea = ""
        self.was_found = False
        self.fields: dict[str, list[str]] = {}

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        if tag == "form":
            self._inside = values.get("id") == self._id
            self.was_found |= self._inside
        elif self._inside:
            self._read(tag, values)

    def handle_data(self, data: str) -> None:
        if self._textarea:
            self.fields[self._textarea][-1] += data

    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self._inside = False
        elif tag == "textarea" and self._textarea:
            self.fields[self._textarea][-1] = self.fields[self._textarea][-1].removeprefix("\n")
            self._textarea = ""

    def _read(self, tag: str, values: dict[str, str]) -> None:
        if tag == "select":
            self._select = values["name"]
        elif tag == "textarea":
            self._textarea = values["name"]
            self.fields.setdefault(self._textarea, []).append("")
        elif tag == "option" and ("selected" in values or self._select not in self.fields):
            self.fields[self._select] = [values["value"]]
        elif tag == "input" and "name" in values and ("checked" in values or values["type"] != "checkbox"):
            self.fields.setdefault(values["name"], []).append(
                values.get("value", "on" if values["type"] == "checkbox" else "")
            )
