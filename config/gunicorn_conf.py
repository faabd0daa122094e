"""The web server's settings file. It keeps modules in the working directory from replacing ours."""

import sys
from pathlib import Path

from gunicorn import util
from gunicorn.util import getcwd

_ROOT = str(Path(__file__).resolve().parent.parent)

# gunicorn puts the working directory first, and again later unless it is in the list.
sys.path[:] = [*(place for place in sys.path if place != getcwd()), getcwd()]
if _ROOT not in sys.path:
    sys.path.insert(0, _ROOT)

from config.gunicorn import write_error  # noqa: E402  # needs the path

# gunicorn has no setting for this.
util.write_error = write_error
