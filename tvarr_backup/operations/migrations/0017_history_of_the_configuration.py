"""The history of the configuration, and what was read from backups that cannot keep it."""

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("operations", "0016_undo_of_imports"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="ItemContent",
            fields=[
                ("digest", models.CharField(max_length=64, primary_key=True, serialize=False)),
                ("text", models.TextField()),
            ],
        ),
        migrations.CreateModel(
            name="ReadConfiguration",
            fields=[
                ("checksum", models.CharField(max_length=80, primary_key=True, serialize=False)),
                ("packed", models.TextField()),
                ("read_at", models.DateTimeField()),
            ],
            options={
                "ordering": ["-read_at"],
            },
        ),
        migrations.AlterField(
            model_name="operation",
            name="kind",
            field=models.CharField(
                choices=[
                    ("backup", "Backup"),
                    ("verify", "Verification"),
                    ("prune", "Cleanup"),
                    ("delete", "Deletion"),
                    ("adopt", "Upload"),
                    ("restore", "Restore"),
                    ("read", "Reading"),
                ],
                max_length=20,
            ),
        ),
        migrations.CreateModel(
            name="HistoryEvent",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("at", models.DateTimeField(unique=True)),
                (
                    "kind",
                    models.CharField(
                        choices=[
                            ("baseline", "Start of the history"),
                            ("edit", "Edited"),
                            ("import", "Imported"),
                            ("undo", "Import undone"),
                            ("restore", "Backup restored"),
                        ],
                        max_length=20,
                    ),
                ),
                (
                    "origin",
                    models.CharField(
                        blank=True,
                        choices=[("web", "Web"), ("api", "API"), ("command", "Command"), ("schedule", "Schedule")],
                        max_length=20,
                    ),
                ),
                ("subject", models.CharField(blank=True, db_index=True, max_length=255)),
                (
                    "requested_by",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
            options={
                "verbose_name": "history event",
                "ordering": ["-at"],
            },
        ),
        migrations.CreateModel(
            name="HistoryProgress",
            fields=[
                ("id", models.PositiveSmallIntegerField(editable=False, primary_key=True, serialize=False)),
                ("revision", models.PositiveBigIntegerField(default=0)),
                ("digest", models.CharField(blank=True, max_length=64)),
                ("compared_at", models.DateTimeField(null=True)),
                ("complete_since", models.DateTimeField(null=True)),
            ],
            options={
                "constraints": [
                    models.CheckConstraint(condition=models.Q(("id", 1)), name="one_row_of_history_progress")
                ],
            },
        ),
        migrations.CreateModel(
            name="ItemVersion",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("kind", models.CharField(max_length=30)),
                ("row_id", models.CharField(max_length=64)),
                ("name", models.TextField()),
                ("source_type", models.TextField(blank=True)),
                ("change", models.CharField(max_length=10)),
                ("ended_at", models.DateTimeField(db_index=True, null=True)),
                (
                    "content",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="versions",
                        to="operations.itemcontent",
                    ),
                ),
                (
                    "event",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="versions",
                        to="operations.historyevent",
                    ),
                ),
            ],
            options={
                "ordering": ["pk"],
                "indexes": [models.Index(fields=["kind", "row_id"], name="versions_of_an_item")],
                "constraints": [
                    models.UniqueConstraint(
                        condition=models.Q(("ended_at__isnull", True)),
                        fields=("kind", "row_id"),
                        name="one_version_now",
                    )
                ],
            },
        ),
    ]
