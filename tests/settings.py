"""The settings in tests, from an environment of their own: they write into a folder of theirs, whatever the machine's says.

Only which databases are used can be said from outside, by `tests.on_postgresql`.
"""

import os
import tempfile

_OTHERS = ["DATABASE_URL", "EMAIL_URL", "REDIS_URL", "SECRET_KEY_FILE", "TZ"]
for _name in [name for name in os.environ if name.startswith("TVARR_")] + _OTHERS:
    os.environ.pop(_name, None)
_folder = tempfile.TemporaryDirectory(prefix="tvarr-backup-tests-")
os.environ["TVARR_STORAGE_BASE_DIR"] = _folder.name
os.environ["SECRET_KEY"] = "only-for-tests-" * 5
for _name in ("DATABASE_URL", "TVARR_DATABASE_DSN"):
    if f"TESTS_{_name}" in os.environ:
        os.environ[_name] = os.environ[f"TESTS_{_name}"]

from config.settings import *  # noqa: E402, F403

WHITENOISE_AUTOREFRESH = True  # looked up when asked for: every client of a test would list all of them anew
