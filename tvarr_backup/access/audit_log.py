"""Log sign-ins, failed sign-ins, and new and revoked tokens."""

from __future__ import annotations

from functools import partial
from typing import Any

import structlog
from django.contrib.auth import get_user_model
from django.contrib.auth.signals import user_logged_in, user_login_failed
from django.db import transaction
from django.db.models.signals import post_delete, post_save
from django.dispatch import receiver

from tvarr_backup.access.models import ApiToken

logger = structlog.stdlib.get_logger(__name__)


@receiver(user_logged_in)
def log_sign_in(request: Any, user: Any, **_: Any) -> None:
    """Log a browser sign-in. Requests with a password of their own are not sign-ins."""
    logger.info("login.succeeded", user=user.get_username(), address=_find_address(request))


@receiver(user_login_failed)
def log_failed_sign_in(credentials: Any, request: Any = None, **_: Any) -> None:
    """Log a failed sign-in. Log the name only if a user has it, because users type passwords into the wrong field.

    django-axes receives the signal first and sets `axes_locked_out`.
    """
    users: Any = get_user_model()
    name = credentials.get("username")
    user = name if name and users.objects.filter(username=name).exists() else None
    if getattr(request, "axes_locked_out", False):
        logger.warning("login.locked_out", user=user, address=_find_address(request))
    else:
        logger.warning("login.failed", user=user, address=_find_address(request))


@receiver(post_save, sender=ApiToken)
def log_new_token(instance: ApiToken, created: bool, using: str, **_: Any) -> None:  # noqa: FBT001  # Django's signature
    """Log a new token after its transaction."""
    if created:
        log = partial(
            logger.info, "token.created", **_describe_token(instance), expires=instance.expiry, scope=instance.scope
        )
        transaction.on_commit(log, using=using)


@receiver(post_delete, sender=ApiToken)
def log_revoked_token(instance: ApiToken, using: str, **_: Any) -> None:
    """Log a revoked token, also if it was deleted with its owner."""
    transaction.on_commit(partial(logger.info, "token.revoked", **_describe_token(instance)), using=using)


def _describe_token(token: ApiToken) -> dict[str, str]:
    return {"name": token.name, "owner": token.user.get_username()}


def _find_address(request: Any) -> str | None:
    return request.META.get("REMOTE_ADDR") if request is not None else None
