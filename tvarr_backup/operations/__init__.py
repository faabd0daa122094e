"""Operations, their schedule and their health, in the database `default`."""
