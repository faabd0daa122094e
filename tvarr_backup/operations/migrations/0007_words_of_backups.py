from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("operations", "0006_imports"),
    ]

    operations = [
        migrations.AlterField(
            model_name="backup",
            name="kind",
            field=models.CharField(
                choices=[
                    ("scheduled", "Automatic"),
                    ("manual", "Manual"),
                    ("pre_restore", "Before restore"),
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
                    ("checked", "Checked"),
                    ("not_checked", "Not checked"),
                    ("damaged", "Damaged"),
                    ("newer", "Made by a newer version"),
                    ("broken", "Broken"),
                ],
                max_length=20,
            ),
        ),
    ]
