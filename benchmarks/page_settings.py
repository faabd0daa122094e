"""The settings, with the addresses of `page_floor`."""

from config.settings import *  # noqa: F403

ROOT_URLCONF = "benchmarks.page_floor"
