"""An import is recorded from the upload of its file on; the rows so far are applied imports."""

from __future__ import annotations

from typing import Any

from django.db import migrations, models


def fill_in_finished(apps: Any, schema_editor: Any) -> None:
    """Rows were made when their import was done."""
    imports = apps.get_model("operations", "ImportRecord").objects.using(schema_editor.connection.alias)
    imports.update(finished_at=models.F("created_at"))


class Migration(migrations.Migration):
    dependencies = [("operations", "0012_sentences_of_operations")]

    operations = [
        migrations.AddField(
            model_name="importrecord",
            name="state",
            field=models.CharField(
                choices=[("pending", "Pending"), ("applied", "Applied"), ("discarded", "Discarded")],
                default="applied",
                max_length=20,
            ),
            preserve_default=False,
        ),
        migrations.AddField("importrecord", "file", models.BinaryField(default=b"")),
        migrations.AddField(
            "importrecord", "choices", models.TextField(blank=True, default=""), preserve_default=False
        ),
        migrations.AddField(
            "importrecord",
            "fingerprint",
            models.CharField(blank=True, default="", max_length=80),
            preserve_default=False,
        ),
        migrations.AddField("importrecord", "marks", models.TextField(blank=True, default=""), preserve_default=False),
        migrations.AddField("importrecord", "result", models.TextField(blank=True, default=""), preserve_default=False),
        migrations.AddField("importrecord", "finished_at", models.DateTimeField(blank=True, null=True)),
        *(
            migrations.AlterField("importrecord", name, models.PositiveIntegerField(default=0))
            for name in ("added", "overwritten", "copied", "skipped", "unchanged")
        ),
        migrations.AddConstraint(
            "importrecord",
            models.CheckConstraint(
                condition=models.Q(("state__in", ["pending", "applied", "discarded"])), name="import_state_is_known"
            ),
        ),
        migrations.RunPython(fill_in_finished, migrations.RunPython.noop),
    ]
