from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("operations", "0003_origin_api"),
    ]

    operations = [
        migrations.AddField(
            model_name="backup",
            name="protected_until",
            field=models.DateTimeField(null=True),
        ),
        migrations.AddField(
            model_name="operation",
            name="due_at",
            field=models.DateTimeField(blank=True, db_index=True, null=True),
        ),
    ]
