"""The settings of the service, with the floor's address beside its own."""

from config.settings import *  # noqa: F403  # a settings module is its names

ROOT_URLCONF = "benchmarks.page_floor"
