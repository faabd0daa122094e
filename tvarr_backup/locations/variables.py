"""Locations that environment variables describe, such as `TVARR_BACKUP_LOCATION_NAS_URL` for the location "nas"."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tvarr_backup.backups.retention import Period
from tvarr_backup.durations import parse_duration
from tvarr_backup.errors import LocationInvalid
from tvarr_backup.locations.addresses import OPTIONS, Address, parse_url, require_credentials
from tvarr_backup.quoting import quoted

PREFIX = "TVARR_BACKUP_LOCATION_"
FILE_ENDING = "_FILE"
ALL = "all"
"""Keeps all copies."""
_NO_AGE_LIMIT = "none"
_MOST_KEPT = 100_000
URL, RECIPIENT, _KEEP, _MAX_AGE = "URL", "RECIPIENT", "KEEP", "MAX_AGE"
_PUBLIC = ("ACCESS_KEY", "HOST_KEY")
"""Options that are hard to write in a URL."""
_SECRET = tuple(
    dict.fromkeys(option.name.upper() for options in OPTIONS.values() for option in options if option.is_secret)
)
_ENDINGS = (
    *(URL, RECIPIENT, _KEEP, _MAX_AGE),
    *(period.upper() for period in Period),
    *_PUBLIC,
    *_SECRET,
    *(f"{name}{FILE_ENDING}" for name in _SECRET),
)
_VARIABLE = re.compile(rf"{PREFIX}([A-Z0-9_]+?)_({'|'.join(_ENDINGS)})")


@dataclass(frozen=True)
class DescribedLocation:
    """A location as the environment describes it: `columns` are those of the model for its retention."""

    name: str
    address: Address
    recipient: str
    columns: Mapping[str, Any]


@dataclass(frozen=True)
class LocationVariables:
    """The variables of a location, by their endings. `repr` shows no values, which may be secret."""

    name: str
    texts: Mapping[str, str] = field(repr=False, hash=False)

    def variable(self, ending: str) -> str:
        return f"{PREFIX}{self.name.upper().replace('-', '_')}_{ending}"

    def read(self) -> DescribedLocation:
        """Return what the variables describe. Files are read. Raises `LocationInvalid` that names the variable."""
        try:
            address = self._read_address()
            require_credentials(address)
        except LocationInvalid as problem:
            ending = str(problem.facts.get("name", "")).upper()
            variable = self.variable(ending if ending in _ENDINGS else URL)
            raise LocationInvalid("{variable}: {problem}", variable=variable, problem=problem) from problem
        return DescribedLocation(self.name, address, self.texts.get(RECIPIENT, ""), self._read_columns())

    def _read_address(self) -> Address:
        given = {ending.lower(): self.texts[ending] for ending in _PUBLIC if ending in self.texts}
        for ending in _SECRET:
            if ending in self.texts:
                given[ending.lower()] = self.texts[ending]
            elif f"{ending}{FILE_ENDING}" in self.texts:
                given[ending.lower()] = self._read_file(ending)
        return parse_url(self.texts.get(URL, "")).with_options(**given)

    def _read_file(self, ending: str) -> str:
        path = self.texts[f"{ending}{FILE_ENDING}"]
        try:
            return read_secret_file(Path(path))
        except (OSError, UnicodeDecodeError) as problem:
            raise LocationInvalid(
                "expected a readable text file, got {path} ({reason}).",
                name=f"{ending}{FILE_ENDING}".lower(),
                path=quoted(path),
                reason=getattr(problem, "strerror", None) or "it is not a text",
            ) from problem

    def _read_columns(self) -> dict[str, Any]:
        columns: dict[str, Any] = {}
        if _KEEP in self.texts:
            expected = f'a whole number from 1 to {_MOST_KEPT}, or "{ALL}"'
            columns["keep"] = None if self.texts[_KEEP].lower() == ALL else self._read_number(_KEEP, 1, expected)
        for period in Period:
            if period.upper() in self.texts:
                columns[str(period)] = self._read_number(period.upper(), 0, f"a whole number from 0 to {_MOST_KEPT}")
        if _MAX_AGE in self.texts:
            columns["max_age"] = self._read_max_age()
        return columns

    def _read_max_age(self) -> str:
        text = self.texts[_MAX_AGE]
        try:
            return text if text == _NO_AGE_LIMIT or parse_duration(text) else ""
        except ValueError:
            raise self._invalid(_MAX_AGE, f'a duration such as "90d", or "{_NO_AGE_LIMIT}"') from None

    def _read_number(self, ending: str, low: int, expected: str) -> int:
        text = self.texts[ending]
        if not re.fullmatch(r"[0-9]{1,15}", text) or not low <= int(text) <= _MOST_KEPT:
            raise self._invalid(ending, expected)
        return int(text)

    def _invalid(self, ending: str, expected: str) -> LocationInvalid:
        return LocationInvalid(
            "{variable}: expected {expected}, got {text}.",
            variable=self.variable(ending),
            expected=expected,
            text=quoted(self.texts[ending]),
        )


def find_locations(texts: Mapping[str, str]) -> tuple[LocationVariables, ...]:
    """Return the locations that variables describe, by name. Other variables are left out."""
    found: dict[str, dict[str, str]] = {}
    for variable, text in texts.items():
        match = _VARIABLE.fullmatch(variable)
        if match is not None:
            found.setdefault(match[1].lower().replace("_", "-"), {})[match[2]] = text
    return tuple(LocationVariables(name, of_location) for name, of_location in sorted(found.items()))


def read_secret_file(path: Path) -> str:
    """Return the secret in a file. Raises `OSError` and `UnicodeDecodeError`."""
    return strip_line_break(path.read_text(encoding="utf-8"))


def strip_line_break(text: str) -> str:
    """Return one line without its line break, and several lines, such as a private key, as they are."""
    line = text.rstrip("\r\n")
    return text if "\n" in line else line
