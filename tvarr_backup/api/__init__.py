"""The HTTP API below `/api/v1`, one module for each part of its paths, and health checks and metrics.

tvarr's own paths (`/export/KIND`, `/import/KIND`, `/backups/...`) keep tvarr's members and add ours.
"""
