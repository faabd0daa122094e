"""Open operations are found by an index."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("operations", "0009_percent_of_the_whole")]

    operations = [
        migrations.AddIndex(
            model_name="operation",
            index=models.Index(fields=["state"], name="operation_state"),
        ),
    ]
