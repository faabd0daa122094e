from django.db import migrations, models

import tvarr_backup.fields


class Migration(migrations.Migration):
    dependencies = [
        ("operations", "0007_words_of_backups"),
    ]

    operations = [
        migrations.CreateModel(
            name="SchemaSighting",
            fields=[
                (
                    "id",
                    tvarr_backup.fields.ULIDField(
                        default=tvarr_backup.fields.new_ulid,
                        editable=False,
                        max_length=26,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                ("database", models.TextField()),
                ("schema", models.CharField(max_length=255)),
                ("columns", models.JSONField(default=dict)),
                ("seen_at", models.DateTimeField()),
            ],
            options={
                "verbose_name": "schema sighting",
                "ordering": ["id"],
            },
        ),
    ]
