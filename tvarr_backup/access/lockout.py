"""The lockout after too many wrong passwords, which django-axes counts.

The address is that of the connection. Behind a proxy it is the proxy's, so there is one count for each name.
"""

from __future__ import annotations

import math
from datetime import datetime

from axes.handlers.proxy import AxesProxyHandler
from axes.helpers import get_cool_off
from axes.models import AccessAttempt
from django.db.models import Max
from django.utils import timezone


def seconds_closed(username: str, address: str) -> int:
    """Return how long a name stays locked for an address, from its last wrong password on; at least one second."""
    last = AccessAttempt.objects.filter(username=username, ip_address=address).aggregate(Max("attempt_time"))
    end: datetime = (last["attempt_time__max"] or timezone.now()) + get_cool_off()
    return max(1, math.ceil((end - timezone.now()).total_seconds()))


def sentence(seconds: int) -> str:
    """Return the sentence about a lockout of so many seconds."""
    minutes = math.ceil(seconds / 60)
    unit = "minute" if minutes == 1 else "minutes"
    return f"Too many wrong passwords for this name from this address; try again in {minutes} {unit}."


def forget_failures(username: str, address: str) -> None:
    """Forget wrong passwords after the right one. It writes only where there were any."""
    if AccessAttempt.objects.filter(username=username, ip_address=address).exists():
        AxesProxyHandler.reset_attempts(username=username, ip_address=address)
