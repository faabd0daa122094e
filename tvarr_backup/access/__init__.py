"""Who may do what: tokens for programs, permissions beyond those of the tables, and the three groups."""
