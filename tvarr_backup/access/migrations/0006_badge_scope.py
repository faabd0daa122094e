from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("access", "0005_receivers")]

    operations = [
        migrations.AlterField(
            model_name="apitoken",
            name="scope",
            field=models.CharField(
                choices=[
                    ("badge", "Status badge"),
                    ("read", "Read only"),
                    ("backups", "Backups"),
                    ("configuration", "Configuration"),
                    ("all", "All permissions"),
                ],
                default="all",
                max_length=20,
            ),
        ),
    ]
