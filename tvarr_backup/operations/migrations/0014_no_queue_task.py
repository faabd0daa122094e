"""Operations no longer know their task in the queue, which is only a wake-up."""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("operations", "0013_pending_imports")]

    operations = [migrations.RemoveField(model_name="operation", name="queue_task")]
