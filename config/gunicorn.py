"""gunicorn's log in the form of ours, in its main process and in those that serve."""

from __future__ import annotations

import re
from typing import Any

from django.conf import settings
from django.utils.log import configure_logging
from gunicorn.glogging import Logger as GunicornLogger

_UNREADABLE = re.compile(r"(Invalid request from ip=\S+: [^'\"]*).*", re.DOTALL)


class Logger(GunicornLogger):  # type: ignore[misc]  # it has no types
    """Named by `--logger-class`. There is no access log: `config.requests` tells of requests, without their secrets."""

    def setup(self, cfg: Any) -> None:
        """As everywhere: gunicorn's own handlers go with it."""
        super().setup(cfg)
        configure_logging(settings.LOGGING_CONFIG, settings.LOGGING)

    def warning(self, msg: str, *args: Any, **kwargs: Any) -> None:
        """Of what is no request only the reason: a token may be in the rest."""
        super().warning(_UNREADABLE.sub(r"\1...", msg), *args, **kwargs)

    def exception(self, msg: str, *args: Any, **kwargs: Any) -> None:
        """Without queries, which may hold one, too."""
        super().exception(msg, *(str(arg).partition("?")[0] for arg in args), **kwargs)
