"""API tokens, groups, lockout after wrong passwords, and the audit log."""
