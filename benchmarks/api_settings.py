"""The settings, with the addresses of `api_floor` and without a limit of changes per minute."""

from config.settings import *  # noqa: F403
from config.settings import REST_FRAMEWORK as _OURS

ROOT_URLCONF = "benchmarks.api_floor"
REST_FRAMEWORK = _OURS | {"DEFAULT_THROTTLE_CLASSES": []}
