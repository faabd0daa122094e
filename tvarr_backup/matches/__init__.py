"""What expressions match here: channels, programmes and requests of players, before and after a change."""
