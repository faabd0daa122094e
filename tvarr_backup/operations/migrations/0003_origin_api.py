from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("operations", "0002_schedule"),
    ]

    operations = [
        migrations.AlterField(
            model_name="operation",
            name="origin",
            field=models.CharField(
                choices=[("web", "Web"), ("api", "API"), ("command", "Command"), ("schedule", "Schedule")],
                max_length=20,
            ),
        ),
    ]
