"""How this program was installed, and how it is started."""

import sys
from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent
_BUNDLED = _PACKAGE / "assets"
ROOT = _PACKAGE.parent
"""The folder of our packages: a checkout, or `site-packages`."""

_IS_INSTALLED = _BUNDLED.is_dir()
IS_CHECKOUT = not _IS_INSTALLED and (ROOT / "manage.py").is_file()
"""Whether `benchmarks` and `tests` are available."""

ASSETS = _BUNDLED if _IS_INSTALLED else ROOT
"""The folder of `templates`, `static` and `docs`: inside the package in a wheel, next to it in a checkout."""

NAME = "tvarr-backup" if _IS_INSTALLED else "manage.py"
COMMAND = (sys.executable, *(("-P", "-m", "tvarr_backup") if _IS_INSTALLED else (str(ROOT / "manage.py"),)))
"""The command line that starts this program, from any folder."""
