"""API tokens, permissions beyond those of the tables, groups, lockout and audit log."""
