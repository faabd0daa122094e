"""The labels of kinds and states follow the glossary; stored values stay the same."""

from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import migrations, models

_KEEP = "Expected a whole number from 1 to 100000, got %(show_value)s."
_CHOICES = {
    ("backup", "kind"): [
        *(("scheduled", "Automatic"), ("manual", "Manual"), ("pre_restore", "Safety")),
        *(("uploaded", "Uploaded"), ("tvarr", "Made by tvarr")),
    ],
    ("backup", "state"): [
        *(("checked", "Verified"), ("not_checked", "Not verified"), ("damaged", "Damaged")),
        *(("newer", "Made by a newer version"), ("broken", "Broken")),
    ],
    ("operation", "kind"): [
        *(("backup", "Backup"), ("verify", "Verification"), ("prune", "Cleanup")),
        *(("delete", "Deletion"), ("adopt", "Upload"), ("restore", "Restore")),
    ],
    ("operation", "state"): [
        *(("queued", "Queued"), ("running", "Running"), ("succeeded", "Succeeded")),
        *(("attention", "Succeeded with warnings"), ("failed", "Failed"), ("cancelled", "Canceled")),
        ("interrupted", "Interrupted"),
    ],
}


class Migration(migrations.Migration):
    dependencies = [("operations", "0014_no_queue_task")]

    operations = [
        *(
            migrations.AlterField(model, name, models.CharField(choices=choices, max_length=20))
            for (model, name), choices in _CHOICES.items()
        ),
        migrations.AlterField(
            "backupsettings",
            "keep",
            models.PositiveIntegerField(
                blank=True,
                null=True,
                validators=[MinValueValidator(1, _KEEP), MaxValueValidator(100_000, _KEEP)],
            ),
        ),
    ]
