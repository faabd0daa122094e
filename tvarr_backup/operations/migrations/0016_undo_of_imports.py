"""What undoing an import needs is stored with its record, and an undo is a record as well."""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("operations", "0015_labels"),
    ]

    operations = [
        migrations.AddField(
            model_name="importrecord",
            name="is_undo",
            field=models.BooleanField(default=False),
        ),
        migrations.AddField(
            model_name="importrecord",
            name="log",
            field=models.BinaryField(default=b""),
        ),
        migrations.AddField(
            model_name="importrecord",
            name="log_bytes",
            field=models.PositiveBigIntegerField(default=0),
        ),
        migrations.AddField(
            model_name="importrecord",
            name="removed",
            field=models.PositiveIntegerField(default=0),
        ),
        migrations.AddField(
            model_name="importrecord",
            name="undoes",
            field=models.ForeignKey(
                blank=True,
                null=True,
                on_delete=django.db.models.deletion.SET_NULL,
                related_name="undos",
                to="operations.importrecord",
            ),
        ),
    ]
