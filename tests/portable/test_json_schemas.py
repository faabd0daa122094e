"""The published schemas are those of the kinds, and fit what is exported."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.test import Client
from jsonschema import Draft202012Validator, ValidationError  # type: ignore[import-untyped]  # it has no types

from tests.portable.files import EXAMPLES, FILTERS, bundle, document, filter_item
from tests.portable.test_apply import load
from tvarr_backup.portable.export import stream_bundle, stream_export
from tvarr_backup.portable.json_schemas import FOLDER, as_text, bundle_schema, export_schema
from tvarr_backup.portable.kinds import KINDS, Kind

pytestmark = pytest.mark.django_db

SCHEMAS = {"export": export_schema, "bundle": bundle_schema}


def validate(name: str, value: Any) -> None:
    schema = json.loads((FOLDER / f"{name}.json").read_text())
    Draft202012Validator.check_schema(schema)
    Draft202012Validator(schema).validate(value)


@pytest.mark.parametrize("name", SCHEMAS)
def test_the_published_files_are_up_to_date(name: str) -> None:
    assert (FOLDER / f"{name}.json").read_text() == as_text(SCHEMAS[name]()), "run `make schemas`"


@pytest.mark.parametrize("name", SCHEMAS)
def test_they_are_served_without_sign_in(name: str) -> None:
    answer = Client().get(f"/docs/schemas/{name}.json")
    assert (answer.status_code, answer["Content-Type"]) == (200, "application/json")
    assert json.loads(answer.content) == SCHEMAS[name]()


@pytest.mark.parametrize("kind", KINDS.values(), ids=[*KINDS])
def test_exports_fit_the_schema(kind: Kind) -> None:
    load(kind, EXAMPLES[kind.slug](), EXAMPLES[kind.slug]("Another", description="With a text"))
    validate("export", json.loads(b"".join(stream_export(kind))))
    validate("bundle", json.loads(b"".join(stream_bundle(dict.fromkeys(KINDS)))))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("export", document(FILTERS, filter_item(priority=1))),
        ("export", document(FILTERS, filter_item(source_type="radio"))),
        ("export", document(FILTERS, {"name": "x"})),
        ("export", bundle((FILTERS, []))),
        ("bundle", bundle((FILTERS, [filter_item(name="")]))),
        ("bundle", bundle((FILTERS, [filter_item()]), version="1.0.0")),
        ("bundle", document(FILTERS)),
        ("bundle", bundle()),
    ],
)
def test_other_files_do_not(name: str, value: Any) -> None:
    with pytest.raises(ValidationError):
        validate(name, value)
