"""Route tvarr's tables to `tvarr`, and all others to `default`, so that a restore changes neither users nor the history."""

from typing import Any

from django.db.models import Model

TVARR = "tvarr"
DEFAULT = "default"
_TVARR_APPS = frozenset({"tvarr_backup"})


class DatabaseRouter:
    """Routes by app label. A transaction on tvarr's tables needs `using=`, because the default is the other database."""

    def db_for_read(self, model: type[Model], **_hints: Any) -> str:
        return _alias(model._meta.app_label)

    db_for_write = db_for_read

    def allow_relation(self, first: Model, second: Model, **_hints: Any) -> bool:
        return _alias(first._meta.app_label) == _alias(second._meta.app_label)

    def allow_migrate(self, db: str, app_label: str, **_hints: Any) -> bool:
        return db == _alias(app_label)


def _alias(app_label: str) -> str:
    return TVARR if app_label in _TVARR_APPS else DEFAULT
