"""The web server's settings file: nothing that lies in the working directory stands in for a module of ours."""

import sys
from pathlib import Path

from gunicorn.util import getcwd

_ROOT = str(Path(__file__).resolve().parent.parent)

# gunicorn puts the working directory first, and does so again unless it finds it anywhere.
sys.path[:] = [*(place for place in sys.path if place != getcwd()), getcwd()]
if _ROOT not in sys.path:
    sys.path.insert(0, _ROOT)
