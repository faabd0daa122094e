"""Only exclusive operations stand in each other's way; all that there are so far are exclusive."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("operations", "0010_index_of_states")]

    operations = [
        migrations.AddField(
            model_name="operation",
            name="is_exclusive",
            field=models.BooleanField(default=True),
        ),
        migrations.RemoveConstraint(model_name="operation", name="one_open_operation_per_database"),
        migrations.AddConstraint(
            model_name="operation",
            constraint=models.UniqueConstraint(
                fields=["database"],
                condition=models.Q(state__in=("queued", "running"), is_exclusive=True),
                name="one_open_exclusive_operation_per_database",
            ),
        ),
    ]
