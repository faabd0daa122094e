"""Lockout of a name and address after too many wrong passwords, which django-axes counts.

The address is that of the connection, so all users behind a proxy share the proxy's address.
"""

from __future__ import annotations

import math
from datetime import datetime

from axes.handlers.proxy import AxesProxyHandler
from axes.helpers import get_cool_off
from axes.models import AccessAttempt
from django.db.models import Max
from django.utils import timezone


def remaining_seconds(username: str, address: str) -> int:
    """Return the remaining seconds of a lockout, counted from the last wrong password; at least 1."""
    last = AccessAttempt.objects.filter(username=username, ip_address=address).aggregate(Max("attempt_time"))
    end: datetime = (last["attempt_time__max"] or timezone.now()) + get_cool_off()
    return max(1, math.ceil((end - timezone.now()).total_seconds()))


def describe_lockout(seconds: int) -> str:
    minutes = math.ceil(seconds / 60)
    unit = "minute" if minutes == 1 else "minutes"
    return f"Too many wrong passwords for this name from this address. Try again in {minutes} {unit}."


def reset_failures(username: str, address: str) -> None:
    """Forget wrong passwords after a correct one. Write only if there were any."""
    if AccessAttempt.objects.filter(username=username, ip_address=address).exists():
        AxesProxyHandler.reset_attempts(username=username, ip_address=address)
