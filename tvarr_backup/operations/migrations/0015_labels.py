"""The labels of kinds and states follow the glossary; stored values stay the same."""

import django.core.validators
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("operations", "0014_no_queue_task"),
    ]

    operations = [
        migrations.AlterField(
            model_name="backup",
            name="kind",
            field=models.CharField(
                choices=[
                    ("scheduled", "Automatic"),
                    ("manual", "Manual"),
                    ("pre_restore", "Safety"),
                    ("uploaded", "Uploaded"),
                    ("tvarr", "Made by tvarr"),
                ],
                max_length=20,
            ),
        ),
        migrations.AlterField(
            model_name="backup",
            name="state",
            field=models.CharField(
                choices=[
                    ("checked", "Verified"),
                    ("not_checked", "Not verified"),
                    ("damaged", "Damaged"),
                    ("newer", "Made by a newer version"),
                    ("broken", "Broken"),
                ],
                max_length=20,
            ),
        ),
        migrations.AlterField(
            model_name="backupsettings",
            name="keep",
            field=models.PositiveIntegerField(
                blank=True,
                null=True,
                validators=[
                    django.core.validators.MinValueValidator(
                        1, "Expected a whole number from 1 to 100000, got %(show_value)s."
                    ),
                    django.core.validators.MaxValueValidator(
                        100000, "Expected a whole number from 1 to 100000, got %(show_value)s."
                    ),
                ],
            ),
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
                ],
                max_length=20,
            ),
        ),
        migrations.AlterField(
            model_name="operation",
            name="state",
            field=models.CharField(
                choices=[
                    ("queued", "Queued"),
                    ("running", "Running"),
                    ("succeeded", "Succeeded"),
                    ("attention", "Succeeded with warnings"),
                    ("failed", "Failed"),
                    ("cancelled", "Canceled"),
                    ("interrupted", "Interrupted"),
                ],
                max_length=20,
            ),
        ),
    ]
