"""Locations as data, for commands and the API. Credentials are never in it."""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime
from typing import Any

from tvarr_backup.errors import LocationUnsupported, SecretsLost
from tvarr_backup.locations.addresses import LocationKind, read_address
from tvarr_backup.operations.location_secrets import unseal_options
from tvarr_backup.operations.models import Location, LocationState


def location_as_data(location: Location) -> dict[str, Any]:
    """Return a location. `reason` is a `Sentence`, and times are ISO 8601."""
    copies = list(location.copies.all())
    return {
        "name": location.name,
        "kind": str(location.kind),
        "url": read_address(LocationKind(location.kind), location.options).url,
        "options": dict(location.options),
        "has_secrets": find_stored_secrets(location),
        "recipient": location.recipient,
        "key_saved": location.is_key_saved,
        "identity_stored": bool(location.sealed_identity),
        "enabled": location.is_enabled,
        **{name: getattr(location, name) for name in ("keep", "daily", "weekly", "monthly", "yearly", "max_age")},
        "state": str(location.state),
        "state_since": _time(state_since(location)),
        "reason": location.problem,
        "error_code": location.error_code,
        "offered_host_key": location.offered_host_key,
        "copies": len(copies),
        "bytes": sum(copy.size for copy in copies),
        "last_copy": copies[0].filename if copies else None,
        "in_sync_at": _time(location.in_sync_at),
        "tested_at": _time(location.tested_at),
    }


def find_stored_secrets(location: Location) -> list[str]:
    """Return the names of the secret options that are stored and can be decrypted."""
    with suppress(SecretsLost, LocationUnsupported):
        return sorted(unseal_options(location.sealed_options))
    return []


def state_since(location: Location) -> datetime | None:
    """Return when the state began, as far as it is known. For one that is in sync, when it was compared last."""
    return {
        LocationState.IN_SYNC: location.in_sync_at,
        LocationState.BEHIND: location.behind_since or location.tested_at,
        LocationState.FAILING: location.failing_since,
        LocationState.UNTESTED: location.created_at,
    }.get(location.state)


def _time(moment: datetime | None) -> str | None:
    return moment.isoformat().replace("+00:00", "Z") if moment else None
