from typing import Any

from django.apps import apps as installed
from django.contrib.auth.management import create_permissions
from django.db import migrations


def permit_receivers(apps: Any, schema_editor: Any) -> None:
    """Groups that may change the backup settings may also manage receivers of alerts."""
    alias = schema_editor.connection.alias
    create_permissions(installed.get_app_config("operations"), verbosity=0, using=alias)
    permissions = apps.get_model("auth", "Permission").objects.using(alias)
    of_operations = permissions.filter(content_type__app_label="operations")
    receivers = of_operations.get(codename="manage_receivers")
    for group in of_operations.get(codename="change_backupsettings").group_set.all():
        group.permissions.add(receivers)


class Migration(migrations.Migration):
    dependencies = [
        ("access", "0004_locations"),
        ("operations", "0021_alerts"),
    ]

    operations = [migrations.RunPython(permit_receivers, migrations.RunPython.noop)]
