"""The settings of the service without a limit of changes per minute, which a flood of generated requests would only meet."""

from config.settings import *  # noqa: F403  # a settings module is its names
from config.settings import REST_FRAMEWORK as _OURS

REST_FRAMEWORK = _OURS | {"DEFAULT_THROTTLE_CLASSES": []}
