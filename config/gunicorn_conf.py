"""The web server's settings file: nothing that lies in the working directory stands in for a module of ours."""

import sys
from pathlib import Path

from gunicorn import util
from gunicorn.util import getcwd

_ROOT = str(Path(__file__).resolve().parent.parent)

# gunicorn puts the working directory first, and does so again unless it finds it anywhere.
sys.path[:] = [*(place for place in sys.path if place != getcwd()), getcwd()]
if _ROOT not in sys.path:
    sys.path.insert(0, _ROOT)

from config.gunicorn_refusals import write_error  # noqa: E402  # found there

# gunicorn has no setting for it, and all kinds of workers call it by this name.
util.write_error = write_error
