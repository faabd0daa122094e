from typing import Any

from django.apps import apps as installed
from django.contrib.auth.management import create_permissions
from django.db import migrations


def permit_locations(apps: Any, schema_editor: Any) -> None:
    """Groups that may change the backup settings may also manage locations."""
    alias = schema_editor.connection.alias
    create_permissions(installed.get_app_config("operations"), verbosity=0, using=alias)
    permissions = apps.get_model("auth", "Permission").objects.using(alias)
    of_operations = permissions.filter(content_type__app_label="operations")
    locations = of_operations.get(codename="manage_locations")
    for group in of_operations.get(codename="change_backupsettings").group_set.all():
        group.permissions.add(locations)


class Migration(migrations.Migration):
    dependencies = [
        ("access", "0003_token_scope"),
        ("operations", "0019_locations"),
    ]

    operations = [migrations.RunPython(permit_locations, migrations.RunPython.noop)]
