"""What the log is told of people who sign in, or try to, and of tokens."""

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
def tell_login(request: Any, user: Any, **_: Any) -> None:
    """With the browser; a password that comes with a single request is not told."""
    logger.info("login.succeeded", user=user.get_username(), address=_address(request))


@receiver(user_login_failed)
def tell_failed_login(credentials: Any, request: Any = None, **_: Any) -> None:
    """A name is told only if it is somebody's: people type passwords where the name belongs.

    django-axes, which listens before us, has told the request whether the name is closed to this address by now.
    """
    users: Any = get_user_model()
    name = credentials.get("username")
    is_somebody = name and users.objects.filter(username=name).exists()
    told = {"user": name if is_somebody else None, "address": _address(request)}
    if getattr(request, "axes_locked_out", False):
        logger.warning("login.locked_out", **told)
    else:
        logger.warning("login.failed", **told)


@receiver(post_save, sender=ApiToken)
def tell_new_token(instance: ApiToken, created: bool, using: str, **_: Any) -> None:  # noqa: FBT001  # Django's signature
    """When it is stored for good."""
    if created:
        tell = partial(logger.info, "token.created", **_described(instance), expires=instance.expiry)
        transaction.on_commit(tell, using=using)


@receiver(post_delete, sender=ApiToken)
def tell_revoked_token(instance: ApiToken, using: str, **_: Any) -> None:
    """When it is gone for good, with its owner or without."""
    transaction.on_commit(partial(logger.info, "token.revoked", **_described(instance)), using=using)


def _described(token: ApiToken) -> dict[str, str]:
    return {"name": token.name, "owner": token.user.get_username()}


def _address(request: Any) -> str | None:
    return request.META.get("REMOTE_ADDR") if request is not None else None
