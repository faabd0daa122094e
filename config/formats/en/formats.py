"""Date formats that Django reads."""

DATETIME_FORMAT = "D j M Y, H:i T"
