"""How Django's own pages, those of the admin, write dates: as ours do."""
