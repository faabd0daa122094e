"""The Django project: settings, database router and URLs."""
