"""How this program was installed, and by which name people start it."""

import sys
from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent
_BUNDLED = _PACKAGE / "assets"
ROOT = _PACKAGE.parent
"""The folder in which our packages lie: a checkout, or `site-packages`."""

_IS_INSTALLED = _BUNDLED.is_dir()
IS_CHECKOUT = not _IS_INSTALLED and (ROOT / "manage.py").is_file()
"""Whether this is the checkout of a developer, with `benchmarks` and `tests`."""

ASSETS = _BUNDLED if _IS_INSTALLED else ROOT
"""The folder of `templates` and `static`: the wheel carries them inside the package, a checkout has them beside it."""

NAME = "tvarr-backup" if _IS_INSTALLED else "manage.py"
COMMAND = (sys.executable, *(("-P", "-m", "tvarr_backup") if _IS_INSTALLED else (str(ROOT / "manage.py"),)))
"""The words that start it again, from whatever folder."""
