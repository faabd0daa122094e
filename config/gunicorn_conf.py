"""The web server's settings file: no module in the working directory replaces one of ours."""

import sys
from pathlib import Path

from gunicorn import util
from gunicorn.util import getcwd

_ROOT = str(Path(__file__).resolve().parent.parent)

# gunicorn puts the working directory first, and does so again unless it finds it anywhere.
sys.path[:] = [*(place for place in sys.path if place != getcwd()), getcwd()]
if _ROOT not in sys.path:
    sys.path.insert(0, _ROOT)

from config.gunicorn import write_error  # noqa: E402  # found there

# gunicorn has no setting for it, and all kinds of workers call it by this name.
util.write_error = write_error
