"""Read by Django, by name; `shown.clock` is the same for our pages."""

DATETIME_FORMAT = "D j M Y, H:i T"
