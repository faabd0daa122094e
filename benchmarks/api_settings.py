"""The settings of the service, with the floor's addresses beside its own and no limit of changes per minute."""

from config.settings import *  # noqa: F403  # a settings module is its names
from config.settings import REST_FRAMEWORK as _OURS

ROOT_URLCONF = "benchmarks.api_floor"
REST_FRAMEWORK = _OURS | {"DEFAULT_THROTTLE_CLASSES": []}
