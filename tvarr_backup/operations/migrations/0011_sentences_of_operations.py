"""What the sentences of an operation are made of. Those that are stored already keep their text; the paths in them are found once."""

from pathlib import Path
from typing import Any

from django.apps.registry import Apps
from django.conf import settings
from django.db import connections, migrations, models
from django.db.backends.base.schema import BaseDatabaseSchemaEditor

from tvarr_backup import conf

_A_BATCH = 500


def find_paths(apps: Apps, editor: BaseDatabaseSchemaEditor) -> None:
    """Keep where the known paths are in old sentences, which answers of the API leave out."""
    places = [
        Path(settings.BACKUP_DIRECTORY),
        Path(settings.STORAGE_BASE_DIR),
        *map(conf.database_path, filter(conf.is_file, connections)),
    ]
    names = sorted({*map(str, places), *(str(place.resolve()) for place in places)}, key=lambda name: -len(name))
    rows = apps.get_model("operations", "Operation").objects.using(editor.connection.alias)
    for operation in rows.exclude(error="", message="").only("error", "message").iterator(_A_BATCH):
        found = {column: _parts(getattr(operation, column), names) for column in ("error", "message")}
        operation.sentences = {column: parts for column, parts in found.items() if parts} or None
        if operation.sentences:
            operation.save(update_fields=["sentences"])


def _parts(text: str, places: list[str]) -> dict[str, Any] | None:
    template, facts = text.replace("{", "{{").replace("}", "}}"), {}
    for number, place in enumerate(places):
        if place in template:
            template, facts[f"path_{number}"] = template.replace(place, f"{{path_{number}}}"), {"path": place}
    return {"template": template, "facts": facts} if facts else None


class Migration(migrations.Migration):
    dependencies = [("operations", "0010_index_of_states")]
    operations = [
        migrations.AddField("operation", "sentences", models.JSONField(blank=True, editable=False, null=True)),
        migrations.RunPython(find_paths, migrations.RunPython.noop),
    ]
