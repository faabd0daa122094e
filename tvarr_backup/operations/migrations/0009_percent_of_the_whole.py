"""`percent` becomes a column: the share of the whole operation."""

from __future__ import annotations

from typing import Any

from django.db import migrations, models


def fill_in_completed(apps: Any, schema_editor: Any) -> None:
    """Operations that are done are at 100. How far the others were is not known."""
    operations = apps.get_model("operations", "Operation").objects.using(schema_editor.connection.alias)
    operations.filter(state__in=("succeeded", "attention")).update(percent=100)


class Migration(migrations.Migration):
    dependencies = [("operations", "0008_schema_sightings")]

    operations = [
        migrations.AddField(
            model_name="operation",
            name="percent",
            field=models.PositiveSmallIntegerField(blank=True, null=True),
        ),
        migrations.RunPython(fill_in_completed, migrations.RunPython.noop),
    ]
