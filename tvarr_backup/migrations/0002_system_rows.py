"""Installs the rows that tvarr brings along; names, expressions and flags are tvarr's after its 29th migration."""

import json
from pathlib import Path
from typing import Any

from django.db import migrations

from tvarr_backup.fields import new_ulid


def install(apps: Any, schema_editor: Any) -> None:
    alias = schema_editor.connection.alias
    rows_by_model = json.loads(Path(__file__).with_suffix(".json").read_text(encoding="utf-8"))
    for model_name, rows in rows_by_model.items():
        model = apps.get_model("tvarr_backup", model_name)
        model.objects.using(alias).bulk_create(model(id=new_ulid(), is_system=True, **row) for row in rows)


def remove(apps: Any, schema_editor: Any) -> None:
    alias = schema_editor.connection.alias
    for model_name in ("ClientDetectionRule", "EncodingProfile", "DataMappingRule", "Filter"):
        apps.get_model("tvarr_backup", model_name).objects.using(alias).filter(is_system=True).delete()


class Migration(migrations.Migration):
    dependencies = [("tvarr_backup", "0001_tables")]

    operations = [migrations.RunPython(install, remove)]
