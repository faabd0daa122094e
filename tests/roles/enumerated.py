"""All entrances, read from the URL patterns and views."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

from django.contrib.admin import site
from django.urls import URLPattern, URLResolver, get_resolver

_PATTERN = re.compile(r"\^?\(\?P(<\w+>)[^)]*\)")


def routes() -> dict[str, Any]:
    """Return the view of each route. If two patterns have the same route, the first one answers."""
    found: dict[str, Any] = {}
    for route, pattern in _patterns(get_resolver().url_patterns):
        found.setdefault("/" + _PATTERN.sub(r"\1", route).removesuffix("$"), pattern.callback)
    return found


def _patterns(resolver: Sequence[Any], prefix: str = "") -> Iterator[tuple[str, URLPattern]]:
    for part in resolver:
        route = prefix + str(part.pattern)
        if isinstance(part, URLResolver):
            yield from _patterns(part.url_patterns, route)
        else:
            yield route, part


def methods_of(view: Any) -> list[str]:
    """Return the methods of an API view."""
    found = getattr(view, "actions", None) or [name for name in view.cls.http_method_names if hasattr(view.cls, name)]
    return [method.upper() for method in found if method not in {"head", "options"}]


def admin_actions() -> Iterator[tuple[str, str]]:
    """Yield the address of each list of the admin with each of its actions."""
    registry: dict[Any, Any] = site._registry
    for model, admin in registry.items():
        for action in admin._get_base_actions():
            yield f"/admin/{model._meta.app_label}/{model._meta.model_name}/", action[1]
