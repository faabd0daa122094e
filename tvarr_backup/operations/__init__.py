"""Operations: what is asked for, who does it, how far it is and how it ended. In the database `default`."""
