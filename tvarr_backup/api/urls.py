"""Addresses below `/api/v1`. A slash at the end is optional everywhere (`middleware.OptionalSlash`)."""

from __future__ import annotations

from django.urls import URLPattern, URLResolver

urlpatterns: list[URLPattern | URLResolver] = []
