"""How many of the last days, weeks, months and years keep a backup."""

from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import migrations, models

PERIODS = ("daily", "weekly", "monthly", "yearly")
REFUSED = "Expected a whole number from 0 to 100000, got %(show_value)s."


def number() -> "models.PositiveIntegerField[int | None, int | None]":
    validators = (MinValueValidator(0, REFUSED), MaxValueValidator(100_000, REFUSED))
    return models.PositiveIntegerField(null=True, blank=True, validators=validators)


def in_range(period: str) -> models.CheckConstraint:
    condition = models.Q((f"{period}__isnull", True)) | models.Q((f"{period}__range", (0, 100_000)))
    return models.CheckConstraint(condition=condition, name=f"backup_settings_{period}_in_range")


class Migration(migrations.Migration):
    dependencies = [("operations", "0017_history_of_the_configuration")]

    operations = [
        *(migrations.AddField("backupsettings", period, number()) for period in PERIODS),
        *(migrations.AddConstraint("backupsettings", in_range(period)) for period in PERIODS),
    ]
