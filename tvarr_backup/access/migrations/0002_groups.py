from typing import Any

from django.apps import apps as installed
from django.contrib.auth.management import create_permissions
from django.db import migrations

from tvarr_backup.access.groups import GROUPS


def make_groups(apps: Any, schema_editor: Any) -> None:
    """The permissions are usually made after all migrations; the groups need them now."""
    alias = schema_editor.connection.alias
    for label in ("tvarr_backup", "operations", "access"):
        create_permissions(installed.get_app_config(label), verbosity=0, using=alias)
    groups = apps.get_model("auth", "Group").objects.using(alias)
    permissions = apps.get_model("auth", "Permission").objects.using(alias)
    for name, wanted in GROUPS.items():
        group, made = groups.get_or_create(name=name)
        if made:
            found = [
                permissions.get(content_type__app_label=label, codename=codename)
                for label, codename in (permission.split(".") for permission in sorted(wanted))
            ]
            group.permissions.set(found)


class Migration(migrations.Migration):
    dependencies = [
        ("access", "0001_tokens"),
        ("auth", "0012_alter_user_first_name_max_length"),
        ("contenttypes", "0002_remove_content_type_name"),
        ("operations", "0001_operations"),
    ]

    operations = [migrations.RunPython(make_groups, migrations.RunPython.noop)]
